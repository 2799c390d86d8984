//! The AP exchange: a client shows a server its ticket (RFC 4120 3.2, RFC 4121 4.1).
//!
//! | module | holds |
//! |---|---|
//! | [`Initiator`] | the client's side: AP-REQ, then AP-REP or KRB-ERROR |
//! | [`accept`], [`AcceptorConfig`], [`Accepted`], [`Rejected`] | the server's side |
//! | [`ReplayCache`] | the authenticators that one host has seen |
//!
//! Tokens are those of GSS-API, as they stand under `Negotiate` or within SPNEGO.

mod acceptor;
mod initiator;
mod replay;

pub use acceptor::{Accepted, AcceptorConfig, Refusal, Rejected, accept};
pub(in crate::kerberos) use acceptor::{check_times, open_ticket};
pub use initiator::{Established, Initiator, InitiatorConfig, InitiatorError};
pub use replay::ReplayCache;

/// What one side needs of randomness; none of it may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// Confounder of the authenticator or of the AP-REP.
    pub confounder: [u8; 16],
    /// Confounder of a forwarded ticket.
    pub cred_confounder: [u8; 16],
    /// The subkey that this side proposes, of which as many bytes are taken as needed.
    pub subkey: [u8; 32],
    /// First sequence number; 30 bits of it are used, as some peers read more as negative.
    pub sequence: u32,
}

impl Nonces {
    fn sequence(&self) -> u32 {
        self.sequence & 0x3FFF_FFFF
    }
}
