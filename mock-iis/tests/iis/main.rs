//! Tests of the server from outside: whole handshakes on real sockets, with a real DC behind it.
//!
//! * [`bench`]: a DC and a server on loopback, a raw HTTP client, and the NTLM initiator.
//! * [`realm`]: a KDC in memory, and its clients' tokens.
//! * [`machine`]: the authentication state machine alone, under random sequences.

mod accounts;
mod bench;
mod front_end;
mod handshake;
mod hostile;
mod http_sys;
mod machine;
mod negotiate;
mod realm;
mod requests;
mod rogue;
mod secure;
mod tracked;
mod trusted;
mod walkthrough;
mod web_socket;
