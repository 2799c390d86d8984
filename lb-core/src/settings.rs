//! The settings of a mechanism that a data plane obeys. The data plane itself is in `stickler-lb-proxy`.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::RuleError;

/// The layer at which a mechanism works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// The mechanism handles connections or packets: by network address translation in the simulated world, by a splice
    /// on real sockets.
    L4,
    /// The mechanism handles HTTP requests.
    L7,
}

/// The treatment of a pipelined request, that is, one that arrives before the previous one is answered (RFC 9112
/// 9.3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pipelining {
    /// The pipelined request waits: requests of a downstream connection go to the policy one at a time, in order.
    #[default]
    InOrder,
    /// The pipelined request overtakes, which is a defect: while its downstream connection is busy, the request goes to
    /// the policy as if it had come on a separate, unpinned downstream connection. Answers still leave in order. Bodies
    /// need a `Content-Length`.
    Overtakes,
}

/// The rules by which the HTTP data plane treats connections, hop by hop. The default is the behaviour that RFC 9110
/// 7.6.1 and 7.8 require of an intermediary that does not take part in upgrades.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hops {
    /// Whether the client's `Connection` field is passed on, so that a close by the client also closes the upstream
    /// connection (nginx, `proxy_set_header Connection $http_connection`).
    pub passes_connection: bool,
    /// The treatment of a request to upgrade the connection.
    pub upgrades: Upgrades,
    /// Whether a client's connection is a tunnel from its first request on: the policy is asked about that request
    /// alone, and everything after it passes unread (HAProxy `option http-tunnel` until 2.0, Varnish `pipe`).
    pub tunnels: bool,
    /// The version of HTTP that is used towards the backends.
    pub upstream: UpstreamHttp,
    /// Whether a request that a backend resets with HTTP_1_1_REQUIRED (RFC 9113 7) is sent again over HTTP/1.1
    /// (Pingora, `pingora-core/src/protocols/http/v2/client.rs`), unless it has a body, since bodies are not kept. If
    /// not, the client gets a 502.
    pub falls_back: bool,
}

/// The version of HTTP that a balancer uses towards its backends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpstreamHttp {
    /// HTTP/1.1 only.
    #[default]
    Http1,
    /// HTTP/2 if the backend agrees to it by ALPN, otherwise HTTP/1.1: Traefik, Caddy, HAProxy `alpn h2,http/1.1`.
    Alpn,
    /// HTTP/2 only, with TLS or without (prior knowledge): nginx `proxy_http_version 2`
    /// (`src/http/modules/ngx_http_proxy_v2_module.c`), HAProxy `proto h2`, httpd `mod_proxy_http2`.
    Http2,
}

/// The treatment of a request to upgrade the connection (RFC 9110 7.8), and of the 101 that answers it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Upgrades {
    /// The request is forwarded without the upgrade: nginx unless configured to pass it, and any balancer that speaks
    /// HTTP/1.0 to its backends.
    #[default]
    Dropped,
    /// The upgrade is passed on, and after a 101 both connections carry all bytes that arrive until one of them ends:
    /// HAProxy, Envoy, IIS ARR.
    Passed,
    /// The upgrade is passed on, but the balancer cannot handle the 101 and answers 502 (dotnet/aspnetcore#32674,
    /// nginx).
    Broken,
}

/// The time limits of the HTTP data plane. The idle limit of pooled upstream connections belongs to the policy
/// ([`PoolRule::idle`](crate::policy::pool::PoolRule::idle)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timers {
    /// The time without a request after which a client's connection is closed (nginx `keepalive_timeout`, 75 s).
    /// `None`: the connection lives as long as its client keeps it open.
    pub client_idle: Option<Duration>,
    /// The time that a backend may take to begin its answer; after that, the client gets a 504 (nginx
    /// `proxy_read_timeout`, 60 s).
    pub answer: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { client_idle: None, answer: Duration::from_mins(1) }
    }
}

/// The treatment, at L4, of a connection that carries nothing for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowIdle {
    /// The time without a packet from either side.
    pub after: Duration,
    /// The fate of the connection after that time.
    pub then: FlowIdleEnd,
}

/// The way in which an L4 balancer ends a connection that has been idle for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowIdleEnd {
    /// The balancer resets both ends at once: Azure Load Balancer with `enableTcpReset`
    /// (learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset).
    Closed,
    /// The balancer forgets the connection and answers the next packet from either side with a reset: AWS NLB after 350
    /// s (aws.amazon.com/blogs/networking-and-content-delivery/introducing-nlb-tcp-configurable-idle-timeout).
    ResetOnNext,
    /// The balancer forgets the connection and drops its packets: Azure Load Balancer after 4 minutes, by default.
    Silent,
}

/// A version of the PROXY protocol (HAProxy, `doc/proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProxyProtocol {
    /// Version 1, a line of text (section 2.1).
    V1,
    /// Version 2, which is binary (section 2.2).
    V2,
}

/// The limits on the head of a request, and the answer to a request that exceeds them. A limit that is `None` is set by
/// the data plane alone, for its own safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRule {
    /// The maximum size of a header field in bytes: its name, a colon, a space and its value.
    pub field: Option<u32>,
    /// The maximum size of a head in bytes: the request line, all fields, and the ends of their lines.
    pub whole: Option<u32>,
    /// The maximum number of header fields.
    pub fields: Option<u32>,
    /// The status of the answer to a request that exceeds a limit. The client's connection closes after the answer.
    #[serde(with = "crate::status")]
    pub status: StatusCode,
}

impl HeadRule {
    /// The rule without limits, with the status of RFC 6585 5.
    pub const NONE: Self =
        Self { field: None, whole: None, fields: None, status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE };

    /// Returns whether a request is within the limits. `line` is the length of its request line in bytes, without the
    /// end of the line.
    pub fn takes(&self, line: usize, headers: &HeaderMap) -> bool {
        let within = |length: usize, most: Option<u32>| most.is_none_or(|most| length <= most as usize);
        let lengths = || headers.iter().map(|(name, value)| name.as_str().len() + ": ".len() + value.len());
        let ends = "\r\n".len() * (headers.len() + 2);
        within(headers.len(), self.fields)
            && lengths().all(|length| within(length, self.field))
            && within(line + lengths().sum::<usize>() + ends, self.whole)
    }

    /// Checks that a request can be within the limits.
    ///
    /// # Errors
    /// A limit is zero, or the status of the answer is not a client error (4xx).
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
    fn a_head_without_fields_has_the_ends_of_two_lines() {
        let (line, whole) = ("GET / HTTP/1.1".len(), "GET / HTTP/1.1\r\n\r\n".len() as u32);
        for (most, taken) in [(whole, true), (whole - 1, false)] {
            let rule = HeadRule { whole: Some(most), ..HeadRule::NONE };
            assert_eq!(rule.takes(line, &HeaderMap::new()), taken, "{most}");
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
