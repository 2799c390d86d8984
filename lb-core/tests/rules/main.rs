//! What each parameter of the L7 and L4 rules does, and that random combinations of them keep the books.

mod affinity;
mod defects;
mod draining;
mod fates;
mod front;
mod headers;
mod limits;
mod measured;
mod pinning;
mod random;
mod retries;
mod reuse;
