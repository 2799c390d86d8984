//! Random requests, answers, failures, closes and pauses for each L7 mechanism, compared with a model that keeps its
//! own state. In debug builds, every call also ends with the policy's own `check_invariants`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use proptest::prelude::*;
use stickler_catalogue::find;
use stickler_lb_core::{
    Backend, Bond, DownstreamId, Exchange, Failure, FailureKind, Farm, Finish, L7Policy, Protocol, RequestHead,
    ResponseHead, Route, UpstreamId, Work,
};
use stickler_model::{Entropy, Name, Time};

const BACKENDS: usize = 3;
const IDLE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
enum Step {
    Request(u32),
    Answer {
        client: u32,
        challenge: bool,
        closes: bool,
    },
    Finish(u32),
    Fail {
        client: u32,
        kind: FailureKind,
        again: bool,
        post: bool,
    },
    CloseClient(u32),
    /// Close the open connection with this index.
    CloseUpstream(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    const KINDS: [FailureKind; 5] = [
        FailureKind::Refused,
        FailureKind::ConnectTimeout,
        FailureKind::Lost,
        FailureKind::Malformed,
        FailureKind::Silent,
    ];
    let client = 1..6_u32;
    prop_oneof![
        6 => client.clone().prop_map(Step::Request),
        5 => (client.clone(), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(client, challenge, closes)| Step::Answer { client, challenge, closes }),
        5 => client.clone().prop_map(Step::Finish),
        1 => (client.clone(), prop::sample::select(&KINDS[..]), any::<bool>(), any::<bool>())
            .prop_map(|(client, kind, again, post)| Step::Fail { client, kind, again, post }),
        1 => client.prop_map(Step::CloseClient),
        1 => (0..8_usize).prop_map(Step::CloseUpstream),
        1 => (1..40_u64).prop_map(Step::Pass),
    ]
}

/// The knowledge of a data plane: the connections and their owners, and the idle connections in order.
struct Model {
    policy: Box<dyn L7Policy>,
    pools: bool,
    pins: bool,
    now: Time,
    fresh: u32,
    /// The backend of each open upstream connection.
    open: BTreeMap<UpstreamId, usize>,
    /// The exchanges under way: the upstream connection, and whether the answer's head has arrived.
    busy: BTreeMap<DownstreamId, (UpstreamId, bool)>,
    pinned: BTreeMap<DownstreamId, UpstreamId>,
    /// The idle connections of each backend, the oldest first.
    idle: [Vec<(Time, UpstreamId)>; BACKENDS],
    turn: usize,
}

impl Model {
    fn new(mechanism: &str) -> Self {
        let backend = |index: usize| Backend {
            name: Name::from(format!("iis{index}")),
            address: SocketAddr::from(([10, 0, 0, 1], 80 + index as u16)),
        };
        let farm = Farm { backends: (0..BACKENDS).map(backend).collect() };
        Self {
            policy: find(mechanism).unwrap().l7(&farm, Entropy::new(0, "test")).unwrap().unwrap(),
            pools: mechanism != "close-per-request",
            pins: mechanism == "pin-on-401",
            now: Time(0),
            fresh: 1,
            open: BTreeMap::new(),
            busy: BTreeMap::new(),
            pinned: BTreeMap::new(),
            idle: Default::default(),
            turn: 0,
        }
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Request(client) => self.request(DownstreamId(client)),
            Step::Answer { client, challenge, closes } => self.answer(DownstreamId(client), challenge, closes),
            Step::Finish(client) => self.finish(DownstreamId(client)),
            Step::Fail { client, kind, again, post } => self.fail(DownstreamId(client), kind, again, post),
            Step::CloseClient(client) => self.close_client(DownstreamId(client)),
            Step::CloseUpstream(index) => {
                if let Some(&upstream) = self.open.keys().nth(index) {
                    self.close_upstream(upstream);
                }
            }
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
        }
        self.check();
    }

