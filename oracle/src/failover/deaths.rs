//! FO-1 and FO-7: who is served when a backend dies, or when none is left.
//!
//! Both apply where health checks are declared. A backend dies by a crash, a hang or a power loss, and its death has to
//! be noticed within fall x interval + timeout.
//!
//! **FO-1** is put to the test by the first request that a client starts after that time, if three conditions hold.
//! Before its death, the backend took the client's last request for the client's own user (as defined in `identity`).
//! Another backend is up as long as the first stays dead. There is no fault elsewhere. FO-1 is violated if the request
//! ends without an answer (an error, 502, 503, 504), or in 401 (or 407) although neither the site refused the account
//! nor the server the user. It is also violated if a server takes the request for its user because of an identity that
//! another client gave the connection, since the connection is then not freshly authenticated.
//!
//! **FO-7** is put to the test by each request that a client starts after that time from the death of the last backend,
//! if no backend returns before it ends and there is no fault elsewhere. *Prompt* means within the timeout of a check.
//! FO-7 is violated if the request
//! * ends in any status but 503, or in a 503 that is not prompt; or
//! * ends without an answer, unless it was promptly refused, that is, never sent on a connection that was opened since;
//!   or
//! * has not ended although the trace goes on for longer than that.

use std::collections::BTreeMap;

use stickler_model::trace::{Checks, NoneLeft};
use stickler_model::{Name, What};

use crate::excuses::{is_user_forbidden, refused_because};
use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::requests::{Request, asks_for_credentials, is_no_answer};
use crate::verdict::Failure;

/// Judges FO-1.
pub(crate) fn fo1_clients_of_dead_backends_are_served(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    // By client: the backend that last took a request for the client's own user.
    let mut homes: BTreeMap<&Name, Home<'_>> = BTreeMap::new();
    // By client: the latest death for which it was judged.
    let mut judged: BTreeMap<&Name, usize> = BTreeMap::new();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ServerAnswered { .. } => {
                let Some(answer) = index.answer(event) else { continue };
                let Some(request) = index.request(answer.request) else { continue };
                // Requests that start after a death are judged when they end, before they count.
                if request.is_taken_for_own_user(&answer) {
                    let taken = Home { backend: answer.at.0, taken: event };
                    let home = homes.entry(request.client).or_insert(taken);
                    if !home.is_known_dead(index, checks, request) {
                        *home = taken;
                    }
                }
            }
            What::RequestEnded { request: id, .. } => {
                let Some(request) = index.request(Some(*id)) else { continue };
                let Some(&home) = homes.get(request.client) else { continue };
                if request.ended.is_none_or(|end| end.event != event) || !home.is_known_dead(index, checks, request) {
                    continue;
                }
                let Some(death) = index.farm.condition(home.backend, request.started).down else { continue };
                if judged.insert(request.client, death) != Some(death) {
                    let dead = Dead { backend: home.backend, death };
                    judge_after_death(index, request, dead, &mut finding);
                }
                // Another server has served the client, and does so from now on.
                if let Some(answer) = index.answered(request).filter(|answer| answer.taken_for().is_some()).last() {
                    homes.insert(request.client, Home { backend: answer.at.0, taken: answer.event });
                }
            }
            _ => {}
        }
    }
    finding
}

/// The backend that serves a client.
#[derive(Clone, Copy)]
struct Home<'t> {
    backend: &'t Name,
    /// The answer by which the backend took a request for the client's own user.
    taken: usize,
}

impl Home<'_> {
    /// Returns whether the backend died after it had served the client, and the declared time to notice the death had
    /// passed when this request was started.
    fn is_known_dead(self, index: &Index<'_>, checks: &Checks, request: &Request<'_>) -> bool {
        index.farm.condition(self.backend, request.started).down.is_some_and(|death| {
            self.taken.is_before(death) && index.at(request.started) - index.at(death) >= checks.notice_down()
        })
    }
}

/// A backend that is dead, and the event by which it died.
#[derive(Clone, Copy)]
struct Dead<'t> {
    backend: &'t Name,
    death: usize,
}

