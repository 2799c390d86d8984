//! Each requirement on small traces: violated, kept, and not put to the test.

mod any_trace;
mod effort;
mod failover;
mod handshake;
mod health;
mod identity;
mod kerberos;
mod logons;
mod persistence;
mod pins;
mod spread;
mod stability;
mod story;
mod tickets;
mod tls;
mod trust;
