//! The data plane on real sockets, between raw peers: nobody here but the balancer knows HTTP.

mod closes;
mod failures;
mod http_rules;
mod peers;
mod reuse;
mod rules;
mod splice;
mod waiting;
