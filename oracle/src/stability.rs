//! ST-2: an authenticated connection is not asked to authenticate again.
//!
//! A client's connection counts as authenticated from the first answer on it to a request that a server took for the
//! client's own user, if the proof that the client sent authenticates a connection of that site. Without
//! `authPersistNonNTLM`, a ticket does not; with `authPersistSingleRequest`, no proof does (`Settings::persists`). ST-2
//! is put to the test by each later request that a client with valid credentials sends on it without a token and that
//! is answered there. It is violated if that answer is 401 (or 407): the client has lost the authenticated connection.
//! A 401.3 refuses the user and does not ask for credentials. A request with a token, even a fresh ticket each time,
//! starts a handshake on the client's initiative; until its Authenticate leg or ticket is accepted, the connection is
//! not authenticated.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, RequestId, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::requests::asks_for_credentials;
use crate::verdict::Failure;

/// An answer by which a server took a request for its client's own user.
#[derive(Clone, Copy)]
struct Taken {
    answer: usize,
    /// Whether the server refused access to that user (401.3).
    forbidden: bool,
    /// Whether the connection stays authenticated after the request.
    persists: bool,
}

/// Judges ST-2.
pub(crate) fn st2_authenticated_connections_are_not_challenged(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    // By client's connection that is authenticated: the server's answer that shows it.
    let mut authenticated: BTreeMap<(&Name, u32), usize> = BTreeMap::new();
    // By such a connection: the request in progress on it without a token, and the event at which it was sent.
    let mut asked: BTreeMap<(&Name, u32), (RequestId, usize)> = BTreeMap::new();
    let mut taken: BTreeMap<RequestId, Taken> = BTreeMap::new();
    // The leg that each request was last sent with. A server receives another one if the balancer authenticates.
    let mut sent_with: BTreeMap<RequestId, Leg> = BTreeMap::new();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ClientSent { connection, request, leg, .. } => {
                let on = (&seen.by, *connection);
                sent_with.insert(*request, *leg);
                asked.remove(&on);
                if *leg != Leg::Anonymous {
                    authenticated.remove(&on);
                } else if authenticated.contains_key(&on) {
                    asked.insert(on, (*request, event));
                }
            }
            What::ClientClosed { connection, .. } => {
                authenticated.remove(&(&seen.by, *connection));
                asked.remove(&(&seen.by, *connection));
            }
            What::ServerAnswered { .. } => {
                let Some(answer) = index.answer(event) else { continue };
                let Some(request) = index.request(answer.request) else { continue };
                let own = request.is_taken_for_own_user(&answer);
                if own && request.credentials == Credentials::Valid {
                    let leg = sent_with.get(&request.id).copied().unwrap_or(answer.leg);
                    let persists = index.settings.persists(answer.at.0, leg, event);
                    taken.insert(request.id, Taken { answer: event, forbidden: answer.is_forbidden(), persists });
                }
            }
            What::ClientReceived { connection, request, status, .. } => {
                let on = (&seen.by, *connection);
                let shown = taken.remove(request);
                let refused = shown.is_some_and(|shown| shown.forbidden);
                if let Some((asked, sent)) = asked.remove(&on)
                    && let Some(&proof) = authenticated.get(&on)
                    && asked == *request
                {
                    finding.exercise();
                    if asks_for_credentials(Some(*status)) && !refused {
                        let summary = format!(
                            "{}'s connection {connection} was authenticated, but its request {request} was answered with {status}",
                            seen.by,
                        );
                        let servers = index.request(Some(*request)).into_iter().flat_map(|request| &request.events);
                        let between = servers.copied().filter(|&other| (sent..event).contains(&other));
                        finding.violate(
                            Failure::Refused,
                            index.cited(Some(*request)),
                            summary,
                            between.chain([proof, sent, event]).collect(),
                        );
                    }
                }
                if let Some(shown) = shown.filter(|shown| shown.persists) {
                    authenticated.entry(on).or_insert(shown.answer);
                }
            }
            _ => {}
        }
    }
    finding
}
