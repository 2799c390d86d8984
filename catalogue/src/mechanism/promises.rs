//! The declarations of a mechanism, for the requirements that depend on them.

use stickler_lb_core::health::rule::CheckRule;
use stickler_lb_core::policy::composed::{NoneLeft, PreferLast, Rules};
use stickler_lb_core::policy::persist::PersistRule;
use stickler_lb_core::policy::select::{Algorithm, SelectRule};
use stickler_lb_core::policy::workers::WorkerRule;
use stickler_lb_core::{Farm, Hops};
use stickler_model::trace::{self, Promises, Service, Spread, SpreadUnit};

use super::{Carriage, Kind, Mechanism};

impl Mechanism {
    /// Returns what the mechanism declares about itself over this farm. What it does not declare is not required of it.
    ///
    /// The world adds the user of an authenticated check.
    pub fn promises(&self, farm: &Farm) -> Promises {
        let mut promises = match &self.kind {
            Kind::PerConnection(rules) => Promises {
                persistence: rules.source.map(|source| source.timeout),
                spread: spread(&rules.select, rules.workers, SpreadUnit::Connections, farm)
                    .filter(|_| rules.source.is_none()),
                ..Promises::default()
            },
            Kind::Composed(rules) => composed(rules, self.hops, farm),
        };
        promises.checks = self.checks.as_ref().map(CheckRule::promise);
        promises.none_left = self.told_when_none_is_left();
        promises.out_after_failures = self.passive.map(|rule| rule.out_for);
        if let Some(header) = &self.ends_authentication {
            promises.trusted_header = Some(header.to_string());
        }
        promises
    }
}

impl Mechanism {
    /// Returns the answer to a client while no backend is available. Dropped packets are not an answer, so they cannot
    /// be declared.
    fn told_when_none_is_left(&self) -> trace::NoneLeft {
        match (&self.kind, self.carriage) {
            (Kind::Composed(rules), _) => match rules.none_left {
                NoneLeft::Status(status) => trace::NoneLeft::Status(status.as_u16()),
                NoneLeft::Closed => trace::NoneLeft::Closed,
            },
            // A splice has accepted the connection before it can refuse it.
            (Kind::PerConnection(_), Carriage::Splice { .. }) => trace::NoneLeft::Closed,
            (Kind::PerConnection(_), _) => trace::NoneLeft::default(),
        }
    }
}

fn composed(rules: &Rules, hops: Hops, farm: &Farm) -> Promises {
    let trusted_header =
        rules.client_id.as_ref().map(|header| &header.name).or(rules.scrub.as_ref()).map(ToString::to_string);
    let mut promises = Promises { trusted_header, services: services(rules, farm), ..Promises::default() };
    match &rules.persist {
        Some(PersistRule::Source(source)) => promises.persistence = Some(source.timeout),
        Some(PersistRule::Cookie(cookie)) => {
            promises.cookie = Some(cookie.name.to_string());
            promises.persistence = cookie.life;
        }
        None => {}
    }
    // If something keeps a client at its backend, the spread of requests depends on the clients.
    if rules.persist.is_none() && rules.pin.is_none() && rules.prefer_last == PreferLast::Never {
        // A backend is chosen only for the first request of a tunnel.
        let unit = if hops.tunnels { SpreadUnit::Connections } else { SpreadUnit::Requests };
        promises.spread = spread(&rules.select, rules.workers, unit, farm);
    }
    promises
}

/// Returns the services among which the farm is divided in turn, with the one for all other paths first (see
/// [`Rules::services`]).
fn services(rules: &Rules, farm: &Farm) -> Vec<Service> {
    let count = rules.services.len() + 1;
    if count == 1 || count > farm.backends.len() {
        return Vec::new();
    }
    let prefixes = std::iter::once("").chain(rules.services.iter().map(|prefix| &**prefix));
    let service = |(number, prefix): (usize, &str)| Service {
        prefix: prefix.to_owned(),
        backends: farm.backends.iter().skip(number).step_by(count).map(|backend| backend.name.clone()).collect(),
    };
    prefixes.enumerate().map(service).collect()
}

