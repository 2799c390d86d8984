//! Kerberos V5 as Windows speaks it (RFC 4120, RFC 4121, MS-KILE): cryptography, messages, client,
//! server, and the pure half of a KDC.
//!
//! | module | holds |
//! |---|---|
//! | [`crypto`] | encryption types 17 to 20 and 23 |
//! | [`Principal`], [`PrincipalName`], [`KerberosTime`], [`Credential`] | the parts that everything is made of |
//! | [`message`] | the messages, encode and decode |
//! | [`keys`] | long-term keys: salts, key tables, what a server tries |
//! | [`gss`] | tokens of GSS-API around an AP exchange, and their MIC (RFC 4121) |
//! | [`ap`] | the AP exchange: initiator, acceptor, replay cache |
//! | [`kdc`] | AS and TGS exchange as a function of a directory |
//! | [`client`] | what a client asks a KDC, and its credential cache |
//! | [`status`] | error codes and their Windows equivalents |
//!
//! Of a user's groups a ticket has the length and the signatures (`pac`), and not the content: a server gets the user's
//! name, and asks its directory for whatever else it needs. Other authorization data is not read.

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
