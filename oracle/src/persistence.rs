//! ST-1, ST-3 and ST-5: a client stays on its backend because the balancer remembers the client or because of a cookie,
//! and the backend belongs to the service of the request.
//!
//! **ST-1** applies where persistence is declared. A client's *homes* are the backends that answered it: one, or
//! several if its first requests were sent at the same time. A home counts while nothing has affected the backend since
//! it last received a request of the client, and that was less than the declared time ago. ST-1 is put to the test by
//! each request that a server receives from a client that had a home when it sent the request. It is violated if the
//! server is none of the homes. The server is the client's home from then on, so one move counts once. After raw bytes
//! have been sent, a server that receives a request of an unknown sender becomes a home of every client as well. The
//! request may be one of these bytes, which the balancer sends again long after the client has left, and which make it
//! remember the client's address.
//!
//! **ST-3** applies where a persistence cookie is declared. A value belongs to the backend whose answer set it.
//! * A client's request with a value that this client received is put to the test when a server receives it, if nothing
//!   has affected the value's backend since the value was set, and the declared persistence, if any, has not expired.
//!   It is violated if another server receives the request. A connection that carries or has carried a token stays
//!   where its last request went, because its handshake (which begins with the challenge) or its identity is there
//!   (HS-2). A cookie that the client has received elsewhere since does not matter.
//! * A value that no client ever received is *forged*. A value whose backend has been down for longer than the declared
//!   checks need to notice is *stale*. A request with such a value is put to the test when it ends, if a backend was up
//!   throughout and there was no fault elsewhere. It is violated if the request ends without an answer, or in an answer
//!   of the balancer itself with a status of 400 or more: a request with an ignored cookie is like any other.
//!
//! **ST-5** applies where services with their own backends are declared. It is put to the test by each request that
//! a server receives, and violated if the server is none of the backends of the service to which the request's path
//! belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stickler_model::{Action, Fault, Leg, Name, RequestId, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::requests::{ClientConnection, Request, ServerConnection, is_no_answer};
use crate::verdict::Failure;

/// Judges ST-1.
pub(crate) fn st1_clients_stay_on_their_backend(index: &Index<'_>) -> Finding {
    let Some(lasts) = index.promises().persistence else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let mut clients: BTreeMap<&Name, BTreeMap<&Name, Home>> = BTreeMap::new();
    let mut sent: BTreeMap<RequestId, usize> = BTreeMap::new();
    let mut answered_by: BTreeMap<RequestId, &Name> = BTreeMap::new();
    let first_raw = index.raw.iter().map(|send| send.event).min();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ClientSent { request, .. } => {
                sent.insert(*request, event);
            }
            // What a balancer remembers in its memory ends with its process.
            What::Action(Action::Fault(Fault::Crash(name) | Fault::PowerLoss(name))) if index.is_balancer(name) => {
                clients.clear();
            }
            What::ServerReceived { request: None, .. } if first_raw.is_some_and(|first| first.is_before(event)) => {
                for homes in clients.values_mut() {
                    homes.entry(&seen.by).or_insert(Home { last: event, answered: None }).last = event;
                }
            }
            What::ServerReceived { request: Some(id), .. } => {
                let (Some(request), Some(&sent)) = (index.request(Some(*id)), sent.get(id)) else { continue };
                let homes = clients.entry(request.client).or_default();
                let arrival = Arrival { request, sent, received: event };
                judge_arrival(index, lasts, homes, &arrival, &mut finding);
            }
            What::ServerAnswered { request: Some(id), .. } => {
                answered_by.insert(*id, &seen.by);
            }
            What::ClientReceived { request, echoed: Some(_), .. } => {
                let home = answered_by
                    .get(request)
                    .and_then(|server| clients.get_mut(&seen.by).and_then(|homes| homes.get_mut(server)));
                if let Some(home) = home {
                    home.answered.get_or_insert(event);
                }
            }
            _ => {}
        }
    }
    finding
}

/// A backend that a client is bound to.
struct Home {
    /// The event at which it last received a request of the client.
    last: usize,
    /// The event at which the client first received its answer.
    answered: Option<usize>,
}

/// A request that a server receives.
struct Arrival<'i, 't> {
    request: &'i Request<'t>,
    /// The event at which the client last sent it.
    sent: usize,
    /// The event at which the server received it.
    received: usize,
}

/// Judges whether a request reaches one of its client's homes, and makes the server a home.
fn judge_arrival<'t>(
    index: &Index<'t>,
    lasts: Duration,
    homes: &mut BTreeMap<&'t Name, Home>,
    arrival: &Arrival<'_, 't>,
    finding: &mut Finding,
) {
    let &Arrival { request, sent, received: event } = arrival;
    let server = index.by(event);
    homes
        .retain(|name, home| index.at(event) - index.at(home.last) < lasts && index.farm.is_up(name, home.last, event));
    let bound = homes.iter().find(|(_, home)| home.answered.is_some_and(|answered| answered.is_before(sent)));
    if let Some((home, &Home { last, .. })) = bound {
        finding.exercise();
        if !homes.contains_key(server) {
            let summary = format!(
                "{server} received {}'s request {}, but the client's backend is {home}, which is up",
                request.client, request.id,
            );
            finding.violate(Failure::Moved, request.cited(), summary, vec![last, sent, event]);
            homes.clear();
        }
    }
    homes.entry(server).or_insert(Home { last: event, answered: None }).last = event;
}

