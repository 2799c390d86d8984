//! Each requirement on small traces: violated, kept, and not put to the test.

mod any_trace;
mod failover;
mod handshake;
mod health;
mod identity;
mod logons;
mod persistence;
mod pins;
mod spread;
mod stability;
mod story;
mod trust;
