//! TLS over any [`Stream`](stickler_net::Stream). The same seed gives the same bytes, in every process.
//!
//! * [`Authority`] and [`Certified`]: a certificate authority for tests, and the certificates that it issues.
//! * [`ServerTls`], [`ClientTls`]: the two ends of a handshake.
//! * [`Secured`]: a stream with or without TLS, so its users need no second implementation.
//!
//! rustls implements the protocol, and ring implements the ciphers. All random values (keys, nonces, serial numbers)
//! come from the [`Random`] that the caller provides. Signatures are deterministic (RFC 6979), the time is always
//! [`TODAY`], and no session is resumed, so each connection has a full handshake. What a key signs, exchanges or
//! verifies is remembered in the process (`memory`), because runs with one seed repeat it. **Anybody who knows the seed
//! knows the keys**: this crate is for a test bench, not for secrets.

mod authority;
mod ends;
mod key;
mod memory;
mod random;
mod stream;
mod verifier;

use sha2::{Digest, Sha256};

pub use authority::{Authority, Certified, TODAY};
pub use ends::{ClientTls, KeySink, ServerTls};
pub use random::Random;
pub use stream::{Secured, Tls};

/// Returns the hash of a certificate (DER) for a `tls-server-end-point` binding (RFC 5929 4.1): SHA-256, which is the
/// hash of the signature of all certificates of an [`Authority`].
pub fn end_point(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
}
