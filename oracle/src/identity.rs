//! ID-1 to ID-3: nobody is served as somebody else.
//!
//! A server *takes* a request for a user when its application runs as that user, or is refused to
//! that user (401.3): see `Answered::taken_for`.
//!
//! **ID-1** is put to the test by each request of a client with an identity that a server takes for
//! a user. It is violated when that user is not the client's. The client's own view counts too: an
//! answer in which the application names another user, or that belongs to another request
//! (the echoed id), is a violation, because one client then reads what is meant for another.
//! Valid or wrong credentials make no difference: a client is nobody but whom it claims to be. The
//! evidence begins with the answer that gave the connection the identity, if there is one.
//!
//! **ID-2** is put to the test by each request of a client without credentials that a server
//! answers. It is violated when the server takes it for a user, or the answer names one.
//!
//! **ID-3**: a server's connection is authenticated by the client's connection on which the
//! Authenticate leg or the ticket went out, until a later one authenticates it anew. Where the site
//! takes it for its request alone (`Site::persists`), it authenticates no connection, and ends what
//! there was. A Negotiate leg alone does not end the identity here: should a server go on serving
//! under the old one, that is what the requirement forbids. ID-3 is put to the test by each client's connection that is gone
//! while a server's connection has its identity from it, if any server receives anything
//! afterwards. It is violated by each request that a server receives afterwards on the server's
//! connection and takes for a user without authenticating it anew: whoever sent it, the same client
//! on a new connection among them. A request that its client sent on the connection now gone may
//! have been under way, so it does not count.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use stickler_model::event::Credentials;
use stickler_model::{Name, Principal, RequestId, What};

use crate::index::{Answered, ClientConnection, Index, Request, ServerConnection, is_proof};
use crate::judge::Finding;

/// ID-1.
pub(crate) fn nobody_is_served_as_another(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests.values() {
        if let Some(identity) = request.identity {
            served_as(index, request, Some(identity), &mut finding);
        }
        misdelivered(index, request, &mut finding);
    }
    finding
}

/// ID-2.
pub(crate) fn nobody_becomes_somebody(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let anonymous = |request: &&Request<'_>| request.credentials == Credentials::None;
    for request in index.requests.values().filter(anonymous) {
        served_as(index, request, None, &mut finding);
    }
    finding
}

/// ID-3.
pub(crate) fn the_departed_serve_nobody(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let mut reader = Departures::default();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ClientSent { connection, request, leg, .. } => {
                reader.sent_on.entry(*request).or_default().insert(*connection);
                if is_proof(*leg) {
                    reader.authenticates_on.insert(*request, (&seen.by, *connection));
                }
            }
            What::ClientClosed { connection, .. } => {
                let closed = (&seen.by, *connection);
                reader.closed.entry(closed).or_insert(event);
                if reader.gives_identity(closed) && index.served_after(event) {
                    finding.exercise();
                }
            }
            What::ServerReceived { connection, number, .. } => {
                reader.received.insert((&seen.by, *connection, *number), event);
            }
            What::ServerAnswered { .. } => {
                if let Some(answer) = index.answer(event) {
                    reader.answered(index, answer, &mut finding);
                }
            }
            _ => {}
        }
    }
    finding
}

