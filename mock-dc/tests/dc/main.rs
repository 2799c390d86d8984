//! Tests of the domain controller from outside: [`directory`] and [`tickets`] ask it directly, [`server`] and [`kdc`]
//! over real sockets, with requests that [`client`] and [`realm`] make by whole handshakes. [`decisions`]: what a DC
//! decides alone, and what it leaves to others; [`forward`]: how it asks them.

mod client;
mod decisions;
mod directory;
mod forward;
mod kdc;
mod realm;
mod server;
mod tickets;
