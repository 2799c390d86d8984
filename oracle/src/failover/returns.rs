//! FO-6: a backend that returns serves again after `rise` checks.
//!
//! FO-6 applies where health checks are declared. It concerns each backend that is up again after a restart or the end of
//! a hold, until anything affects it again. Its return has to be noticed within rise x interval + timeout. FO-6 is put to
//! the test, and kept, when the backend receives a client's request at any time. It is violated if it receives none, and
//! after that time, while no fault elsewhere stands or has just been repaired,
//! * the balancer itself answers 503 to a request that was started since; or
//! * where a spread is declared: 16 clients for each backend, all of them new to the site, go to other backends. If so
//!   many arrive, the probability that a backend with an equal share gets none is e^-16.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Name, Time, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::requests::Request;
use crate::verdict::Failure;

/// The number of new clients for each backend after which a backend that returned must have got one.
const NEW_CLIENTS: usize = 16;

/// Judges FO-6.
pub(crate) fn fo6_returned_backends_serve(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let enough = index.promises().spread.as_ref().map(|_| NEW_CLIENTS * index.farm.backends().count());
    let mut returns: BTreeMap<&Name, Return> = BTreeMap::new();
    let mut known: BTreeSet<&Name> = BTreeSet::new();
    for (event, seen) in index.events() {
        match &seen.what {
            What::Action(_) => {
                for backend in index.farm.backends().filter(|backend| index.farm.changed(backend, event, event)) {
                    returns.remove(backend);
                    // A backend can return only after it was away; a reset or a drain does not count as being away.
                    let was_away = index.farm.is_away(backend, event);
                    if was_away && index.farm.is_up_after(backend, event) {
                        let due = seen.at + checks.notice_up();
                        returns.insert(backend, Return { since: event, due, went_elsewhere: Vec::new() });
                    }
                }
            }
            What::ServerReceived { request, .. } => {
                let Some(request) = index.request(*request) else { continue };
                if returns.remove(&seen.by).is_some() {
                    finding.exercise();
                }
                if known.insert(request.client)
                    && let Some(enough) = enough
                {
                    judge_new_client(index, (request, event), enough, &mut returns, &mut finding);
                }
            }
            What::ClientReceived { request, echoed: None, status: 503, .. } => {
                let Some(request) = index.request(Some(*request)) else { continue };
                let started = index.at(request.started);
                returns.retain(|backend, back| {
                    let overdue = started >= back.due && could_take(index, request, backend, event);
                    if overdue {
                        let summary = format!(
                            "{}'s request {} was answered with 503, though {backend} has been back since {}",
                            request.client,
                            request.id,
                            index.at(back.since),
                        );
                        finding.violate(
                            Failure::TurnedAway,
                            request.cited(),
                            summary,
                            vec![back.since, request.started, event],
                        );
                    }
                    !overdue
                });
            }
            _ => {}
        }
    }
    finding
}

/// A backend that has returned and has not served since then.
struct Return {
    /// The event with which it returned.
    since: usize,
    /// The time by which the balancer has to have noticed the return, according to what it declares.
    due: Time,
    /// The events at which other backends received the first requests of new clients after that time.
    went_elsewhere: Vec<usize>,
}

/// Returns whether the returned backend could have received a request, with no other obstacle until this event.
fn could_take(index: &Index<'_>, request: &Request<'_>, backend: &Name, event: usize) -> bool {
    index.promises().serves(backend, request.path)
        && !index.settings.is_rogue(backend, event)
        && index.is_quiet_elsewhere(request, event)
}

/// Counts a new client against the backends that have returned and did not get it.
fn judge_new_client(
    index: &Index<'_>,
    (request, received): (&Request<'_>, usize),
    enough: usize,
    returns: &mut BTreeMap<&Name, Return>,
    finding: &mut Finding,
) {
    returns.retain(|backend, back| {
        if index.at(request.started) >= back.due && could_take(index, request, backend, received) {
            back.went_elsewhere.push(received);
        }
        let missed = back.went_elsewhere.len() >= enough;
        if missed {
            let summary =
                format!("{backend} is back since {}, and {enough} new clients went elsewhere", index.at(back.since));
            finding.violate(
                Failure::Uneven,
                index.cited_by(&back.went_elsewhere),
                summary,
                back.went_elsewhere.iter().copied().chain([back.since]).collect(),
            );
        }
        !missed
    });
}
