//! The party at fault when a request ends wrongly: the balancer, unless something else explains it.
//!
//! `unanswered_because` is about requests without an answer, `refused_because` about those that end in 401 or 407. An
//! explanation counts only for the request that it concerns.

use std::time::Duration;

use stickler_model::capabilities::{KDC_LEFT_ALONE, KDC_PATIENCE};
use stickler_model::event::Credentials;
use stickler_model::site::slow_page;
use stickler_model::{Leg, Name, What};

use crate::index::Index;
use crate::logons::{ACCOUNT_LOCKED_OUT, Cause, LOGON_FAILURE, NO_LOGON_SERVERS, NO_SUCH_USER, WRONG_PASSWORD};
use crate::order::Position;
use crate::requests::{End, Request, ServerConnection, asks_for_credentials, is_no_answer, is_proof};
use crate::verdict::Party;

/// RFC 4120 7.5.9: the clocks of client and server differ too much.
pub(crate) const KRB_AP_ERR_SKEW: u32 = 37;
/// RFC 4120 7.5.9: the ticket has been used before.
const KRB_AP_ERR_REPEAT: u32 = 34;

/// The time above which a slow site may exceed a time limit. The shortest limits are those of a client that asks a KDC,
/// and of a balancer or a server that opens a connection.
const SHORTEST_LIMIT: Duration = Duration::from_secs(5);

/// The number of times that a request may cross a link, one after the other: TCP, TLS and three legs from the client to
/// the balancer and on to a server, and the server's questions to its DC.
const PASSAGES: u32 = 40;

/// Returns who is at fault if a request did not end in a proper answer. Returns `None` if it ended in one, or if the
/// balancer is at fault.
pub(crate) fn excused(index: &Index<'_>, request: &Request<'_>, end: End<'_>) -> Option<Party> {
    if is_no_answer(end.status) {
        unanswered_because(index, request, end)
    } else if asks_for_credentials(end.status) {
        refused_because(index, request)
    } else {
        None
    }
}

/// Returns who is at fault for a request that ended without an answer, if it is not the balancer:
/// * the script, if it disconnected the client, had ended, has taken the last backend out of use, or lets another
///   client hold the port that this one connects from;
/// * the site's set-up, if the request's last HTTP request reached no server while a server was refused because of its
///   certificate;
/// * a server, if it gave this answer itself; or one that speaks no HTTP, if it received the request or nobody did;
/// * a fault that touched the request (see `faults`). Faults of backends do not excuse a 503 of the balancer itself if
///   another backend was up since;
/// * the site's set-up, if it takes longer than time limits allow, or closes a connection that a handshake needs; the client,
///   if it waits for a shorter time than the site takes;
/// * undetermined, if the request met a close of an idle connection, by a server or by the balancer, and could not be repeated.
pub(crate) fn unanswered_because(index: &Index<'_>, request: &Request<'_>, end: End<'_>) -> Option<Party> {
    if index.is_given_up(request) || index.lacks_port(request) {
        return Some(Party::Script);
    }
    if met_rogue(index, request) || is_answer_of_server(index, request, end) {
        return Some(Party::Server);
    }
    let sent = index.sent(request).last().map_or(request.started, |(event, ..)| event);
    let reached = index.received(request).any(|(event, ..)| event.is_after(sent));
    if !reached && index.tls.is_turned_away(request.started, end.event) {
        return Some(Party::SiteSetUp);
    }
    let by_fault = if is_turned_away(index, request) {
        index.is_turned_away_by_fault(request)
    } else {
        index.is_cut_short(request)
    };
    if by_fault {
        return Some(Party::InjectedFault);
    }
    if let Some(party) = without_backend_because(index, request, end) {
        return Some(party);
    }
    if is_cut_off_by_challenge(index, request) {
        return Some(Party::SiteSetUp);
    }
    if let Some(party) = too_slow_because(index, request, end) {
        return Some(party);
    }
    let crossed = || index.met_idle_end(request).is_some() || index.crossed_idle_close(request);
    (!is_repeatable(index, request) && crossed()).then_some(Party::Undetermined)
}

