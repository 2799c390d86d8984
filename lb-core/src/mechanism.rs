//! The mechanisms by name. Each is data: rules for shared parts, not code of its own.

use std::time::Duration;

use stickler_model::Entropy;
use stickler_model::trace::Promises;

use crate::policy::composed::{Composed, RetryRule, Rules};
use crate::policy::per_connection::{FlowRules, PerConnection};
use crate::policy::pin::PinRule;
use crate::policy::pool::PoolRule;
use crate::{Farm, L4Policy, L7Policy};

/// A way in which balancers treat connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mechanism {
    /// What scripts and the command line call it.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it works.
    pub layer: Layer,
    kind: Kind,
}

/// Where a mechanism works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// On connections or packets: network address translation in the simulated world, a splice on real sockets.
    L4,
    /// On HTTP requests.
    L7,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    PerConnection(FlowRules),
    Composed(Rules),
}

/// nginx 1.22 with `keepalive`: 60 s, and a free extra try for an error on a cached connection; HAProxy with
/// `option redispatch`: a backend that cannot be reached is replaced by another.
const RETRY: RetryRule = RetryRule { idle_race: true, redispatch: true };
const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));

static MECHANISMS: [Mechanism; 4] = [
    Mechanism {
        name: "l4-nat",
        summary: "address translation by 5-tuple: round robin for each connection, bytes pass untouched",
        layer: Layer::L4,
        kind: Kind::PerConnection(FlowRules::ROUND_ROBIN),
    },
    Mechanism {
        name: "close-per-request",
        summary: "each request goes to the next backend on a new upstream connection, closed after the answer",
        layer: Layer::L7,
        kind: Kind::Composed(Rules { retry: RETRY, ..Rules::PLAIN }),
    },
    Mechanism {
        name: "shared-pool",
        summary: "each request goes to the next backend on the idle upstream connection used last, whoever used it",
        layer: Layer::L7,
        kind: Kind::Composed(Rules { pool: Some(POOL), retry: RETRY, ..Rules::PLAIN }),
    },
    Mechanism {
        name: "pin-on-401",
        summary: "a shared pool, but a 401 for NTLM or Negotiate pins backend and connection to the client's connection",
        layer: Layer::L7,
        kind: Kind::Composed(Rules { pool: Some(POOL), pin: Some(PinRule::ON_401), retry: RETRY, ..Rules::PLAIN }),
    },
];

/// What fits every farm cannot be wrong for one: none has weights or keys.
const SOUND: &str = "the rules of each mechanism fit every farm";

/// None of them draws at random.
fn nothing_drawn() -> Entropy {
    Entropy::new(0, "mechanism")
}

/// All mechanisms.
pub fn mechanisms() -> &'static [Mechanism] {
    &MECHANISMS
}

/// The mechanism of this name.
///
/// # Errors
/// There is none; the error suggests the nearest name.
pub fn find(name: &str) -> Result<&'static Mechanism, UnknownMechanism> {
    MECHANISMS.iter().find(|mechanism| mechanism.name == name).ok_or_else(|| UnknownMechanism::new(name))
}

impl Mechanism {
    /// Its decisions for a world's packet router or for [`crate::serve_l4`]; `None` for an L7 mechanism.
    pub fn l4(&self, farm: &Farm) -> Option<Box<dyn L4Policy>> {
        match self.kind {
            Kind::PerConnection(rules) => {
                Some(Box::new(PerConnection::new(rules, farm, nothing_drawn()).expect(SOUND)))
            }
            Kind::Composed(_) => None,
        }
    }

    /// Its decisions for [`crate::serve_l7`]; `None` for an L4 mechanism.
    pub fn l7(&self, farm: &Farm) -> Option<Box<dyn L7Policy>> {
        match self.kind {
            Kind::PerConnection(_) => None,
            Kind::Composed(rules) => Some(Box::new(Composed::new(rules, farm, nothing_drawn()).expect(SOUND))),
        }
    }

    /// What it declares about itself. None of the present ones keeps a client to a backend beyond a connection, so
    /// none promises persistence.
    pub fn promises(&self) -> Promises {
        match self.kind {
            Kind::PerConnection(_) | Kind::Composed(_) => Promises::default(),
        }
    }
}

/// There is no mechanism of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no balancer called `{name}`{}; there are: {}", did_you_mean(*.nearest), .known.join(", "))]
pub struct UnknownMechanism {
    /// The name given.
    pub name: String,
    /// The name that was likely meant, if any is near.
    pub nearest: Option<&'static str>,
    /// The names that exist.
    pub known: Vec<&'static str>,
}

impl UnknownMechanism {
    fn new(name: &str) -> Self {
        let known: Vec<_> = MECHANISMS.iter().map(|mechanism| mechanism.name).collect();
        // A name may come from anywhere: compare a bounded part of it.
        let start: String = name.chars().take(64).collect::<String>().to_ascii_lowercase();
        let likeness = |known: &&'static str| strsim::jaro_winkler(&start, known);
        let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.filter(|name| likeness(name) >= 0.7);
        Self { name: name.into(), nearest, known }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mechanism_is_found_and_has_a_policy_of_its_layer() {
        let farm = Farm::default();
        for mechanism in mechanisms() {
            assert_eq!(find(mechanism.name), Ok(mechanism));
            assert_eq!(mechanism.l4(&farm).is_some(), mechanism.layer == Layer::L4);
            assert_eq!(mechanism.l7(&farm).is_some(), mechanism.layer == Layer::L7);
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let error = find("Pin_on_401").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no balancer called `Pin_on_401`; did you mean `pin-on-401`?; \
             there are: l4-nat, close-per-request, shared-pool, pin-on-401"
        );
        assert_eq!(find("pool").unwrap_err().nearest, None);
        assert_eq!(find("shared").unwrap_err().nearest, Some("shared-pool"));
        assert!(find(&"x".repeat(100_000)).is_err());
    }
}
