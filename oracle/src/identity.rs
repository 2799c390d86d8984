//! ID-1 to ID-3: no request is served as another user.
//!
//! A server *takes* a request for a user if its application runs as that user, or refuses access to that user (401.3):
//! see `Answered::taken_for`.
//!
//! **ID-1** is put to the test by each request of a client with an identity that a server takes for a user. It is
//! violated if that user is not the client's. The client's own view counts as well: an answer in which the application
//! names another user, or that belongs to another request (the echoed id), is a violation, because one client then
//! reads what is meant for another. Valid or wrong credentials make no difference: a client may only be served as the
//! user that it claims to be. The evidence begins with the answer that gave the connection the identity, if there is
//! one.
//!
//! **ID-2** is put to the test by each request of a client without credentials that a server answers. It is violated if
//! the server takes the request for a user, or the answer names one.
//!
//! Bytes that a client sends unchanged also count for ID-1 and ID-2. They are judged by the answers that the client
//! receives (see `raw`). The answers may be for the client's own user, or for a user whose token the bytes carry.
//!
//! **ID-3**: a server's connection is authenticated by the client's connection on which the Authenticate leg or the
//! ticket was sent, until a later one authenticates it again. If the site accepts a proof for its request alone
//! (`Settings::persists`), the proof authenticates no connection, and ends an earlier authentication. A Negotiate leg
//! alone does not end the identity here, because the requirement forbids a server to go on serving under the old one.
//!
//! ID-3 is put to the test by each client's connection that has closed while a server's connection still has the
//! identity that it gave, if any server receives anything afterwards. It is violated by each request that a server
//! receives afterwards on that connection and takes for a user without authenticating it again. The sender does not
//! matter: the same client on a new connection counts. A request that its client sent on the closed connection may have
//! been in transit, so it does not count.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use stickler_model::event::Credentials;
use stickler_model::{Name, Principal, RequestId, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::raw::RawSend;
use crate::requests::{Answered, ClientConnection, Request, ServerConnection, is_proof};
use crate::verdict::Failure;

/// Judges ID-1.
pub(crate) fn id1_requests_run_as_their_own_user(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests() {
        if let Some(identity) = request.identity {
            judge_users(index, request, Some(identity), &mut finding);
        }
        judge_delivery(index, request, &mut finding);
    }
    for send in index.raw.iter().filter(|send| send.user.is_some()) {
        judge_raw(index, send, &mut finding);
    }
    finding
}

/// Judges ID-2.
pub(crate) fn id2_anonymous_stays_anonymous(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let anonymous = |request: &&Request<'_>| request.credentials == Credentials::None;
    for request in index.requests().filter(anonymous) {
        judge_users(index, request, None, &mut finding);
    }
    for send in index.raw.iter().filter(|send| send.user.is_none()) {
        judge_raw(index, send, &mut finding);
    }
    finding
}

/// Judges ID-3.
pub(crate) fn id3_identity_ends_with_its_client_connection(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let mut state = Id3State::default();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ClientSent { connection, request, leg, .. } => {
                state.sent_on.entry(*request).or_default().insert(*connection);
                if is_proof(*leg) {
                    state.authenticates_on.insert(*request, (&seen.by, *connection));
                }
            }
            What::ClientClosed { connection, .. } => {
                let closed = (&seen.by, *connection);
                state.closed.entry(closed).or_insert(event);
                if state.gives_identity(closed) && index.any_received_after(event) {
                    finding.exercise();
                }
            }
            What::ServerReceived { connection, number, .. } => {
                state.received.insert((&seen.by, *connection, *number), event);
            }
            What::ServerAnswered { .. } => {
                if let Some(answer) = index.answer(event) {
                    state.answered(index, answer, &mut finding);
                }
            }
            _ => {}
        }
    }
    finding
}

