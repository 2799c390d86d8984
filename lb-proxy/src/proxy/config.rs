//! What one balancer of the HTTP data plane is made of.

use std::sync::Arc;
use std::time::Duration;

use stickler_lb_core::health::PassiveRule;
use stickler_lb_core::{Control, Farm, HeadRule, Hops, L7Policy, Pipelining, ProxyProtocol};
use stickler_tls::ServerTls;

use super::secure::UpstreamTls;
use crate::Gate;

/// A policy over its farm, and what surrounds it.
pub struct HttpProxyConfig {
    /// The backends.
    pub farm: Farm,
    /// Who decides.
    pub policy: Box<dyn L7Policy>,
    /// What a peer may use up.
    pub limits: Limits,
    /// The operator's and the health checks' handle on the backends. Keep a clone.
    pub control: Control,
    /// Failures of live traffic take a backend out. `None`: they do not.
    pub passive: Option<PassiveRule>,
    /// Who may answer before the policy is asked. `None`: nobody.
    pub gate: Option<Arc<dyn Gate>>,
    /// Each upstream connection begins with a PROXY protocol header (HAProxy `send-proxy`) that names the client that it
    /// was opened for, whoever uses it later. `None`: with a request.
    pub send_proxy: Option<ProxyProtocol>,
    /// Each downstream connection has to begin with a PROXY protocol header, of either version (HAProxy `accept-proxy`);
    /// the client is whom it names. One that does not is closed: the specification (2) forbids to guess.
    pub accept_proxy: bool,
    /// What becomes of a request that comes before the one before it is answered.
    pub pipelining: Pipelining,
    /// What becomes of what HTTP says of connections.
    pub hops: Hops,
    /// How long the head of a request may be, within [`Limits`]; `None`: they alone count.
    pub head: Option<HeadRule>,
    /// TLS ends here: each downstream connection has to begin with it (after a PROXY protocol header, where one has to
    /// come), and by ALPN it speaks HTTP/2, where the [`ServerTls`] offers that. `None`: clients speak without.
    pub tls: Option<ServerTls>,
    /// TLS towards the backends. `None`: without.
    pub upstream_tls: Option<UpstreamTls>,
    /// A defect: the connections that are dedicated to a client ([`L7Policy::is_dedicated`]) have lost the authority that
    /// the others trust. Without meaning where there is no TLS towards the backends.
    pub tls_drifts: bool,
    /// Whether clients may speak HTTP/2 without TLS, from the first byte on (prior knowledge, RFC 9113 3.3).
    pub http2: bool,
}

impl HttpProxyConfig {
    /// This policy over this farm, within the default limits, and nothing else.
    pub fn new(farm: Farm, policy: Box<dyn L7Policy>) -> Self {
        Self {
            farm,
            policy,
            limits: Limits::default(),
            control: Control::new(),
            passive: None,
            gate: None,
            send_proxy: None,
            accept_proxy: false,
            pipelining: Pipelining::default(),
            hops: Hops::default(),
            head: None,
            tls: None,
            upstream_tls: None,
            tls_drifts: false,
            http2: false,
        }
    }
}

/// What a peer may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to open an upstream connection, and as much again for TLS on it; then 504.
    pub connect: Duration,
    /// Time without progress, from the request's last byte to the head of the answer; then 504, or 408 where it is the
    /// client that does not send the rest of its request.
    pub answer: Duration,
    /// Time without progress of an answer's body, while the client would take more; then both connections are closed.
    pub body: Duration,
    /// Time from the first byte of a request's head to its last; then the connection is closed. Also that for a PROXY
    /// protocol header, where one has to come first, that for TLS to come about, that from an HTTP/2 connection's first byte
    /// to its first request, that for its end once it was told to go, and that for the rest of a request that was answered
    /// before its end.
    pub request_head: Duration,
    /// Time that a downstream connection may be idle; then it is closed. `None`: for ever, since an authenticated
    /// connection may be idle for as long as its user.
    pub idle: Option<Duration>,
    /// Time that a policy may keep a request waiting; then 503.
    pub wait: Duration,
    /// Bytes of a message's head, either way; more is a 431 to a client, and a 502 for a backend's.
    pub head_bytes: usize,
    /// Field lines of a message's head, either way; likewise.
    pub fields: usize,
    /// Streams of an HTTP/2 connection at a time; more are refused, and may be tried again.
    pub streams: u32,
    /// Bytes of a request's body that are read to keep the connection of a request that the balancer answers itself, be
    /// it by its [`Gate`]; after an answer to a longer one, the connection closes.
    pub drain: usize,
    /// Downstream connections at a time; more are closed at once.
    pub downstreams: usize,
    /// Upstream connections tried for one request.
    pub attempts: u32,
}

impl Limits {
    /// The least that is read of a head where a rule limits it, in bytes: what is a little beyond the rule gets the answer that
    /// the rule has for it, and not a 431.
    const READ_BY_RULE: usize = 256 * 1024;

    /// The same, with room for every head that the rule takes, and for twice as much.
    #[must_use]
    pub fn reading(self, rule: Option<HeadRule>) -> Self {
        let Some(HeadRule { field, whole, fields, .. }) = rule else { return self };
        let twice = |limit: Option<u32>| limit.map_or(0, |limit| 2 * limit as usize);
        let head_bytes = [self.head_bytes, Self::READ_BY_RULE, twice(field), twice(whole)].into_iter().max();
        Self { head_bytes: head_bytes.unwrap_or(self.head_bytes), fields: self.fields.max(twice(fields)), ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_mins(1),
            body: Duration::from_mins(1),
            request_head: Duration::from_secs(30),
            idle: None,
            wait: Duration::from_secs(5),
            head_bytes: 64 * 1024,
            fields: 100,
            streams: 100,
            drain: 256 * 1024,
            downstreams: 65_536,
            attempts: 8,
        }
    }
}
