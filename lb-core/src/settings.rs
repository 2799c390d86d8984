//! What a mechanism says about the data plane that obeys it. The data plane itself is elsewhere (`stickler-lb-proxy`).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::RuleError;

/// The layer at which a mechanism works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// On connections or packets: network address translation in the simulated world, a splice on real sockets.
    L4,
    /// On HTTP requests.
    L7,
}

/// What becomes of a pipelined request: one that comes before the one before it is answered (RFC 9112 9.3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pipelining {
    /// The pipelined request waits: requests of a downstream connection go to the policy one at a time, in order.
    #[default]
    InOrder,
    /// It overtakes, a defect: while the connection before it is busy it is put to the policy as if it had come on a
    /// downstream connection of its own, unpinned. Answers still leave in order. Bodies need a `Content-Length`.
    Overtakes,
}

/// What the HTTP data plane does with what HTTP says of connections. By default what RFC 9110 7.6.1 and 7.8 ask of an
/// intermediary that does not take part in upgrades.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hops {
    /// The client's `Connection` field is passed on, so that a client that closes has the upstream connection closed (nginx,
    /// `proxy_set_header Connection $http_connection`).
    pub passes_connection: bool,
    /// What becomes of a request to upgrade.
    pub upgrades: Upgrades,
    /// A client's connection is a tunnel from its first request on: that one alone is put to the policy, and everything
    /// after it passes unread (HAProxy `option http-tunnel` until 2.0, Varnish `pipe`).
    pub tunnels: bool,
    /// Which HTTP is spoken to the backends.
    pub upstream: UpstreamHttp,
    /// A request that a backend resets with HTTP_1_1_REQUIRED (RFC 9113 7) goes again by HTTP/1.1 (Pingora,
    /// `pingora-core/src/protocols/http/v2/client.rs`), unless it has a body, of which nothing is kept. If not, the client is
    /// answered 502.
    pub falls_back: bool,
}

/// Which HTTP a balancer speaks to its backends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpstreamHttp {
    /// HTTP/1.1 alone.
    #[default]
    Http1,
    /// HTTP/2 where a backend agrees to it by ALPN, and HTTP/1.1 elsewhere: Traefik, Caddy, HAProxy `alpn h2,http/1.1`.
    Alpn,
    /// HTTP/2 alone, with TLS or without (prior knowledge): nginx `proxy_http_version 2`
    /// (`src/http/modules/ngx_http_proxy_v2_module.c`), HAProxy `proto h2`, httpd `mod_proxy_http2`.
    Http2,
}

/// What becomes of a request to upgrade the connection (RFC 9110 7.8), and of the 101 to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Upgrades {
    /// The request goes on without it: nginx, unless told to pass it, and whatever speaks HTTP/1.0 to its backends.
    #[default]
    Dropped,
    /// It is passed on, and after a 101 both connections carry what comes, until one ends: HAProxy, Envoy, IIS ARR.
    Passed,
    /// It is passed on, and the balancer does not know what to make of the 101: 502 (dotnet/aspnetcore#32674, nginx).
    Broken,
}

/// How long the HTTP data plane waits. What it keeps of upstream connections is the policy's
/// ([`PoolRule::idle`](crate::policy::pool::PoolRule::idle)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timers {
    /// A client's connection without a request for this time is closed (nginx `keepalive_timeout`, 75 s). `None`: it lives as
    /// long as its client keeps it.
    pub client_idle: Option<Duration>,
    /// How long a backend may take to begin its answer; then 504 (nginx `proxy_read_timeout`, 60 s).
    pub answer: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { client_idle: None, answer: Duration::from_mins(1) }
    }
}

/// At L4: what becomes of a connection that carries nothing for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowIdle {
    /// The time without a packet from either side.
    pub after: Duration,
    /// What becomes of the connection then.
    pub then: FlowIdleEnd,
}

