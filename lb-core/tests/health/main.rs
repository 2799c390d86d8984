//! The state machines of health checks, by properties.

mod passive;
mod state;
