//! Pinning: when a downstream connection gets an upstream connection of its own, and what the bond is worth.

use http::header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use crate::{Edit, List, RequestHead, ResponseHead, Text};

/// What pins, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRule {
    /// Which message pins.
    pub trigger: Trigger,
    /// The schemes that it has to name.
    pub schemes: Schemes,
    /// Which connection is pinned.
    pub applied: Applied,
    /// Whether the backend is pinned too.
    pub host: Host,
    /// Which of the client's requests the pin is for.
    pub covers: Covers,
    /// Whose the pinned connection is.
    pub key: PinKey,
    /// What closes what.
    pub coupling: Coupling,
    /// Most connections that are pinned at once; one more, and the pinned connection that has been idle for longest is
    /// closed, and by [`Coupling::downstream_follows`] its client with it. Where all are busy, the new one is not
    /// pinned, and closes after its exchange. `None`: no limit. nginx NTLM module: 100.
    pub slots: Option<u32>,
    /// A request that goes over a pinned connection takes a turn in the selection all the same: nginx's NTLM modules,
    /// where the pinned connection overrides the pick.
    pub picks_anyway: bool,
    /// What a request does that finds the pinned connection busy with another stream of the same HTTP/2 connection.
    pub streams: Streams,
}

/// What becomes of several streams of one HTTP/2 connection at a time, where it has a pinned connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Streams {
    /// One takes the pinned connection, and others take further ones, on which nobody has authenticated: five requests
    /// at a time gave one 200 and four 401, measured. What is pinned in this way is the client's own besides the first.
    Apart,
    /// They take turns on it.
    InTurn,
}

/// Which message pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A request with credentials (`Authorization`): Squid, Caddy's NTLM transport, nginx's NTLM modules.
    Request,
    /// An answer with this status and a challenge: HAProxy. 407 challenges with `Proxy-Authenticate`, all others with
    /// `WWW-Authenticate` (RFC 9110 11.6.1, 11.7.1).
    Response(#[serde(with = "crate::status")] StatusCode),
    /// A 401 or 407 with its challenge: HAProxy, all versions.
    Challenge,
    /// An answer of any status that has a `WWW-Authenticate`: Traefik.
    AnyResponse,
}

/// Which schemes count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemes {
    /// One of these is what a value begins with. HAProxy: `NTLM` and `Nego`, so that `NTLM TlRM...`, `Negotiate` and
    /// `Nego2` match alike.
    pub names: List<Text>,
    /// Whether case counts. It should not (RFC 9110 11.1), but Traefik and Caddy have it so.
    pub exact_case: bool,
    /// How much of a value they have to be.
    pub extent: Extent,
}

/// How much of a value a scheme has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Extent {
    /// Its beginning.
    Prefix,
    /// Its beginning, and a space follows: Squid.
    PrefixAndSpace,
    /// All of it: a token behind the scheme hides it. A defect that HAProxy had.
    Whole,
}

/// Which connection is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Applied {
    /// The one that carries the exchange, wherever it comes from.
    AtOnce,
    /// A new one: the request that triggers opens it; after an answer that triggers, the next request does (Traefik).
    Dedicated,
}

/// Whether the backend is pinned too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Host {
    /// All later requests take the pinned connection.
    Pinned,
    /// Each request chooses a backend, and has a dedicated connection to each: Traefik, Caddy. Safe only with affinity.
    Repicked,
}

/// The requests that go over a pinned connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Covers {
    /// All requests of the client.
    All,
    /// Only requests with credentials of the pin's schemes. The other requests of the same client use the pool, over
    /// connections that other clients may have authenticated.
    WithCredentials,
}

/// Whose a pinned connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PinKey {
    /// The downstream connection's.
    Downstream,
    /// The client's address and port's: where the connection outlives its owner, the next one from there gets it.
    Client,
}

/// What closes what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupling {
    /// When the client's connection ends, so does the pinned one. If not, it goes back to the pool (or waits for its
    /// key, the client's address and port).
    pub upstream_follows: bool,
    /// When the pinned connection ends, so does the client's. If not, the next request goes elsewhere.
    pub downstream_follows: bool,
    /// That holds for a pinned connection that ends between two requests, too. If not, only one that is lost with a request
    /// on it ends the client's: HAProxy, whose client connections do not watch idle connections of servers.
    pub when_idle: bool,
}

impl Coupling {
    /// Each close closes the other.
    pub const BOTH: Self = Self { upstream_follows: true, downstream_follows: true, when_idle: true };

