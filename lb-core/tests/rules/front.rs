//! A substitute for the data plane: asks a policy, obeys it, and verifies that it keeps the contract.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use stickler_catalogue::find;
use stickler_lb_core::policy::composed::{Composed, Rules};
use stickler_lb_core::{
    Backend, BackendAware as _, BackendState, Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, Farm,
    Finish, L7Policy, Protocol, RequestHead, ResponseHead, Route, UpstreamId, Work,
};
use stickler_model::{Entropy, Name, Time};

pub(crate) fn farm(backends: usize) -> Farm {
    let backend = |index: usize| Backend {
        name: Name::from(format!("iis{index}")),
        address: SocketAddr::from(([10, 0, 0, 1], 80 + index as u16)),
    };
    Farm { backends: (0..backends).map(backend).collect() }
}

/// The request of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) path: &'static str,
    pub(crate) authorization: Option<&'static str>,
    pub(crate) cookie: Option<String>,
    /// An additional header field.
    pub(crate) claim: Option<(&'static str, &'static str)>,
}

/// The answer of a backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<&'static str>,
}

pub(crate) const OK: Answer = Answer { status: 200, challenge: None };
pub(crate) const CHALLENGE: Answer = Answer { status: 401, challenge: Some("NTLM TlRMTVNTUAAC") };

/// A data plane whose clients are numbers. If they speak HTTP/2, a number names a stream of a client: the last digit is
/// the client, and the digits before it are the stream's place ([`Protocol::Http2`]).
pub(crate) struct Front {
    pub(crate) http2: bool,
    pub(crate) policy: Composed,
    pub(crate) now: Time,
    pub(crate) fresh: u32,
    /// The backend of each open upstream connection.
    pub(crate) open: BTreeMap<UpstreamId, usize>,
    pub(crate) busy: BTreeMap<u32, UpstreamId>,
    /// The current downstream connection of each client, by the client's number. A client's address and port stay the
    /// same.
    downstream: BTreeMap<u32, DownstreamId>,
    last_downstream: u32,
    /// The requests that were told to wait.
    pub(crate) waiting: BTreeMap<u32, Ask>,
    /// The downstream connections that each upstream connection ever served, in order.
    pub(crate) served: BTreeMap<UpstreamId, Vec<DownstreamId>>,
}