/// Judges the first request of a client whose backend has died.
fn judge_after_death(
    index: &Index<'_>,
    request: &Request<'_>,
    Dead { backend: dead, death }: Dead<'_>,
    finding: &mut Finding,
) {
    let Some(end) = request.ended else { return };
    let stays_dead = !index.farm.changed(dead, death + 1, end.event);
    let other = index.other_up(Some(dead), request, death, end.event);
    let quiet = index.is_quiet_elsewhere(request, end.event) && !index.is_given_up(request);
    let (true, Some(other), true) = (stays_dead, other, quiet) else {
        return;
    };
    finding.exercise();
    let (client, id) = (request.client, request.id);
    let excused = is_user_forbidden(index, request) || refused_because(index, request).is_some();
    let refused = asks_for_credentials(end.status) && !excused;
    if is_no_answer(end.status) || refused {
        let how = end.status.map_or("without an answer".to_owned(), |status| format!("in {status}"));
        let summary = format!("{client}'s request {id} ended {how}, long after {dead} died, while {other} was up");
        finding.violate(
            Failure::of_status(end.status),
            request.cited(),
            summary,
            request.events.iter().copied().chain([death]).collect(),
        );
    }
    for answer in index.answered(request).filter(|answer| !answer.is_logon()) {
        let Some(user) = answer.taken_for() else { continue };
        let Some(origin) = index.authenticated_before(answer.at, answer.event) else { continue };
        let giver = index.answer(origin).and_then(|answer| index.request(answer.request));
        if let Some(giver) = giver.filter(|giver| giver.client != client) {
            let (server, connection) = answer.at;
            let summary = format!(
                "{client}'s request {id} was served as {user} by {server} on connection {connection} after {dead} \
                 died, by the identity that {} had given it",
                giver.client,
            );
            finding.violate(Failure::WrongUser, request.cited(), summary, vec![death, origin, answer.event]);
        }
    }
}

/// Judges FO-7.
pub(crate) fn fo7_without_backends_the_answer_is_prompt(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let declared = index.promises().none_left;
    let mut finding = Finding::default();
    // By client's connection: the event at which it was first opened.
    let mut opened: BTreeMap<(&Name, u32), usize> = BTreeMap::new();
    for (event, seen) in index.events() {
        if let What::ClientConnected { connection, .. } = seen.what {
            opened.entry((&seen.by, connection)).or_insert(event);
        }
    }
    for request in index.requests() {
        let Some((since, until)) = index.farm.without_backends(request.started) else { continue };
        let known = index.at(request.started) - index.at(since) >= checks.notice_down();
        let last = index.event_count() - 1;
        let end = request.ended.map_or(until.unwrap_or(last), |end| end.event);
        let took = index.at(end) - index.at(request.started);
        let prompt = took <= checks.timeout;
        // A request that has not ended is late only if the trace has gone on for long enough.
        let quiet = index.is_quiet_elsewhere(request, end) && !index.is_given_up(request);
        if !known || !quiet || until.is_some_and(|until| until.is_before(end)) || request.ended.is_none() && prompt {
            continue;
        }
        finding.exercise();
        let sent = index.sent(request).any(|(_, connection, _)| {
            opened.get(&(request.client, connection)).is_some_and(|&opened| opened.is_after(since))
        });
        let problem = match (request.ended.map(|end| end.status), declared) {
            (Some(Some(status)), NoneLeft::Status(expected)) if status != expected => {
                Some(format!("ended in {status}, not in {expected}"))
            }
            (Some(Some(status)), NoneLeft::Closed) => Some(format!("ended in {status}, not in a closed connection")),
            (Some(_), _) if !prompt => Some(format!("ended only after {took:?}")),
            (Some(Some(_)), _) | (Some(None), NoneLeft::Closed) => None,
            (Some(None), NoneLeft::Status(_)) => sent.then(|| "was taken, and ended without an answer".to_owned()),
            (None, _) => Some(format!("has no answer after {took:?}")),
        };
        if let Some(problem) = problem {
            let summary = format!("{}'s request {} {problem}, with no backend left", request.client, request.id);
            finding.violate(
                Failure::NotTurnedAway,
                request.cited(),
                summary,
                request.events.iter().copied().chain([since]).collect(),
            );
        }
    }
    finding
}
