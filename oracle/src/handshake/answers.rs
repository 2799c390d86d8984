//! HS-1, HS-5 and HS-7: how a request ends, and how many HTTP requests it takes.
//!
//! A wrong end is the balancer's fault unless something else explains it (`excuses`); in that case the request does not
//! count as a test.
//!
//! **HS-1** is put to the test by each ended request of a client with valid credentials. It is violated if the request
//! * ends in 401 or 407, unless a server took it for its own user and refused that user (401.3), which is a valid
//!   answer;
//! * or ends without an answer (an error, 502, 503, 504);
//! * or took more HTTP requests than it needs.
//!
//! Each package that the client tried has its own legs: 2 for NTLM, even if no token was ever sent, and 1 for Kerberos.
//! An anonymous request precedes them unless the client is pre-emptive. So NTLM has 3, pre-emptive 2, Kerberos 2,
//! pre-emptive 1, and NTLM after a refused ticket 4. A pre-emptive client that believes its connection to be
//! authenticated sends an anonymous request first. This is allowed in three cases: the client has only a ticket (ST-2
//! judges that it was asked again); the site authenticates each request (`authPersistSingleRequest`); the answer was
//! 401.3, so the connection is the user's, who may not have this page, and the client nevertheless tries to log on. A
//! ticket that is refused because of the client's clock (KRB_AP_ERR_SKEW, RFC 4120 5.9.1) may be sent once more. So may
//! a request that a server reset on an HTTP/2 stream so that the client switches to HTTP/1.1 (HTTP_1_1_REQUIRED, RFC
//! 9113 7). One more is allowed if the client lost a connection meanwhile or since its last request, because the first
//! attempt may have been lost with it (RFC 9112 9.3.1). If a fault explains the loss, each lost connection allows a
//! whole new handshake.
//!
//! **HS-5** is put to the test by each ended request of a client with wrong credentials. It is violated if the request
//! ends in anything but 401 (or 407), unless the server that answered it requires no logon for it. It is also violated
//! if the request takes more than 3 HTTP requests, or more than the legs of its packages if these are more, with the
//! same allowance. If a server that speaks no proper HTTP received any of its HTTP requests, that server is at fault.
//!
//! **HS-7** is put to the test by each ended request of a client without credentials. It is violated if the request
//! ends without an answer, or if the client received more answers than it sent HTTP requests.

use stickler_model::event::Credentials;
use stickler_model::{Leg, What};

use crate::excuses::{KRB_AP_ERR_SKEW, excused, is_user_forbidden, reached_rogue};
use crate::finding::Finding;
use crate::index::Index;
use crate::requests::{End, Request, asks_for_credentials, is_no_answer};
use crate::verdict::{Failure, Party, UNEXPLAINED};

