//! ST-2: an authenticated connection is not asked to authenticate again.
//!
//! A client's connection counts as authenticated from the first answer on it to a request that a
//! server took for the client's own user. ST-2 is put to the test by each later request that a
//! client with valid credentials sends on it without a token, and that is answered there. It is not
//! followed when that answer is 401 (or 407): the connection was not the client's to keep. A 401.3
//! is the user's refusal and asks for nothing. A request with a token starts a handshake of its own
//! accord; until its Authenticate leg is through the connection is not authenticated, by the
//! client's own wish.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, RequestId, What};

use crate::index::{Index, asks_for_credentials};
use crate::judge::Finding;

/// ST-2.
pub(crate) fn authenticated_once(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    // Of each authenticated connection of a client: the server's answer that shows it.
    let mut authenticated: BTreeMap<(&Name, u32), usize> = BTreeMap::new();
    // Of each request that is under way without a token on such a connection: when it was sent.
    let mut asked: BTreeMap<(&Name, u32), (RequestId, usize)> = BTreeMap::new();
    let mut taken: BTreeMap<RequestId, (usize, bool)> = BTreeMap::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ClientSent { connection, request, leg, .. } => {
                let on = (&seen.by, *connection);
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
                let own = answer.taken_for().is_some() && answer.taken_for() == request.identity;
                if own && request.credentials == Credentials::Valid {
                    taken.insert(request.id, (event, answer.substatus == 3));
                }
            }
            What::ClientReceived { connection, request, status, .. } => {
                let on = (&seen.by, *connection);
                let shown = taken.remove(request);
                let refused = shown.is_some_and(|(_, forbidden)| forbidden);
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
                        let servers = index.requests.get(request).into_iter().flat_map(|request| &request.events);
                        let between = servers.copied().filter(|&other| (sent..event).contains(&other));
                        finding.violate(summary, between.chain([proof, sent, event]).collect());
                    }
                }
                if let Some((proof, _)) = shown {
                    authenticated.entry(on).or_insert(proof);
                }
            }
            _ => {}
        }
    }
    finding
}
