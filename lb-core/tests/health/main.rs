//! Health checks apart from sockets: the state machines by properties, and the clockwork in paused time.

mod clockwork;
mod passive;
mod state;