/// Returns who is at fault for a request with valid credentials that ended in 401 or 407, if it is not the balancer:
/// * a fault, if it kept the DC from answering a server or a client that can log on only with a ticket. This includes a
///   fault shortly before, after which the client does not ask the DC again yet;
/// * the site's set-up, if the DC or the server refused for a reason that is not the password (a machine or a domain is
///   not trusted, no logon server, a ticket that the server cannot read), if the DC's directory is not up to date, or
///   if a server closes a connection that a handshake needs;
/// * the client, if its user or others locked the account by wrong passwords, or its clock is wrong;
/// * the party that prevents the logon: see [`barred_because`].
pub(crate) fn refused_because(index: &Index<'_>, request: &Request<'_>) -> Option<Party> {
    request
        .events
        .iter()
        .find_map(|&event| refused_by_dc(index, request, event))
        .or_else(|| lacks_ticket_because(index, request))
        .or_else(|| ticket_refused_because(index, request))
        .or_else(|| barred_because(index, request))
        .or_else(|| is_cut_off_by_challenge(index, request).then_some(Party::SiteSetUp))
}

/// Returns who is at fault if the client could not log on at this site even without a balancer, with credentials that
/// are good elsewhere:
/// * the client has no package in common with the site, or with any server that the request met (the client may not use
///   Kerberos, and the site requires `Negotiate:Kerberos`); or a handshake was begun at a server whose providers differ
///   from those of the server that had asked for it;
/// * the servers that took part in the handshake have no local account for the user, and know no other accounts;
/// * the site requires a channel binding, and the client sends none, or one for a different certificate. If TLS is
///   terminated in between, this is the required behaviour (TL-1).
pub(crate) fn barred_because(index: &Index<'_>, request: &Request<'_>) -> Option<Party> {
    if index.settings.common_packages(request.client).is_none()
        || met_no_common_package(index, request)
        || was_offered_elsewhere(index, request)
    {
        let restricted = index.settings.is_restricted(request.client);
        return Some(if restricted { Party::Client } else { Party::SiteSetUp });
    }
    if lacks_account(index, request) {
        return Some(Party::SiteSetUp);
    }
    let proofs = index.tls_paths(request).filter(|path| is_proof(path.leg));
    let required: Vec<_> = proofs.filter(|path| index.settings.requires_binding(path.at.0, path.received)).collect();
    if required.iter().any(|path| !index.settings.binds(request.client, path.leg)) {
        return Some(Party::Client);
    }
    required.iter().any(|path| !path.has_one_certificate()).then_some(Party::SiteSetUp)
}

