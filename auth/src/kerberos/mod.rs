//! Kerberos V5 in the form that Windows uses (RFC 4120, RFC 4121, MS-KILE): cryptography, messages, client, server, and
//! the pure half of a KDC.
//!
//! | module | holds |
//! |---|---|
//! | [`crypto`] | encryption types 17 to 20 and 23 |
//! | [`Principal`], [`PrincipalName`], [`KerberosTime`], [`Credential`] | the parts that all modules use |
//! | [`message`] | encodes and decodes the messages |
//! | [`keys`] | long-term keys: salts, key tables, the keys of a server |
//! | [`gss`] | tokens of GSS-API around an AP exchange, and their MIC (RFC 4121) |
//! | [`ap`] | the AP exchange: initiator, acceptor, replay cache |
//! | [`kdc`] | the AS and TGS exchanges as functions of a directory |
//! | [`client`] | the questions of a client to KDCs, and its credential cache |
//! | [`status`] | error codes and their Windows equivalents |
//!
//! A ticket has authorization data for a user's groups (`pac`) with the right length and signatures, but without the
//! contents. A server gets the user's name, and asks its directory for everything else. Other authorization data is not
//! read.

pub mod ap;
pub mod client;
mod credential;
pub mod crypto;
pub mod gss;
pub mod kdc;
pub mod keys;
pub mod message;
mod name;
mod pac;
pub mod status;
mod time;
pub mod usage;

pub use credential::Credential;
pub use name::{Principal, PrincipalName};
pub use time::KerberosTime;
