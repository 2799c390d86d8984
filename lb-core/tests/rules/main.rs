//! Tests of the effect of each parameter of the L7 and L4 rules, and of the consistency of random combinations.

mod affinity;
mod combined;
mod contract;
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
