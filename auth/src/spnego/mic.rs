//! The mechListMIC by mechanism.

use crate::kerberos::gss::{GssContext, Sender};
use crate::ntlm::flags::NegotiateFlags;
use crate::ntlm::session::{Direction, SessionSecurity};

/// The keys of an established mechanism, as far as the MIC needs them.
#[derive(Clone, Copy)]
pub(super) enum MicKey {
    /// NTLM: flags in force and the exported session key.
    Ntlm(NegotiateFlags, [u8; 16]),
    /// Kerberos.
    Kerberos(GssContext),
}

impl MicKey {
    /// `sender`'s MIC over the DER of the list of mechanisms.
    pub(super) fn sign(&self, sender: Sender, mech_types: &[u8]) -> Vec<u8> {
        match self {
            Self::Ntlm(flags, key) => security(*flags, key, sender).sign(mech_types).to_vec(),
            Self::Kerberos(context) => context.mic(sender, mech_types),
        }
    }

    /// Whether `mic` is `sender`'s; compared in constant time.
    pub(super) fn verify(&self, sender: Sender, mech_types: &[u8], mic: &[u8]) -> bool {
        match self {
            Self::Ntlm(flags, key) => {
                mic.try_into().is_ok_and(|mic| security(*flags, key, sender).verify(mech_types, mic))
            }
            Self::Kerberos(context) => context.verify_mic(sender, mech_types, mic),
        }
    }
}

/// A fresh state each time: the sequence number is 0, and what SPNEGO signs does not advance the state
/// that later messages use (MS-SPNG 3.3.5.1).
fn security(flags: NegotiateFlags, key: &[u8; 16], sender: Sender) -> SessionSecurity {
    let direction = match sender {
        Sender::Initiator => Direction::ClientToServer,
        Sender::Acceptor => Direction::ServerToClient,
    };
    SessionSecurity::new(flags, key, direction)
}