    fn request(&mut self, client: DownstreamId) {
        if self.busy.contains_key(&client) {
            return;
        }
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        let head = view(&Method::GET, &uri, &headers);
        let route = self.policy.request(self.now, client, UpstreamId(self.fresh), &head).verdict;
        match (route, self.pinned.get(&client)) {
            (Route::Pinned(upstream), Some(pinned)) => assert_eq!(upstream, *pinned),
            (Route::Open(_) | Route::Reuse(_), None) => {
                let turn = self.turn;
                self.turn = (turn + 1) % BACKENDS;
                match route {
                    Route::Open(backend) => assert_eq!(backend, turn, "round robin"),
                    Route::Reuse(upstream) => assert_eq!(self.open.get(&upstream), Some(&turn), "round robin"),
                    _ => unreachable!(),
                }
            }
            other => panic!("{client}: {other:?}"),
        }
        self.take(client, route);
    }

    /// Carries out a route that sends the request.
    fn take(&mut self, client: DownstreamId, route: Route) {
        let upstream = match route {
            Route::Open(backend) => {
                assert!(self.idle[backend].is_empty() || !self.pools, "an idle connection is taken first");
                let upstream = UpstreamId(self.fresh);
                self.fresh += 1;
                self.open.insert(upstream, backend);
                upstream
            }
            Route::Reuse(upstream) => {
                let last = self.idle[self.open[&upstream]].pop().expect("only an idle connection is reused");
                assert_eq!(last.1, upstream, "the last in is the first out");
                upstream
            }
            Route::Pinned(upstream) => upstream,
            other => panic!("{other:?} sends nothing"),
        };
        self.busy.insert(client, (upstream, false));
    }

    fn answer(&mut self, client: DownstreamId, challenge: bool, closes: bool) {
        let Some((upstream, answered)) = self.busy.get_mut(&client) else { return };
        if std::mem::replace(answered, true) {
            return;
        }
        let at = Exchange { downstream: client, upstream: *upstream };
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("NTLM TlRMTVNTUAAC"));
        let status = if challenge { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        let decision = self.policy.response(self.now, at, &ResponseHead { status, headers: &headers, closes });
        let pins = self.pins && challenge && !self.pinned.contains_key(&client);
        assert_eq!(decision.verdict, if pins { Bond::Pin } else { Bond::Keep });
        if pins {
            self.pinned.insert(client, at.upstream);
        }
        assert_eq!(
            !decision.edits.is_empty(),
            closes && self.pinned.contains_key(&client),
            "a coupled close is announced"
        );
    }

    fn finish(&mut self, client: DownstreamId) {
        let Some((upstream, true)) = self.busy.get(&client).copied() else { return };
        self.busy.remove(&client);
        let finish = self.policy.finished(self.now, Exchange { downstream: client, upstream });
        if self.pinned.get(&client) == Some(&upstream) {
            assert_eq!(finish, Finish::Keep, "a pinned connection never returns to the pool");
        } else if self.pools {
            assert_eq!(finish, Finish::Pool);
            self.idle[self.open[&upstream]].push((self.now, upstream));
        } else {
            assert_eq!(finish, Finish::Close);
            self.open.remove(&upstream);
        }
    }

    fn fail(&mut self, client: DownstreamId, kind: FailureKind, again: bool, post: bool) {
        let Some((upstream, false)) = self.busy.get(&client).copied() else { return };
        self.busy.remove(&client);
        let backend = self.open.remove(&upstream).unwrap();
        let pinned = self.pinned.remove(&client).is_some();
        let method = if post { Method::POST } else { Method::GET };
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        let failure = Failure { kind, attempts: 1, again: again.then(|| view(&method, &uri, &headers)) };
        let at = Exchange { downstream: client, upstream };
        let route = self.policy.failed(self.now, at, UpstreamId(self.fresh), &failure).verdict;
        match route {
            Route::Open(other) => {
                assert!(again && !pinned, "only what is held is sent again, and nothing replaces a pinned connection");
                if kind == FailureKind::Lost {
                    assert!(!post && other == backend, "an idle-close race is no reason to send a POST twice");
                } else {
                    assert!(matches!(kind, FailureKind::Refused | FailureKind::ConnectTimeout) && other != backend);
                    self.turn = (other + 1) % BACKENDS;
                }
                self.open.insert(UpstreamId(self.fresh), other);
                self.busy.insert(client, (UpstreamId(self.fresh), false));
                self.fresh += 1;
            }
            Route::Reject(status) => assert!(status == kind.status() && !(pinned && kind == FailureKind::Lost)),
            Route::CloseDownstream => assert!(pinned && kind == FailureKind::Lost),
            other => panic!("{other:?}"),
        }
    }