/// Judges HS-1.
pub(crate) fn hs1_valid_credentials_are_answered(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Valid) {
        let sent = index.sent(request).count();
        let allowed = allowance(index, request, needed(index, request));
        if is_no_answer(end.status) || asks_for_credentials(end.status) && !is_user_forbidden(index, request) {
            let refused = asks_for_credentials(end.status);
            let why = if refused { " though the credentials are valid" } else { "" };
            judge_end(index, request, end, &format!("{}{why}", ending(end, sent)), &mut finding);
            continue;
        }
        let fault = if reached_rogue(index, request) { Party::Server } else { Party::Balancer };
        if sent <= allowed || fault == Party::Balancer {
            finding.exercise();
        }
        if sent > allowed {
            let problem = format!("took {sent} HTTP requests, although at most {allowed} are allowed");
            let summary = format!("{}'s request {} {problem}", request.client, request.id);
            finding.blame(fault, Failure::TooManyRequests, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Judges HS-5.
pub(crate) fn hs5_wrong_credentials_are_refused(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::Wrong) {
        let sent = index.sent(request).count();
        if is_no_answer(end.status) {
            let problem = format!("with wrong credentials {}, not in 401", ending(end, sent));
            judge_end(index, request, end, &problem, &mut finding);
            continue;
        }
        let last = index.answered(request).last();
        if last.is_some_and(|last| last.user.is_none() && index.settings.is_anonymous(last.at.0, request, last.event)) {
            continue;
        }
        let allowed = allowance(index, request, needed(index, request).max(3));
        let problem = if asks_for_credentials(end.status) {
            (sent > allowed).then(|| {
                (Failure::TooManyRequests, format!("{}, although at most {allowed} are allowed", ending(end, sent)))
            })
        } else {
            Some((Failure::WrongStatus, format!("{}, not in 401", ending(end, sent))))
        };
        // A server that speaks no proper HTTP may answer anything, and makes clients begin anew. One that takes users from a
        // header asks nobody for credentials.
        let fault = if reached_rogue(index, request) {
            Party::Server
        } else if last.is_some_and(|last| last.user.is_none() && index.settings.believes_header(last.at.0, last.event))
        {
            Party::SiteSetUp
        } else {
            Party::Balancer
        };
        if problem.is_none() || fault == Party::Balancer {
            finding.exercise();
        }
        if let Some((failure, problem)) = problem {
            let summary = format!("{}'s request {}, with wrong credentials, {problem}", request.client, request.id);
            finding.blame(fault, failure, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Judges HS-7.
pub(crate) fn hs7_anonymous_clients_are_answered(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for (request, end) in ended(index, Credentials::None) {
        let sent = index.sent(request).count();
        if is_no_answer(end.status) {
            judge_end(index, request, end, &format!("of nobody {}", ending(end, sent)), &mut finding);
            continue;
        }
        finding.exercise();
        let is_answer = |&event: &usize| matches!(index.what(event), What::ClientReceived { .. });
        let answers = request.events.iter().copied().filter(is_answer).count();
        if answers > sent {
            let summary = format!("{}'s request {} has {answers} answers to {sent}", request.client, request.id);
            finding.violate(Failure::Repeated, request.cited(), summary, request.events.clone());
        }
    }
    finding
}

/// Adds a request that ended wrongly, described by `problem`, as evidence against the party at fault.
fn judge_end(index: &Index<'_>, request: &Request<'_>, end: End<'_>, problem: &str, finding: &mut Finding) {
    let fault = excused(index, request, end).unwrap_or(Party::Balancer);
    if fault == Party::Balancer {
        finding.exercise();
    }
    let summary = match (fault, is_no_answer(end.status)) {
        (Party::Balancer, true) => {
            format!("{}'s request {} {problem}{UNEXPLAINED}", request.client, request.id)
        }
        _ => format!("{}'s request {} {problem}", request.client, request.id),
    };
    finding.blame(fault, Failure::of_status(end.status), request.cited(), summary, request.events.clone());
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
    let single = || index.answered(request).any(|answer| index.settings.is_single_request(answer.at.0, answer.event));
    let asked = || index.sent(request).next().is_some_and(|(.., leg)| leg == Leg::Anonymous);
    let skewed = request
        .events
        .iter()
        .any(|&event| matches!(*index.what(event), What::ServerTicket { error: KRB_AP_ERR_SKEW, .. }));
    let (ticket, ntlm) = (has(Leg::Ticket), has(Leg::Negotiate));
    let forbidden = || {
        let mut answers = index.answered(request).filter(|answer| answer.leg == Leg::Anonymous);
        answers.any(|answer| answer.is_forbidden() && request.is_taken_for_own_user(&answer))
    };
    let anonymous = !request.preemptive || asked() && (single() || ticket && !ntlm) || forbidden();
    let ntlm = if ntlm || !ticket { 2 } else { 0 };
    usize::from(anonymous)
        + usize::from(ticket)
        + ntlm
        + usize::from(skewed)
        + usize::from(switched_to_http1(index, request))
}

/// Returns whether the client switched to HTTP/1.1 after an HTTP/2 stream that had no answer, or that began a handshake
/// which the client then began again.
fn switched_to_http1(index: &Index<'_>, request: &Request<'_>) -> bool {
    let (mut unanswered, mut began) = (false, false);
    request.events.iter().any(|&event| match *index.what(event) {
        What::ClientSent { connection, leg, .. } => {
            let http2 = index.tls.is_http2((index.by(event), connection));
            let before = unanswered || began && leg == Leg::Negotiate;
            (unanswered, began) = (http2, http2 && leg == Leg::Negotiate);
            before && !http2
        }
        What::ClientReceived { .. } => {
            unanswered = false;
            false
        }
        _ => false,
    })
}

/// Returns the maximum number of HTTP requests that a request may take if it needs `needed` when no connection is lost.
fn allowance(index: &Index<'_>, request: &Request<'_>, needed: usize) -> usize {
    match index.lost(request) {
        0 => needed,
        lost if index.is_disrupted(request) => needed * (1 + lost),
        _ => needed + 1,
    }
}

/// Describes an end, for example "ended in 401 after 2 HTTP requests".
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
