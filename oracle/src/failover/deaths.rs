//! FO-1 and FO-7: who is served when a backend dies, or none is left.
//!
//! Both apply where health checks are declared. A backend dies by a crash or a power loss, and its
//! death is to be noticed within fall x interval + timeout.
//!
//! **FO-1** is put to the test by the first request that a client starts after that time, whose
//! last request before the death was taken for its own user by the dead backend, while that stays
//! dead, another backend is up all the while and nothing is wrong elsewhere. It is violated when
//! the request ends without an answer (an error, 502, 503, 504), or in 401 (or 407) where neither
//! the site refused the account nor the user; or when a server takes it for its user by an identity
//! that another client gave the connection: that is not freshly authenticated.
//!
//! **FO-7** is put to the test by each request that a client starts after that time from the death of
//! the last backend, if none returns before it ends. *Prompt* is within the timeout of a check. It is
//! violated when the request
//! * ends in anything but 503, or in a 503 that is not prompt; or
//! * ends without an answer, unless it was never sent on a connection opened since (it was refused)
//!   and that is prompt; or
//! * has not ended when the trace goes on for longer than that.

use std::collections::BTreeMap;

use stickler_model::trace::Checks;
use stickler_model::{Name, What};

use crate::index::{End, Index, Request, asks_for_credentials, is_no_answer};
use crate::judge::Finding;
use crate::site::refused_by_site;

/// FO-1.
pub(crate) fn the_orphaned_are_served(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    // Of each client: the backend that took its latest request for its own user, and when.
    let mut homes: BTreeMap<&Name, (&Name, usize)> = BTreeMap::new();
    // Of each client: the latest death that it was judged for.
    let mut judged: BTreeMap<&Name, usize> = BTreeMap::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ServerAnswered { .. } => {
                let Some(answer) = index.answer(event) else { continue };
                let Some(request) = index.request(answer.request) else { continue };
                // Requests that start after a death are judged when they end, before they count.
                if answer.taken_for().is_some() && answer.taken_for() == request.identity {
                    let home = homes.entry(request.client).or_insert((answer.at.0, event));
                    if !orphans(index, checks, *home, request) {
                        *home = (answer.at.0, event);
                    }
                }
            }
            What::RequestEnded { request: id, .. } => {
                let Some(request) = index.request(Some(*id)) else { continue };
                let Some(&home) = homes.get(request.client) else { continue };
                let Some(end) = request.ended.filter(|end| end.event == event) else { continue };
                if !orphans(index, checks, home, request) {
                    continue;
                }
                let Some(death) = index.farm.condition(home.0, request.started).down else { continue };
                if judged.insert(request.client, death) != Some(death) {
                    orphan(index, request, end, (home.0, death), &mut finding);
                }
                // Served elsewhere from now on.
                if let Some(answer) = index.answered(request).filter(|answer| answer.taken_for().is_some()).last() {
                    homes.insert(request.client, (answer.at.0, answer.event));
                }
            }
            _ => {}
        }
    }
    finding
}

/// Whether the home is dead, its death came after it took the client, and is known when the request starts.
fn orphans(index: &Index<'_>, checks: &Checks, (home, taken): (&Name, usize), request: &Request<'_>) -> bool {
    index
        .farm
        .condition(home, request.started)
        .down
        .is_some_and(|death| taken < death && index.at(request.started) - index.at(death) >= checks.notice_down())
}

fn orphan(
    index: &Index<'_>,
    request: &Request<'_>,
    end: End<'_>,
    (dead, death): (&Name, usize),
    finding: &mut Finding,
) {
    let stays_dead = !index.farm.changed(dead, death + 1, end.event);
    let other = index.farm.other(dead, death, end.event);
    let (true, Some(other), true) = (stays_dead, other, index.farm.quiet_elsewhere(death, end.event)) else { return };
    finding.exercise();
    let (client, id) = (request.client, request.id);
    let forbidden = index.answered(request).last().is_some_and(|answer| {
        answer.substatus == 3 && answer.taken_for().is_some() && answer.taken_for() == request.identity
    });
    let refused = asks_for_credentials(end.status) && !forbidden && !refused_by_site(index, request);
    if is_no_answer(end.status) || refused {
        let how = end.status.map_or("without an answer".to_owned(), |status| format!("in {status}"));
        let summary = format!("{client}'s request {id} ended {how}, long after {dead} died, while {other} was up");
        finding.violate(summary, request.events.iter().copied().chain([death]).collect());
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
            finding.violate(summary, vec![death, origin, answer.event]);
        }
    }
}

/// FO-7.
pub(crate) fn no_backend_is_told(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let mut opened: BTreeMap<(&Name, u32), usize> = BTreeMap::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        if let What::ClientConnected { connection, .. } = seen.what {
            opened.entry((&seen.by, connection)).or_insert(event);
        }
    }
    for request in index.requests.values() {
        let Some((since, until)) = index.farm.dark(request.started) else { continue };
        let known = index.at(request.started) - index.at(since) >= checks.notice_down();
        let last = index.trace.events.len() - 1;
        let end = request.ended.map_or(until.unwrap_or(last), |end| end.event);
        let took = index.at(end) - index.at(request.started);
        let prompt = took <= checks.timeout;
        // What has not ended is late only when the trace has gone on for long enough.
        if !known || until.is_some_and(|until| until < end) || request.ended.is_none() && prompt {
            continue;
        }
        finding.exercise();
        let sent = index
            .sent(request)
            .any(|(_, connection, _)| opened.get(&(request.client, connection)).is_some_and(|&opened| opened > since));
        let fault = match request.ended.map(|end| end.status) {
            Some(Some(503) | None) if !prompt => Some(format!("ended only after {took:?}")),
            Some(Some(503)) => None,
            Some(Some(status)) => Some(format!("ended in {status}, not in 503")),
            Some(None) => sent.then(|| "was taken, and ended without an answer".to_owned()),
            None => Some(format!("has no answer after {took:?}")),
        };
        if let Some(fault) = fault {
            let summary = format!("{}'s request {} {fault}, with no backend left", request.client, request.id);
            finding.violate(summary, request.events.iter().copied().chain([since]).collect());
        }
    }
    finding
}
