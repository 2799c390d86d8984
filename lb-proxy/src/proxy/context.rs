//! The context that the tasks of all connections share.

use std::sync::Arc;

use stickler_lb_core::{HeadRule, Hops, Pipelining, ProxyProtocol};
use stickler_tls::ServerTls;

use super::secure::Transports;
use super::shell::Shell;
use crate::Gate;
use crate::health::Traffic;

/// The context that the tasks of all connections share.
pub(super) struct Proxy<N> {
    pub(super) net: N,
    pub(super) client: hyper::client::conn::http1::Builder,
    pub(super) server: hyper::server::conn::http1::Builder,
    pub(super) gate: Option<Arc<dyn Gate>>,
    /// The PROXY protocol on both sides, as in [`HttpProxyConfig`].
    pub(super) announces: Option<ProxyProtocol>,
    pub(super) accepts: bool,
    pub(super) pipelining: Pipelining,
    pub(super) hops: Hops,
    pub(super) head: Option<HeadRule>,
    /// Whether clients may speak HTTP/2 by prior knowledge.
    pub(super) http2: bool,
    pub(super) tls: Option<ServerTls>,
    pub(super) upstream_tls: Option<Transports>,
    /// Whether the streams of one connection take turns, because the policy or the gate can be asked about only one
    /// request at a time.
    pub(super) in_turn: bool,
    pub(super) traffic: Option<Traffic>,
    pub(super) shell: Shell,
}

impl<N> Proxy<N> {
    /// Reports to the passive checks, if there are any.
    pub(super) fn traffic(&self, report: impl FnOnce(&Traffic)) {
        if let Some(traffic) = &self.traffic {
            report(traffic);
        }
    }
}
