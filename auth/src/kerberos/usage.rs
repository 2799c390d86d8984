//! Key usage numbers (RFC 4120 7.5.1, RFC 4121 2).

/// Encrypted timestamp of an AS request, in the client's key.
pub const PA_ENC_TIMESTAMP: u32 = 1;
/// A ticket, in the service's key.
pub const TICKET: u32 = 2;
/// An AS reply, in the client's key.
pub const AS_REP: u32 = 3;
/// The checksum of a TGS request's body, in the session key.
pub const TGS_REQ_CHECKSUM: u32 = 6;
/// The authenticator of a TGS request, in the session key.
pub const TGS_REQ_AUTHENTICATOR: u32 = 7;
/// A TGS reply, in the session key.
pub const TGS_REP_SESSION: u32 = 8;
/// A TGS reply, in the authenticator's subkey.
pub const TGS_REP_SUBKEY: u32 = 9;
/// The authenticator of an AP request, in the session key.
pub const AP_REQ_AUTHENTICATOR: u32 = 11;
/// An AP reply, in the session key.
pub const AP_REP: u32 = 12;
/// A KRB-CRED, in the session key.
pub const KRB_CRED: u32 = 14;
/// The signatures of a PAC (MS-PAC 2.8: `KERB_NON_KERB_CKSUM_SALT`).
pub const PAC_CHECKSUM: u32 = 17;
/// A MIC token of the acceptor.
pub const ACCEPTOR_SIGN: u32 = 23;
/// A MIC token of the initiator.
pub const INITIATOR_SIGN: u32 = 25;
