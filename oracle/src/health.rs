//! HC-1 to HC-3: what health checks detect, what they leave behind, and against which backend failures count.
//!
//! The requests of a check carry no id, so their sender is unknown. A check that logs on does so as the account that
//! the balancer declares.
//!
//! **HC-1** applies where health checks are declared.
//! * A backend *cannot authenticate* from the first time that it finds no logon server (C000005E) until one of its
//!   logons has another result. While another backend is up and can authenticate, and the DC and everything else work,
//!   HC-1 is put to the test by each client's request that a server receives with an Authenticate leg (a ticket needs
//!   no logon server) and that was started more than fall x interval + timeout later. It is violated if the request's
//!   own logon fails in the same way, because the check has only tested whether the backend answers.
//! * Where no account is declared for the checks, a check that a backend answers with 401 has found the backend alive.
//!   After a backend has answered so, HC-1 is put to the test by each client's request that a server receives or that
//!   the balancer itself answers with 503. It is violated by that 503 if neither the backend nor anything elsewhere was
//!   ever affected by a fault: the check has taken 401 for "down".
//!
//! **HC-2** applies where an account is declared for the checks. A server's connection belongs to a check if the server
//! accepted an Authenticate leg or a ticket of an unknown sender for that account there, and this authenticates the
//! connection (`Settings::persists`). HC-2 is put to the test by each such logon. It is violated by each request of a
//! client that the server receives there afterwards, with or without a token.
//!
//! **HC-3** applies where a backend is out of use after requests failed at it. It concerns backends without any failure:
//! nothing has affected them, and they answered every request that they received, never with an error of their own
//! (5xx). While a backend is down or cut off and another one of the same service has no failure, HC-3 is put to the test
//! by each ended request. It is violated if the balancer itself answers 503 and there is no other obstacle: the balancer
//! has counted the failures of one backend against another.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::trace::Checks;
use stickler_model::{Leg, Name, What};

use crate::excuses::is_turned_away;
use crate::finding::Finding;
use crate::index::Index;
use crate::logons::NO_LOGON_SERVERS;
use crate::order::Position;
use crate::requests::{Request, ServerConnection};
use crate::verdict::Failure;

/// Judges HC-1.
pub(crate) fn hc1_checks_detect_failed_authentication(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    // Backends that cannot authenticate, and since which event.
    let mut broken: BTreeMap<&Name, usize> = BTreeMap::new();
    // Backends that answered a check with 401, and the first such answer.
    let mut alive: BTreeMap<&Name, usize> = BTreeMap::new();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ServerLogon { request, status, .. } if *status == NO_LOGON_SERVERS => {
                if let Some(request) = index.request(*request) {
                    judge_sent_to_broken(index, checks, request, event, &broken, &mut finding);
                }
                broken.entry(&seen.by).or_insert(event);
            }
            What::ServerLogon { .. } => _ = broken.remove(&seen.by),
            What::ServerReceived { request, leg, .. } => {
                let Some(request) = index.request(*request) else { continue };
                let due =
                    *leg == Leg::Authenticate && broken.values().any(|&since| is_due(index, checks, since, request));
                if due || !alive.is_empty() {
                    finding.exercise();
                }
            }
            What::ServerAnswered { request: None, status: 401, .. } if checks.user.is_none() => {
                alive.entry(&seen.by).or_insert(event);
            }
            What::ClientReceived { request, echoed: None, status: 503, .. } => {
                let Some(request) = index.request(Some(*request)) else { continue };
                let can_serve = |backend: &Name| {
                    index.farm.is_up(backend, 0, event) && index.promises().serves(backend, request.path)
                };
                let up = alive.iter().find(|(backend, _)| can_serve(backend));
                if let Some((backend, &answered)) = up
                    && answered.is_before(request.started)
                    && index.is_quiet_elsewhere(request, event)
                {
                    let summary = format!(
                        "{}'s request {} was answered with 503, though {backend} is up and answered a check with 401",
                        request.client, request.id,
                    );
                    finding.violate(
                        Failure::TurnedAway,
                        request.cited(),
                        summary,
                        vec![answered, request.started, event],
                    );
                }
            }
            _ => {}
        }
    }
    finding
}

/// Returns whether the checks had the declared time to notice, before the request, what the event `since` began.
fn is_due(index: &Index<'_>, checks: &Checks, since: usize, request: &Request<'_>) -> bool {
    index.at(request.started) - index.at(since) >= checks.notice_down()
}

