//! Tests of random combinations of all parameters with random traffic. In debug builds, every call also ends with the
//! policy's own `check_invariants`. `Front` verifies that the policy keeps its contract with the data plane.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use stickler_lb_core::policy::composed::{
    Connect, Credentials, Defects, HeaderRule, Lost, NoneLeft, OnDown, PreferLast, QueueRule, RetryRule, Rules,
};
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{
    Applied, Coupling, Covers, Extent, Host, PinKey, PinRule, Schemes, Streams, Trigger,
};
use stickler_lb_core::policy::pool::{Order, Overflow, PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{BackendAware as _, BackendState, DownstreamId, FailureKind, Finish, Route, UpstreamId, texts};

use crate::front::{Answer, Ask, Front};

const BACKENDS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A request of the client with this number. If clients speak HTTP/2, the number is that of a stream.
    Request {
        client: u32,
        credentials: bool,
        api: bool,
        cookie: bool,
    },
    Answer {
        client: u32,
        challenge: bool,
    },
    Fail {
        client: u32,
        refused: bool,
    },
    CloseClient(u32),
    CloseUpstream(usize),
    State(usize, BackendState),
    Share(usize, u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    const STATES: [BackendState; 3] = [BackendState::Up, BackendState::Drain, BackendState::Down];
    let client = (1..5_u32, 0..3_u32).prop_map(|(client, place)| client + 10 * place);
    let flag = any::<bool>;
    prop_oneof![
        8 => (client.clone(), flag(), flag(), flag())
            .prop_map(|(client, credentials, api, cookie)| Step::Request { client, credentials, api, cookie }),
        8 => (client.clone(), flag()).prop_map(|(client, challenge)| Step::Answer { client, challenge }),
        1 => (client.clone(), flag()).prop_map(|(client, refused)| Step::Fail { client, refused }),
        1 => client.prop_map(Step::CloseClient),
        1 => (0..8_usize).prop_map(Step::CloseUpstream),
        1 => (0..BACKENDS, prop::sample::select(&STATES[..])).prop_map(|(backend, state)| Step::State(backend, state)),
        1 => (0..BACKENDS, 0..=100_u8).prop_map(|(backend, percent)| Step::Share(backend, percent)),
        1 => (1..40_u64).prop_map(Step::Pass),
    ]
}

fn select() -> impl Strategy<Value = SelectRule> {
    let algorithms = [
        Algorithm::RoundRobin,
        Algorithm::WeightedRoundRobin,
        Algorithm::Random { draws: 2 },
        Algorithm::LeastConnections,
        Algorithm::Hash(HashKey::Source(Mask::HOST)),
        Algorithm::ConsistentHash(HashKey::Uri { query: true }),
    ];
    let weights = prop::sample::select(vec![&[][..], &[1_u16, 2, 3], &[0, 1, 1]]);
    let limit = prop_oneof![Just(None), Just(Some(2))];
    let turns = any::<bool>();
    (prop::sample::select(algorithms.to_vec()), weights, limit, turns).prop_map(
        |(algorithm, weights, max_connections, bound_take_turns)| SelectRule {
            algorithm,
            weights: weights.into(),
            max_connections,
            bound_take_turns,
        },
    )
}

fn pool() -> impl Strategy<Value = PoolRule> {
    let shares = [Share::Never { slots: 1 }, Share::Never { slots: 2 }, Share::Safe, Share::Aggressive, Share::Always];
    let limit = || prop::sample::select(vec![None, Some(1), Some(2)]);
    let flag = any::<bool>;
    let kinds = (prop::sample::select(shares.to_vec()), flag(), flag(), flag(), flag());
    (kinds, limit(), limit(), limit()).prop_map(
        |((share, fifo, locations, close_new, source), per_key, in_all, requests)| PoolRule {
            share,
            order: if fifo { Order::Fifo } else { Order::Lifo },
            locations: if locations { texts(&["/api"]) } else { texts(&[]) },
            overflow: if close_new { Overflow::CloseNew } else { Overflow::CloseOldest },
            source: source.then_some(Mask { v4: 31, v6: 64 }),
            per_key,
            in_all,
            requests,
            life: Some(Duration::from_mins(5)),
            idle: Duration::from_mins(1),
        },
    )
}

fn pin() -> impl Strategy<Value = PinRule> {
    let triggers = vec![Trigger::Request, Trigger::Challenge, Trigger::AnyResponse];
    let extents = vec![Extent::Prefix, Extent::PrefixAndSpace, Extent::Whole];
    let flag = any::<bool>;
    let message = (prop::sample::select(triggers), prop::sample::select(extents));
    let slots = prop::sample::select(vec![None, None, Some(1), Some(2)]);
    (message, flag(), flag(), flag(), flag(), flag(), slots, flag()).prop_map(
        |(
            (trigger, extent),
            dedicated,
            repicked,
            by_client,
            upstream_follows,
            downstream_follows,
            slots,
            picks_anyway,
        )| PinRule {
            trigger,
            schemes: Schemes { extent, ..Schemes::HAPROXY },
            applied: if dedicated { Applied::Dedicated } else { Applied::AtOnce },
            host: if repicked { Host::Repicked } else { Host::Pinned },
            covers: if picks_anyway && dedicated { Covers::WithCredentials } else { Covers::All },
            key: if by_client { PinKey::Client } else { PinKey::Downstream },
            // With `picks_anyway`, a pinned connection may end between two requests without an effect on its client.
            coupling: Coupling { upstream_follows, downstream_follows, when_idle: !picks_anyway },
            slots,
            picks_anyway,
            streams: Streams::Apart,
        },
    )
}

fn retry() -> impl Strategy<Value = RetryRule> {
    let connect = vec![Connect::Fail, Connect::Same { retries: 1 }, Connect::Other];
    let lost = vec![Lost::Never, Lost::IdleRace, Lost::Idempotent, Lost::Any];
    let flag = any::<bool>;
    (prop::sample::select(connect), prop::sample::select(lost), flag(), flag(), flag()).prop_map(
        |(connect, lost, lost_elsewhere, carries_authenticate, pooled)| RetryRule {
            connect,
            lost,
            lost_elsewhere,
            carries_authenticate,
            pooled,
            unreachable: None,
            broken: None,
        },
    )
}

fn persist() -> impl Strategy<Value = Option<PersistRule>> {
    let source = |v4| {
        let mask = Mask { v4, v6: 64 };
        PersistRule::Source(SourceRule { timeout: Duration::from_secs(30), entries: 2, mask })
    };
    let cookie =
        |on_401, indirect| PersistRule::Cookie(CookieRule { name: "SRV".into(), on_401, life: None, indirect });
    let all = vec![None, Some(source(32)), Some(source(31)), Some(cookie(true, true)), Some(cookie(false, false))];
    prop::sample::select(all)
}

fn defects() -> impl Strategy<Value = Defects> {
    let flag = || prop::bool::weighted(0.1);
    (flag(), flag(), flag(), flag(), flag()).prop_map(
        |(pool_steals_pinned, cleanup_drops_another, pin_crosses_services, no_pin_on_http2, streams_share_pin)| {
            Defects {
                pool_steals_pinned,
                cleanup_drops_another,
                pin_crosses_services,
                no_pin_on_http2,
                streams_share_pin,
            }
        },
    )
}

fn fates() -> impl Strategy<Value = (OnDown, Credentials, Option<WorkerRule>)> {
    let down = vec![OnDown::Nothing, OnDown::Closed, OnDown::Moved];
    let credentials = vec![
        Credentials::Ordinary,
        Credentials::Ordinary,
        Credentials::OwnConnection,
        Credentials::NeverPooled,
        Credentials::NotPassedOn,
    ];
    let worker = |landing, turns| Some(WorkerRule { count: 2, landing, turns });
    let workers = vec![
        None,
        None,
        worker(Landing::Idle, Turns::Own),
        worker(Landing::Hash, Turns::Shared),
        worker(Landing::Random, Turns::Own),
    ];
    (prop::sample::select(down), prop::sample::select(credentials), prop::sample::select(workers))
}

fn rules() -> impl Strategy<Value = Rules> {
    let last = vec![PreferLast::Never, PreferLast::AfterChallenge, PreferLast::Always];
    let affinity = (persist(), prop::sample::select(last));
    let bonds = (prop::option::of(pool()), prop::option::of(pin()), prop::option::of(Just(Duration::from_secs(45))));
    let flag = any::<bool>;
    let headers = (flag(), flag(), flag());
    let rules = (select(), flag(), flag(), affinity, bonds, headers, retry(), (fates(), flag(), flag()), defects())
        .prop_map(
            |(
                select,
                services,
                queue,
                (persist, prefer_last),
                (pool, pin, own_idle),
                headers,
                retry,
                ((on_down, credentials, workers), closes_client, fails_open),
                defects,
            )| {
                let (strip, client_id, forwarded_for) = headers;
                Rules {
                    select,
                    services: if services { texts(&["/api"]) } else { texts(&[]) },
                    queue: queue.then_some(QueueRule { length: 2 }),
                    persist,
                    prefer_last,
                    pool,
                    pin,
                    own_idle,
                    strip: strip.then_some(Schemes::HAPROXY),
                    client_id: client_id.then_some(HeaderRule { name: "Jespa-Connection-Id".into(), overwrite: true }),
                    drain_moves: closes_client,
                    forwarded_for,
                    scrub: forwarded_for.then(|| "x-remote-user".into()),
                    retry,
                    credentials,
                    client_requests: closes_client.then_some(2),
                    on_down,
                    fails_open,
                    none_left: if closes_client { NoneLeft::Closed } else { NoneLeft::Status(StatusCode::BAD_GATEWAY) },
                    workers,
                    defects,
                }
            },
        );
    rules.prop_filter("the parts fit together", |rules| rules.check().is_ok())
}

/// Random traffic, and the properties that it must have under all rules.
struct Run {
    rules: Rules,
    front: Front,
    states: [BackendState; BACKENDS],
    cookies: BTreeMap<u32, String>,
    /// The downstream connection that each upstream connection was pinned to.
    owners: BTreeMap<UpstreamId, DownstreamId>,
}

impl Run {
    fn new(rules: Rules, http2: bool) -> Self {
        let mut front = Front::new(rules.clone(), BACKENDS);
        front.http2 = http2;
        let (cookies, owners) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, front, states: [BackendState::Up; BACKENDS], cookies, owners }
    }

    fn perform(&mut self, step: &Step) {
        let one = |client: u32| if self.front.http2 { client } else { client % 10 };
        match *step {
            Step::Request { client, credentials, api, cookie } => self.request(one(client), credentials, api, cookie),
            Step::Answer { client, challenge } => self.answer(one(client), challenge),
            Step::Fail { client, refused } => {
                let client = one(client);
                if self.front.busy.contains_key(&client) {
                    let kind = if refused { FailureKind::Refused } else { FailureKind::Lost };
                    let route = self.front.fail(client, kind);
                    self.check_route(route);
                    if route == Route::CloseDownstream {
                        self.front.close_client(client);
                    }
                }
            }
            Step::CloseClient(client) => drop(self.front.close_client(one(client))),
            Step::CloseUpstream(index) => {
                if let Some(&upstream) = self.front.open.keys().nth(index) {
                    self.front.close_upstream(upstream);
                }
            }
            Step::State(backend, state) => {
                self.states[backend] = state;
                self.front.set_state(backend, state);
            }
            Step::Share(backend, percent) => self.front.policy.set_share(self.front.now, backend, percent),
            Step::Pass(seconds) => self.front.pass(seconds),
        }
        self.check();
    }

    fn request(&mut self, client: u32, credentials: bool, api: bool, cookie: bool) {
        if self.front.busy.contains_key(&client) {
            return;
        }
        let ask = Ask {
            path: if api { "/api" } else { "/" },
            authorization: credentials.then_some("NTLM TlRMTVNTUAAB"),
            cookie: self.cookies.get(&client).filter(|_| cookie).cloned(),
            claim: None,
        };
        let route = self.front.request(client, &ask).verdict;
        self.check_route(route);
        if route == Route::CloseDownstream {
            assert_eq!(self.rules.none_left, NoneLeft::Closed, "no exchange is under way");
            self.front.close_client(client);
            return;
        }
        assert!(route != Route::Wait || self.rules.queue.is_some(), "nobody waits without a queue");
    }

    fn check_route(&self, route: Route) {
        let Route::Open(backend) = route else { return };
        let open = self.rules.fails_open && self.states.iter().all(|&state| state == BackendState::Down);
        assert!(open || self.states[backend] != BackendState::Down, "a dead backend gets no connection");
        let limit = self.rules.select.max_connections.unwrap_or(u32::MAX) as usize;
        let used = self.front.busy.values().filter(|up| self.front.open[up] == backend).count();
        // A retry at the same backend replaces the connection that was lost.
        assert!(used <= limit, "a full backend gets no connection");
    }

    fn answer(&mut self, client: u32, challenge: bool) {
        let Some(&upstream) = self.front.busy.get(&client) else { return };
        let token = challenge.then_some("NTLM TlRMTVNTUAAC");
        let answer = Answer { status: if challenge { 401 } else { 200 }, challenge: token };
        self.cookies.extend(self.front.answer(client, answer).map(|cookie| (client, cookie)));
        let id = self.front.id(client);
        match self.front.finish(client) {
            Finish::Keep => drop(self.owners.insert(upstream, id)),
            Finish::Pool => assert!(!self.owners.contains_key(&upstream) || !self.sound(), "{upstream} is owned"),
            Finish::Close => {}
        }
    }

    /// Returns whether the rules ensure that a client's own connection never becomes another's.
    fn sound(&self) -> bool {
        let shared = self.front.http2 && self.rules.defects.streams_share_pin;
        !shared
            && !self.rules.defects.pool_steals_pinned
            && self.rules.pin.as_ref().is_none_or(|pin| pin.coupling.upstream_follows)
    }

    fn check(&self) {
        if self.sound() {
            for (upstream, owner) in &self.owners {
                let last = self.front.served[upstream].last();
                assert_eq!(last, Some(owner), "{upstream} serves its owner until it ends");
            }
        }
        let never = self.rules.pool.as_ref().is_none_or(|pool| matches!(pool.share, Share::Never { .. }));
        if never && self.sound() {
            assert!(self.front.served.values().all(|who| who.iter().all(|id| *id == who[0])), "nothing is shared");
        }
    }

    /// Ends the run. When all clients are gone and time has passed, only connections that wait for an address are left.
    fn end(mut self) {
        (1..5).for_each(|client| drop(self.front.close_client(client)));
        self.front.pass(600);
        let waits = self.rules.pin.is_some_and(|pin| pin.key == PinKey::Client && !pin.coupling.upstream_follows);
        assert!(waits || self.front.open.is_empty(), "left open: {:?}", self.front.open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_rules_keep_each_connection_in_one_place_and_leave_none_behind(
        rules in rules(),
        http2 in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new(rules, http2);
        for step in &steps {
            run.perform(step);
        }
        run.end();
    }
}
