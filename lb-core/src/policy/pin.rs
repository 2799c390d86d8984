//! Pinning: when a downstream connection gets its own upstream connection, and how closely the two are tied together.

use http::header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use crate::{Edit, List, RequestHead, ResponseHead, Text};

/// The rule that says which messages pin a connection, and what the pin means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRule {
    /// The message that pins.
    pub trigger: Trigger,
    /// The schemes; the message has to name one of them.
    pub schemes: Schemes,
    /// The connection that is pinned.
    pub applied: Applied,
    /// The choice between pinning the backend as well and choosing one for each request.
    pub host: Host,
    /// The client's requests to which the pin applies.
    pub covers: Covers,
    /// The owner of the pinned connection.
    pub key: PinKey,
    /// The rule for closing one connection of a pin when the other one closes.
    pub coupling: Coupling,
    /// The maximum number of connections that are pinned at once. For one more, the pinned connection that has been
    /// idle for longest is closed, together with its client if [`Coupling::downstream_follows`] says so. If all are
    /// busy, the new connection is not pinned, and closes after its exchange. `None`: there is no limit. The limit of
    /// nginx's NTLM module is 100.
    pub slots: Option<u32>,
    /// Whether a request over a pinned connection nevertheless takes a turn in the selection. nginx's NTLM modules do
    /// so, because the pinned connection overrides the pick.
    pub picks_anyway: bool,
    /// The behaviour of a request while the pinned connection is busy with another stream of the same HTTP/2
    /// connection.
    pub streams: Streams,
}

/// The way in which concurrent streams of one HTTP/2 connection use the pinned connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Streams {
    /// One stream takes the pinned connection, and the others take further connections, on which nobody has
    /// authenticated. By measurement, five concurrent requests resulted in one 200 and four 401. Connections that are
    /// pinned in this way belong to the client in addition to the first one.
    Apart,
    /// The streams take turns on the pinned connection.
    InTurn,
}

/// The message that pins a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A request with credentials (`Authorization`) pins: Squid, Caddy's NTLM transport, nginx's NTLM modules.
    Request,
    /// An answer with this status and a challenge pins: HAProxy. A 407 challenges with `Proxy-Authenticate`, every
    /// other status with `WWW-Authenticate` (RFC 9110 11.6.1, 11.7.1).
    Response(#[serde(with = "crate::status")] StatusCode),
    /// A 401 or a 407 with its challenge pins: HAProxy, all versions.
    Challenge,
    /// An answer with any status and a `WWW-Authenticate` field pins: Traefik.
    AnyResponse,
}

/// The authentication schemes that a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemes {
    /// The names; a value must begin with one of them. HAProxy has `NTLM` and `Nego`, so `NTLM TlRM...`, `Negotiate`
    /// and `Nego2` all match.
    pub names: List<Text>,
    /// Whether the case of letters matters. It should not (RFC 9110 11.1), but it does in Traefik and Caddy.
    pub exact_case: bool,
    /// The part of a value that the name must cover.
    pub extent: Extent,
}

/// The part of a field value that the name of a scheme must cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Extent {
    /// The value begins with the name.
    Prefix,
    /// The value begins with the name, and a space follows: Squid.
    PrefixAndSpace,
    /// The value equals the name, so a token after the scheme prevents a match. This is a defect that HAProxy had.
    Whole,
}

/// The connection that a message pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Applied {
    /// The connection that carries the exchange, whether it is new or was idle.
    AtOnce,
    /// A new connection. If a request triggers the pin, that request opens the connection; if an answer does, the next
    /// request opens it (Traefik).
    Dedicated,
}

/// The choice whether a pin also ties the client to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Host {
    /// All later requests take the pinned connection.
    Pinned,
    /// Each request chooses a backend, and the client has a dedicated connection to each backend: Traefik, Caddy. This
    /// is safe only together with affinity.
    Repicked,
}

/// The requests that a pinned connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Covers {
    /// The pinned connection carries all requests of the client.
    All,
    /// The pinned connection carries only requests with credentials of the pin's schemes. The client's other requests
    /// use the pool, over connections that other clients may have authenticated.
    WithCredentials,
}

/// The owner of a pinned connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PinKey {
    /// The downstream connection owns it.
    Downstream,
    /// The client's address and port own it: if the pinned connection outlives its downstream connection, the next
    /// downstream connection from there gets it.
    Client,
}

/// The rule for closing one connection of a pin when the other one closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupling {
    /// Whether the pinned connection closes when the client's connection ends. If not, it goes back to the pool (or
    /// waits for its owner, the client's address and port).
    pub upstream_follows: bool,
    /// Whether the client's connection closes when the pinned connection ends. If not, the client's next request goes
    /// elsewhere.
    pub downstream_follows: bool,
    /// Whether `downstream_follows` also applies to a pinned connection that ends between two requests. If not, only a
    /// pinned connection that is lost during a request closes the client's. HAProxy behaves in that way, because its
    /// client connections do not watch idle connections to servers.
    pub when_idle: bool,
}

impl Coupling {
    /// The coupling in which each close closes the other connection.
    pub const BOTH: Self = Self { upstream_follows: true, downstream_follows: true, when_idle: true };

    /// Returns whether the client's connection closes when the pinned one ends between two requests.
    pub const fn closes_when_idle(self) -> bool {
        self.downstream_follows && self.when_idle
    }
}

impl PinRule {
    /// The pin of HAProxy, in all versions, for a server's challenge: a 401 whose challenge begins with `Nego` or
    /// `NTLM`, in upper or lower case, pins the backend and the connection.
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
    /// that will carry the request, so no answer needs to be examined.
    pub const ON_AUTHORIZATION: Self = Self { trigger: Trigger::Request, ..Self::ON_401 };

    /// Checks that the rule can pin.
    ///
    /// # Errors
    /// The rule names no scheme, or has no slots.
    pub fn check(&self) -> Result<(), RuleError> {
        self.schemes.check("the pin")?;
        if self.slots == Some(0) { Err(RuleError::Zero("the slots of the pin")) } else { Ok(()) }
    }

    /// Returns whether this answer pins.
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

    /// Returns whether the pin applies to this request.
    pub fn covers(&self, head: &RequestHead<'_>) -> bool {
        self.covers == Covers::All || self.schemes.any(head.headers, &AUTHORIZATION)
    }

    /// Returns whether this request pins.
    pub fn matches_request(&self, head: &RequestHead<'_>) -> bool {
        self.trigger == Trigger::Request && self.schemes.any(head.headers, &AUTHORIZATION)
    }
}

impl Schemes {
    /// The schemes of HAProxy.
    pub const HAPROXY: Self = Self {
        names: List::Borrowed(&[Text::Borrowed("NTLM"), Text::Borrowed("Nego")]),
        exact_case: false,
        extent: Extent::Prefix,
    };

    /// Checks that at least one scheme can match. `rule` names the rule that has these schemes, for the message.
    ///
    /// # Errors
    /// There is no name, or an empty name, which would match everything.
    pub fn check(&self, rule: &'static str) -> Result<(), RuleError> {
        let none = self.names.is_empty() || self.names.iter().any(|name| name.is_empty());
        if none { Err(RuleError::Schemes(rule)) } else { Ok(()) }
    }

    /// Removes the challenges of these schemes from an answer, so that a client does not try them, and returns the
    /// edits that do so.
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

    /// Returns whether a field with this name has a value of one of these schemes.
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
