//! The domain controller from outside: [`directory`] and [`tickets`] ask it directly, [`server`] and [`kdc`] over real sockets,
//! with requests that [`client`] and [`realm`] make by whole handshakes. [`courses`]: what a DC decides alone, and
//! what it leaves to others; [`passing`]: how it asks them.

mod client;
mod courses;
mod directory;
mod kdc;
mod passing;
mod realm;
mod server;
mod tickets;