/// Returns whether the request's handshake began at a server whose providers differ from those of a server that had
/// asked for it.
fn was_offered_elsewhere(index: &Index<'_>, request: &Request<'_>) -> bool {
    let received: Vec<_> = index.received(request).collect();
    let Some(first) = received.iter().position(|&(.., leg)| leg != Leg::Anonymous) else { return false };
    let providers =
        |&(event, (server, _), _): &(usize, ServerConnection<'_>, Leg)| index.settings.providers(server, event);
    received[..first].iter().any(|asked| providers(asked) != providers(&received[first]))
}

/// Returns whether the request reached servers but could not begin a handshake, because the client has no package in
/// common with any of them.
fn met_no_common_package(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut received = index.received(request).peekable();
    let none = |(event, (server, _), _)| index.settings.packages_at(server, request.client, event).is_none();
    received.peek().is_some() && received.all(none)
}

/// Returns whether a server that received the request has a clock that is further from the world's time than the
/// client's. A client that corrects its clock by that server's is wrong at every other server.
fn met_wrong_clock(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut received = index.received(request);
    received.any(|(event, (server, _), _)| index.settings.is_clock_of_server_wrong(server, request.client, event))
}

/// Returns whether servers received a proof of the request, and none of those that received a leg of a handshake has an
/// account for its user. If a handshake is split between a server that has the account and one that does not, the
/// balancer has caused that.
fn lacks_account(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut legs = index.received(request).filter(|&(.., leg)| leg != Leg::Anonymous);
    let mut proven = false;
    let lacking = legs.all(|(event, (server, _), leg)| {
        proven |= is_proof(leg);
        index.settings.lacks_account(server, request, event)
    });
    lacking && proven
}

/// Returns whether the last answer of a server authenticated the client's own user and refused access to it (401.3).
pub(crate) fn is_user_forbidden(index: &Index<'_>, request: &Request<'_>) -> bool {
    let last = index.answered(request).last();
    last.is_some_and(|answer| answer.is_forbidden() && request.is_taken_for_own_user(&answer))
}

/// Returns whether the last answer is the balancer's own 503, and no server received the HTTP request that it answers, or
/// a later one.
pub(crate) fn is_turned_away(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut answered = false;
    for &event in request.events.iter().rev() {
        match index.what(event) {
            What::ClientReceived { echoed: None, status: 503, .. } => answered = true,
            What::ClientReceived { .. } if !answered => return false,
            What::ServerReceived { .. } => return false,
            What::ClientSent { .. } if answered => return true,
            _ => {}
        }
    }
    false
}

/// Returns whether a balancer can send the request's last HTTP request again on another connection: it is idempotent (RFC
/// 9110 9.2.2), has no proof of identity, which belongs to its connection, and has no body. A balancer passes a body on as it
/// arrives; no specification asks it to keep one for a second time.
pub(crate) fn is_repeatable(index: &Index<'_>, request: &Request<'_>) -> bool {
    let last = index.sent(request).last();
    request.is_idempotent() && request.length == 0 && last.is_some_and(|(.., leg)| leg == Leg::Anonymous)
}

/// Returns whether a server that speaks no proper HTTP received any HTTP request of the request.
pub(crate) fn reached_rogue(index: &Index<'_>, request: &Request<'_>) -> bool {
    index.received(request).any(|(event, (server, _), _)| index.settings.is_rogue(server, event))
}

/// Returns whether a server that speaks no HTTP received the request's last HTTP request, or whether nobody received it
/// and there is such a server.
fn met_rogue(index: &Index<'_>, request: &Request<'_>) -> bool {
    // A handshake that began at a proper server belongs there, wherever its second half went.
    let begun = index.received(request).filter(|&(.., leg)| leg == Leg::Negotiate).last();
    let begun = begun.filter(|_| index.answers_challenge(request)).map(|(event, (server, _), _)| (event, server));
    match begun.or_else(|| index.last_receiver(request)) {
        Some((event, server)) => index.settings.is_rogue(server, event),
        None => index.farm.backends().any(|backend| index.settings.is_rogue(backend, request.started)),
    }
}

/// Returns whether a server itself gave the answer that the request ended with.
fn is_answer_of_server(index: &Index<'_>, request: &Request<'_>, end: End<'_>) -> bool {
    let last = request.events.iter().rev().find_map(|&event| match *index.what(event) {
        What::ServerReceived { .. } => Some(None),
        What::ServerAnswered { status, .. } => Some(Some(status)),
        _ => None,
    });
    end.status.is_some() && last.flatten() == end.status
}

/// Returns who is at fault if no backend of the request's service was up throughout the request: a fault if it affects one
/// of them, otherwise the script, which has drained all of them.
fn without_backend_because(index: &Index<'_>, request: &Request<'_>, end: End<'_>) -> Option<Party> {
    let of_service = |backend: &&_| index.promises().serves(backend, request.path);
    let backends: Vec<_> = index.farm.backends().filter(of_service).collect();
    let any_up = backends.iter().any(|backend| index.farm.is_in_use(backend, request.started, end.event));
    if any_up || backends.is_empty() {
        return None;
    }
    let drained = |backend: &&Name| index.farm.is_drained_only(backend, request.started, end.event);
    // A backend that is drained keeps the connections that it has, with the handshakes on them.
    if index.answers_challenge(request) && index.last_receiver(request).is_some_and(|(_, server)| drained(&server)) {
        return None;
    }
    Some(if backends.iter().all(drained) { Party::Script } else { Party::InjectedFault })
}

/// Returns who is at fault if the site by itself takes longer than a time limit, and the request ran for at least that long: the
/// client, if it waits for a shorter time than anybody else, otherwise the site's set-up.
fn too_slow_because(index: &Index<'_>, request: &Request<'_>, end: End<'_>) -> Option<Party> {
    let link = index.topology().link;
    let slow = index.topology().controllers.iter().filter_map(|controller| controller.slow).max().unwrap_or_default();
    let page = slow_page(request.path).unwrap_or_default();
    let takes = (link.latency + link.jitter).saturating_mul(PASSAGES).saturating_add(slow).saturating_add(page);
    let ran = index.at(end.event) - index.at(request.started);
    let patience = index.settings.patience(request.client);
    let exceeds = |limit: Duration| takes >= limit && ran >= limit;
    if end.status.is_none() && patience < SHORTEST_LIMIT && exceeds(patience) {
        return Some(Party::Client);
    }
    exceeds(SHORTEST_LIMIT).then_some(Party::SiteSetUp)
}

/// Returns whether a server with which the client began an NTLM handshake closes the connection with its challenge.
fn is_cut_off_by_challenge(index: &Index<'_>, request: &Request<'_>) -> bool {
    let mut begun = index.received(request).filter(|&(.., leg)| leg == Leg::Negotiate);
    begun.any(|(event, (server, _), _)| index.settings.closes_by_challenge(server, event))
}

/// Returns who is at fault if this event is a logon that the DC refused for a reason that no balancer can cause.
fn refused_by_dc(index: &Index<'_>, request: &Request<'_>, event: usize) -> Option<Party> {
    let What::ServerLogon { status, .. } = *index.what(event) else { return None };
    match status {
        // The DC does not know the user, or the new password, yet.
        NO_SUCH_USER | WRONG_PASSWORD | LOGON_FAILURE if index.logons.is_outdated(event) => Some(Party::SiteSetUp),
        0 | NO_SUCH_USER | WRONG_PASSWORD | LOGON_FAILURE => None,
        ACCOUNT_LOCKED_OUT => (index.logons.cause(event) == Cause::User).then_some(Party::Client),
        NO_LOGON_SERVERS if index.is_kept_from_dc(index.by(event), request.started, event) => {
            Some(Party::InjectedFault)
        }
        _ => Some(Party::SiteSetUp),
    }
}

/// Returns who is at fault if a client that can log on only with a ticket got none: a fault that keeps or kept the KDC
/// out of reach, or users who locked the account.
fn lacks_ticket_because(index: &Index<'_>, request: &Request<'_>) -> Option<Party> {
    let end = request.ended?.event;
    let sent = index.sent(request).any(|(.., leg)| leg == Leg::Ticket);
    if request.credentials != Credentials::Valid || index.settings.common_packages(request.client).ntlm || sent {
        return None;
    }
    if index.is_kept_from_kdc(request, end, KDC_PATIENCE + KDC_LEFT_ALONE) {
        return Some(Party::InjectedFault);
    }
    index.logons.is_refused_locked(request.identity, request.started, end).then_some(Party::Client)
}

/// Returns who is at fault if the request's last token is a ticket that a server refused: the client, if its clock is wrong
/// and not the server's, otherwise the site, whose server cannot read it. A refused replay does not count, because the
/// ticket itself is valid; nor does a wrong channel binding, for which there is no Kerberos error code.
fn ticket_refused_because(index: &Index<'_>, request: &Request<'_>) -> Option<Party> {
    let last = index.sent(request).map(|(.., leg)| leg).filter(|&leg| leg != Leg::Anonymous).last();
    let error = request.events.iter().rev().find_map(|&event| match *index.what(event) {
        // A balancer that authenticates in front of the servers answers for itself.
        What::ServerTicket { error, .. } if index.settings.is_server(index.by(event)) => Some(error),
        _ => None,
    })?;
    match error {
        _ if last != Some(Leg::Ticket) => None,
        KRB_AP_ERR_SKEW if met_wrong_clock(index, request) => Some(Party::SiteSetUp),
        KRB_AP_ERR_SKEW => Some(Party::Client),
        KRB_AP_ERR_REPEAT => None,
        1..128 => Some(Party::SiteSetUp),
        _ => None,
    }
}
