//! ID-4 and ID-5: whom a site takes a client for, by a header or by a second logon.
//!
//! **ID-4** applies where the site trusts a header (`trusted_header` is declared). It is put to the
//! test by each client's request that carries a claim in that header and reaches a server. It is
//! violated when a server trusts the very value that the client claimed, and takes the request for
//! a user who is not the client's own with valid credentials: then the value can only have come
//! from the client. A client that claims what is true proves nothing, for the balancer may have
//! written the same.
//!
//! **ID-5** is put to the test by each Authenticate leg or ticket that is taken for the client's user,
//! where the client was taken for another user of its own before. It is violated when
//! * a later request of the client, in the name of the new user, is taken for the one before; or
//! * the connection that got its identity so, and keeps it, serves another client's request under an identity
//!   that is not that client's.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Name, Principal, What};

use crate::index::{Answered, Index, Request, ServerConnection};
use crate::judge::Finding;

/// ID-4.
pub(crate) fn claims_are_not_trusted(index: &Index<'_>) -> Finding {
    if index.promises().trusted_header.is_none() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    for request in index.requests.values() {
        let mut claimed: Option<(usize, &str)> = None;
        let mut trusted: Option<usize> = None;
        let mut reached = false;
        for &event in &request.events {
            match index.what(event) {
                What::ClientClaimed { value, .. } => claimed = Some((event, value)),
                What::ServerReceived { .. } => reached |= claimed.is_some(),
                What::ServerTrusted { value, .. } => {
                    trusted = claimed.is_some_and(|(_, claim)| claim == value).then_some(event);
                }
                What::ServerAnswered { .. } => {
                    let Some(answer) = index.answer(event) else { continue };
                    let taken = answer.taken_for().filter(|_| !is_own(request, &answer));
                    if let (Some((claim, value)), Some(trusted), Some(user)) = (claimed, trusted.take(), taken) {
                        let (server, connection) = answer.at;
                        let summary = format!(
                            "{server} took {}'s request {} on connection {connection} for {user}, \
                             by the header {value:?} that the client itself had sent",
                            request.client, request.id,
                        );
                        finding.violate(summary, vec![claim, trusted, event]);
                    }
                }
                _ => {}
            }
        }
        if reached {
            finding.exercise();
        }
    }
    finding
}

/// ID-5.
pub(crate) fn another_user_at_the_same_client(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let mut reader = Seats::default();
    for (event, seen) in index.trace.events.iter().enumerate() {
        if let What::ServerAccepted { connection, .. } = seen.what {
            // The numbers begin again when a server restarts.
            reader.changed_on.remove(&(&seen.by, connection));
        }
        let Some(answer) = index.answer(event) else { continue };
        let (Some(user), Some(request)) = (answer.taken_for(), index.request(answer.request)) else { continue };
        if answer.is_logon() {
            reader.changed_on.remove(&answer.at);
        }
        if is_own(request, &answer) {
            reader.own(index, request, &answer, &mut finding);
        } else {
            reader.another(request, user, &answer, &mut finding);
        }
    }
    finding
}

fn is_own(request: &Request<'_>, answer: &Answered<'_>) -> bool {
    request.credentials == Credentials::Valid && answer.taken_for() == request.identity
}

/// What ID-5 needs to know while it reads a trace from start to end.
#[derive(Default)]
struct Seats<'t> {
    /// Of each client: the user that it was last taken for rightly.
    current: BTreeMap<&'t Name, &'t Principal>,
    /// Of each client whose user changed: the one before, and the answer that changed it.
    before: BTreeMap<&'t Name, (&'t Principal, usize)>,
    /// Server's connections that have their identity from such a change.
    changed_on: BTreeMap<ServerConnection<'t>, (&'t Name, usize)>,
}

impl<'t> Seats<'t> {
    fn own(&mut self, index: &Index<'t>, request: &Request<'t>, answer: &Answered<'t>, finding: &mut Finding) {
        let Some(user) = answer.taken_for() else { return };
        let current = self.current.entry(request.client).or_insert(user);
        if *current == user || !answer.is_logon() {
            return;
        }
        finding.exercise();
        self.before.insert(request.client, (*current, answer.event));
        if index.authenticates(answer) {
            self.changed_on.insert(answer.at, (request.client, answer.event));
        }
        *current = user;
    }

    fn another(&self, request: &Request<'t>, user: &Principal, answer: &Answered<'t>, finding: &mut Finding) {
        let (client, id, (server, connection)) = (request.client, request.id, answer.at);
        if let Some(&(old, changed)) = self.before.get(client)
            && old == user
            && self.current.get(client).copied() == request.identity
        {
            let summary = format!(
                "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
                 though {client} had authenticated as another user since",
            );
            finding.violate(summary, vec![changed, answer.event]);
        }
        if let Some(&(changer, changed)) = self.changed_on.get(&answer.at)
            && changer != client
        {
            let summary = format!(
                "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
                 to which {changer} had given that identity by authenticating anew",
            );
            finding.violate(summary, vec![changed, answer.event]);
        }
    }
}
