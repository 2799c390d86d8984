//! The error that reports invalid parameters of a mechanism.

use crate::{Layer, Text};

/// The reason why parameters do not form a mechanism. Each message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The number of weights differs from the number of backends. Weights are given in the farm's order.
    #[error(
        "there are {given} weights for {backends} backends: give one weight for each backend, or none if all are equal"
    )]
    WeightCount {
        /// The number of weights.
        given: usize,
        /// The number of backends.
        backends: usize,
    },
    /// All weights are zero. A backend with weight zero is never chosen, so at least one backend needs another weight.
    #[error(
        "all weights are zero, so that no backend could be chosen: give at least one backend a weight from 1 to 256"
    )]
    AllZero,
    /// A weight exceeds 256. The limit is HAProxy's, so that a profile of a product fits and a choice stays cheap.
    #[error("backend {backend} (counted from 0) has the weight {weight}, but a weight must be at most 256")]
    WeightTooLarge {
        /// The index of the backend in the farm.
        backend: usize,
        /// The weight of the backend.
        weight: u16,
    },
    /// The algorithm uses something that a balancer at this layer does not see.
    #[error("a balancer at {layer:?} does not see {what}: choose another key for the hash")]
    UnknownAtLayer {
        /// The property that the algorithm uses.
        what: &'static str,
        /// The layer of the balancer.
        layer: Layer,
    },
    /// The text is not a field name (RFC 9110 5.1).
    #[error("`{0}` is not the name of a header field: use letters, digits and `-`")]
    HeaderName(Text),
    /// The text is not a token of 1 to 64 characters, as the name of a cookie must be (RFC 6265 4.1.1).
    #[error("`{0}` is not the name of a cookie: use 1 to 64 letters, digits, `-` or `_`")]
    CookieName(Text),
    /// A limit is zero, so nothing could ever be kept.
    #[error("{0} is zero: leave it out, or give at least 1")]
    Zero(&'static str),
    /// A mask has more bits than an address, which has 32 or 128.
    #[error(
        "the mask keeps {v4} bits of an IPv4 address and {v6} bits of an IPv6 address, but those have only 32 and 128 bits"
    )]
    Mask {
        /// The bits that the mask keeps of an IPv4 address.
        v4: u8,
        /// The bits that the mask keeps of an IPv6 address.
        v6: u8,
    },
    /// One rule has no effect without another.
    #[error("{what} has no effect without {without}: add the latter, or remove the former")]
    Without {
        /// The rule that is there.
        what: &'static str,
        /// The rule that is missing.
        without: &'static str,
    },
    /// Two rules cannot both apply.
    #[error("{what} contradicts {other}: remove one of them")]
    Contradiction {
        /// The first of the two rules.
        what: &'static str,
        /// The second of the two rules.
        other: &'static str,
    },
    /// A list of schemes is empty or has an empty entry, so nothing or everything would match.
    #[error("{0} lists no scheme, or an empty one: name at least one scheme, or leave the rule out")]
    Schemes(&'static str),
}