    /// Whether the client's connection ends when the pinned one does, between two requests.
    pub const fn closes_when_idle(self) -> bool {
        self.downstream_follows && self.when_idle
    }
}

impl PinRule {
    /// HAProxy, all versions, for a server's challenge: a 401 that begins with `Nego` or `NTLM`, in any case, pins host
    /// and connection.
    pub const ON_401: Self = Self {
        trigger: Trigger::Response(StatusCode::UNAUTHORIZED),
        schemes: Schemes::HAPROXY,
        applied: Applied::AtOnce,
        host: Host::Pinned,
        covers: Covers::All,
        key: PinKey::Downstream,
        coupling: Coupling::BOTH,
        slots: None,
        picks_anyway: false,
        streams: Streams::Apart,
    };

    /// HAProxy's pin with the trigger of Squid and of nginx's NTLM modules: credentials in a request pin the connection
    /// that will carry them, so that no answer has to tell.
    pub const ON_AUTHORIZATION: Self = Self { trigger: Trigger::Request, ..Self::ON_401 };

    /// Whether it can pin anything.
    ///
    /// # Errors
    /// It names no scheme, or has no slot.
    pub fn check(&self) -> Result<(), RuleError> {
        self.schemes.check("the pin")?;
        if self.slots == Some(0) { Err(RuleError::Zero("the slots of the pin")) } else { Ok(()) }
    }

    /// Whether this answer pins.
    pub fn matches(&self, head: &ResponseHead<'_>) -> bool {
        let challenge = match (self.trigger, head.status) {
            (Trigger::Request, _) => return false,
            (Trigger::Response(status), other) if status != other => return false,
            (Trigger::Challenge, other)
                if other != StatusCode::UNAUTHORIZED && other != StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                return false;
            }
            (Trigger::AnyResponse, _) => WWW_AUTHENTICATE,
            (_, StatusCode::PROXY_AUTHENTICATION_REQUIRED) => PROXY_AUTHENTICATE,
            _ => WWW_AUTHENTICATE,
        };
        self.schemes.any(head.headers, &challenge)
    }

    /// Whether the pin is for this request.
    pub fn covers(&self, head: &RequestHead<'_>) -> bool {
        self.covers == Covers::All || self.schemes.any(head.headers, &AUTHORIZATION)
    }

    /// Whether this request pins.
    pub fn matches_request(&self, head: &RequestHead<'_>) -> bool {
        self.trigger == Trigger::Request && self.schemes.any(head.headers, &AUTHORIZATION)
    }
}

impl Schemes {
    /// HAProxy's.
    pub const HAPROXY: Self = Self {
        names: List::Borrowed(&[Text::Borrowed("NTLM"), Text::Borrowed("Nego")]),
        exact_case: false,
        extent: Extent::Prefix,
    };

    /// Checks that there is something to match; `rule` names the rule that has these schemes.
    ///
    /// # Errors
    /// No name, or an empty one, which would match all.
    pub fn check(&self, rule: &'static str) -> Result<(), RuleError> {
        let none = self.names.is_empty() || self.names.iter().any(|name| name.is_empty());
        if none { Err(RuleError::Schemes(rule)) } else { Ok(()) }
    }

    /// Takes the challenges of these schemes out of an answer, so that a client does not try them.
    pub fn strip(&self, headers: &HeaderMap) -> Vec<Edit> {
        let mut edits = Vec::new();
        for name in [WWW_AUTHENTICATE, PROXY_AUTHENTICATE] {
            if !self.any(headers, &name) {
                continue;
            }
            let kept = headers.get_all(&name).iter().filter(|value| !self.matches(value.as_bytes()));
            let kept: Vec<_> = kept.map(|value| Edit::Append(name.clone(), value.clone())).collect();
            edits.push(Edit::Remove(name));
            edits.extend(kept);
        }
        edits
    }

    /// Whether a field of this name has a value of these schemes.
    pub(super) fn any(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        headers.get_all(name).iter().any(|value| self.matches(value.as_bytes()))
    }