/// Judges ST-3.
pub(crate) fn st3_cookies_are_obeyed_or_ignored(index: &Index<'_>) -> Finding {
    if index.promises().cookie.is_none() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let mut state = St3State::default();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ServerAnswered { request: Some(id), .. } => {
                state.answered_by.insert(*id, &seen.by);
            }
            What::CookieReceived { request, value, .. } => {
                if let Some(&server) = state.answered_by.get(request) {
                    state.set.insert(value, (server, event));
                    state.held.insert((&seen.by, value), (server, event));
                }
            }
            What::CookieSent { request, value, .. } => {
                state.sent.insert(*request, (value, event));
            }
            What::ClientSent { request, connection, leg, .. } => {
                let on = (&seen.by, *connection);
                state.sent_on.insert(*request, on);
                if *leg != Leg::Anonymous {
                    state.tokens.insert(on);
                }
            }
            What::ServerReceived { request: Some(id), connection, .. } => {
                state.judge_cookie(index, *id, (&seen.by, *connection), event, &mut finding);
                if let Some(&on) = state.sent_on.get(id) {
                    state.last.insert(on, (&seen.by, *connection));
                }
                state.reached.insert(*id, (&seen.by, *connection));
            }
            What::RequestEnded { request, .. } => state.judge_end(index, *request, event, &mut finding),
            _ => {}
        }
    }
    finding
}

/// Judges ST-5.
pub(crate) fn st5_requests_reach_their_service(index: &Index<'_>) -> Finding {
    if index.promises().services.is_empty() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    for request in index.requests() {
        for (event, (server, connection), _) in index.received(request) {
            finding.exercise();
            if !index.promises().serves(server, request.path) {
                let (client, id, path) = (request.client, request.id, request.path);
                let summary = format!(
                    "{server} received {client}'s request {id} on connection {connection}, \
                     but none of {path:?} is served there",
                );
                finding.violate(Failure::Moved, request.cited(), summary, vec![request.started, event]);
            }
        }
    }
    finding
}

/// The state of ST-3 while a trace is being read.
#[derive(Default)]
struct St3State<'t> {
    /// The backend that set each value, and the event, for every value that was ever set.
    set: BTreeMap<&'t str, (&'t Name, usize)>,
    /// The backend that set a value and the event, by the client that received it and the value.
    held: BTreeMap<(&'t Name, &'t str), (&'t Name, usize)>,
    /// The server that answered last, by request.
    answered_by: BTreeMap<RequestId, &'t Name>,
    /// The client's connection on which a request was last sent, by request.
    sent_on: BTreeMap<RequestId, ClientConnection<'t>>,
    /// The server's connection that received the latest request, by the client's connection.
    last: BTreeMap<ClientConnection<'t>, ServerConnection<'t>>,
    /// The server's connection that received the latest HTTP request of a request.
    reached: BTreeMap<RequestId, ServerConnection<'t>>,
    /// The clients' connections that have carried a token.
    tokens: BTreeSet<ClientConnection<'t>>,
    /// The value that was sent with a request, and the event, by request.
    sent: BTreeMap<RequestId, (&'t str, usize)>,
}

impl<'t> St3State<'t> {
    fn judge_cookie(
        &self,
        index: &Index<'t>,
        id: RequestId,
        at: ServerConnection<'t>,
        event: usize,
        finding: &mut Finding,
    ) {
        let (Some(request), Some(&(value, sent))) = (index.request(Some(id)), self.sent.get(&id)) else { return };
        let Some(&(backend, given)) = self.held.get(&(request.client, value)) else { return };
        let expired = index.promises().persistence.is_some_and(|lasts| index.at(event) - index.at(given) >= lasts);
        let with_token = self.sent_on.get(&id).filter(|on| self.tokens.contains(*on));
        // Requests that share an HTTP/2 connection may each have a handshake of their own.
        let last = with_token.and_then(|on| self.reached.get(&id).or_else(|| self.last.get(on)));
        let stays = last.is_some_and(|&last| last == at);
        if expired || stays || given.is_after(sent) || !index.farm.is_up(backend, given, event) {
            return;
        }
        finding.exercise();
        let server = index.by(event);
        if server != backend {
            let summary = format!(
                "{server} received {}'s request {id} with the cookie {value:?} of {backend}, which is up",
                request.client,
            );
            finding.violate(Failure::Moved, request.cited(), summary, vec![given, sent, event]);
        }
    }

    fn judge_end(&self, index: &Index<'t>, id: RequestId, event: usize, finding: &mut Finding) {
        let (Some(request), Some(&(value, sent))) = (index.request(Some(id)), self.sent.get(&id)) else { return };
        let kind = match self.set.get(value) {
            None => "forged",
            Some(&(backend, _)) if is_stale(index, backend, request.started) => "stale",
            Some(_) => return,
        };
        let any_up = index.other_up(None, request, request.started, event).is_some();
        if !any_up || !index.is_quiet_elsewhere(request, event) || index.is_given_up(request) {
            return;
        }
        finding.exercise();
        let Some(end) = request.ended else { return };
        let by_balancer = request.events.iter().rev().find_map(|&event| match index.what(event) {
            What::ClientReceived { echoed, status, .. } => Some(echoed.is_none() && *status >= 400),
            _ => None,
        });
        if by_balancer == Some(true) || by_balancer.is_none() && is_no_answer(end.status) {
            let (client, status) =
                (request.client, end.status.map_or("no answer".to_owned(), |status| status.to_string()));
            let summary = format!("{client}'s request {id} with the {kind} cookie {value:?} ended in {status}");
            finding.violate(Failure::of_status(end.status), request.cited(), summary, vec![sent, event]);
        }
    }
}

/// Returns whether the backend has been down long enough for the declared checks to have noticed.
fn is_stale(index: &Index<'_>, backend: &Name, event: usize) -> bool {
    let Some(checks) = &index.promises().checks else { return false };
    let down = index.farm.condition(backend, event).down;
    down.is_some_and(|down| index.at(event) - index.at(down) >= checks.notice_down())
}
