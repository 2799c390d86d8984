//! The rules with parameters for some of their alternatives: a word for the alternative, with further keys.

use stickler_lb_core::policy::composed::Connect;
use stickler_lb_core::policy::persist::Mask;
use stickler_lb_core::policy::select::{Algorithm, HashKey};
use stickler_lb_core::{ProxyProtocol, Text};

use super::super::value::words;
use crate::Carriage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlgorithmWord {
    RoundRobin,
    WeightedRoundRobin,
    Random,
    LeastConnections,
    Hash,
    ConsistentHash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyWord {
    Source,
    SourceAndPort,
    FiveTuple,
    Uri,
    UriAndQuery,
    Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Source,
    Cookie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShareWord {
    Never,
    Safe,
    Aggressive,
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectWord {
    Fail,
    Same,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CarriageWord {
    SourceNat,
    DestinationNat,
    DirectReturn,
    Splice,
    SpliceProxyV1,
    SpliceProxyV2,
}

words! {
    AlgorithmWord {
        "round-robin" => AlgorithmWord::RoundRobin,
        "weighted-round-robin" => AlgorithmWord::WeightedRoundRobin,
        "random" => AlgorithmWord::Random,
        "least-connections" => AlgorithmWord::LeastConnections,
        "hash" => AlgorithmWord::Hash,
        "consistent-hash" => AlgorithmWord::ConsistentHash,
    }
    KeyWord {
        "source" => KeyWord::Source,
        "source-and-port" => KeyWord::SourceAndPort,
        "5-tuple" => KeyWord::FiveTuple,
        "uri" => KeyWord::Uri,
        "uri-and-query" => KeyWord::UriAndQuery,
        "header" => KeyWord::Header,
    }
    By { "source" => By::Source, "cookie" => By::Cookie, }
    ShareWord {
        "never" => ShareWord::Never,
        "safe" => ShareWord::Safe,
        "aggressive" => ShareWord::Aggressive,
        "always" => ShareWord::Always,
    }
    ConnectWord { "fail" => ConnectWord::Fail, "same" => ConnectWord::Same, "other" => ConnectWord::Other, }
    CarriageWord {
        "source-nat" => CarriageWord::SourceNat,
        "destination-nat" => CarriageWord::DestinationNat,
        "direct-return" => CarriageWord::DirectReturn,
        "splice" => CarriageWord::Splice,
        "splice-proxy-v1" => CarriageWord::SpliceProxyV1,
        "splice-proxy-v2" => CarriageWord::SpliceProxyV2,
    }
}

/// Returns the word for an algorithm, the number of draws, and what is hashed.
pub(super) fn split_algorithm(algorithm: Algorithm) -> (AlgorithmWord, Option<u8>, Option<HashKey>) {
    match algorithm {
        Algorithm::RoundRobin => (AlgorithmWord::RoundRobin, None, None),
        Algorithm::WeightedRoundRobin => (AlgorithmWord::WeightedRoundRobin, None, None),
        Algorithm::Random { draws } => (AlgorithmWord::Random, Some(draws), None),
        Algorithm::LeastConnections => (AlgorithmWord::LeastConnections, None, None),
        Algorithm::Hash(key) => (AlgorithmWord::Hash, None, Some(key)),
        Algorithm::ConsistentHash(key) => (AlgorithmWord::ConsistentHash, None, Some(key)),
    }
}

/// Returns the word for what is hashed, the mask of an address, and the name of a field.
pub(super) fn hashed(key: Option<HashKey>) -> (Option<KeyWord>, Option<Mask>, Option<Text>) {
    let (word, mask, header) = match key {
        None => return (None, None, None),
        Some(HashKey::Source(mask)) => (KeyWord::Source, Some(mask), None),
        Some(HashKey::SourceAndPort) => (KeyWord::SourceAndPort, None, None),
        Some(HashKey::FiveTuple) => (KeyWord::FiveTuple, None, None),
        Some(HashKey::Uri { query: false }) => (KeyWord::Uri, None, None),
        Some(HashKey::Uri { query: true }) => (KeyWord::UriAndQuery, None, None),
        Some(HashKey::Header(name)) => (KeyWord::Header, None, Some(name)),
    };
    (Some(word), mask.filter(|&mask| mask != Mask::HOST), header)
}

/// Returns the algorithm that these keys express.
pub(super) fn selected(
    word: AlgorithmWord,
    draws: Option<u8>,
    key: Option<KeyWord>,
    mask: Option<Mask>,
    header: Option<Text>,
) -> Result<Algorithm, &'static str> {
    let key = match (key, header) {
        (Some(KeyWord::Header), Some(name)) => Some(HashKey::Header(name)),
        (Some(KeyWord::Header), None) => return Err("`select.header` is missing: it names the field that is hashed"),
        (_, Some(_)) => return Err("`select.header` belongs to `key = header`"),
        (Some(KeyWord::Source), None) => Some(HashKey::Source(mask.unwrap_or(Mask::HOST))),
        (Some(KeyWord::SourceAndPort), None) => Some(HashKey::SourceAndPort),
        (Some(KeyWord::FiveTuple), None) => Some(HashKey::FiveTuple),
        (Some(KeyWord::Uri), None) => Some(HashKey::Uri { query: false }),
        (Some(KeyWord::UriAndQuery), None) => Some(HashKey::Uri { query: true }),
        (None, None) => None,
    };
    if mask.is_some() && !matches!(key, Some(HashKey::Source(_))) {
        return Err("`select.mask` belongs to `key = source`");
    }
    if draws.is_some() && word != AlgorithmWord::Random {
        return Err("`select.draws` belongs to `algorithm = random`");
    }
    let plain = match (word, key) {
        (AlgorithmWord::Hash, Some(key)) => return Ok(Algorithm::Hash(key)),
        (AlgorithmWord::ConsistentHash, Some(key)) => return Ok(Algorithm::ConsistentHash(key)),
        (AlgorithmWord::Hash | AlgorithmWord::ConsistentHash, None) => {
            return Err("`select.key` is missing: it says what is hashed");
        }
        (_, Some(_)) => return Err("`select.key` belongs to a hash"),
        (AlgorithmWord::RoundRobin, None) => Algorithm::RoundRobin,
        (AlgorithmWord::WeightedRoundRobin, None) => Algorithm::WeightedRoundRobin,
        (AlgorithmWord::Random, None) => Algorithm::Random { draws: draws.unwrap_or(1) },
        (AlgorithmWord::LeastConnections, None) => Algorithm::LeastConnections,
    };
    Ok(plain)
}

impl ConnectWord {
    pub(super) const fn split(connect: Connect) -> (Self, Option<u32>) {
        match connect {
            Connect::Fail => (Self::Fail, None),
            Connect::Same { retries } => (Self::Same, Some(retries)),
            Connect::Other => (Self::Other, None),
        }
    }

    pub(super) const fn join(self, retries: Option<u32>) -> Result<Connect, &'static str> {
        match (self, retries) {
            (Self::Same, Some(retries)) => Ok(Connect::Same { retries }),
            (Self::Same, None) => Err("`retry.retries` is missing: it is the number of further attempts"),
            (_, Some(_)) => Err("`retry.retries` belongs to `connect = same`"),
            (Self::Fail, None) => Ok(Connect::Fail),
            (Self::Other, None) => Ok(Connect::Other),
        }
    }
}

impl From<Carriage> for CarriageWord {
    fn from(carriage: Carriage) -> Self {
        match carriage {
            Carriage::SourceNat => Self::SourceNat,
            Carriage::DestinationNat => Self::DestinationNat,
            Carriage::DirectReturn => Self::DirectReturn,
            Carriage::Splice { proxy_protocol: None } => Self::Splice,
            Carriage::Splice { proxy_protocol: Some(ProxyProtocol::V1) } => Self::SpliceProxyV1,
            Carriage::Splice { proxy_protocol: Some(ProxyProtocol::V2) } => Self::SpliceProxyV2,
        }
    }
}

impl From<CarriageWord> for Carriage {
    fn from(word: CarriageWord) -> Self {
        match word {
            CarriageWord::SourceNat => Self::SourceNat,
            CarriageWord::DestinationNat => Self::DestinationNat,
            CarriageWord::DirectReturn => Self::DirectReturn,
            CarriageWord::Splice => Self::Splice { proxy_protocol: None },
            CarriageWord::SpliceProxyV1 => Self::Splice { proxy_protocol: Some(ProxyProtocol::V1) },
            CarriageWord::SpliceProxyV2 => Self::Splice { proxy_protocol: Some(ProxyProtocol::V2) },
        }
    }
}
