//! ST-1 and ST-3: a client stays on its backend, by the balancer's memory or by a cookie.
//!
//! **ST-1** applies where persistence is declared. A client's *homes* are the backends that
//! answered it: one, or several where its first requests went out together. A home counts while
//! nothing was done to the backend since it last received a request of the client, and that was less
//! than the declared time ago. ST-1 is put to the test by each request that a server receives, of a
//! client that had a home when it sent the request; it is violated when the server is none of the
//! homes. The server is the client's home from then on, so that one move counts once.
//!
//! **ST-3** applies where a persistence cookie is declared. A value belongs to the backend whose
//! answer set it.
//! * A client's request that carries a value which this client received is put to the test when a
//!   server receives it, nothing was done to the value's backend since it was set, and the declared
//!   persistence, if any, has not passed. It is violated when another server receives it.
//! * A value that no client ever received is *forged*; one whose backend has been down for longer
//!   than the declared checks need to notice is *stale*. A request with such a value is put to the
//!   test when it ends, if a backend was up all the while and nothing was wrong elsewhere. It is
//!   violated when it ends without an answer, or in one that the balancer gave by itself with a
//!   status of 400 or more: an ignored cookie leaves a request like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use stickler_model::{Name, RequestId, What};

use crate::index::{Index, Request, is_no_answer};
use crate::judge::Finding;

/// ST-1.
pub(crate) fn clients_stay(index: &Index<'_>) -> Finding {
    let Some(lasts) = index.promises().persistence else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let mut clients: BTreeMap<&Name, BTreeMap<&Name, Home>> = BTreeMap::new();
    let mut sent: BTreeMap<RequestId, usize> = BTreeMap::new();
    let mut answered_by: BTreeMap<RequestId, &Name> = BTreeMap::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ClientSent { request, .. } => {
                sent.insert(*request, event);
            }
            What::ServerReceived { request: Some(id), .. } => {
                let (Some(request), Some(&sent)) = (index.request(Some(*id)), sent.get(id)) else { continue };
                let homes = clients.entry(request.client).or_default();
                receive(index, lasts, homes, (request, sent, event), &mut finding);
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
    /// When it last received a request of the client.
    last: usize,
    /// When the client first had an answer of it.
    answered: Option<usize>,
}

/// A server receives a request, which its client sent with that event.
fn receive<'t>(
    index: &Index<'t>,
    lasts: Duration,
    homes: &mut BTreeMap<&'t Name, Home>,
    (request, sent, event): (&Request<'t>, usize, usize),
    finding: &mut Finding,
) {
    let server = index.by(event);
    homes
        .retain(|name, home| index.at(event) - index.at(home.last) < lasts && index.farm.is_up(name, home.last, event));
    let bound = homes.iter().find(|(_, home)| home.answered.is_some_and(|answered| answered < sent));
    if let Some((home, &Home { last, .. })) = bound {
        finding.exercise();
        if !homes.contains_key(server) {
            let summary = format!(
                "{server} received {}'s request {}, but the client's backend is {home}, and that is up",
                request.client, request.id,
            );
            finding.violate(summary, vec![last, sent, event]);
            homes.clear();
        }
    }
    homes.entry(server).or_insert(Home { last: event, answered: None }).last = event;
}

/// ST-3.
pub(crate) fn cookies_hold(index: &Index<'_>) -> Finding {
    if index.promises().cookie.is_none() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let mut cookies = Cookies::default();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ServerAnswered { request: Some(id), .. } => {
                cookies.answered_by.insert(*id, &seen.by);
            }
            What::CookieReceived { request, value, .. } => {
                if let Some(&server) = cookies.answered_by.get(request) {
                    cookies.set.insert(value, (server, event));
                    cookies.held.insert((&seen.by, value), (server, event));
                }
            }
            What::CookieSent { request, value, .. } => {
                cookies.sent.insert(*request, (value, event));
            }
            What::ServerReceived { request: Some(id), .. } => cookies.reaches(index, *id, event, &mut finding),
            What::RequestEnded { request, .. } => cookies.ended(index, *request, event, &mut finding),
            _ => {}
        }
    }
    finding
}

/// What ST-3 needs to know while it reads a trace from start to end.
#[derive(Default)]
struct Cookies<'t> {
    /// Of each value that was ever set: the backend, and when.
    set: BTreeMap<&'t str, (&'t Name, usize)>,
    /// The same for each client that received it.
    held: BTreeMap<(&'t Name, &'t str), (&'t Name, usize)>,
    answered_by: BTreeMap<RequestId, &'t Name>,
    sent: BTreeMap<RequestId, (&'t str, usize)>,
}

impl<'t> Cookies<'t> {
    fn reaches(&self, index: &Index<'t>, id: RequestId, event: usize, finding: &mut Finding) {
        let (Some(request), Some(&(value, sent))) = (index.request(Some(id)), self.sent.get(&id)) else { return };
        let Some(&(backend, given)) = self.held.get(&(request.client, value)) else { return };
        let expired = index.promises().persistence.is_some_and(|lasts| index.at(event) - index.at(given) >= lasts);
        if expired || given > sent || !index.farm.is_up(backend, given, event) {
            return;
        }
        finding.exercise();
        let server = index.by(event);
        if server != backend {
            let summary = format!(
                "{server} received {}'s request {id} with the cookie {value:?}, which {backend} had set, and that is up",
                request.client,
            );
            finding.violate(summary, vec![given, sent, event]);
        }
    }

    fn ended(&self, index: &Index<'t>, id: RequestId, event: usize, finding: &mut Finding) {
        let (Some(request), Some(&(value, sent))) = (index.request(Some(id)), self.sent.get(&id)) else { return };
        let fault = match self.set.get(value) {
            None => "forged",
            Some(&(backend, _)) if is_stale(index, backend, request.started) => "stale",
            Some(_) => return,
        };
        let served = index.farm.backends().any(|backend| index.farm.is_up(backend, request.started, event));
        if !served || !index.farm.quiet_elsewhere(request.started, event) {
            return;
        }
        finding.exercise();
        let Some(end) = request.ended else { return };
        let by_itself = request.events.iter().rev().find_map(|&event| match index.what(event) {
            What::ClientReceived { echoed, status, .. } => Some(echoed.is_none() && *status >= 400),
            _ => None,
        });
        if by_itself == Some(true) || by_itself.is_none() && is_no_answer(end.status) {
            let (client, status) = (request.client, end.status.map_or("no answer".to_owned(), |it| it.to_string()));
            let summary = format!("{client}'s request {id} with the {fault} cookie {value:?} ended in {status}");
            finding.violate(summary, vec![sent, event]);
        }
    }
}

/// Whether the backend has been down for long enough that the checks know.
fn is_stale(index: &Index<'_>, backend: &Name, event: usize) -> bool {
    let Some(checks) = &index.promises().checks else { return false };
    let down = index.farm.condition(backend, event).down;
    down.is_some_and(|down| index.at(event) - index.at(down) >= checks.notice_down())
}
