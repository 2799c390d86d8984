//! Tests of `stickler-auth` from outside, in one binary: it links once.
//!
//! | module | shows |
//! |---|---|
//! | `vectors`, `kerberos_crypto` | published and captured bytes, exactly |
//! | `handshake` | NTLM's initiator and acceptor together, and every rule of the acceptor |
//! | `verification` | the DC's rules: levels, nil domain, target info |
//! | `kerberos`, `kdc` | the AP exchange; client and KDC; every refusal |
//! | `spnego` | every way through a negotiation, and each refusal |
//! | `mutation` | one changed byte never makes another user |
//! | `properties`, `der`, `fuzz` | what is encoded decodes to the same; any bytes at all decode or fail |
//! | `logon_channel`, `headers`, `statuses` | the codecs around them |
//! | `samba`, `second_opinion` | Samba's `ntlm_auth` and another Kerberos codec as second opinions |
//! | `common`, `realm`, `samples` | what the tests share |

mod common;
mod der;
mod fuzz;
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
mod samples;
mod second_opinion;
mod signatures;
mod spnego;
mod statuses;
mod vectors;
mod verification;
