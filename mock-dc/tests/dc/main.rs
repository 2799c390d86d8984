//! The domain controller from outside: [`directory`] asks it directly, [`server`] over real sockets,
//! with requests that [`client`] makes by whole handshakes.

mod client;
mod directory;
mod server;
