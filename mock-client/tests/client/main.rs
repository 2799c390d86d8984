//! User agents: which legs they send, over which connections, and what they note.

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
