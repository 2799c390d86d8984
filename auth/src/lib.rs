//! NTLM, SPNEGO, Kerberos, their HTTP headers, and the codec of pass-through logons. The crate is pure: it has no I/O,
//! no clock and no random generator.
//!
//! | module | holds |
//! |---|---|
//! | [`ntlm`] | the three messages, the cryptography, [`Initiator`](ntlm::initiator::Initiator) and [`Acceptor`](ntlm::acceptor::Acceptor), and the DC's verification |
//! | [`kerberos`] | cryptography, messages, keys, the AP exchange, the pure half of a KDC and of its client |
//! | [`spnego`] | the negotiation between the two: tokens, [`Initiator`](spnego::Initiator) and [`Acceptor`](spnego::Acceptor) |
//! | [`der`] | the bounded DER reader and writer that SPNEGO and Kerberos use |
//! | [`logon`] | the pass-through logon between a server and its domain controller, and its framing |
//! | [`http`] | `WWW-Authenticate` and `Authorization` headers, and the kinds of their tokens |
//! | [`channel_binding`] | the hash that ties a token to a TLS certificate (RFC 5929) |
//! | [`status`] | NTSTATUS, SSPI and Win32 codes, and the codes that IIS logs for them |
//!
//! ```
//! use stickler_auth::http::{self, Scheme, TokenKind};
//!
//! let header = b"NTLM TlRMTVNTUAABAAAAAgIAAA==";
//! let credentials = http::parse_authorization(header, http::DEFAULT_TOKEN_LIMIT).unwrap();
//! assert_eq!(credentials.scheme, Scheme::Ntlm);
//! assert_eq!(http::token_kind(&credentials.token), TokenKind::NtlmNegotiate);
//! ```
//!
//! Randomness (challenges, session keys) and time ([`FileTime`]) come in as arguments, so that the same inputs give the
//! same bytes. Every decoder is bounded by its input and fails with a typed error.

pub mod channel_binding;
pub mod der;
pub mod http;
pub mod kerberos;
pub mod logon;
pub mod ntlm;
pub mod spnego;
pub mod status;
mod time;

pub use time::FileTime;
