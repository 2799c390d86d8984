//! HS-1 to HS-6: handshakes come to their end, whole, on one connection, and blamelessly.
//!
//! * `answers`: HS-1 and HS-5, what a request ends with and how many HTTP requests it takes.
//! * `legs`: HS-2 and HS-3, where the legs of handshakes go, and whether handshakes disturb each other.
//! * `bodies`: HS-4, what becomes of a request's body.
//! * `failed_logons`: HS-6, what the DC holds against an account.

mod answers;
mod bodies;
mod failed_logons;
mod legs;

pub(crate) use answers::{valid_credentials_are_answered, wrong_credentials_end_soon};
pub(crate) use bodies::bodies_are_processed_once;
pub(crate) use failed_logons::failed_logons_are_caused;
pub(crate) use legs::{interleaved_handshakes_succeed, legs_stay_together};
