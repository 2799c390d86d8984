//! The clockwork of health checks apart from sockets, in paused time.

mod clockwork;