    fn matches(&self, value: &[u8]) -> bool {
        self.names.iter().any(|scheme| {
            let Some((start, rest)) = value.split_at_checked(scheme.len()) else { return false };
            let same = if self.exact_case {
                start == scheme.as_bytes()
            } else {
                start.eq_ignore_ascii_case(scheme.as_bytes())
            };
            same && match self.extent {
                Extent::Prefix => true,
                Extent::PrefixAndSpace => rest.first() == Some(&b' '),
                Extent::Whole => rest.is_empty(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::texts;

    const RULE: PinRule = PinRule::ON_401;

    fn pins(status: StatusCode, values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        RULE.matches(&ResponseHead { status, headers: &headers, closes: false })
    }

    #[test]
    fn a_401_with_a_windows_scheme_pins_in_any_case() {
        for value in ["NTLM", "ntlm TlRMTVNTUAACAAAA", "Negotiate", "nEGOtiate oYH", "Nego2"] {
            assert!(pins(StatusCode::UNAUTHORIZED, &[value]), "{value}");
        }
        assert!(pins(StatusCode::UNAUTHORIZED, &["Basic realm=\"x\"", "NTLM"]));
    }

    #[test]
    fn another_scheme_or_status_does_not_pin() {
        assert!(!pins(StatusCode::UNAUTHORIZED, &["Basic realm=\"NTLM\""]));
        assert!(!pins(StatusCode::UNAUTHORIZED, &["NTL"]));
        assert!(!pins(StatusCode::UNAUTHORIZED, &[]));
        assert!(!pins(StatusCode::OK, &["NTLM"]));
        assert!(!pins(StatusCode::FORBIDDEN, &["Negotiate"]));
    }

    fn names(schemes: &Schemes, values: &[&'static str]) -> Vec<bool> {
        values.iter().map(|value| schemes.matches(value.as_bytes())).collect()
    }

    #[test]
    fn case_and_extent_narrow_the_match() {
        let values = ["NTLM", "NTLM TlRM", "ntlm TlRM", "NTLMv9", "Basic"];
        let rule = |exact_case, extent| Schemes { names: texts(&["NTLM"]), exact_case, extent };
        assert_eq!(names(&rule(false, Extent::Prefix), &values), [true, true, true, true, false]);
        assert_eq!(names(&rule(true, Extent::Prefix), &values), [true, true, false, true, false]);
        assert_eq!(names(&rule(false, Extent::PrefixAndSpace), &values), [false, true, true, false, false]);
        assert_eq!(names(&rule(true, Extent::Whole), &values), [true, false, false, false, false]);
    }

    #[test]
    fn a_trigger_looks_at_its_own_message_status_and_field() {
        let both = |name: HeaderName, status: u16| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("NTLM"));
            let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers, closes: false };
            let pins = |trigger| PinRule { trigger, ..RULE }.matches(&head);
            [pins(Trigger::Challenge), pins(Trigger::AnyResponse), pins(Trigger::Request)]
        };
        assert_eq!(both(WWW_AUTHENTICATE, 401), [true, true, false]);
        assert_eq!(both(WWW_AUTHENTICATE, 200), [false, true, false]);
        assert_eq!(both(PROXY_AUTHENTICATE, 407), [true, false, false]);
        assert_eq!(both(PROXY_AUTHENTICATE, 401), [false, false, false]);

        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Negotiate YII"));
        let (method, uri) = (http::Method::GET, http::Uri::from_static("/"));
        let client = std::net::SocketAddr::from(([10, 0, 0, 9], 1));
        let protocol = crate::Protocol::Http1;
        let head = RequestHead { method: &method, uri: &uri, headers: &headers, client, protocol };
        assert!(PinRule { trigger: Trigger::Request, ..RULE }.matches_request(&head));
        assert!(!RULE.matches_request(&head));
    }

    #[test]
    fn stripping_takes_out_what_is_named_and_leaves_the_rest_in_order() {
        let mut headers = HeaderMap::new();
        for value in ["Basic realm=x", "NTLM", "Negotiate", "Bearer"] {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        for edit in Schemes::HAPROXY.strip(&headers) {
            edit.apply(&mut headers);
        }
        assert_eq!(headers.get_all(WWW_AUTHENTICATE).iter().collect::<Vec<_>>(), ["Basic realm=x", "Bearer"]);
        assert_eq!(Schemes::HAPROXY.strip(&headers), []);
    }

    #[test]
    fn a_rule_that_names_no_scheme_is_an_error() {
        for names in [&[][..], &[""]] {
            let schemes = Schemes { names: texts(names), ..Schemes::HAPROXY };
            assert_eq!(schemes.check("the pin"), Err(RuleError::Schemes("the pin")));
        }
        assert_eq!(Schemes::HAPROXY.check("the pin"), Ok(()));
    }
}
