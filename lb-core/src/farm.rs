//! The backends that a balancer chooses from.

use std::net::SocketAddr;

use stickler_model::Name;

/// One server of a farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The server's name, as it appears in traces.
    pub name: Name,
    /// The address and port on which the server listens.
    pub address: SocketAddr,
}

/// All backends of a balancer, in order. A policy refers to them by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Farm {
    /// The backends. The list may be empty: then every request is answered 503 (L7) and every connection is refused
    /// (L4).
    pub backends: Vec<Backend>,
}
