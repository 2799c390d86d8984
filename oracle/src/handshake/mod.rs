//! HS-1 to HS-6: handshakes complete, on one connection, and cause no failed logons.
//!
//! * `answers`: HS-1 and HS-5, how a request ends and how many HTTP requests it takes.
//! * `legs`: HS-2 and HS-3, where the legs of handshakes go, and whether handshakes disturb each other.
//! * `bodies`: HS-4, what becomes of a request's body.
//! * `failed_logons`: HS-6, which failures the DC counts against an account.

pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod failed_logons;
pub(crate) mod legs;
