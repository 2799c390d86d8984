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

/// A version of the PROXY protocol (HAProxy, `doc/proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProxyProtocol {
    /// A line of text (2.1).
    V1,
    /// Binary (2.2).
    V2,
}
