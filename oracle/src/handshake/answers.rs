//! HS-1 and HS-5: how a request ends, and how many HTTP requests it takes.
//!
//! **HS-1** is put to the test by each ended request of a client with valid credentials, unless it ends in 401 or 407 and
//! nobody could log on in this way (`excuses::is_barred`): client and site have no package in common, or the site
//! requires a channel binding and the client's, if it sends one, is of another certificate. TL-1 judges what fails closed
//! there. HS-1 is violated if the request
//! * ends in 401 or 407. This does not apply if a server took it for its own user and refused that user (401.3), which is
//!   the answer; nor if the account is locked out by wrong passwords that users sent, or a fault keeps the DC away: the
//!   site refused it, and no balancer could help. A site that refuses every ticket for its service (KRB_AP_ERR_MODIFIED,
//!   machine accounts behind one name) is misconfigured, and that is reported;
//! * or ends without an answer (an error, 502, 503, 504) and nothing in the script explains it;
//! * or took more HTTP requests than it needs. Each package that the client tried costs its own legs: 2 for NTLM, even if
//!   no token was ever sent, 1 for Kerberos. An anonymous request precedes them unless the client is pre-emptive. So NTLM
//!   has 3, pre-emptive 2, Kerberos 2, pre-emptive 1, and NTLM after a refused ticket 4. A pre-emptive client that takes
//!   its connection for authenticated sends an anonymous request first: this is allowed if it has only a ticket (ST-2
//!   judges that it was asked again), or if the site authenticates each request (`authPersistSingleRequest`). A ticket
//!   that is refused because of the client's clock (KRB_AP_ERR_SKEW, RFC 4120 5.9.1) may be sent once more, and so may a
//!   request that a server reset on an HTTP/2 stream so that the client switches to HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113
//!   7). One more is allowed if the client lost a connection meanwhile or since its last request, because the first
//!   attempt may have been lost with it (RFC 9112 9.3.1). If a fault explains the loss, each lost connection allows a
//!   whole new handshake.
//!
//! **HS-5** is put to the test by each ended request of a client with wrong credentials. It is violated if the request
//! ends in anything but 401 (or 407) and no fault explains a missing answer; or after more than 3 HTTP requests, or what
//! its packages cost if that is more, with the same allowance.

use stickler_model::event::Credentials;
use stickler_model::{Leg, What};

use crate::excuses::{is_barred, is_refused_by_site, is_user_forbidden};
use crate::finding::Finding;
use crate::index::Index;
use crate::requests::{End, Request, asks_for_credentials, is_no_answer};
use crate::verdict::Failure;

/// RFC 4120 7.5.9: the clocks of client and server differ too much.
const KRB_AP_ERR_SKEW: u32 = 37;

/// Judges HS-1.
pub(crate) fn hs1_valid_credentials_are_answered(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Valid) {
        if asks_for_credentials(end.status) && is_barred(index, request) {
            continue;
        }
        finding.exercise();
        let sent = index.sent(request).count();
        let allowed = allowance(index, request, needed(index, request));
        let problem = if asks_for_credentials(end.status) {
            (!is_user_forbidden(index, request) && !is_refused_by_site(index, request))
                .then(|| (Failure::Refused, format!("{} though the credentials are valid", ending(end, sent))))
        } else if is_no_answer(end.status) {
            (!index.is_explained(request))
                .then(|| (Failure::Unanswered, format!("{}, and no fault explains it", ending(end, sent))))
        } else {
            (sent > allowed)
                .then(|| (Failure::TooManyRequests, format!("took {sent} HTTP requests, not the {allowed} it may")))
        };
        if let Some((failure, problem)) = problem {
            let summary = format!("{}'s request {} {problem}", request.client, request.id);
            finding.violate(failure, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Judges HS-5.
pub(crate) fn hs5_wrong_credentials_are_refused(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Wrong) {
        finding.exercise();
        let sent = index.sent(request).count();
        let allowed = allowance(index, request, needed(index, request).max(3));
        let problem = if asks_for_credentials(end.status) {
            (sent > allowed)
                .then(|| (Failure::TooManyRequests, format!("{}, not the {allowed} it may", ending(end, sent))))
        } else {
            let excused = is_no_answer(end.status) && index.is_explained(request);
            (!excused).then(|| (Failure::of_status(end.status), format!("{}, not in 401", ending(end, sent))))
        };
        if let Some((failure, problem)) = problem {
            let (client, id) = (request.client, request.id);
            let summary = format!("{client}'s request {id}, with wrong credentials, {problem}");
            finding.violate(failure, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Returns the requests of clients with these credentials that have ended.
fn ended<'i, 't>(index: &'i Index<'t>, credentials: Credentials) -> impl Iterator<Item = (&'i Request<'t>, End<'t>)> {
    index
        .requests()
        .filter(move |request| request.credentials == credentials)
        .filter_map(|request| Some((request, request.ended?)))
}

/// Returns how many HTTP requests a request needs if no connection is lost.
fn needed(index: &Index<'_>, request: &Request<'_>) -> usize {
    let has = |wanted: Leg| index.sent(request).any(|(.., leg)| leg == wanted);
    let single = || index.answered(request).any(|answer| index.settings.is_single_request(answer.at.0));
    let asked = || index.sent(request).next().is_some_and(|(.., leg)| leg == Leg::Anonymous);
    let skewed = request
        .events
        .iter()
        .any(|&event| matches!(*index.what(event), What::ServerTicket { error: KRB_AP_ERR_SKEW, .. }));
    let (ticket, ntlm) = (has(Leg::Ticket), has(Leg::Negotiate));
    let anonymous = !request.preemptive || asked() && (single() || ticket && !ntlm);
    let ntlm = if ntlm || !ticket { 2 } else { 0 };
    usize::from(anonymous)
        + usize::from(ticket)
        + ntlm
        + usize::from(skewed)
        + usize::from(switched_to_http1(index, request))
}

/// Returns whether an HTTP/2 stream had no answer and the client switched to HTTP/1.1.
fn switched_to_http1(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut unanswered = false;
    request.events.iter().any(|&event| match *index.what(event) {
        What::ClientSent { connection, .. } => {
            let http2 = index.tls.is_http2((index.by(event), connection));
            std::mem::replace(&mut unanswered, http2) && !http2
        }
        What::ClientReceived { .. } => {
            unanswered = false;
            false
        }
        _ => false,
    })
}

/// Returns how many HTTP requests a request may take that needs `needed` if no connection is lost.
fn allowance(index: &Index<'_>, request: &Request<'_>, needed: usize) -> usize {
    match index.lost(request) {
        0 => needed,
        lost if index.is_explained(request) => needed * (1 + lost),
        _ => needed + 1,
    }
}

/// Describes an end, such as "ended in 401 after 2 HTTP requests".
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