/// Judges whom servers took a request for, against whom they may: one piece of evidence for each
/// answer of a server, with the client's receipt of it, or for the receipt alone.
fn served_as(index: &Index<'_>, request: &Request<'_>, may: Option<&Principal>, finding: &mut Finding) {
    let (client, id) = (request.client, request.id);
    let as_whom = may.map_or("has no credentials".to_owned(), |user| format!("is {user}"));
    let mut wrong: Vec<(&Principal, usize)> = Vec::new();
    let mut receipts = receipts(index, request).peekable();
    for answer in index.answered(request) {
        if answer.taken_for().is_some() || may.is_none() {
            finding.exercise();
        }
        let Some(user) = answer.taken_for().filter(|&user| Some(user) != may) else { continue };
        wrong.push((user, answer.event));
        let (server, connection) = answer.at;
        let summary = format!(
            "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
             but {client} {as_whom}",
        );
        let sent = index.sent(request).map(|(event, ..)| event).take_while(|&sent| sent < answer.event).last();
        let received =
            index.received(request).map(|(event, ..)| event).take_while(|&event| event < answer.event).last();
        // The receipt that follows belongs to this answer when it tells of the same user.
        while receipts.next_if(|receipt| receipt.event < answer.event).is_some() {}
        let receipt = receipts.peek().filter(|receipt| receipt.user == Some(user)).map(|receipt| receipt.event);
        let origin = index.authenticated_before(answer.at, answer.event);
        let mut events: Vec<usize> =
            origin.into_iter().chain(sent).chain(received).chain([answer.event]).chain(receipt).collect();
        events.sort_unstable();
        finding.violate(summary, events);
    }
    for receipt in self::receipts(index, request) {
        let Some(user) = receipt.user.filter(|&user| Some(user) != may) else { continue };
        // Said already; and an answer to another request is told of by its own evidence.
        let said = wrong.iter().any(|&(name, event)| name == user && event < receipt.event);
        let stray = receipt.echoed.is_some_and(|echoed| echoed != id);
        if !said && !stray {
            let summary = format!("the answer to {client}'s request {id} is for {user}, but {client} {as_whom}");
            finding.violate(summary, vec![request.started, receipt.event]);
        }
    }
}

/// Judges whether answers reached the client that are not its own.
fn misdelivered(index: &Index<'_>, request: &Request<'_>, finding: &mut Finding) {
    for receipt in receipts(index, request) {
        let Some(echoed) = receipt.echoed.filter(|&echoed| echoed != request.id) else { continue };
        let (client, id) = (request.client, request.id);
        let owner = index.request(Some(echoed));
        let whose = owner.map_or("of nobody known".to_owned(), |owner| format!("of {}", owner.client));
        let summary = format!("{client} received the answer to request {echoed} {whose} for its request {id}");
        let theirs = owner.and_then(|owner| {
            index.answered(owner).map(|answer| answer.event).take_while(|&event| event < receipt.event).last()
        });
        finding.violate(summary, theirs.into_iter().chain([request.started, receipt.event]).collect());
    }
}

/// An answer as its client received it.
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

/// What ID-3 needs to know while it reads a trace from start to end.
#[derive(Default)]
struct Departures<'t> {
    /// On which of its client's connections a request was sent so far.
    sent_on: BTreeMap<RequestId, BTreeSet<u32>>,
    /// On which connection a request's latest Authenticate leg or ticket was sent.
    authenticates_on: BTreeMap<RequestId, ClientConnection<'t>>,
    /// Since when a client's connection is gone.
    closed: BTreeMap<ClientConnection<'t>, usize>,
    /// When a server received the request of that number on a connection.
    received: BTreeMap<(&'t Name, u32, u32), usize>,
    /// From which client's connection a server's connection has its identity, and since when.
    identity: IndexMap<ServerConnection<'t>, (ClientConnection<'t>, usize)>,
    /// How many servers' connections have their identity from a client's.
    given: BTreeMap<ClientConnection<'t>, usize>,
}

impl<'t> Departures<'t> {
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
        if received.unwrap_or(answer.event) < closed {
            return;
        }
        let request = index.request(answer.request);
        let under_way = request.is_some_and(|request| {
            request.client == giver.0 && self.sent_on.get(&request.id).is_some_and(|sent| sent.contains(&giver.1))
        });
        if under_way {
            return;
        }
        let whose = request.map_or("a request of an unknown sender".to_owned(), |request| {
            format!("{}'s request {}", request.client, request.id)
        });
        let (client, number) = giver;
        let summary = format!(
            "{server} took {whose} for {user} on connection {connection}, which {client}'s connection \
             {number} had authenticated, after that one was gone",
        );
        finding.violate(summary, [since, closed].into_iter().chain(received).chain([answer.event]).collect());
    }

    fn authenticated(&mut self, index: &Index<'t>, answer: Answered<'t>) {
        // An unknown sender's connection cannot be seen to go: the identity has no giver then.
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
