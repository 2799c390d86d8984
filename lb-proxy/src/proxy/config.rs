//! The configuration of a balancer with the HTTP data plane.

use std::sync::Arc;
use std::time::Duration;

use stickler_lb_core::health::PassiveRule;
use stickler_lb_core::{Control, Farm, HeadRule, Hops, L7Policy, Pipelining, ProxyProtocol};
use stickler_tls::ServerTls;

use super::secure::UpstreamTls;
use crate::Gate;

/// A policy over its farm, with the settings of the data plane.
pub struct HttpProxyConfig {
    /// The backends.
    pub farm: Farm,
    /// The policy that decides.
    pub policy: Box<dyn L7Policy>,
    /// The limits on the resources that a peer may use.
    pub limits: Limits,
    /// The handle on the backends for the operator and the health checks. The caller keeps a clone.
    pub control: Control,
    /// The rule by which failures of live traffic take a backend out. `None`: such failures do not.
    pub passive: Option<PassiveRule>,
    /// The gate that may answer before the policy is asked. `None`: there is no gate.
    pub gate: Option<Arc<dyn Gate>>,
    /// The version of the PROXY protocol header with which each upstream connection begins (HAProxy `send-proxy`). The
    /// header names the client for whom the connection was opened, even if another client uses it later. `None`: the
    /// connection begins with a request.
    pub send_proxy: Option<ProxyProtocol>,
    /// Whether each downstream connection must begin with a PROXY protocol header of either version (HAProxy
    /// `accept-proxy`), which then names the client. A connection without a header is closed, because the specification
    /// (section 2) forbids guessing.
    pub accept_proxy: bool,
    /// The treatment of a request that arrives before the previous one is answered.
    pub pipelining: Pipelining,
    /// The rules by which the data plane treats connections, hop by hop.
    pub hops: Hops,
    /// The limits on the head of a request, within [`Limits`]. `None`: only [`Limits`] applies.
    pub head: Option<HeadRule>,
    /// The TLS settings for clients. With them, TLS ends here: each downstream connection must begin with TLS (after
    /// the PROXY protocol header, if one is required), and uses HTTP/2 by ALPN if the [`ServerTls`] offers it. `None`:
    /// clients speak without TLS.
    pub tls: Option<ServerTls>,
    /// The TLS settings towards the backends. `None`: the balancer speaks to them without TLS.
    pub upstream_tls: Option<UpstreamTls>,
    /// Whether connections that are dedicated to a client ([`L7Policy::is_dedicated`]) do not trust the authority that
    /// other connections trust. This is a defect. It has no effect without TLS towards the backends.
    pub tls_drifts: bool,
    /// Whether clients may speak HTTP/2 without TLS from the first byte on (prior knowledge, RFC 9113 3.3).
    pub http2: bool,
}

impl HttpProxyConfig {
    /// Returns the configuration of this policy over this farm, with the default limits and nothing else.
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

/// The limits on the resources that a peer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum time for opening an upstream connection. The handshake of TLS on it may take the same time again. If
    /// one of them takes longer, the client gets a 504.
    pub connect: Duration,
    /// The time without progress between the request's last byte and the head of the answer. After that, the client
    /// gets a 504, or a 408 if the client does not send the rest of its request.
    pub answer: Duration,
    /// The time for which an answer's body may make no progress although the client would accept more. The same limit
    /// applies to the rest of a request that was answered before its end. After that, both connections are closed.
    pub body: Duration,
    /// The time from the first byte of a request's head to its last. After that, the connection is closed. The same
    /// limit applies to a PROXY protocol header, to the TLS handshake, and to what still arrives on a connection that the
    /// balancer closes. For an HTTP/2 connection, it also applies to the time from the first byte to the first request,
    /// and to the time in which the connection must end after it was told to close.
    pub request_head: Duration,
    /// The time for which a downstream connection may be idle before it is closed. `None`: there is no limit, since an
    /// authenticated connection may be idle for as long as its user.
    pub idle: Option<Duration>,
    /// The time for which a policy may keep a request waiting. After that, the client gets a 503.
    pub wait: Duration,
    /// The maximum size of the head of a message in bytes, in both directions. For a longer head, a client gets a 431
    /// if it sent the head itself, and a 502 if a backend sent it.
    pub head_bytes: usize,
    /// The maximum number of field lines in the head of a message, with the same consequences.
    pub fields: usize,
    /// The maximum number of concurrent streams of an HTTP/2 connection. Further streams are refused, and may be tried
    /// again.
    pub streams: u32,
    /// The number of bytes of a request's body that are read in order to keep the connection if the balancer or its
    /// [`Gate`] answers the request itself. The answer does not wait for them. After an answer to a longer request, the
    /// connection closes.
    pub drain: usize,
    /// The maximum number of concurrent downstream connections. Further ones are closed at once.
    pub downstreams: usize,
    /// The maximum number of upstream connections that are tried for one request.
    pub attempts: u32,
}

impl Limits {
    /// The smallest limit on the bytes of a head that are read if a rule limits heads. A head that exceeds the rule
    /// only a little therefore gets the answer of the rule, and not a 431.
    const READ_BY_RULE: usize = 256 * 1024;

    /// Returns the limits with room for every head that the rule accepts, and for twice as much.
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
            // As much as the servers read of a request that they refuse. No product documents its own limit.
            drain: 64 << 20,
            downstreams: 65_536,
            attempts: 8,
        }
    }
}
