//! Judges small traces by each requirement: violated, kept, and not put to the test.

mod any_trace;
mod drains;
mod effort;
mod failover;
mod faults;
mod handshake;
mod health;
mod identity;
mod idle_races;
mod in_vain;
mod kerberos;
mod left_behind;
mod logons;
mod persistence;
mod pins;
mod raw;
mod rogues;
mod round_trip;
mod servers;
mod spread;
mod stability;
mod tickets;
mod tls;
mod trace_builder;
mod trust;
mod upgrades;