/// Judges a client's request if this event says that the backend that received it found no logon server. A backend is
/// `broken` if an earlier event says the same of it.
fn judge_sent_to_broken(
    index: &Index<'_>,
    checks: &Checks,
    request: &Request<'_>,
    event: usize,
    broken: &BTreeMap<&Name, usize>,
    finding: &mut Finding,
) {
    let server = index.by(event);
    let Some(&since) = broken.get(server) else { return };
    let can_serve =
        |other: &&Name| *other != server && !broken.contains_key(*other) && index.farm.is_up(other, since, event);
    let Some(other) = index.farm.backends().find(can_serve) else { return };
    if is_due(index, checks, since, request) && index.is_quiet_elsewhere(request, event) {
        let summary = format!(
            "{}'s request {} was sent to {server}, which had found no logon server since {}, while {other} was healthy",
            request.client,
            request.id,
            index.at(since),
        );
        finding.violate(Failure::NoLogonServer, request.cited(), summary, vec![since, request.started, event]);
    }
}

/// Judges HC-2.
pub(crate) fn hc2_check_connections_serve_no_client(index: &Index<'_>) -> Finding {
    let Some(user) = index.promises().checks.as_ref().and_then(|checks| checks.user.as_ref()) else {
        return Finding::not_applicable();
    };
    let mut finding = Finding::default();
    let mut checked: BTreeMap<ServerConnection<'_>, usize> = BTreeMap::new();
    let mut reported: BTreeSet<(ServerConnection<'_>, u32)> = BTreeSet::new();
    for (event, seen) in index.events() {
        match &seen.what {
            // The numbers start again when a server restarts.
            What::ServerAccepted { connection, .. } => _ = checked.remove(&(&seen.by, *connection)),
            What::ServerAnswered { .. } => {
                let Some(answer) = index.answer(event) else { continue };
                let by_check = index.authenticates(&answer) && index.request(answer.request).is_none();
                if by_check && answer.taken_for() == Some(user) {
                    finding.exercise();
                    checked.insert(answer.at, event);
                }
            }
            What::ServerReceived { connection, number, request, .. } => {
                let at = (&seen.by, *connection);
                let (Some(request), Some(&logon)) = (index.request(*request), checked.get(&at)) else { continue };
                if reported.insert((at, *number)) {
                    let summary = format!(
                        "{} received {}'s request {} on connection {connection}, which a health check had authenticated",
                        seen.by, request.client, request.id,
                    );
                    finding.violate(Failure::WrongUser, request.cited(), summary, vec![logon, event]);
                }
            }
            _ => {}
        }
    }
    finding
}

/// Judges HC-3.
pub(crate) fn hc3_backends_answer_for_their_own_failures(index: &Index<'_>) -> Finding {
    if index.promises().out_after_failures.is_none() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let failures = own_failures(index);
    for request in index.requests() {
        let Some(end) = request.ended else { continue };
        let away = |backend: &&Name| index.farm.is_away(backend, request.started);
        let Some(failing) = index.farm.backends().find(away) else { continue };
        let sound = |backend: &&Name| {
            index.farm.is_up(backend, 0, end.event)
                && index.promises().serves(backend, request.path)
                && failures.get(*backend).is_none_or(|&failure| failure >= end.event)
        };
        let Some(sound) = index.farm.backends().find(sound) else { continue };
        if !index.is_quiet_elsewhere(request, end.event) || index.is_given_up(request) {
            continue;
        }
        finding.exercise();
        if is_turned_away(index, request) && end.status == Some(503) {
            let (client, id) = (request.client, request.id);
            let summary = format!(
                "{client}'s request {id} was answered with 503 while {failing} was down, though {sound} is up and has never failed",
            );
            finding.violate(Failure::TurnedAway, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Returns, for each backend, the first event at which it failed by itself: it answered 5xx, or one of its connections
/// ended while a request on it had no answer. That the numbers of connections start again when a server restarts does not
/// matter: a server that has restarted has been affected, whether it failed or not.
fn own_failures<'t>(index: &Index<'t>) -> BTreeMap<&'t Name, usize> {
    let mut failures: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut open: BTreeMap<ServerConnection<'_>, BTreeSet<u32>> = BTreeMap::new();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ServerReceived { connection, number, .. } => {
                open.entry((&seen.by, *connection)).or_default().insert(*number);
            }
            What::ServerAnswered { connection, number, status, .. } => {
                if let Some(open) = open.get_mut(&(&seen.by, *connection)) {
                    open.remove(number);
                }
                if *status >= 500 {
                    failures.entry(&seen.by).or_insert(event);
                }
            }
            What::ServerClosed { connection, .. }
                if open.remove(&(&seen.by, *connection)).is_some_and(|open| !open.is_empty()) =>
            {
                failures.entry(&seen.by).or_insert(event);
            }
            _ => {}
        }
    }
    failures
}
