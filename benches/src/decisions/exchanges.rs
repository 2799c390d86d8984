//! Decisions at L7: requests, their answers, and their ends.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT,
    WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode, Uri};
use stickler_lb_core::{
    DownstreamId, Edit, Exchange, L7Policy, Protocol, RequestHead, ResponseHead, Route, UpstreamId, Work,
};
use stickler_model::Time;

use super::{address, shuffled};

/// The time between two decisions. A benchmark reaches no idle limit.
const STEP: Duration = Duration::from_nanos(100);

/// The header fields that a client sends, except for a cookie.
const REQUEST: [(HeaderName, &str); 3] =
    [(HOST, "www.corp.example"), (USER_AGENT, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium"), (ACCEPT, "*/*")];
const NEGOTIATE: &str = "NTLM TlRMTVNTUAABAAAA";
const CHALLENGE: &str = "NTLM TlRMTVNTUAACAAAA";
const AUTHENTICATE: &str = "NTLM TlRMTVNTUAADAAAA";

/// A policy with its open downstream connections.
pub struct Exchanges {
    policy: Box<dyn L7Policy>,
    /// The connections that take turns, in the order in which they send requests, which is independent of the order in
    /// which they were opened.
    seats: Vec<Seat>,
    /// The place of each downstream connection among them, by its number; `None` if it takes no turns.
    place_of: Vec<Option<u32>>,
    served: usize,
    next: usize,
    now: Time,
    last_upstream: u32,
    /// The header sections that clients send: one without a cookie, and one for each cookie that was set.
    sent: Vec<HeaderMap>,
    uris: [Uri; 2],
    /// The answers of backends: a page, and a challenge.
    page: HeaderMap,
    challenge: HeaderMap,
}

/// A client with its connection.
#[derive(Clone, Copy)]
struct Seat {
    id: DownstreamId,
    address: SocketAddr,
    /// The index of the header section that it sends.
    sends: usize,
    /// The index of the path that it requests.
    asks: usize,
}

impl Exchanges {
    /// Creates the connections. All clients send a request at the same time, so the policy opens as many upstream
    /// connections as it wants; then each authenticates, one after the other. Clients that must wait or are turned away
    /// take no turns; of the others, `asking` do.
    pub(super) fn new(policy: Box<dyn L7Policy>, count: usize, asking: usize) -> Self {
        let mut exchanges = Self::empty(policy, count);
        let mut by_age: Vec<usize> = (0..count).collect();
        by_age.sort_unstable_by_key(|&place| exchanges.seats[place].id);
        let begun = by_age.into_iter().filter_map(|place| Some((place, exchanges.begin(place, None)?)));
        let begun: Vec<_> = begun.collect();
        for &(place, at) in &begun {
            exchanges.end(place, at, StatusCode::UNAUTHORIZED);
        }
        for &(place, _) in &begun {
            for (leg, status) in [(NEGOTIATE, StatusCode::UNAUTHORIZED), (AUTHENTICATE, StatusCode::OK)] {
                if let Some(at) = exchanges.begin(place, Some(leg)) {
                    exchanges.end(place, at, status);
                }
            }
        }
        let mut served: Vec<usize> = begun.into_iter().map(|(place, _)| place).collect();
        exchanges.served = served.len();
        served.sort_unstable();
        served.truncate(asking);
        exchanges.seat(served);
        exchanges
    }

    fn empty(policy: Box<dyn L7Policy>, count: usize) -> Self {
        let seat = |number: u32| Seat {
            id: DownstreamId(number + 1),
            address: address(number, 50_000),
            sends: 0,
            asks: (number % 2) as usize,
        };
        let mut exchanges = Self {
            policy,
            seats: shuffled(count).into_iter().map(seat).collect(),
            place_of: vec![None; count + 1],
            served: 0,
            next: 0,
            now: Time::default(),
            last_upstream: 0,
            sent: vec![fields(&REQUEST)],
            uris: [Uri::from_static("/reports/q3"), Uri::from_static("/api/list?page=2")],
            page: fields(&[(CONTENT_TYPE, "application/json")]),
            challenge: fields(&[(WWW_AUTHENTICATE, CHALLENGE), (CONTENT_TYPE, "text/html")]),
        };
        exchanges.seat((0..count).collect());
        exchanges
    }

    /// Lets only the connections in these places take turns from now on.
    fn seat(&mut self, places: Vec<usize>) {
        self.seats = places.into_iter().map(|place| self.seats[place]).collect();
        self.place_of.fill(None);
        for (place, seat) in self.seats.iter().enumerate() {
            self.place_of[seat.id.0 as usize] = Some(place as u32);
        }
    }

    pub(super) fn served(&self) -> usize {
        self.served
    }

    /// Sends the next client's request, and its answer.
    pub(super) fn decide(&mut self) {
        let place = self.next;
        self.next = (place + 1) % self.seats.len();
        let at = self.begin(place, None).expect("who was served before is served again");
        self.end(place, at, StatusCode::OK);
    }

    /// Begins a request. Returns `None` if it waits or is turned away.
    fn begin(&mut self, place: usize, leg: Option<&'static str>) -> Option<Exchange> {
        self.now = self.now + STEP;
        let Seat { id, address, sends, asks } = self.seats[place];
        let with_leg = leg.map(|leg| {
            let mut headers = self.sent[sends].clone();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(leg));
            headers
        });
        let headers = with_leg.as_ref().unwrap_or(&self.sent[sends]);
        let protocol = Protocol::Http1;
        let head = RequestHead { method: &Method::GET, uri: &self.uris[asks], headers, client: address, protocol };
        let fresh = UpstreamId(self.last_upstream.wrapping_add(1));
        let upstream = match self.policy.request(self.now, id, fresh, &head).verdict {
            Route::Pinned(upstream) | Route::Reuse(upstream) => Some(upstream),
            Route::Open(_) => {
                self.last_upstream = fresh.0;
                Some(fresh)
            }
            Route::Wait | Route::Reject(_) | Route::CloseDownstream => None,
        };
        self.attend();
        upstream.map(|upstream| Exchange { downstream: id, upstream })
    }

    /// Passes the answer to the policy, and ends the exchange.
    fn end(&mut self, place: usize, at: Exchange, status: StatusCode) {
        let headers = if status == StatusCode::OK { &self.page } else { &self.challenge };
        let edits = self.policy.response(self.now, at, &ResponseHead { status, headers, closes: false }).edits;
        for edit in edits {
            self.take_cookie(place, &edit);
        }
        self.policy.finished(self.now, at);
        self.attend();
    }

    /// Performs the policy's unsolicited work, as the data plane does. A client whose connection is closed comes back
    /// on another one.
    fn attend(&mut self) {
        while self.policy.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            match self.policy.poll(self.now) {
                Some(Work::CloseDownstream(id)) => {
                    self.policy.downstream_closed(self.now, id);
                    let place = self.place_of[id.0 as usize];
                    if let Some(place) = place {
                        self.seats[place as usize].id = DownstreamId(self.place_of.len() as u32);
                        self.place_of.push(Some(place));
                    }
                }
                // The policy has already forgotten the one connection, and the other one has no place here.
                Some(Work::CloseUpstream(_) | Work::Resume(_)) => {}
                None => break,
            }
        }
    }

    /// Makes a client send the cookie that it was given. There are only a few different cookies, because a cookie
    /// consists only of a backend and a time in seconds.
    fn take_cookie(&mut self, place: usize, edit: &Edit) {
        let Edit::Append(SET_COOKIE, value) = edit else { return };
        let pair = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        let known = self.sent.iter().position(|sent| sent.get(COOKIE).is_some_and(|cookie| cookie.as_bytes() == pair));
        self.seats[place].sends = known.unwrap_or_else(|| {
            let mut headers = fields(&REQUEST);
            headers.insert(COOKIE, HeaderValue::from_bytes(pair).expect("a part of a field's value is one"));
            self.sent.push(headers);
            self.sent.len() - 1
        });
    }
}

fn fields(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}
