//! What a mechanism declares about itself, for the requirements that depend on it.

use stickler_model::trace::{Promises, Spread, SpreadUnit};

use super::{Kind, Mechanism};
use crate::Farm;
use crate::health::rule::CheckRule;
use crate::policy::composed::{PreferLast, Rules};
use crate::policy::persist::PersistRule;
use crate::policy::select::{Algorithm, SelectRule};

impl Mechanism {
    /// What it declares about itself over this farm. What it does not declare is not held against it.
    ///
    /// The user of an authenticated check is the world's to add.
    pub fn promises(&self, farm: &Farm) -> Promises {
        let mut promises = match &self.kind {
            Kind::PerConnection(rules) => Promises {
                persistence: rules.source.map(|source| source.timeout),
                spread: spread(&rules.select, SpreadUnit::Connections, farm).filter(|_| rules.source.is_none()),
                ..Promises::default()
            },
            Kind::Composed(rules) => composed(rules, farm),
        };
        promises.checks = self.checks.as_ref().map(CheckRule::promise);
        if let Some(header) = self.ends_authentication {
            promises.trusted_header = Some(header.into());
        }
        promises
    }
}

fn composed(rules: &Rules, farm: &Farm) -> Promises {
    let mut promises = Promises::default();
    match rules.persist {
        Some(PersistRule::Source(source)) => promises.persistence = Some(source.timeout),
        Some(PersistRule::Cookie(cookie)) => {
            promises.cookie = Some(cookie.name.into());
            promises.persistence = cookie.life;
        }
        None => {}
    }
    // Where something keeps a client to its backend, how requests fall depends on the clients.
    if rules.persist.is_none() && rules.pin.is_none() && rules.prefer_last == PreferLast::Never {
        promises.spread = spread(&rules.select, SpreadUnit::Requests, farm);
    }
    promises
}

/// What the algorithm promises whatever the traffic is ([`SelectRule::bound`], as a trace declares it).
fn spread(rule: &SelectRule, unit: SpreadUnit, farm: &Farm) -> Option<Spread> {
    let turns = matches!(rule.algorithm, Algorithm::RoundRobin);
    let (percent, units) = match rule.algorithm {
        // Its share, rounded up.
        Algorithm::RoundRobin | Algorithm::WeightedRoundRobin => (0, 1),
        // Half as much again and 18 is never less than six standard deviations: with the root of the expected number
        // r, r^2 / 2 + 18 >= 6 r.
        Algorithm::Random { draws: 0 | 1 } => (50, 18),
        _ => return None,
    };
    if rule.max_connections.is_some() {
        return None;
    }
    let weight =
        |index: usize| rule.weights.get(index % rule.weights.len().max(1)).map_or(1, |&weight| u32::from(weight));
    let counted = |index| if turns { weight(index).min(1) } else { weight(index) };
    let weights = farm.backends.iter().enumerate().map(|(index, backend)| (backend.name.clone(), counted(index)));
    Some(Spread { unit, percent, units, weights: weights.filter(|&(_, weight)| weight != 1).collect() })
}
