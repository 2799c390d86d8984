//! HS-1 to HS-8: handshakes complete, on one connection, and cause no failed logons, and every request gets an answer.
//!
//! * `answers`: HS-1, HS-5 and HS-7, how a request ends and how many HTTP requests it takes.
//! * `legs`: HS-2 and HS-3, where the legs of handshakes go, and whether handshakes disturb each other.
//! * `bodies`: HS-4, whether a request's body arrives whole and is processed once.
//! * `pipelines`: HS-8, requests that are sent before the answer to the last one.
//! * `failed_logons`: HS-6, which failures the DC counts against an account.

pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod failed_logons;
pub(crate) mod legs;
pub(crate) mod pipelines;
