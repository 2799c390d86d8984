//! Key usage numbers (RFC 4120 7.5.1, RFC 4121 2).

/// The usage of the timestamp in an AS request, which is encrypted with the client's key.
pub const PA_ENC_TIMESTAMP: u32 = 1;
/// The usage of a ticket, which is encrypted with the service's key.
pub const TICKET: u32 = 2;
/// The usage of an AS reply, which is encrypted with the client's key.
pub const AS_REP: u32 = 3;
/// The usage of the checksum over a TGS request's body, which is made with the session key.
pub const TGS_REQ_CHECKSUM: u32 = 6;
/// The usage of the authenticator in a TGS request, which is encrypted with the session key.
pub const TGS_REQ_AUTHENTICATOR: u32 = 7;
/// The usage of a TGS reply that is encrypted with the session key.
pub const TGS_REP_SESSION: u32 = 8;
/// The usage of a TGS reply that is encrypted with the authenticator's subkey.
pub const TGS_REP_SUBKEY: u32 = 9;
/// The usage of the authenticator in an AP request, which is encrypted with the session key.
pub const AP_REQ_AUTHENTICATOR: u32 = 11;
/// The usage of an AP reply, which is encrypted with the session key.
pub const AP_REP: u32 = 12;
/// The usage of a KRB-CRED, with the session key.
pub const KRB_CRED: u32 = 14;
/// The usage of the signatures in a PAC (MS-PAC 2.8: `KERB_NON_KERB_CKSUM_SALT`).
pub const PAC_CHECKSUM: u32 = 17;
/// The usage of a MIC token of the acceptor.
pub const ACCEPTOR_SIGN: u32 = 23;
/// The usage of a MIC token of the initiator.
pub const INITIATOR_SIGN: u32 = 25;
