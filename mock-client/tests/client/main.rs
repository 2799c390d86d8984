//! Tests of user agents: the legs that they send, the connections that they use, and the events that they record.

mod check;
mod claims;
mod connections;
mod exchange;
mod kinds;
mod peer;
mod secure;
mod sessions;
mod tickets;
mod transcripts;
mod uploads;
