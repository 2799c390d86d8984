//! Channel bindings: the hash that ties a token to the TLS connection it travels on.
//!
//! `tls-server-end-point` (RFC 5929 4.1) hashes the server's certificate; SSPI and GSS-API put that
//! hash into a `gss_channel_bindings_struct` (RFC 2744 3.11) and send the MD5 of the structure, in
//! NTLM as `MsvAvChannelBindings` (MS-NLMP 2.2.2.1), in Kerberos as `Bnd` (RFC 4121 4.1.1.2).

use md5::{Digest, Md5};

/// What precedes the certificate's hash in the application data (RFC 5929 4).
const PREFIX: &[u8] = b"tls-server-end-point:";

/// An MD5 of a `gss_channel_bindings_struct`, 16 bytes: what initiator and acceptor compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelBinding(pub [u8; 16]);

impl ChannelBinding {
    /// The binding to a TLS server certificate.
    ///
    /// `certificate_hash` is the certificate's hash under the function of its own signature, or
    /// under SHA-256 where that is MD5 or SHA-1 (RFC 5929 4.1): 32, 48 or 64 bytes in practice.
    pub fn tls_server_end_point(certificate_hash: &[u8]) -> Self {
        Self(Md5::digest(gss_channel_bindings(certificate_hash)).into())
    }
}

/// The `gss_channel_bindings_struct` as SSPI marshals it: two absent addresses (type and length, four
/// little-endian words of zero), then the length-prefixed application data.
pub fn gss_channel_bindings(certificate_hash: &[u8]) -> Vec<u8> {
    let length = (PREFIX.len() + certificate_hash.len()) as u32;
    let mut out = vec![0; 16];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(certificate_hash);
    out
}
