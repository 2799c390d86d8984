//! Selection: which backend serves a request or connection that no affinity assigns to one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use serde::{Deserialize, Serialize};
use stickler_model::Entropy;

use super::backends::Backends;
use super::error::RuleError;
use super::hash::{hash, mix};
use super::persist::Mask;
use crate::{Layer, List, RequestHead, Text};

/// The maximum weight, which is also HAProxy's.
const MAX_WEIGHT: u16 = 256;

/// The rule by which a backend is chosen if no affinity decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectRule {
    /// The algorithm that chooses.
    pub algorithm: Algorithm,
    /// The weight of each backend, 0 to 256, in the farm's order; a backend with weight 0 is never chosen. Empty: all
    /// weights are equal. Plain round robin only distinguishes zero from other weights.
    pub weights: List<u16>,
    /// The maximum number of connections in use on a backend at once; a backend with this number is passed over.
    /// `None`: there is no limit.
    pub max_connections: Option<u32>,
    /// Whether a request (at L4, a connection) that affinity sent to its backend counts as a turn. If it does, the next
    /// one without affinity goes one backend further. For a pin, [`super::pin::PinRule::picks_anyway`] decides.
    pub bound_take_turns: bool,
}

/// The algorithms that products use to choose a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Algorithm {
    /// The backends take turns.
    RoundRobin,
    /// The backends take turns in proportion to their weights, smoothly interleaved: nginx's and HAProxy's
    /// `roundrobin`.
    WeightedRoundRobin,
    /// A number of backends is drawn by weight, and the one with the least load for its weight serves. HAProxy draws 2.
    Random {
        /// The number of backends that are drawn. Zero counts as 1.
        draws: u8,
    },
    /// The backend with the fewest connections in use for its weight serves. Equals take turns.
    LeastConnections,
    /// A hash, modulo the total weight of the eligible backends, chooses. When a backend leaves, most keys move.
    Hash(HashKey),
    /// Each backend has a hash, and the highest one wins (rendezvous). When a backend leaves, only its own keys move.
    ConsistentHash(HashKey),
}

/// The properties from which a hash is computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HashKey {
    /// The client's address, as much of it as this mask keeps. nginx's `ip_hash` keeps 24 bits of an IPv4 address and
    /// the whole of an IPv6 address.
    Source(Mask),
    /// The client's address and port, so that each connection of a client has its own key.
    SourceAndPort,
    /// Both addresses and both ports; L4 only.
    FiveTuple,
    /// The path of the request; L7 only.
    Uri {
        /// Whether the query counts as well.
        query: bool,
    },
    /// The first value of this request field; L7 only. A request without the field takes a turn by round robin, as in
    /// HAProxy.
    Header(Text),
}

/// The properties of a request or connection that a choice may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The client's end of the downstream connection.
    pub client: SocketAddr,
    /// The balancer's end of the downstream connection, at L4.
    pub front: Option<SocketAddr>,
    /// The head of the request, at L7.
    pub head: Option<&'a RequestHead<'a>>,
}

impl SelectRule {
    /// Returns a rule with this algorithm, equal weights and no limit.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, weights: List::Borrowed(&[]), max_connections: None, bound_take_turns: false }
    }

    /// Returns whether the choice depends on a key. A preference for the last backend does not override such a choice.
    pub const fn hashes(&self) -> bool {
        matches!(self.algorithm, Algorithm::Hash(_) | Algorithm::ConsistentHash(_))
    }

    /// Returns the maximum number of `choices` that this backend may get while `backends` backends are eligible all the
    /// time, or `None` if the algorithm promises no such limit. Least connections depends on the durations of the
    /// connections, and a hash depends on the number of keys.
    ///
    /// If backends take turns, the limit is the backend's share, rounded up. This holds for the smooth form as well,
    /// since a backend's credit never falls to minus the sum of all weights. For random draws, the limit is the share
    /// plus six standard deviations, which one draw in 10^9 exceeds.
    pub fn bound(&self, backend: usize, backends: usize, choices: u64) -> Option<u64> {
        let weight = |index: usize| u64::from(self.weights.get(index).copied().unwrap_or(1));
        let of = |mine: u64, all: u64| (choices * mine).div_ceil(all.max(1));
        let weighted = of(weight(backend), (0..backends).map(weight).sum());
        match self.algorithm {
            _ if weight(backend) == 0 => Some(0),
            Algorithm::RoundRobin => Some(of(1, (0..backends).filter(|&index| weight(index) > 0).count() as u64)),
            Algorithm::WeightedRoundRobin => Some(weighted),
            Algorithm::Random { draws: 0 | 1 } => Some(weighted + 6 * (weighted.isqrt() + 1)),
            _ => None,
        }
    }
}