/// Compares the users that servers took a request for with the only `allowed` one. Each answer of a server is one piece
/// of evidence, with the client's receipt of it; a receipt that belongs to no such answer is one by itself.
fn judge_users(index: &Index<'_>, request: &Request<'_>, allowed: Option<&Principal>, finding: &mut Finding) {
    let (client, id) = (request.client, request.id);
    let actual = allowed.map_or("has no credentials".to_owned(), |user| format!("is {user}"));
    let mut wrong: Vec<(&Principal, usize)> = Vec::new();
    let mut receipts = receipts(index, request).peekable();
    for answer in index.answered(request) {
        if answer.taken_for().is_some() || allowed.is_none() {
            finding.exercise();
        }
        let Some(user) = answer.taken_for().filter(|&user| Some(user) != allowed) else { continue };
        wrong.push((user, answer.event));
        let (server, connection) = answer.at;
        let summary = format!(
            "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
             but {client} {actual}",
        );
        let sent = index.sent(request).map(|(event, ..)| event).take_while(|sent| sent.is_before(answer.event)).last();
        let received =
            index.received(request).map(|(event, ..)| event).take_while(|event| event.is_before(answer.event)).last();
        // The receipt that follows belongs to this answer if it names the same user.
        while receipts.next_if(|receipt| receipt.event.is_before(answer.event)).is_some() {}
        let receipt = receipts.peek().filter(|receipt| receipt.user == Some(user)).map(|receipt| receipt.event);
        let origin = index.authenticated_before(answer.at, answer.event);
        let mut events: Vec<usize> =
            origin.into_iter().chain(sent).chain(received).chain([answer.event]).chain(receipt).collect();
        events.sort_unstable();
        finding.violate(Failure::WrongUser, request.cited(), summary, events);
    }
    for receipt in self::receipts(index, request) {
        let Some(user) = receipt.user.filter(|&user| Some(user) != allowed) else { continue };
        // This receipt is evidence already. An answer to another request has its own evidence.
        let known = wrong.iter().any(|&(name, event)| name == user && event.is_before(receipt.event));
        let stray = receipt.echoed.is_some_and(|echoed| echoed != id);
        if !known && !stray {
            let summary = format!("the answer to {client}'s request {id} is for {user}, but {client} {actual}");
            finding.violate(Failure::WrongUser, request.cited(), summary, vec![request.started, receipt.event]);
        }
    }
}

/// Compares the users in the answers to a client's bytes with the only users allowed: the client's own user, and a user
/// that a token in the bytes has proven, in that answer or earlier on the same connection of the server. Whoever sends
/// another user's token becomes that user by its own action.
fn judge_raw(index: &Index<'_>, send: &RawSend<'_>, finding: &mut Finding) {
    let mut proven: BTreeMap<ServerConnection<'_>, &Principal> = BTreeMap::new();
    for answer in &send.answers {
        finding.exercise();
        let (Some(user), Some(served)) = (answer.user, answer.served) else { continue };
        let at = (&served.server, served.connection);
        let own = answer.answered.and_then(|event| index.answer(event)).filter(Answered::is_logon);
        if own.is_some() {
            proven.insert(at, user);
        }
        if send.user == Some(user) || proven.get(&at) == Some(&user) {
            continue;
        }
        let client = &send.spec.client;
        let actual = send.user.map_or("has no credentials".to_owned(), |user| format!("is {user}"));
        let summary = format!(
            "answer {} to the bytes of {client} is for {user}, from {} on connection {}, but {client} {actual}",
            answer.number, served.server, served.connection,
        );
        let origin = answer.answered.and_then(|event| index.authenticated_before(at, event));
        let events = origin.into_iter().chain([send.event]).chain(answer.events()).collect();
        finding.violate(Failure::WrongUser, send.cited(), summary, events);
    }
}

/// Judges whether the client received answers to other requests.
fn judge_delivery(index: &Index<'_>, request: &Request<'_>, finding: &mut Finding) {
    for receipt in receipts(index, request) {
        let Some(echoed) = receipt.echoed.filter(|&echoed| echoed != request.id) else { continue };
        let (client, id) = (request.client, request.id);
        let owner = index.request(Some(echoed));
        let sender = owner.map_or("of nobody known".to_owned(), |owner| format!("of {}", owner.client));
        let summary = format!("{client} received the answer to request {echoed} {sender} for its request {id}");
        let theirs = owner.and_then(|owner| {
            index.answered(owner).map(|answer| answer.event).take_while(|&event| event.is_before(receipt.event)).last()
        });
        finding.violate(
            Failure::WrongAnswer,
            request.cited(),
            summary,
            theirs.into_iter().chain([request.started, receipt.event]).collect(),
        );
    }
}

