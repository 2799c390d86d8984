//! HS-1 and HS-5: what a request ends with, and how many HTTP requests it takes.
//!
//! **HS-1** is put to the test by each ended request of a client with valid credentials, unless it ends
//! in 401 or 407 and nobody could log on so (`site::is_barred`): client and site have no package in
//! common, or the site requires a channel binding and the client's, if it sends one, is of another
//! certificate. What fails closed there is for TL-1 to say. It is violated when the request
//! * ends in 401 or 407. Not so where a server took it for its own user and refused that user
//!   (401.3): this is the answer. Nor where the account is locked out by wrong passwords that users
//!   sent, or a fault keeps the DC away: the site refused it, and no balancer could help. A site that
//!   refuses every ticket for its service (KRB_AP_ERR_MODIFIED, machine accounts behind one name) is set
//!   up wrong, and told so;
//! * or ends without an answer (an error, 502, 503, 504) and nothing in the script explains it;
//! * or took more HTTP requests than it needs. Each package that the client tried costs its own legs: 2
//!   for NTLM, also where no token was ever sent, 1 for Kerberos. An anonymous request goes before,
//!   unless the client is pre-emptive; so NTLM has 3, pre-emptive 2, Kerberos 2, pre-emptive 1, and NTLM
//!   after a refused ticket 4. A pre-emptive client that takes its connection for authenticated asks
//!   first: that may be where it has a ticket and nothing else (that it was asked again is for ST-2 to say), or where
//!   the site authenticates each request (`authPersistSingleRequest`). A ticket refused for
//!   the client's clock (KRB_AP_ERR_SKEW, RFC 4120 5.9.1) may be sent once more, and so may what a server
//!   reset on a stream of HTTP/2 for the client to go over to HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113 7). One more is allowed where
//!   the client lost a connection meanwhile or since its last request, because the first try may
//!   have gone into the void (RFC 9112 9.3.1). Where a fault explains the loss, each lost connection
//!   allows a whole new handshake.
//!
//! **HS-5** is put to the test by each ended request of a client with wrong credentials. It is
//! violated when the request ends in anything but 401 (or 407), no fault explaining a missing
//! answer; or after more than 3 HTTP requests, or what its packages cost if that is more, with the same
//! allowance.

use stickler_model::event::Credentials;
use stickler_model::{Leg, What};

use crate::index::{End, Index, Request, asks_for_credentials, is_no_answer};
use crate::judge::Finding;
use crate::site::{is_barred, refused_by_site};

/// RFC 4120 7.5.9: the clocks are too far apart.
const KRB_AP_ERR_SKEW: u32 = 37;

/// HS-1.
pub(crate) fn valid_credentials_are_answered(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Valid) {
        if asks_for_credentials(end.status) && is_barred(index, request) {
            continue;
        }
        finding.exercise();
        let sent = index.sent(request).count();
        let allowed = allowance(index, request, needed(index, request));
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
        let allowed = allowance(index, request, needed(index, request).max(3));
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

/// How many HTTP requests it needs on a sound connection.
fn needed(index: &Index<'_>, request: &Request<'_>) -> usize {
    let has = |wanted: Leg| index.sent(request).any(|(.., leg)| leg == wanted);
    let single = || index.answered(request).any(|answer| index.site.is_single_request(answer.at.0));
    let asked = || index.sent(request).next().is_some_and(|(.., leg)| leg == Leg::Anonymous);
    let skewed = request
        .events
        .iter()
        .any(|&event| matches!(*index.what(event), What::ServerTicket { error: KRB_AP_ERR_SKEW, .. }));
    let (ticket, ntlm) = (has(Leg::Ticket), has(Leg::Negotiate));
    let anonymous = !request.preemptive || asked() && (single() || ticket && !ntlm);
    let ntlm = if ntlm || !ticket { 2 } else { 0 };
    usize::from(anonymous) + usize::from(ticket) + ntlm + usize::from(skewed) + usize::from(went_over(index, request))
}

/// Whether a stream of HTTP/2 had no answer, and the client went over to HTTP/1.1.
fn went_over(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut unanswered = false;
    request.events.iter().any(|&event| match *index.what(event) {
        What::ClientSent { connection, .. } => {
            let http2 = index.secured.is_http2((index.by(event), connection));
            std::mem::replace(&mut unanswered, http2) && !http2
        }
        What::ClientReceived { .. } => {
            unanswered = false;
            false
        }
        _ => false,
    })
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