/// The state of a [`SelectRule`] in use.
#[derive(Debug)]
pub struct Selection {
    algorithm: Algorithm,
    /// The weights, divided by their greatest common divisor.
    weights: Vec<u32>,
    robin: RoundRobin,
    /// The credit of each backend, for smooth weighted round robin.
    credit: Vec<i64>,
    /// The percentage of its weight that each backend has at present; `None` while every backend has all of it (slow
    /// start).
    shares: Option<Vec<u8>>,
    header: Option<HeaderName>,
    draws: Draws,
}

impl Selection {
    /// Returns the state of a rule over this number of backends at this layer. All randomness comes from `entropy`.
    ///
    /// # Errors
    /// The weights do not fit the farm, or the key is not visible at this layer.
    pub fn new(rule: &SelectRule, backends: usize, layer: Layer, entropy: Entropy) -> Result<Self, RuleError> {
        Self::among(rule, backends, |_| true, layer, entropy)
    }

    /// Returns the state of a rule that chooses among some members of the farm only.
    ///
    /// # Errors
    /// This function returns the same errors as [`Selection::new`].
    pub fn among(
        rule: &SelectRule,
        backends: usize,
        member: impl Fn(usize) -> bool,
        layer: Layer,
        entropy: Entropy,
    ) -> Result<Self, RuleError> {
        if rule.max_connections == Some(0) {
            return Err(RuleError::Zero("the most connections of a backend"));
        }
        let header = match &rule.algorithm {
            Algorithm::Hash(key) | Algorithm::ConsistentHash(key) => key.check(layer)?,
            _ => None,
        };
        Ok(Self {
            algorithm: rule.algorithm.clone(),
            weights: weights(&rule.weights, backends, member)?,
            robin: RoundRobin::new(backends),
            credit: vec![0; backends],
            shares: None,
            header,
            draws: Draws(entropy),
        })
    }

    /// Sets the percentage of its weight that a backend has from now on, 1 to 100. Algorithms that hash ignore it: a
    /// key that moved twice would lose its session twice.
    pub fn set_share(&mut self, backend: usize, percent: u8) {
        let all = self.weights.len();
        if backend < all {
            let shares = self.shares.get_or_insert_with(|| vec![100; all]);
            shares[backend] = percent.clamp(1, 100);
            self.shares = self.shares.take().filter(|shares| shares.iter().any(|&share| share < 100));
        }
    }

