//! Tests of `stickler-auth` from outside, in one binary: it links once.
//!
//! | module | shows |
//! |---|---|
//! | `vectors` | published and captured bytes, exactly |
//! | `handshake` | initiator and acceptor together, and every rule of the acceptor |
//! | `verification` | the DC's rules: levels, nil domain, target info |
//! | `mutation` | one changed byte never makes another user |
//! | `properties` | what is encoded decodes to the same; any bytes at all decode or fail |
//! | `logon_channel`, `headers`, `statuses` | the codecs around NTLM |
//! | `samba` | Samba's `ntlm_auth` as a second opinion |

mod common;
mod handshake;
mod headers;
mod kdc;
mod kerberos;
mod kerberos_crypto;
mod logon_channel;
mod mutation;
mod properties;
mod realm;
mod samba;
mod spnego;
mod statuses;
mod vectors;
mod verification;
