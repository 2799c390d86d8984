//! Pure decisions: what a mechanism is asked and what it may answer, and the shared parts that mechanisms are made of.
//!
//! * [`l7`]: the trait for balancers that read HTTP, and its vocabulary.
//! * [`l4`]: the trait for balancers that see connections or packets only.
//! * [`select`]: which backend; [`pool`]: which idle upstream connection; [`pin`]: when a downstream connection gets
//!   an upstream connection of its own. Each is a parameter structure with its state.
//! * [`composed`]: the L7 mechanisms, composed of those parts.
//! * [`per_connection`]: the L4 mechanism that chooses once for each connection.
//!
//! No module below this one may read a clock, draw a random number or do I/O.

pub mod composed;
pub mod l4;
pub mod l7;
pub mod per_connection;
pub mod pin;
pub mod pool;
pub mod select;