    /// Picks a backend that takes new sessions, has a weight, and is not the one that `failed`, or returns `None` if
    /// there is none.
    ///
    /// The cost is at most proportional to the sum of the weights, and does not depend on the number of connections.
    pub fn pick(&mut self, backends: &Backends, subject: &Subject<'_>, failed: Option<usize>) -> Option<usize> {
        let Self { weights, robin, credit, draws, shares, .. } = self;
        let plain = |index: usize| {
            let eligible = failed != Some(index) && backends.takes_new(index);
            if eligible { weights.get(index).copied().unwrap_or(0) } else { 0 }
        };
        // Weights are in hundredths while a backend starts slowly.
        let weight = |index: usize| {
            shares.as_ref().map_or_else(|| plain(index), |shares| plain(index) * u32::from(shares[index]))
        };
        let (key, consistent) = match &self.algorithm {
            Algorithm::RoundRobin if shares.is_some() => {
                return smooth(credit, |index| if plain(index) > 0 { weight(index) / plain(index) } else { 0 });
            }
            Algorithm::RoundRobin => return robin.pick_where(|index| plain(index) > 0),
            Algorithm::WeightedRoundRobin => return smooth(credit, weight),
            Algorithm::Random { draws: count } => {
                let drawn = || by_weight(weights.len(), weight, |total| draws.0.below(total));
                let drawn = std::iter::repeat_with(drawn).take(usize::from((*count).max(1)));
                return least(drawn.flatten(), backends, weight);
            }
            Algorithm::LeastConnections => {
                let start = robin.next;
                let picked = least((start..weights.len()).chain(0..start), backends, weight)?;
                robin.next = (picked + 1) % weights.len();
                return Some(picked);
            }
            Algorithm::Hash(key) => (key, false),
            Algorithm::ConsistentHash(key) => (key, true),
        };
        match key.digest(subject, self.header.as_ref()) {
            None => robin.pick_where(|index| plain(index) > 0),
            Some(digest) if consistent => rendezvous(weights.len(), plain, digest),
            Some(digest) => by_weight(weights.len(), plain, |total| digest % total),
        }
    }
}

impl HashKey {
    fn check(&self, layer: Layer) -> Result<Option<HeaderName>, RuleError> {
        let (what, known) = match self {
            Self::Source(_) | Self::SourceAndPort => ("the source address", true),
            Self::FiveTuple => ("the 5-tuple", layer == Layer::L4),
            Self::Uri { .. } => ("the URI", layer == Layer::L7),
            Self::Header(_) => ("a header field", layer == Layer::L7),
        };
        match self {
            _ if !known => Err(RuleError::UnknownAtLayer { what, layer }),
            Self::Source(mask) => mask.check().map(|()| None),
            Self::Header(name) => {
                HeaderName::from_bytes(name.as_bytes()).map(Some).map_err(|_| RuleError::HeaderName(name.clone()))
            }
            _ => Ok(None),
        }
    }

    fn digest(&self, subject: &Subject<'_>, header: Option<&HeaderName>) -> Option<u64> {
        let ports = |address: SocketAddr| address.port().to_be_bytes();
        match self {
            Self::Source(mask) => Some(on_address(mask.apply(subject.client.ip()), &[])),
            Self::SourceAndPort => Some(on_address(subject.client.ip(), &[&ports(subject.client)])),
            Self::FiveTuple => {
                let front = subject.front?;
                let rest = on_address(front.ip(), &[&ports(front), &ports(subject.client)]);
                Some(on_address(subject.client.ip(), &[&rest.to_be_bytes()]))
            }
            Self::Uri { query } => {
                let uri = subject.head?.uri;
                let query = uri.query().filter(|_| *query).unwrap_or_default();
                Some(hash(&[uri.path().as_bytes(), query.as_bytes()]))
            }
            Self::Header(_) => Some(hash(&[subject.head?.headers.get(header?)?.as_bytes()])),
        }
    }
}

fn on_address(address: IpAddr, more: &[&[u8]]) -> u64 {
    let octets = match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    match more {
        [] => hash(&[&octets]),
        [one] => hash(&[&octets, one]),
        [one, two, ..] => hash(&[&octets, one, two]),
    }
}

fn weights(given: &[u16], backends: usize, member: impl Fn(usize) -> bool) -> Result<Vec<u32>, RuleError> {
    if given.is_empty() {
        return Ok((0..backends).map(|index| u32::from(member(index))).collect());
    }
    if given.len() != backends {
        return Err(RuleError::WeightCount { given: given.len(), backends });
    }
    if let Some(backend) = given.iter().position(|&weight| weight > MAX_WEIGHT) {
        return Err(RuleError::WeightTooLarge { backend, weight: given[backend] });
    }
    let given: Vec<u16> =
        given.iter().enumerate().map(|(index, &weight)| if member(index) { weight } else { 0 }).collect();
    let common = given.iter().fold(0, |a, &b| common_divisor(a, b));
    if common == 0 {
        return Err(RuleError::AllZero);
    }
    Ok(given.iter().map(|&weight| u32::from(weight / common)).collect())
}

