//! The domain controller from outside: [`directory`] and [`tickets`] ask it directly, [`server`] and [`kdc`] over real sockets,
//! with requests that [`client`] and [`realm`] make by whole handshakes.

mod client;
mod directory;
mod kdc;
mod realm;
mod server;
mod tickets;