    fn close_client(&mut self, client: DownstreamId) {
        // An exchange under way is given up first, as in the data plane.
        if let Some((upstream, _)) = self.busy.get(&client).copied() {
            self.close_upstream(upstream);
        }
        let closes = self.policy.downstream_closed(self.now, client);
        assert_eq!(closes, Vec::from_iter(self.pinned.remove(&client)), "what was pinned closes with its owner");
        for upstream in closes {
            self.open.remove(&upstream).expect("an open connection");
        }
    }

    fn close_upstream(&mut self, upstream: UpstreamId) {
        let coupled = self.policy.upstream_closed(self.now, upstream);
        let owner = self.pinned.iter().find(|(_, pinned)| **pinned == upstream).map(|(client, _)| *client);
        assert_eq!(coupled, owner, "the owner closes with what was pinned");
        self.pinned.retain(|_, pinned| *pinned != upstream);
        self.busy.retain(|_, (busy, _)| *busy != upstream);
        self.idle.iter_mut().for_each(|stack| stack.retain(|(_, idle)| *idle != upstream));
        self.open.remove(&upstream);
        assert_eq!(self.policy.upstream_closed(self.now, upstream), None, "an end is reported once");
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        while let Some(work) = self.policy.poll(self.now) {
            let Work::CloseUpstream(upstream) = work else { panic!("{work:?}") };
            let stack = &mut self.idle[self.open.remove(&upstream).unwrap()];
            let (since, oldest) = stack.remove(0);
            assert!(oldest == upstream && since + IDLE <= self.now, "the oldest expires, and not early");
        }
    }

    fn check(&self) {
        let oldest = self.idle.iter().flatten().map(|(since, _)| *since + IDLE).min();
        assert_eq!(self.policy.next_deadline(), oldest);
        let idle = self.idle.iter().flatten().map(|(_, upstream)| *upstream);
        let pinned = self.pinned.values().copied();
        let busy = self.busy.iter().filter(|(client, _)| !self.pinned.contains_key(client)).map(|(_, (up, _))| *up);
        let mut places: Vec<_> = idle.chain(pinned).chain(busy).collect();
        places.sort_unstable();
        assert_eq!(places, self.open.keys().copied().collect::<Vec<_>>(), "each open connection is in one place");
    }
}

fn view<'a>(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> RequestHead<'a> {
    let client = SocketAddr::from(([10, 0, 0, 9], 40_000));
    RequestHead { method, uri, headers, client, protocol: Protocol::Http1 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_upstream_connection_is_in_one_place_and_closes_are_coupled(
        mechanism in prop::sample::select(&["close-per-request", "shared-pool", "pin-on-401"][..]),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut model = Model::new(mechanism);
        for step in &steps {
            model.perform(step);
        }
    }
}

#[test]
fn a_lost_race_gives_a_get_another_try_and_a_post_none() {
    for (post, expected) in [(false, Route::Open(0)), (true, Route::Reject(StatusCode::BAD_GATEWAY))] {
        let mut model = Model::new("shared-pool");
        let (client, upstream) = (DownstreamId(1), UpstreamId(1));
        for _ in 0..BACKENDS {
            for step in [Step::Request(1), Step::Answer { client: 1, challenge: false, closes: false }, Step::Finish(1)]
            {
                model.perform(&step);
            }
        }
        model.perform(&Step::Request(1));
        let method = if post { Method::POST } else { Method::GET };
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        let again = Some(view(&method, &uri, &headers));
        let failure = Failure { kind: FailureKind::Lost, attempts: 1, again };
        let at = Exchange { downstream: client, upstream };
        assert_eq!(model.policy.failed(model.now, at, UpstreamId(9), &failure).verdict, expected);
    }
}