const fn common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Picks by nginx's smooth weighted round robin: every backend gains its weight in credit, and the one with the highest
/// credit serves and loses the sum of all weights.
fn smooth(credit: &mut [i64], weight: impl Fn(usize) -> u32) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<usize> = None;
    for index in 0..credit.len() {
        let gain = i64::from(weight(index));
        if gain == 0 {
            // A backend that takes no part starts again without credit or debt when it is back.
            credit[index] = 0;
            continue;
        }
        total += gain;
        credit[index] += gain;
        if best.is_none_or(|best| credit[index] > credit[best]) {
            best = Some(index);
        }
    }
    credit[best?] -= total;
    best
}

/// Returns the index of the backend in whose range of weights a point below the sum of all weights lies.
fn by_weight(len: usize, weight: impl Fn(usize) -> u32, point: impl FnOnce(u64) -> u64) -> Option<usize> {
    let total = (0..len).map(|index| u64::from(weight(index))).sum();
    if total == 0 {
        return None;
    }
    let mut point = point(total);
    (0..len).find(|&index| {
        let width = u64::from(weight(index));
        let hit = point < width;
        point = point.saturating_sub(width);
        hit
    })
}

/// Returns the first of the candidates with the least load for its weight.
fn least(candidates: impl Iterator<Item = usize>, backends: &Backends, weight: impl Fn(usize) -> u32) -> Option<usize> {
    let with_load = |index: usize| (index, u64::from(backends.load(index)) + 1, u64::from(weight(index)));
    candidates
        .map(with_load)
        .filter(|&(.., weight)| weight > 0)
        .reduce(|best, other| if other.1 * best.2 < best.1 * other.2 { other } else { best })
        .map(|(index, ..)| index)
}

/// Picks by rendezvous hashing: each unit of weight of each backend has a hash, and the highest wins.
fn rendezvous(len: usize, weight: impl Fn(usize) -> u32, digest: u64) -> Option<usize> {
    let unit = |index: usize, unit: u32| mix(digest ^ mix(((index as u64 + 1) << 32) + u64::from(unit)));
    let highest = |index: usize| (0..weight(index)).map(|number| unit(index, number)).max();
    (0..len).filter_map(|index| Some((highest(index)?, index))).max().map(|(_, index)| index)
}

struct Draws(Entropy);

impl fmt::Debug for Draws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draws")
    }
}

/// Round robin: the backends take turns in their order, and the first follows after the last.
#[derive(Debug, Clone)]
pub struct RoundRobin {
    backends: usize,
    next: usize,
}

impl RoundRobin {
    /// Returns a round robin over `backends` backends that begins with the first.
    pub const fn new(backends: usize) -> Self {
        Self { backends, next: 0 }
    }

    /// Returns the index of the next backend, or `None` if there are no backends.
    pub fn pick(&mut self) -> Option<usize> {
        self.pick_where(|_| true)
    }

    /// Returns the index of the next backend that is not `failed`, or `None` if there is no other.
    pub fn pick_other(&mut self, failed: usize) -> Option<usize> {
        self.pick_where(|index| index != failed)
    }

    /// Returns the index of the next eligible backend. Backends that are not eligible lose their turn.
    pub fn pick_where(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let picked = (self.next..self.backends).chain(0..self.next).find(|&index| eligible(index))?;
        self.next = (picked + 1) % self.backends;
        Some(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_take_turns() {
        let mut robin = RoundRobin::new(3);
        let picks: Vec<_> = std::iter::repeat_with(|| robin.pick()).take(7).flatten().collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn another_backend_is_never_the_one_that_failed() {
        let mut robin = RoundRobin::new(2);
        assert_eq!(robin.pick_other(0), Some(1));
        assert_eq!(robin.pick_other(1), Some(0));
        assert_eq!(RoundRobin::new(1).pick_other(0), None);
    }

    #[test]
    fn an_empty_farm_has_nobody() {
        assert_eq!(RoundRobin::new(0).pick(), None);
        assert_eq!(RoundRobin::new(0).pick_other(0), None);
    }
}
