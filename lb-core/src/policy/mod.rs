//! Pure decisions: the questions that a mechanism is asked, its possible answers, and the shared parts that mechanisms
//! are made of.
//!
//! * [`l7`]: the trait for balancers that read HTTP, and its vocabulary.
//! * [`l4`]: the trait for balancers that see connections or packets only.
//! * [`backend_aware`]: what both have in common.
//! * [`select`] chooses the backend of a request. [`persist`] remembers the backend that a client had. [`pool`] and
//!   [`grouped`] hold the idle upstream connections. [`pin`] says when a downstream connection gets its own upstream
//!   connection. Each is a parameter structure with its state. [`backends`] knows which backends are up, and their
//!   load. [`error`] reports invalid parameters.
//! * [`workers`]: which process or thread of the balancer a client's connection lands on.
//! * [`composed`]: the L7 mechanisms, composed of those parts.
//! * [`per_connection`]: the L4 mechanisms, which choose once for each connection.
//!
//! No module below this one may read a clock, draw a random number or do I/O.

pub mod backend_aware;
pub mod backends;
pub mod composed;
pub mod error;
pub mod grouped;
mod hash;
pub mod l4;
pub mod l7;
pub mod per_connection;
pub mod persist;
pub mod pin;
pub mod pool;
pub mod select;
pub mod workers;
