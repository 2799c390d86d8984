//! Tests of the promises of each selection algorithm: which backends are never chosen, how load is spread, and which
//! keys move.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use stickler_lb_core::policy::backends::Backends;
use stickler_lb_core::policy::persist::Mask;
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule, Selection, Subject};
use stickler_lb_core::{BackendState, Layer, Protocol, RequestHead, RuleError};
use stickler_model::Entropy;

const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::RoundRobin,
    Algorithm::WeightedRoundRobin,
    Algorithm::Random { draws: 1 },
    Algorithm::Random { draws: 2 },
    Algorithm::LeastConnections,
    Algorithm::Hash(HashKey::Source(Mask::HOST)),
    Algorithm::ConsistentHash(HashKey::Source(Mask::HOST)),
];

fn rule(algorithm: Algorithm, weights: &[u16]) -> SelectRule {
    SelectRule { weights: weights.to_vec().into(), ..SelectRule::new(algorithm) }
}

fn selection(rule: &SelectRule, backends: usize, seed: u64) -> Selection {
    Selection::new(rule, backends, Layer::L7, Entropy::new(seed, "test")).unwrap()
}

/// Returns a connection of the client with this number.
fn from(client: u32) -> Subject<'static> {
    let client = SocketAddr::from(((u32::from_be_bytes([10, 0, 0, 0]) + client).to_be_bytes(), 40_000));
    Subject { client, front: None, head: None }
}

fn counts(rule: &SelectRule, backends: usize, choices: u32, seed: u64) -> Vec<u64> {
    let mut selection = selection(rule, backends, seed);
    let all = Backends::new(backends, None);
    let mut counts = vec![0; backends];
    for client in 0..choices {
        counts[selection.pick(&all, &from(client), None).unwrap()] += 1;
    }
    counts
}

