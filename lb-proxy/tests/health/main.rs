//! Tests of the timing of health checks without sockets, in paused time.

mod clockwork;
