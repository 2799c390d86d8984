//! HS-1 and HS-5: what a request ends with, and how many HTTP requests it takes.
//!
//! **HS-1** is put to the test by each ended request of a client with valid credentials. It is
//! violated when the request
//! * ends in 401 or 407. Not so where a server took it for its own user and refused that user
//!   (401.3): this is the answer. Nor where the account is locked out by wrong passwords that users
//!   sent, or a fault keeps the DC away: the site refused it, and no balancer could help;
//! * or ends without an answer (an error, 502, 503, 504) and nothing in the script explains it;
//! * or took more HTTP requests than its scheme needs: 3, pre-emptive 2. One more is allowed where
//!   the client lost a connection meanwhile or since its last request, because the first try may
//!   have gone into the void (RFC 9112 9.3.1). Where a fault explains the loss, each lost connection
//!   allows a whole new handshake.
//!
//! **HS-5** is put to the test by each ended request of a client with wrong credentials. It is
//! violated when the request ends in anything but 401 (or 407), no fault explaining a missing
//! answer; or after more than 3 HTTP requests, with the same allowance.

use stickler_model::event::Credentials;

use crate::index::{End, Index, Request, asks_for_credentials, is_no_answer};
use crate::judge::Finding;
use crate::logons::refused_by_site;

/// HS-1.
pub(crate) fn valid_credentials_are_answered(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Valid) {
        finding.exercise();
        let sent = index.sent(request).count();
        let needed = if request.preemptive { 2 } else { 3 };
        let allowed = allowance(index, request, needed);
        let fault = if asks_for_credentials(end.status) {
            (!is_forbidden(index, request) && !refused_by_site(index, request))
                .then(|| format!("{} though the credentials are valid", ending(end, sent)))
        } else if is_no_answer(end.status) {
            (!index.explained(request)).then(|| format!("{}, and no fault explains it", ending(end, sent)))
        } else {
            (sent > allowed).then(|| format!("took {sent} HTTP requests, not the {allowed} it may"))
        };
        if let Some(fault) = fault {
            let summary = format!("{}'s request {} {fault}", request.client, request.id);
            finding.violate(summary, request.events.clone());
        }
    }
    finding
}

/// HS-5.
pub(crate) fn wrong_credentials_end_soon(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Wrong) {
        finding.exercise();
        let sent = index.sent(request).count();
        let allowed = allowance(index, request, 3);
        let fault = if asks_for_credentials(end.status) {
            (sent > allowed).then(|| format!("{}, not the {allowed} it may", ending(end, sent)))
        } else {
            let excused = is_no_answer(end.status) && index.explained(request);
            (!excused).then(|| format!("{}, not in 401", ending(end, sent)))
        };
        if let Some(fault) = fault {
            let (client, id) = (request.client, request.id);
            let summary = format!("{client}'s request {id}, with wrong credentials, {fault}");
            finding.violate(summary, request.events.clone());
        }
    }
    finding
}

/// Requests that have ended, of clients with such credentials.
fn ended<'i, 't>(index: &'i Index<'t>, credentials: Credentials) -> impl Iterator<Item = (&'i Request<'t>, End<'t>)> {
    index
        .requests
        .values()
        .filter(move |request| request.credentials == credentials)
        .filter_map(|request| Some((request, request.ended?)))
}

/// How many HTTP requests it may take, where `needed` would do on a sound connection.
fn allowance(index: &Index<'_>, request: &Request<'_>, needed: usize) -> usize {
    match index.lost(request) {
        0 => needed,
        lost if index.explained(request) => needed * (1 + lost),
        _ => needed + 1,
    }
}

/// Whether a server took it for its own user, and refused that user.
fn is_forbidden(index: &Index<'_>, request: &Request<'_>) -> bool {
    index.answered(request).last().is_some_and(|answer| {
        answer.substatus == 3 && answer.taken_for().is_some() && answer.taken_for() == request.identity
    })
}

/// "ended in 401 after 2 HTTP requests".
fn ending(end: End<'_>, sent: usize) -> String {
    let plural = if sent == 1 { "" } else { "s" };
    match (end.status, end.error) {
        (Some(status), _) => format!("ended in {status} after {sent} HTTP request{plural}"),
        (None, Some(error)) => {
            format!("ended without an answer ({error}) after {sent} HTTP request{plural}")
        }
        (None, None) => format!("ended without an answer after {sent} HTTP request{plural}"),
    }
}
