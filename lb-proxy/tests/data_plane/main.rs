//! Tests of the data plane on real sockets between raw peers, so that only the balancer implements HTTP.

mod bad_input;
mod checks;
mod closes;
mod control;
mod failures;
mod gate;
mod hops;
mod http2;
mod http_rules;
mod passive;
mod peers;
mod pipelining;
mod proxy_protocol;
mod reuse;
mod rules;
mod splice;
mod stalls;
mod tls;
mod upstream_http2;
mod waiting;
