//! What can be wrong with a mechanism's parameters.

use crate::{Layer, Text};

/// These parameters make no mechanism. Each message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Weights are by backend, in the farm's order.
    #[error(
        "there are {given} weights for {backends} backends: give one weight for each backend, or none if all are equal"
    )]
    WeightCount {
        /// How many weights there are.
        given: usize,
        /// How many backends there are.
        backends: usize,
    },
    /// A weight of zero is a backend that is never chosen, so somebody needs another one.
    #[error(
        "all weights are zero, so that no backend could be chosen: give at least one backend a weight from 1 to 256"
    )]
    AllZero,
    /// HAProxy's bound, so that a profile of a product fits, and a choice stays cheap.
    #[error("backend {backend} (counted from 0) has the weight {weight}, but a weight must be at most 256")]
    WeightTooLarge {
        /// The backend's index.
        backend: usize,
        /// Its weight.
        weight: u16,
    },
    /// The algorithm looks at what this layer does not see.
    #[error("a balancer at {layer:?} does not see {what}: choose another key for the hash")]
    UnknownAtLayer {
        /// What is looked at.
        what: &'static str,
        /// Where.
        layer: Layer,
    },
    /// Not a field name by RFC 9110 5.1.
    #[error("`{0}` is not the name of a header field: use letters, digits and `-`")]
    HeaderName(Text),
    /// Not a token of 1 to 64 characters, as RFC 6265 4.1.1 wants a cookie's name.
    #[error("`{0}` is not the name of a cookie: use 1 to 64 letters, digits, `-` or `_`")]
    CookieName(Text),
    /// The limit would keep nothing, ever.
    #[error("{0} is zero: leave it out, or give at least 1")]
    Zero(&'static str),
    /// An address has 32 or 128 bits.
    #[error(
        "the mask keeps {v4} bits of an IPv4 address and {v6} bits of an IPv6 address, but those have only 32 and 128 bits"
    )]
    Mask {
        /// Bits of an IPv4 address.
        v4: u8,
        /// Bits of an IPv6 address.
        v6: u8,
    },
    /// One part of the rules means nothing without another.
    #[error("{what} has no effect without {without}: add the latter, or remove the former")]
    Without {
        /// What is there.
        what: &'static str,
        /// What is not.
        without: &'static str,
    },
    /// Two parts of the rules cannot both hold.
    #[error("{what} contradicts {other}: remove one of them")]
    Contradiction {
        /// One.
        what: &'static str,
        /// The other.
        other: &'static str,
    },
    /// There is no scheme that could match.
    #[error("{0} lists no scheme, or an empty one: name at least one scheme, or leave the rule out")]
    Schemes(&'static str),
}
