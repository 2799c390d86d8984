//! NTLM in accordance with MS-NLMP: messages, cryptography, initiator, acceptor, verification.
//!
//! | module | holds |
//! |---|---|
//! | [`flags`], [`av`], [`text`], [`wire`] | the parts that messages are made of |
//! | [`negotiate`], [`challenge`], [`authenticate`] | encode and decode the three messages |
//! | [`response`] | the NT response inside an Authenticate, and the blob inside an NTLMv2 response |
//! | [`crypto`], [`session`] | hashes, responses, keys; signatures and seals |
//! | [`initiator`], [`profile`] | the client's side, and the behaviour of real clients |
//! | [`acceptor`] | the server's side, which yields a logon request and waits for its reply |
//! | [`verify`] | the domain controller's side: compares a response with a stored hash |

pub mod acceptor;
pub mod authenticate;
pub mod av;
pub mod challenge;
pub mod crypto;
pub mod flags;
pub mod initiator;
pub mod negotiate;
pub mod profile;
pub mod response;
pub mod session;
pub mod text;
pub mod verify;
pub mod wire;
