//! FO-2, FO-3 and FO-8: what a retry must not do, and when a retry is required.
//!
//! **FO-2** is put to the test by each Authenticate leg and each ticket of a known request that a server receives. It
//! is violated if servers have by then received such legs of the request on more connections than the client used for
//! them: then the balancer has sent one again. A client may itself send another one on a new connection, which allows
//! one more connection. Only the replay cache (RFC 4120 3.2.3) of the same host detects a replayed ticket, so the result
//! of the replay does not matter.
//!
//! **FO-3** is put to the test by each request that is not idempotent (RFC 9110 9.2.2) and that an application
//! processed. It is violated if the request was processed more than once. A client that lost a connection meanwhile and
//! sent the request again on another one may have repeated it itself: each such connection allows one more time. A first
//! leg also allows one more time if the client withheld the body for a challenge, and sent it when none came.
//!
//! **FO-8** concerns requests that a balancer may send again: they are idempotent, and have no proof of identity, which
//! would belong to its connection. It is put to the test by each such request that is sent after the end of an idle
//! connection of a server, if no other request was sent in between. It is violated if the request has no answer, no
//! server received it, and a server closed an idle connection at that very moment (at most one round trip before the
//! request was sent, or before it could have arrived), unless something else explains the loss. In this case the request
//! lost the race with the close, nothing was processed, and it was not sent again. Connections of health checks do not
//! count.

use std::collections::BTreeSet;

use stickler_model::{Leg, What};

use crate::excuses::{excused, is_repeatable};
use crate::finding::Finding;
use crate::index::Index;
use crate::requests::{Request, is_no_answer};
use crate::verdict::Failure;

/// Judges FO-2.
pub(crate) fn fo2_proofs_are_not_replayed(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests() {
        judge_proofs(index, request, Leg::Authenticate, &mut finding);
        judge_proofs(index, request, Leg::Ticket, &mut finding);
    }
    finding
}

/// Judges a request's legs of this kind, Authenticate legs or tickets.
fn judge_proofs(index: &Index<'_>, request: &Request<'_>, proof: Leg, finding: &mut Finding) {
    let name = if proof == Leg::Ticket { "ticket" } else { "Authenticate leg" };
    // The latest such leg that the client sent, and the latest that a server received.
    let (mut from, mut before) = (None, None);
    let mut sent = 0;
    let mut received_on = BTreeSet::new();
    for &event in &request.events {
        match *index.what(event) {
            What::ClientSent { leg, .. } if leg == proof => {
                from = Some(event);
                sent += 1;
            }
            What::ServerReceived { leg, connection, .. } if leg == proof => {
                finding.exercise();
                let server = index.by(event);
                if received_on.insert((server, connection)) && received_on.len() > sent {
                    let summary = format!(
                        "{}'s request {}: {server} received the {name} on connection {connection}, \
                         where the client has sent {sent} and servers have received it on {} connections",
                        request.client,
                        request.id,
                        received_on.len(),
                    );
                    finding.violate(
                        Failure::Repeated,
                        request.cited(),
                        summary,
                        from.into_iter().chain(before).chain([event]).collect(),
                    );
                    // Reported once: later legs have to exceed this.
                    sent = received_on.len();
                }
                before = Some(event);
            }
            _ => {}
        }
    }
}

/// Judges FO-3.
pub(crate) fn fo3_non_idempotent_requests_run_once(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests() {
        if request.is_idempotent() {
            continue;
        }
        let answers = || index.answered(request).filter(|answer| answer.processed);
        let processed: Vec<usize> = answers().map(|answer| answer.event).collect();
        if processed.is_empty() {
            continue;
        }
        finding.exercise();
        let connections: BTreeSet<u32> = index.sent(request).map(|(_, connection, _)| connection).collect();
        let is_withheld = |answer| index.is_withheld(request, &answer);
        let withheld = answers().any(is_withheld) && !answers().all(is_withheld);
        let allowed = connections.len().min(1 + index.lost(request)).max(1) + usize::from(withheld);
        if processed.len() > allowed {
            let (client, id, method) = (request.client, request.id, request.method);
            let summary = format!("{client}'s {method} {id} was processed {} times", processed.len());
            finding.violate(
                Failure::Repeated,
                request.cited(),
                summary,
                processed.into_iter().chain([request.started]).collect(),
            );
        }
    }
    finding
}

/// Judges FO-8.
pub(crate) fn fo8_lost_idle_races_are_run_again(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let mut before = 0;
    for request in index.requests() {
        let Some((sent, ..)) = index.sent(request).last() else { continue };
        let after_idle_end = index.idle_ends.any_between(before, request.ended.map_or(sent, |end| end.event));
        before = before.max(sent);
        let Some(end) = request.ended.filter(|_| is_repeatable(index, request)) else { continue };
        let met = index.met_idle_end_at_once(request).filter(|_| is_no_answer(end.status));
        match met {
            Some(_) if excused(index, request, end).is_some() => {}
            Some(close) => {
                let (client, id, server) = (request.client, request.id, index.by(close));
                let summary = format!(
                    "{client}'s request {id} met {server}'s close of an idle connection, and was not sent again",
                );
                let events = request.events.iter().copied().chain([close]).collect();
                finding.violate(Failure::Unanswered, request.cited(), summary, events);
            }
            None if after_idle_end => finding.exercise(),
            None => {}
        }
    }
    finding
}
