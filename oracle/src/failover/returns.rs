//! FO-6: a backend that comes back serves again after `rise` checks.
//!
//! It applies where health checks are declared, and looks at each backend that a restart, or the end
//! of a hold, makes up again, until anything is done to it again. Its return is to be noticed within
//! rise x interval + timeout. FO-6 is put to the test, and kept, when it receives a client's request,
//! at any time. It is violated when it does not, and after that time
//! * the balancer answers 503 by itself to a request that was started since; or
//! * where a spread is declared: 16 clients for each backend, all of them new to the site, go to
//!   others. Of that many, a backend with an equal share is missed once in e^16.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Name, Time, What};

use crate::index::Index;
use crate::judge::Finding;

/// New clients for each backend, of whom one must come to a backend that is back.
const NEW_CLIENTS: usize = 16;

/// FO-6.
pub(crate) fn the_returned_serve(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let enough = index.promises().spread.as_ref().map(|_| NEW_CLIENTS * index.farm.backends().count());
    let mut returns: BTreeMap<&Name, Return> = BTreeMap::new();
    let mut known: BTreeSet<&Name> = BTreeSet::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::Action(_) => {
                for backend in index.farm.backends().filter(|backend| index.farm.changed(backend, event, event)) {
                    returns.remove(backend);
                    // What comes back has been away: a reset or a drain alone is no return.
                    let was_away = index.farm.is_away(backend, event);
                    if was_away && index.farm.is_up(backend, event + 1, event + 1) {
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
                    new_client(index, (request.started, event), enough, &mut returns, &mut finding);
                }
            }
            What::ClientReceived { request, echoed: None, status: 503, .. } => {
                let Some(request) = index.request(Some(*request)) else { continue };
                let started = index.at(request.started);
                returns.retain(|backend, back| {
                    let owed = started >= back.due;
                    if owed {
                        let summary = format!(
                            "{}'s request {} was answered with 503, though {backend} has been back since {}",
                            request.client,
                            request.id,
                            index.at(back.since),
                        );
                        finding.violate(summary, vec![back.since, request.started, event]);
                    }
                    !owed
                });
            }
            _ => {}
        }
    }
    finding
}

/// A backend that is back, and has not served since.
struct Return {
    since: usize,
    due: Time,
    went_elsewhere: Vec<usize>,
}

/// A server received the first request ever of a client; those that are back have missed it.
fn new_client(
    index: &Index<'_>,
    (started, event): (usize, usize),
    enough: usize,
    returns: &mut BTreeMap<&Name, Return>,
    finding: &mut Finding,
) {
    returns.retain(|backend, back| {
        if index.at(started) >= back.due {
            back.went_elsewhere.push(event);
        }
        let missed = back.went_elsewhere.len() >= enough;
        if missed {
            let summary =
                format!("{backend} is back since {}, and {enough} new clients went elsewhere", index.at(back.since));
            finding.violate(summary, back.went_elsewhere.iter().copied().chain([back.since]).collect());
        }
        !missed
    });
}
