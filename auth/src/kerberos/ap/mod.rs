//! The AP exchange, in which a client presents its ticket to a server (RFC 4120 3.2, RFC 4121 4.1).
//!
//! | module | holds |
//! |---|---|
//! | [`Initiator`] | the client's side: AP-REQ, then AP-REP or KRB-ERROR |
//! | [`accept`], [`AcceptorConfig`], [`Accepted`], [`Rejected`] | the server's side |
//! | [`ReplayCache`] | the authenticators that one host has seen |
//!
//! Tokens have the form of GSS-API, in which they are sent under `Negotiate` or within SPNEGO.

mod acceptor;
mod initiator;
mod replay;

pub use acceptor::{Accepted, AcceptorConfig, Refusal, Rejected, accept};
pub(in crate::kerberos) use acceptor::{check_times, open_ticket};
pub use initiator::{Established, Initiator, InitiatorConfig, InitiatorError};
pub use replay::ReplayCache;

/// The random bytes that one side needs. None of them may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The confounder of the authenticator or of the AP-REP.
    pub confounder: [u8; 16],
    /// The confounder of a forwarded ticket.
    pub cred_confounder: [u8; 16],
    /// The subkey that this side proposes. Only the number of bytes that the key type needs is used.
    pub subkey: [u8; 32],
    /// The first sequence number. Only 30 bits are used, because some peers read larger numbers as negative.
    pub sequence: u32,
}

impl Nonces {
    fn sequence(&self) -> u32 {
        self.sequence & 0x3FFF_FFFF
    }
}