/// An answer as the client received it.
struct Receipt<'t> {
    event: usize,
    echoed: Option<RequestId>,
    user: Option<&'t Principal>,
}

fn receipts<'t>(index: &Index<'t>, request: &Request<'t>) -> impl Iterator<Item = Receipt<'t>> {
    request.events.iter().filter_map(|&event| match index.what(event) {
        What::ClientReceived { echoed, user, .. } => Some(Receipt { event, echoed: *echoed, user: user.as_ref() }),
        _ => None,
    })
}

/// The state of ID-3 while a trace is being read.
#[derive(Default)]
struct Id3State<'t> {
    /// By request: the connections on which its client has sent it.
    sent_on: BTreeMap<RequestId, BTreeSet<u32>>,
    /// By request: the connection on which its latest Authenticate leg or ticket was sent.
    authenticates_on: BTreeMap<RequestId, ClientConnection<'t>>,
    /// By client's connection that is gone: the event at which it closed.
    closed: BTreeMap<ClientConnection<'t>, usize>,
    /// By server, connection and number on it: the event at which the HTTP request was received.
    received: BTreeMap<(&'t Name, u32, u32), usize>,
    /// By server's connection: the client's connection that gave it its identity, and the event.
    identity: IndexMap<ServerConnection<'t>, (ClientConnection<'t>, usize)>,
    /// By client's connection: the number of servers' connections that have their identity from it.
    given: BTreeMap<ClientConnection<'t>, usize>,
}

impl<'t> Id3State<'t> {
    fn gives_identity(&self, connection: ClientConnection<'t>) -> bool {
        self.given.get(&connection).is_some_and(|&count| count > 0)
    }

    fn answered(&mut self, index: &Index<'t>, answer: Answered<'t>, finding: &mut Finding) {
        let Some(user) = answer.taken_for() else { return };
        if answer.is_logon() {
            self.authenticated(index, answer);
            return;
        }
        let Some(&(giver, since)) = self.identity.get(&answer.at) else { return };
        let Some(&closed) = self.closed.get(&giver) else { return };
        let (server, connection) = answer.at;
        let received = self.received.get(&(server, connection, answer.number)).copied();
        if received.unwrap_or(answer.event).is_before(closed) {
            return;
        }
        let request = index.request(answer.request);
        let in_transit = request.is_some_and(|request| {
            request.client == giver.0 && self.sent_on.get(&request.id).is_some_and(|sent| sent.contains(&giver.1))
        });
        if in_transit {
            return;
        }
        let subject = request.map_or("a request of an unknown sender".to_owned(), |request| {
            format!("{}'s request {}", request.client, request.id)
        });
        let (client, number) = giver;
        let summary = format!(
            "{server} took {subject} for {user} on connection {connection}, which {client}'s connection \
             {number} had authenticated, after that one was gone",
        );
        finding.violate(
            Failure::WrongUser,
            index.cited(answer.request),
            summary,
            [since, closed].into_iter().chain(received).chain([answer.event]).collect(),
        );
    }

    fn authenticated(&mut self, index: &Index<'t>, answer: Answered<'t>) {
        // The trace does not show when an unknown sender's connection closes, so such an identity has no giver.
        let giver = answer.request.and_then(|id| self.authenticates_on.get(&id).copied());
        let before = match giver.filter(|_| index.authenticates(&answer)) {
            Some(giver) => {
                *self.given.entry(giver).or_default() += 1;
                self.identity.insert(answer.at, (giver, answer.event))
            }
            None => self.identity.swap_remove(&answer.at),
        };
        if let Some((before, _)) = before
            && let Some(count) = self.given.get_mut(&before)
        {
            *count -= 1;
        }
    }
}
