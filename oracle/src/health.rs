//! HC-1 and HC-2: what health checks find out, and what they leave behind.
//!
//! A check's requests carry no id, so their sender is unknown. A check that logs on does so as the
//! account that is declared.
//!
//! **HC-1** applies where health checks are declared.
//! * A backend *cannot authenticate* from the first time that it finds no logon server (C000005E)
//!   until a logon of its comes to another end. While another backend is up and can, and the DC and
//!   all else are well, this is put to the test by each client's request that a server receives with an
//!   Authenticate leg (a ticket needs no logon server) and that was started more than fall x interval + timeout later. It is violated when the
//!   request's own logon fails in the same way: the check had only asked whether the backend answers.
//! * Where no check's account is declared, a check that a backend answers with 401 has found it
//!   alive. Each client's request that is received, or answered with 503 by the balancer itself,
//!   after a backend has answered so is put to the test; it is violated by that 503 if nothing was ever done to
//!   the backend, nor to anything elsewhere. There, 401 was taken for "down".
//!
//! **HC-2** applies where a check's account is declared. A server's connection belongs to a check
//! when an Authenticate leg or a ticket of an unknown sender was taken there for that account, and the
//! connection is authenticated by it (`Site::persists`). HC-2 is put to
//! the test by each such logon. It is violated by each request of a client that is received there
//! afterwards, with a token or without.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::trace::Checks;
use stickler_model::{Leg, Name, What};

use crate::index::{Index, Request, ServerConnection};
use crate::judge::Finding;
use crate::logons::NO_LOGON_SERVERS;

/// HC-1.
pub(crate) fn checks_tell_them_apart(index: &Index<'_>) -> Finding {
    let Some(checks) = &index.promises().checks else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    // Backends that cannot authenticate, and since when.
    let mut broken: BTreeMap<&Name, usize> = BTreeMap::new();
    // Backends that answered a check with 401, and when first.
    let mut alive: BTreeMap<&Name, usize> = BTreeMap::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ServerLogon { request, status, .. } if *status == NO_LOGON_SERVERS => {
                if let (Some(request), Some(&since)) = (index.request(*request), broken.get(&seen.by)) {
                    sent_to_broken(index, checks, request, (since, event), &broken, &mut finding);
                }
                broken.entry(&seen.by).or_insert(event);
            }
            What::ServerLogon { .. } => _ = broken.remove(&seen.by),
            What::ServerReceived { request, leg, .. } => {
                let Some(request) = index.request(*request) else { continue };
                let seen_through =
                    *leg == Leg::Authenticate && broken.values().any(|&since| is_due(index, checks, since, request));
                if seen_through || !alive.is_empty() {
                    finding.exercise();
                }
            }
            What::ServerAnswered { request: None, status: 401, .. } if checks.user.is_none() => {
                alive.entry(&seen.by).or_insert(event);
            }
            What::ClientReceived { request, echoed: None, status: 503, .. } => {
                let well = alive.iter().find(|(backend, _)| index.farm.is_up(backend, 0, event));
                let Some(request) = index.request(Some(*request)) else { continue };
                if let Some((backend, &answered)) = well
                    && answered < request.started
                    && index.farm.quiet_elsewhere(0, event)
                {
                    let summary = format!(
                        "{}'s request {} was answered with 503, though {backend} is up and answered a check with 401",
                        request.client, request.id,
                    );
                    finding.violate(summary, vec![answered, request.started, event]);
                }
            }
            _ => {}
        }
    }
    finding
}

fn is_due(index: &Index<'_>, checks: &Checks, since: usize, request: &Request<'_>) -> bool {
    index.at(request.started) - index.at(since) >= checks.notice_down()
}

/// A client's request found no logon server, at a backend where this was known before.
fn sent_to_broken(
    index: &Index<'_>,
    checks: &Checks,
    request: &Request<'_>,
    (since, event): (usize, usize),
    broken: &BTreeMap<&Name, usize>,
    finding: &mut Finding,
) {
    let server = index.by(event);
    let sound =
        |other: &&Name| *other != server && !broken.contains_key(*other) && index.farm.is_up(other, since, event);
    let Some(other) = index.farm.backends().find(sound) else { return };
    if is_due(index, checks, since, request) && index.farm.quiet_elsewhere(since, event) {
        let summary = format!(
            "{}'s request {} was sent to {server}, which had found no logon server since {}, while {other} was well",
            request.client,
            request.id,
            index.at(since),
        );
        finding.violate(summary, vec![since, request.started, event]);
    }
}

/// HC-2.
pub(crate) fn checks_keep_to_themselves(index: &Index<'_>) -> Finding {
    let Some(user) = index.promises().checks.as_ref().and_then(|checks| checks.user.as_ref()) else {
        return Finding::not_applicable();
    };
    let mut finding = Finding::default();
    let mut checked: BTreeMap<ServerConnection<'_>, usize> = BTreeMap::new();
    let mut told: BTreeSet<(ServerConnection<'_>, u32)> = BTreeSet::new();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            // The numbers begin again when a server restarts.
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
                if told.insert((at, *number)) {
                    let summary = format!(
                        "{} received {}'s request {} on connection {connection}, which a health check had authenticated",
                        seen.by, request.client, request.id,
                    );
                    finding.violate(summary, vec![logon, event]);
                }
            }
            _ => {}
        }
    }
    finding
}
