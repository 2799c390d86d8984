//! Tests of the engine through its public interface alone.

mod faults;
mod freeze;
mod hosts;
mod nat;
mod ports;
mod streams;
mod support;
mod time;
