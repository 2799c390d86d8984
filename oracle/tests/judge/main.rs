//! Each requirement on small traces: violated, kept, and not put to the test.

mod any_trace;
mod handshake;
mod identity;
mod logons;
mod stability;
mod story;
