//! User agents: which legs they send, over which connections, and what they note.

mod connections;
mod exchange;
mod peer;
mod transcripts;
