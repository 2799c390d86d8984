//! Health checks: what they ask ([`rule`]).

pub mod rule;

pub use rule::{Blame, CheckRule, Expect, PassiveRule, Probe};