/// Returns a strategy for weights that are not all zero.
fn weights() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(0..12_u16, 1..7).prop_filter("somebody serves", |weights| weights.iter().any(|&it| it > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_busiest_backend_stays_within_the_bound_that_its_algorithm_promises(
        weights in weights(),
        choices in 1..2_000_u32,
        seed in any::<u64>(),
    ) {
        for algorithm in ALGORITHMS {
            let rule = rule(algorithm.clone(), &weights);
            for (backend, count) in counts(&rule, weights.len(), choices, seed).into_iter().enumerate() {
                if let Some(bound) = rule.bound(backend, weights.len(), u64::from(choices)) {
                    prop_assert!(count <= bound, "{algorithm:?}: backend {backend} got {count}, promised {bound}");
                }
                prop_assert!(weights[backend] > 0 || count == 0, "{algorithm:?}: a weight of zero is never chosen");
            }
        }
    }

    #[test]
    fn nobody_gets_a_backend_that_is_down_draining_full_failed_or_without_weight(
        weights in weights(),
        states in prop::collection::vec(0..4_u8, 7),
        failed in prop::option::of(0..7_usize),
        client in any::<u16>(),
        seed in any::<u64>(),
    ) {
        let mut backends = Backends::new(weights.len(), Some(1));
        for (backend, state) in states.iter().enumerate().take(weights.len()) {
            match state {
                0 => {}
                1 => drop(backends.set_state(backend, BackendState::Drain)),
                2 => drop(backends.set_state(backend, BackendState::Down)),
                _ => backends.begin(backend),
            }
        }
        let fits = |backend: usize| weights[backend] > 0 && states[backend] == 0 && failed != Some(backend);
        for algorithm in ALGORITHMS {
            let picked = selection(&rule(algorithm.clone(), &weights), weights.len(), seed)
                .pick(&backends, &from(client.into()), failed);
            match picked {
                Some(picked) => prop_assert!(fits(picked), "{algorithm:?} picked {picked}"),
                None => prop_assert!(!(0..weights.len()).any(fits), "{algorithm:?} picked nobody"),
            }
        }
    }

    #[test]
    fn a_consistent_hash_moves_only_the_keys_of_the_backend_that_goes(weights in weights(), gone in 0..7_usize) {
        let gone = gone % weights.len();
        let mut hash = selection(&rule(Algorithm::ConsistentHash(HashKey::Source(Mask::HOST)), &weights), weights.len(), 0);
        let all = Backends::new(weights.len(), None);
        let mut rest = all.clone();
        rest.set_state(gone, BackendState::Down);
        for client in 0..200 {
            let before = hash.pick(&all, &from(client), None);
            let after = hash.pick(&rest, &from(client), None);
            prop_assert!(before == after || before == Some(gone));
        }
    }

    #[test]
    fn least_connections_keeps_load_in_proportion_to_weight(weights in weights(), sessions in 1..200_u32) {
        let mut selection = selection(&rule(Algorithm::LeastConnections, &weights), weights.len(), 0);
        let mut backends = Backends::new(weights.len(), None);
        for client in 0..sessions {
            let picked = selection.pick(&backends, &from(client), None).unwrap();
            backends.begin(picked);
            // No other backend would have a smaller load for its weight if it had got this connection.
            for other in (0..weights.len()).filter(|&other| weights[other] > 0) {
                let cost = |load: u32, weight: u16| load * u32::from(weight);
                let here = cost(backends.load(picked), weights[other]);
                prop_assert!(here <= cost(backends.load(other) + 1, weights[picked]));
            }
        }
    }
}

#[test]
fn smooth_weighted_round_robin_gives_the_known_sequence() {
    // nginx's documentation gives this example for the weights 5, 1, 1: a a b a c a a.
    let mut selection = selection(&rule(Algorithm::WeightedRoundRobin, &[5, 1, 1]), 3, 0);
    let all = Backends::new(3, None);
    let picks: Vec<_> = (0..7).map(|_| selection.pick(&all, &from(0), None).unwrap()).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn a_seed_repeats_random_choices_and_another_does_not() {
    let rule = rule(Algorithm::Random { draws: 1 }, &[]);
    let picks = |seed| {
        let mut selection = selection(&rule, 4, seed);
        let all = Backends::new(4, None);
        (0..50).map(|_| selection.pick(&all, &from(0), None).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(picks(7), picks(7));
    assert_ne!(picks(7), picks(8));
}

#[test]
fn many_keys_spread_over_a_hash_as_over_draws() {
    for algorithm in
        [Algorithm::Hash(HashKey::Source(Mask::HOST)), Algorithm::ConsistentHash(HashKey::Source(Mask::HOST))]
    {
        let weights = [1, 2, 0, 5];
        let counts = counts(&rule(algorithm.clone(), &weights), 4, 8_000, 0);
        let like = rule(Algorithm::Random { draws: 1 }, &weights);
        for (backend, count) in counts.iter().enumerate() {
            assert!(*count <= like.bound(backend, 4, 8_000).unwrap(), "{algorithm:?}: {counts:?}");
        }
    }
}

#[test]
fn one_key_stays_and_only_its_own_part_of_the_request_counts() {
    let headers = |value: &'static str| HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static(value))]);
    let pick = |key: HashKey, uri: &str, host: &'static str, port: u16| {
        let (uri, headers): (Uri, _) = (uri.parse().unwrap(), headers(host));
        let client = SocketAddr::from(([10, 0, 0, 9], port));
        let head =
            RequestHead { method: &Method::GET, uri: &uri, headers: &headers, client, protocol: Protocol::Http1 };
        let subject = Subject { client, front: None, head: Some(&head) };
        selection(&rule(Algorithm::Hash(key), &[256, 1, 255]), 3, 0).pick(&Backends::new(3, None), &subject, None)
    };
    let uri = |query| HashKey::Uri { query };
    let varies = |picks: Vec<Option<usize>>| picks.iter().any(|pick| *pick != picks[0]);
    assert!(!varies((0..40).map(|port| pick(HashKey::Source(Mask::HOST), &format!("/{port}"), "a", port)).collect()));
    assert!(varies((0..40).map(|port| pick(HashKey::SourceAndPort, "/", "a", port)).collect()));
    assert!(!varies((0..40).map(|port| pick(uri(false), &format!("/?{port}"), "a", port)).collect()));
    assert!(varies((0..40).map(|port| pick(uri(true), &format!("/?{port}"), "a", port)).collect()));
    assert!(varies((0..40).map(|port| pick(uri(false), &format!("/{port}"), "a", port)).collect()));
    assert!(!varies(
        (0..40).map(|port| pick(HashKey::Header("host".into()), &format!("/{port}"), "a", port)).collect()
    ));
    let hosts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    assert!(varies(hosts.iter().map(|host| pick(HashKey::Header("host".into()), "/", host, 1)).collect()));
}

#[test]
fn a_request_without_the_field_takes_its_turn() {
    let mut selection = selection(&rule(Algorithm::Hash(HashKey::Header("x-user".into())), &[]), 3, 0);
    let picks: Vec<_> = (0..4).map(|_| selection.pick(&Backends::new(3, None), &from(0), None).unwrap()).collect();
    assert_eq!(picks, [0, 1, 2, 0]);
}

#[test]
fn clients_that_are_equal_under_the_mask_have_one_key() {
    let picks = |mask: Mask, clients: [[u8; 4]; 12]| {
        let mut selection = selection(&rule(Algorithm::Hash(HashKey::Source(mask)), &[]), 3, 0);
        clients.map(|client| {
            let subject = Subject { client: (client, 1).into(), front: None, head: None };
            selection.pick(&Backends::new(3, None), &subject, None)
        })
    };
    let near = std::array::from_fn(|index| [10, 0, 0, index as u8]);
    let far = std::array::from_fn(|index| [10, 0, index as u8, 1]);
    let network = Mask { v4: 24, v6: 128 };
    assert!(picks(network, near).iter().all(|&pick| pick == picks(network, near)[0]));
    assert!(picks(network, far).iter().any(|&pick| pick != picks(network, far)[0]));
    assert!(picks(Mask::HOST, near).iter().any(|&pick| pick != picks(Mask::HOST, near)[0]));
}

#[test]
fn a_5_tuple_hash_tells_the_ports_of_one_client_apart() {
    let rule = rule(Algorithm::Hash(HashKey::FiveTuple), &[]);
    let mut selection = Selection::new(&rule, 4, Layer::L4, Entropy::new(0, "test")).unwrap();
    let mut seen = [0; 4];
    for port in 1..1_000 {
        let client = SocketAddr::from(([10, 0, 0, 9], port));
        let subject = Subject { client, front: Some(SocketAddr::from(([10, 0, 0, 1], 80))), head: None };
        let picked = selection.pick(&Backends::new(4, None), &subject, None);
        assert_eq!(picked, selection.pick(&Backends::new(4, None), &subject, None));
        seen[picked.unwrap()] += 1;
    }
    assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
}

#[test]
fn wrong_parameters_are_told_with_what_to_do() {
    let error = |rule: &SelectRule, layer| Selection::new(rule, 2, layer, Entropy::new(0, "test")).unwrap_err();
    let weighted = |weights: &[u16]| error(&rule(Algorithm::WeightedRoundRobin, weights), Layer::L7);
    assert_eq!(weighted(&[1]), RuleError::WeightCount { given: 1, backends: 2 });
    assert_eq!(weighted(&[0, 0]), RuleError::AllZero);
    assert_eq!(weighted(&[1, 257]), RuleError::WeightTooLarge { backend: 1, weight: 257 });
    let keyed = |key, layer| error(&rule(Algorithm::Hash(key), &[]), layer);
    assert_eq!(
        keyed(HashKey::FiveTuple, Layer::L7),
        RuleError::UnknownAtLayer { what: "the 5-tuple", layer: Layer::L7 }
    );
    assert_eq!(
        keyed(HashKey::Uri { query: true }, Layer::L4).to_string(),
        "a balancer at L4 does not see the URI: choose another key for the hash"
    );
    let wide = Mask { v4: 33, v6: 128 };
    assert_eq!(keyed(HashKey::Source(wide), Layer::L4), RuleError::Mask { v4: 33, v6: 128 });
    assert_eq!(keyed(HashKey::Header("a b".into()), Layer::L7), RuleError::HeaderName("a b".into()));
    let none = SelectRule { max_connections: Some(0), ..SelectRule::new(Algorithm::RoundRobin) };
    assert!(matches!(error(&none, Layer::L7), RuleError::Zero(_)));
}

#[test]
fn the_bound_of_each_algorithm_is_its_share_rounded_up_or_nothing() {
    for (algorithm, weights, choices, bounds) in [
        (Algorithm::RoundRobin, &[2, 0, 1][..], 7, [Some(4), Some(0), Some(4)]),
        (Algorithm::RoundRobin, &[], 7, [Some(3), Some(3), Some(3)]),
        (Algorithm::WeightedRoundRobin, &[2, 0, 1], 7, [Some(5), Some(0), Some(3)]),
        // The share plus six times one more than the root of the share: 400 and 20, 100 and 10.
        (Algorithm::Random { draws: 0 }, &[4, 0, 1], 500, [Some(526), Some(0), Some(166)]),
        (Algorithm::Random { draws: 1 }, &[4, 0, 1], 500, [Some(526), Some(0), Some(166)]),
        (Algorithm::Random { draws: 2 }, &[4, 0, 1], 500, [None, Some(0), None]),
        (Algorithm::LeastConnections, &[4, 0, 1], 500, [None, Some(0), None]),
    ] {
        let rule = rule(algorithm.clone(), weights);
        assert_eq!([0, 1, 2].map(|backend| rule.bound(backend, 3, choices)), bounds, "{algorithm:?}");
    }
}

/// Returns the picks for the clients with the numbers from 0.
fn picks(selection: &mut Selection, backends: usize, clients: u32) -> Vec<usize> {
    let all = Backends::new(backends, None);
    (0..clients).map(|client| selection.pick(&all, &from(client), None).unwrap()).collect()
}

#[test]
fn turns_continue_where_they_were_when_the_last_slow_start_ends() {
    let mut robin = selection(&rule(Algorithm::RoundRobin, &[]), 2, 0);
    assert_eq!(picks(&mut robin, 2, 1), [0]);
    robin.set_share(1, 50);
    robin.set_share(1, 100);
    robin.set_share(2, 50);
    assert_eq!(picks(&mut robin, 2, 2), [1, 0], "a backend that does not exist has no share");
}

#[test]
fn round_robin_counts_shares_and_not_weights_during_a_slow_start() {
    let mut robin = selection(&rule(Algorithm::RoundRobin, &[1, 4, 0]), 3, 0);
    robin.set_share(1, 50);
    let picks = picks(&mut robin, 3, 9);
    assert_eq!(picks.iter().filter(|&&picked| picked == 1).count(), 3, "{picks:?}");
}

#[test]
fn a_key_of_none_takes_a_turn_among_the_backends_with_a_weight() {
    let mut hash = selection(&rule(Algorithm::Hash(HashKey::Header("x-user".into())), &[1, 0, 1]), 3, 0);
    assert_eq!(picks(&mut hash, 3, 4), [0, 2, 0, 2]);
}

#[test]
fn a_plain_hash_moves_most_keys_when_a_backend_goes_and_a_consistent_one_does_not() {
    let mut rest = Backends::new(4, None);
    rest.set_state(3, BackendState::Down);
    let key = HashKey::Source(Mask::HOST);
    for (algorithm, most_move) in [(Algorithm::Hash(key.clone()), true), (Algorithm::ConsistentHash(key), false)] {
        let mut hash = selection(&rule(algorithm.clone(), &[]), 4, 0);
        let before = picks(&mut hash, 4, 400);
        let after = (0..400).map(|client| hash.pick(&rest, &from(client), None).unwrap());
        let moved = before.iter().zip(after).filter(|&(&before, after)| before != 3 && before != after).count();
        assert_eq!(moved > 150, most_move, "{algorithm:?}: {moved}");
    }
}

#[test]
fn only_the_ratio_of_weights_counts() {
    let key = HashKey::Source(Mask::HOST);
    for algorithm in [Algorithm::WeightedRoundRobin, Algorithm::Hash(key.clone()), Algorithm::ConsistentHash(key)] {
        let with = |weights: &[u16]| picks(&mut selection(&rule(algorithm.clone(), weights), 3, 0), 3, 200);
        assert_eq!(with(&[2, 4, 6]), with(&[1, 2, 3]), "{algorithm:?}");
    }
}

/// A change of these picks would change recorded events of runs.
#[test]
fn hashes_pick_the_same_backends_for_ever() {
    let key = HashKey::Source(Mask::HOST);
    let mut plain = selection(&rule(Algorithm::Hash(key.clone()), &[1, 2, 3]), 3, 0);
    let mut consistent = selection(&rule(Algorithm::ConsistentHash(key), &[1, 2, 3]), 3, 0);
    assert_eq!(picks(&mut plain, 3, 16), [0, 2, 0, 1, 1, 1, 1, 1, 2, 2, 2, 1, 2, 1, 0, 2]);
    assert_eq!(picks(&mut consistent, 3, 16), [2, 1, 2, 1, 2, 2, 1, 0, 2, 2, 2, 0, 1, 0, 0, 2]);
    assert!(format!("{plain:?}").contains("Draws"), "the generator itself is not shown");
}