/// How an L4 balancer parts with a connection that has been idle for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowIdleEnd {
    /// Both ends are reset at once: Azure Load Balancer with `enableTcpReset`
    /// (learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset).
    Closed,
    /// The connection is forgotten, and whoever sends the next packet is answered with a reset: AWS NLB after 350 s
    /// (aws.amazon.com/blogs/networking-and-content-delivery/introducing-nlb-tcp-configurable-idle-timeout).
    ResetOnNext,
    /// The connection is forgotten, and its packets are dropped: Azure Load Balancer after 4 minutes, by default.
    Silent,
}

/// A version of the PROXY protocol (HAProxy, `doc/proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProxyProtocol {
    /// A line of text (2.1).
    V1,
    /// Binary (2.2).
    V2,
}

/// How long the head of a request may be, and what a longer one is answered. What is `None` is limited by the data plane
/// alone, for its own safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRule {
    /// The longest field in bytes: its name, a colon, a space and its value.
    pub field: Option<u32>,
    /// The longest head in bytes: the request line, each field, and the ends of their lines.
    pub whole: Option<u32>,
    /// The most fields.
    pub fields: Option<u32>,
    /// The answer to a request that is beyond any of these. The client's connection closes after it.
    #[serde(with = "crate::status")]
    pub status: StatusCode,
}

impl HeadRule {
    /// No limit, and the status of RFC 6585 5.
    pub const NONE: Self =
        Self { field: None, whole: None, fields: None, status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE };

    /// Whether a request is within the limits, whose request line is this long in bytes, without its end.
    pub fn takes(&self, line: usize, headers: &HeaderMap) -> bool {
        let within = |length: usize, most: Option<u32>| most.is_none_or(|most| length <= most as usize);
        let lengths = || headers.iter().map(|(name, value)| name.as_str().len() + ": ".len() + value.len());
        let ends = "\r\n".len() * (headers.len() + 2);
        within(headers.len(), self.fields)
            && lengths().all(|length| within(length, self.field))
            && within(line + lengths().sum::<usize>() + ends, self.whole)
    }

    /// Checks that a request can be within it.
    ///
    /// # Errors
    /// A limit is zero, or the answer is not a client's error.
    pub fn check(&self) -> Result<(), RuleError> {
        if [self.field, self.whole, self.fields].contains(&Some(0)) {
            return Err(RuleError::Zero("the limit of a head"));
        }
        if !self.status.is_client_error() {
            return Err(RuleError::Contradiction {
                what: "a head that is too long",
                other: "a status that is not of 4xx",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HOST};
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_head_is_measured_as_it_came() {
        let head = "GET / HTTP/1.1\r\nhost: x\r\nauthorization: NTLM TlRM\r\n\r\n";
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("x"));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("NTLM TlRM"));
        let takes = |rule: HeadRule| rule.takes("GET / HTTP/1.1".len(), &headers);
        let (whole, field) = (head.len() as u32, "authorization: NTLM TlRM".len() as u32);
        for (rule, taken) in [
            (HeadRule::NONE, true),
            (HeadRule { whole: Some(whole), ..HeadRule::NONE }, true),
            (HeadRule { whole: Some(whole - 1), ..HeadRule::NONE }, false),
            (HeadRule { field: Some(field), ..HeadRule::NONE }, true),
            (HeadRule { field: Some(field - 1), ..HeadRule::NONE }, false),
            (HeadRule { fields: Some(2), ..HeadRule::NONE }, true),
            (HeadRule { fields: Some(1), ..HeadRule::NONE }, false),
        ] {
            assert_eq!(takes(rule), taken, "{rule:?}");
        }
    }

    #[test]
    fn a_rule_takes_some_requests_and_blames_the_client_for_the_others() {
        let rule = HeadRule { field: Some(8_190), status: StatusCode::BAD_REQUEST, ..HeadRule::NONE };
        assert_eq!((rule.check(), HeadRule::NONE.check()), (Ok(()), Ok(())));
        for wrong in [HeadRule { whole: Some(0), ..rule }, HeadRule { status: StatusCode::BAD_GATEWAY, ..rule }] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
