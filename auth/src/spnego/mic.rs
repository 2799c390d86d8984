//! The mechListMIC of each mechanism.

use crate::kerberos::gss::{GssContext, Sender};
use crate::ntlm::flags::NegotiateFlags;
use crate::ntlm::session::{Direction, SessionSecurity, has_signatures, proves_integrity};

/// The keys of an established mechanism that the MIC needs.
#[derive(Clone, Copy)]
pub(super) enum MicKey {
    /// The NTLM flags in force, and the exported session key.
    Ntlm(NegotiateFlags, [u8; 16]),
    /// The context of Kerberos.
    Kerberos(GssContext),
}

impl MicKey {
    /// Returns `sender`'s MIC over the DER of the list of mechanisms, or `None` if messages have no signatures.
    pub(super) fn sign(&self, sender: Sender, mech_types: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ntlm(flags, key) => self.signs().then(|| security(*flags, key, sender).sign(mech_types).to_vec()),
            Self::Kerberos(context) => Some(context.mic(sender, mech_types)),
        }
    }

    /// Returns whether MICs can be made with the key.
    pub(super) fn signs(&self) -> bool {
        match self {
            Self::Ntlm(flags, _) => has_signatures(*flags),
            Self::Kerberos(_) => true,
        }
    }

    /// Returns whether a MIC with the key proves anything. NTLM without SIGN gives MICs that prove nothing, and neither
    /// side can require them.
    pub(super) fn proves(&self) -> bool {
        match self {
            Self::Ntlm(flags, _) => proves_integrity(*flags),
            Self::Kerberos(_) => true,
        }
    }

    /// Returns whether `mic` is a MIC of `sender`. The comparison takes constant time.
    pub(super) fn verify(&self, sender: Sender, mech_types: &[u8], mic: &[u8]) -> bool {
        match self {
            Self::Ntlm(flags, key) => {
                mic.try_into().is_ok_and(|mic| security(*flags, key, sender).verify(mech_types, mic))
            }
            Self::Kerberos(context) => context.verify_mic(sender, mech_types, mic),
        }
    }
}

/// Returns a new RC4 state each time, because a signature of SPNEGO does not advance the state that later messages use
/// (MS-SPNG 3.3.5.1). The sequence number is not reset. It is 0, which is the first number of a direction. However,
/// without extended session security both directions share one count, and the client has signed first (Samba:
/// `crypt->ntlm.seq_num` in `auth/ntlmssp/ntlmssp_sign.c`; pyspnego: `_seq_num_in` in `_ntlm.py`).
fn security(flags: NegotiateFlags, key: &[u8; 16], sender: Sender) -> SessionSecurity {
    let (direction, after) = match sender {
        Sender::Initiator => (Direction::ClientToServer, 0),
        Sender::Acceptor => (Direction::ServerToClient, 1),
    };
    let sequence = if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) { 0 } else { after };
    SessionSecurity::new(flags, key, direction).at(sequence)
}
