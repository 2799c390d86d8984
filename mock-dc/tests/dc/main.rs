//! Tests of the domain controller from outside: [`directory`] and [`tickets`] ask it directly, and [`server`] and
//! [`kdc`] ask it over real sockets. [`client`] and [`realm`] make the requests by whole handshakes. [`decisions`]
//! tests the decisions that a DC makes alone and those that it leaves to others, and [`forward`] tests how it asks
//! other DCs.

mod client;
mod decisions;
mod directory;
mod forward;
mod kdc;
mod realm;
mod server;
mod tickets;
