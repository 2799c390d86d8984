//! What a mechanism says about the data plane that obeys it. The data plane itself is elsewhere (`stickler-lb-proxy`).

use serde::{Deserialize, Serialize};

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

/// A version of the PROXY protocol (HAProxy, `doc/proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProxyProtocol {
    /// A line of text (2.1).
    V1,
    /// Binary (2.2).
    V2,
}
