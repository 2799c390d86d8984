//! The engine by its public interface alone.

mod faults;
mod hosts;
mod nat;
mod streams;
mod support;
mod time;
