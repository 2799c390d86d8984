//! Property tests of the state machines of health checks.

mod passive;
mod rule;
mod state;
