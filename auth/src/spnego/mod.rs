//! SPNEGO, which negotiates a mechanism and carries its tokens, the first one at once (RFC 4178, MS-SPNG).
//!
//! | module | holds |
//! |---|---|
//! | [`Mechanism`] | the mechanisms by their OIDs |
//! | [`token`] | encodes and decodes NegTokenInit and NegTokenResp |
//! | [`Initiator`] | the client's side |
//! | [`Acceptor`] | the server's side: SPNEGO, raw NTLM and raw Kerberos |
//!
//! The `mechListMIC` protects the list of mechanisms from an attacker who removes the better ones. For NTLM, it is a
//! signature with sequence number 0 over the list's DER, after which the RC4 state is reset (MS-SPNG 3.3.5.1). For
//! Kerberos, it is a MIC token (RFC 4121 4.2.6.1).

use std::fmt;

use crate::kerberos::gss::KRB5_OID;

mod acceptor;
mod initiator;
mod mic;
pub mod token;

pub use acceptor::{Acceptor, AcceptorConfig, Authenticated, Identity, Nonces, Refusal, Rejected, Step};
pub use initiator::{
    Established, Initiator, InitiatorConfig, InitiatorError, InitiatorNonces, InitiatorStep, KerberosOffer,
};

/// A mechanism that SPNEGO can choose, or that Windows lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// Kerberos V5 under its own OID, 1.2.840.113554.1.2.2.
    Kerberos,
    /// Kerberos V5 under the OID that an early version of Windows truncated, 1.2.840.48018.1.2.2 (MS-SPNG 1.9).
    MsKerberos,
    /// NTLMSSP, 1.3.6.1.4.1.311.2.2.10.
    Ntlm,
    /// NEGOEX, 1.3.6.1.4.1.311.2.2.30. Windows lists it, but it is never chosen here.
    NegoEx,
}

impl Mechanism {
    const ALL: [Self; 4] = [Self::Kerberos, Self::MsKerberos, Self::Ntlm, Self::NegoEx];

    /// Returns the contents of the OID, without tag and length.
    pub const fn oid(self) -> &'static [u8] {
        match self {
            Self::Kerberos => KRB5_OID,
            Self::MsKerberos => &[0x2A, 0x86, 0x48, 0x82, 0xF7, 0x12, 0x01, 0x02, 0x02],
            Self::Ntlm => &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0A],
            Self::NegoEx => &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x1E],
        }
    }

    /// Returns the mechanism with this OID, if it is known. `oid` is without tag and length.
    pub fn from_oid(oid: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.oid() == oid)
    }

    /// Returns the package that implements the mechanism. NEGOEX has none.
    pub const fn package(self) -> Option<Package> {
        match self {
            Self::Kerberos | Self::MsKerberos => Some(Package::Kerberos),
            Self::Ntlm => Some(Package::Ntlm),
            Self::NegoEx => None,
        }
    }
}

/// A security package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Package {
    /// The package Kerberos, under either OID.
    Kerberos,
    /// The package NTLM.
    Ntlm,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kerberos => "Kerberos",
            Self::Ntlm => "NTLM",
        })
    }
}
