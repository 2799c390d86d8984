//! Tests of `stickler-auth` from outside. They are one binary, which is linked only once.
//!
//! | module | shows |
//! |---|---|
//! | `vectors`, `kerberos_crypto` | published and captured bytes, exactly |
//! | `handshake` | NTLM's initiator and acceptor together, and every rule of the acceptor |
//! | `verification` | the DC's rules: levels, nil domain, target info |
//! | `kerberos`, `kdc` | the AP exchange; client and KDC; every refusal |
//! | `spnego` | every way through a negotiation, and each refusal |
//! | `mutation` | one changed byte never authenticates another user |
//! | `properties`, `der`, `fuzz` | encoded values decode to the same values; any bytes decode or fail |
//! | `logon_channel`, `headers`, `statuses` | the codecs around them |
//! | `samba`, `second_opinion` | Samba's `ntlm_auth` and another Kerberos codec as second opinions |
//! | `common`, `realm`, `samples` | the code that the tests share |

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