/// Returns what the algorithm promises for any traffic ([`SelectRule::bound`], in the form in which a trace declares
/// it). Workers that take turns by themselves may each be one ahead at the same backend.
fn spread(rule: &SelectRule, workers: Option<WorkerRule>, unit: SpreadUnit, farm: &Farm) -> Option<Spread> {
    let turns = matches!(rule.algorithm, Algorithm::RoundRobin);
    let (percent, units) = match rule.algorithm {
        // The declared bound is the backend's share, rounded up.
        Algorithm::RoundRobin | Algorithm::WeightedRoundRobin => (0, workers.map_or(1, |rule| rule.takers())),
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::find;
    use stickler_lb_core::Backend;

    fn promises(name: &str) -> Promises {
        let backend = |index: u16| Backend {
            name: format!("iis{index}").into(),
            address: SocketAddr::from(([10, 0, 0, 1], 80 + index)),
        };
        find(name).unwrap().promises(&Farm { backends: (1..=2).map(backend).collect() })
    }

    #[test]
    fn persistence_is_promised_by_the_table_and_the_cookie_by_its_name() {
        assert_eq!(promises("pool-source").persistence, Some(Duration::from_mins(30)));
        assert_eq!(promises("l4-source").persistence, Some(Duration::from_mins(30)));
        let cookie = promises("pool-cookie");
        assert_eq!((cookie.cookie.as_deref(), cookie.persistence), (Some("SERVERID"), None));
        assert_eq!(promises("pin-on-401"), Promises::default());
    }

    #[test]
    fn services_share_the_farm_out_and_failures_of_requests_count_where_a_rule_says_so() {
        let service = |prefix: &str, backend: &str| Service { prefix: prefix.into(), backends: vec![backend.into()] };
        let declared = promises("pin-services");
        assert_eq!(declared.services, [service("", "iis1"), service("/api", "iis2")]);
        assert!(declared.serves(&"iis2".into(), "/api/orders") && !declared.serves(&"iis1".into(), "/api/orders"));
        assert!(declared.serves(&"iis1".into(), "/shop") && !declared.serves(&"iis2".into(), "/shop"));
        let alone = Backend { name: "iis1".into(), address: SocketAddr::from(([10, 0, 0, 1], 81)) };
        let one = find("pin-services").unwrap().promises(&Farm { backends: vec![alone] });
        assert!(one.services.is_empty() && one.serves(&"iis1".into(), "/api"));
        assert_eq!(promises("pin-passive").out_after_failures, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_spread_is_promised_where_turns_are_taken_and_nothing_keeps_a_client() {
        let unit = |name: &str| promises(name).spread.map(|spread| (spread.unit, spread.percent, spread.units));
        assert_eq!(unit("shared-pool"), Some((SpreadUnit::Requests, 0, 1)));
        assert_eq!(unit("l4-nat"), Some((SpreadUnit::Connections, 0, 1)));
        assert_eq!(unit("tunnel"), Some((SpreadUnit::Connections, 0, 1)));
        assert_eq!(unit("pool-workers"), Some((SpreadUnit::Requests, 0, 2)));
        assert_eq!(unit("pool-random"), Some((SpreadUnit::Requests, 50, 18)));
        let weights = promises("pool-weighted").spread.unwrap().weights;
        assert_eq!(weights, [("iis1".into(), 3)]);
        for name in ["pin-on-401", "pool-source", "pool-cookie", "pool-least", "pool-source-hash", "l4-source"] {
            assert_eq!(unit(name), None, "{name}");
        }
    }

    #[test]
    fn checks_and_the_trusted_header_are_declared() {
        let checks = promises("pin-checked-tcp").checks.unwrap();
        assert_eq!((checks.rise, checks.fall, checks.interval), (2, 3, Duration::from_secs(2)));
        assert_eq!(promises("auth-at-balancer").trusted_header.as_deref(), Some("X-Remote-User"));
        assert_eq!(promises("scrub-identity").trusted_header.as_deref(), Some("X-Remote-User"));
        assert_eq!(promises("client-id-trusting").trusted_header.as_deref(), Some("Jespa-Connection-Id"));
    }
}
