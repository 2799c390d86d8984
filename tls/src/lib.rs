//! TLS over any [`Stream`](stickler_net::Stream). The same seed gives the same bytes, in every process.
//!
//! An authority issues a certificate, and a client that trusts the authority accepts it:
//!
//! ```
//! use std::sync::Arc;
//!
//! use stickler_net::{Listener as _, Net as _, TokioNet};
//! use stickler_tls::{Authority, ClientTls, Random, ServerTls};
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let random: Random = Arc::new(|bytes| bytes.fill(7));           // a bench has a stream for each host
//! let authority = Authority::new(random.clone());
//! let certified = authority.issue(&["www.corp.example"])?;
//! let server = ServerTls::new(&certified, false, random.clone());
//! let client = ClientTls::new(&authority, false, random);
//!
//! let listener = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await?;
//! let address = listener.local_addr()?;
//! let (accepted, connected) = tokio::join!(
//!     async { server.accept(listener.accept().await?.0).await },
//!     async { client.connect("www.corp.example", TokioNet.connect(address).await?).await },
//! );
//! assert!(accepted.is_ok());
//! assert_eq!(connected?.certificate(), Some(certified.certificate()));
//! # Ok(())
//! # })
//! # }
//! ```
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
