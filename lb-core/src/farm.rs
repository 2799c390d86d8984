//! The backends that a balancer chooses from.

use std::net::SocketAddr;

use stickler_model::Name;

/// One server of a farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The server's name, as traces show it.
    pub name: Name,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The backends, in order. A policy speaks of them by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Farm {
    /// The backends; none is allowed: every request is then answered 503 (L7) or refused (L4).
    pub backends: Vec<Backend>,
}