impl Front {
    pub(crate) fn new(rules: Rules, backends: usize) -> Self {
        Self {
            http2: false,
            policy: Composed::new(rules, &farm(backends), Entropy::new(1, "test")).unwrap(),
            now: Time(0),
            fresh: 1,
            open: BTreeMap::new(),
            busy: BTreeMap::new(),
            downstream: BTreeMap::new(),
            last_downstream: 0,
            waiting: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// Returns a front end with the policy of this mechanism, including its defects.
    pub(crate) fn of(balancer: &str, backends: usize) -> Self {
        Self::new(find(balancer).unwrap().rules().expect("it works at L7").clone(), backends)
    }

    /// Returns a front end with the policy of this mechanism, whose clients speak HTTP/2.
    pub(crate) fn http2(balancer: &str, backends: usize) -> Self {
        Self { http2: true, ..Self::of(balancer, backends) }
    }

    /// Returns the client that this stream belongs to.
    fn owner(&self, client: u32) -> u32 {
        if self.http2 { client % 10 } else { client }
    }

    fn protocol(&self, client: u32) -> Protocol {
        if self.http2 { Protocol::Http2 { stream: client / 10 } } else { Protocol::Http1 }
    }

    pub(crate) fn id(&mut self, client: u32) -> DownstreamId {
        let client = self.owner(client);
        let last = &mut self.last_downstream;
        *self.downstream.entry(client).or_insert_with(|| {
            *last += 1;
            DownstreamId(*last)
        })
    }

    /// Asks the policy about a request and obeys. The exchange is then under way.
    pub(crate) fn request(&mut self, client: u32, ask: &Ask) -> Decision<Route> {
        let id = self.id(client);
        let (uri, headers) = head(ask);
        let (protocol, client_end) = (self.protocol(client), address(self.owner(client)));
        let head = RequestHead { method: &Method::GET, uri: &uri, headers: &headers, client: client_end, protocol };
        let decision = self.policy.request(self.now, id, UpstreamId(self.fresh), &head);
        self.obey(client, decision.verdict);
        if decision.verdict == Route::Wait {
            self.waiting.insert(client, ask.clone());
        } else {
            self.waiting.remove(&client);
        }
        self.work();
        decision
    }

    fn obey(&mut self, client: u32, route: Route) {
        let upstream = match route {
            Route::Open(backend) => {
                let upstream = UpstreamId(self.fresh);
                self.fresh += 1;
                self.open.insert(upstream, backend);
                upstream
            }
            Route::Reuse(upstream) | Route::Pinned(upstream) => {
                assert!(self.open.contains_key(&upstream), "{upstream} is open");
                assert!(!self.busy.values().any(|busy| *busy == upstream), "{upstream} is idle");
                upstream
            }
            _ => return,
        };
        let id = self.id(client);
        self.served.entry(upstream).or_default().push(id);
        self.busy.insert(client, upstream);
    }

    /// Delivers the answer's head. Returns the `Set-Cookie` pair that the balancer added, if any.
    pub(crate) fn answer(&mut self, client: u32, answer: Answer) -> Option<String> {
        let mut headers = HeaderMap::new();
        for edit in self.answer_edits(client, answer) {
            edit.apply(&mut headers);
        }
        let cookie = headers.get(SET_COOKIE)?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }

    /// Delivers the answer's head. Returns the changes that the balancer makes to it.
    pub(crate) fn answer_edits(&mut self, client: u32, answer: Answer) -> Vec<Edit> {
        let at = Exchange { downstream: self.id(client), upstream: self.busy[&client] };
        let mut headers = HeaderMap::new();
        if let Some(challenge) = answer.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        let status = StatusCode::from_u16(answer.status).unwrap();
        self.policy.response(self.now, at, &ResponseHead { status, headers: &headers, closes: false }).edits
    }

    pub(crate) fn finish(&mut self, client: u32) -> Finish {
        let upstream = self.busy.remove(&client).unwrap();
        let at = Exchange { downstream: self.id(client), upstream };
        let finish = self.policy.finished(self.now, at);
        if finish == Finish::Close {
            self.open.remove(&upstream);
        }
        self.work();
        finish
    }

    /// Performs a whole exchange. Returns its route, its backend, and the cookie that came back.
    pub(crate) fn exchange(
        &mut self,
        client: u32,
        ask: &Ask,
        answer: Answer,
    ) -> (Route, Option<usize>, Option<String>) {
        let route = self.request(client, ask).verdict;
        let Some(upstream) = self.busy.get(&client) else { return (route, None, None) };
        let backend = self.open[upstream];
        let cookie = self.answer(client, answer);
        self.finish(client);
        (route, Some(backend), cookie)
    }

    /// Sends a plain request, and returns the backend that it reaches.
    pub(crate) fn get(&mut self, client: u32) -> Option<usize> {
        self.exchange(client, &Ask::default(), OK).1
    }

    /// Sends a plain request that is answered, and returns its route.
    pub(crate) fn route(&mut self, client: u32) -> Route {
        self.exchange(client, &Ask::default(), OK).0
    }

    /// Makes a request fail while the data plane still has it. Returns the route of the next attempt.
    pub(crate) fn fail(&mut self, client: u32, kind: FailureKind) -> Route {
        self.fail_asking(client, kind, &Ask::default(), 1)
    }

    pub(crate) fn fail_asking(&mut self, client: u32, kind: FailureKind, ask: &Ask, attempts: u32) -> Route {
        let upstream = self.busy.remove(&client).unwrap();
        self.open.remove(&upstream);
        let at = Exchange { downstream: self.id(client), upstream };
        let (uri, headers) = head(ask);
        let (protocol, client_end) = (self.protocol(client), address(self.owner(client)));
        let again = RequestHead { method: &Method::GET, uri: &uri, headers: &headers, client: client_end, protocol };
        let failure = Failure { kind, attempts, again: Some(again) };
        let route = self.policy.failed(self.now, at, UpstreamId(self.fresh), &failure).verdict;
        self.obey(client, route);
        self.work();
        route
    }

    /// Closes a client's connection, and returns the upstream connections that close with it.
    pub(crate) fn close_client(&mut self, client: u32) -> Vec<UpstreamId> {
        let client = self.owner(client);
        let streams: Vec<u32> = self.busy.keys().copied().filter(|&stream| self.owner(stream) == client).collect();
        for stream in streams {
            let upstream = self.busy.remove(&stream).expect("a stream that is busy");
            self.open.remove(&upstream);
            self.policy.upstream_closed(self.now, upstream);
        }
        let http2 = self.http2;
        self.waiting.retain(|&stream, _| if http2 { stream % 10 != client } else { stream != client });
        let Some(id) = self.downstream.remove(&client) else { return Vec::new() };
        let closes = self.policy.downstream_closed(self.now, id);
        for upstream in &closes {
            assert!(self.open.remove(upstream).is_some(), "{upstream} is open and closed once");
        }
        self.work();
        closes
    }

    /// Closes an upstream connection, and returns whether the client's connection closes with it.
    pub(crate) fn close_upstream(&mut self, upstream: UpstreamId) -> bool {
        self.open.remove(&upstream);
        self.busy.retain(|_, busy| *busy != upstream);
        let coupled = self.policy.upstream_closed(self.now, upstream);
        if let Some(id) = coupled {
            let client = *self.downstream.iter().find(|(_, other)| **other == id).expect("a client that is there").0;
            self.close_client(client);
        }
        self.work();
        coupled.is_some()
    }

    pub(crate) fn set_state(&mut self, backend: usize, state: BackendState) {
        self.policy.set_state(self.now, backend, state);
        self.work();
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.work();
    }

    fn work(&mut self) {
        while let Some(work) = self.policy.poll(self.now) {
            match work {
                Work::CloseUpstream(upstream) => {
                    assert!(!self.busy.values().any(|busy| *busy == upstream), "{upstream} is idle");
                    assert!(self.open.remove(&upstream).is_some(), "{upstream} is open and closed once");
                }
                Work::CloseDownstream(id) => {
                    let client = self.downstream.iter().find(|(_, other)| **other == id).map(|(client, _)| *client);
                    if let Some(client) = client {
                        self.close_client(client);
                    }
                }
                Work::Resume(id) => {
                    let client = self.downstream.iter().find(|(_, other)| **other == id).map(|(client, _)| *client);
                    // A request that was given up meanwhile is not sent again.
                    let called = |stream: &u32| Some(self.owner(*stream)) == client;
                    let streams: Vec<u32> = self.waiting.keys().copied().filter(called).collect();
                    for stream in streams {
                        if let Some(ask) = self.waiting.remove(&stream) {
                            self.request(stream, &ask);
                        }
                    }
                }
            }
        }
        assert!(self.policy.next_deadline().is_none_or(|next| next > self.now), "what was due is done");
    }
}

fn address(client: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, client as u8], 40_000))
}

fn head(ask: &Ask) -> (Uri, HeaderMap) {
    let mut headers = HeaderMap::new();
    if let Some(credentials) = ask.authorization {
        headers.insert(AUTHORIZATION, HeaderValue::from_static(credentials));
    }
    if let Some(cookie) = &ask.cookie {
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    if let Some((name, value)) = ask.claim {
        headers.insert(name, HeaderValue::from_static(value));
    }
    (Uri::from_static(if ask.path.is_empty() { "/" } else { ask.path }), headers)
}
