//! Channel bindings: the hash that ties a token to the TLS connection that carries it.
//!
//! `tls-server-end-point` (RFC 5929 4.1) is the hash of the server's certificate. SSPI and GSS-API put that hash into a
//! `gss_channel_bindings_struct` (RFC 2744 3.11) and send the MD5 of the structure. NTLM sends it as
//! `MsvAvChannelBindings` (MS-NLMP 2.2.2.1), and Kerberos as `Bnd` (RFC 4121 4.1.1.2).

use md5::{Digest, Md5};

/// The prefix of the application data, before the certificate's hash (RFC 5929 4).
const PREFIX: &[u8] = b"tls-server-end-point:";

/// The MD5 hash of a `gss_channel_bindings_struct`, 16 bytes. The initiator sends it, and the acceptor compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelBinding(pub [u8; 16]);

impl ChannelBinding {
    /// Returns the binding to a TLS server certificate.
    ///
    /// `certificate_hash` is the hash of the certificate under the hash function of its own signature, or under SHA-256
    /// if that function is MD5 or SHA-1 (RFC 5929 4.1). In practice it has 32, 48 or 64 bytes.
    pub fn tls_server_end_point(certificate_hash: &[u8]) -> Self {
        Self(Md5::digest(gss_channel_bindings(certificate_hash)).into())
    }
}

/// Returns the `gss_channel_bindings_struct` as SSPI marshals it: two absent addresses (type and length, four
/// little-endian words of zero), then the length-prefixed application data.
pub fn gss_channel_bindings(certificate_hash: &[u8]) -> Vec<u8> {
    let length = (PREFIX.len() + certificate_hash.len()) as u32;
    let mut out = vec![0; 16];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(certificate_hash);
    out
}
