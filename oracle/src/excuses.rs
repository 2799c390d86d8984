//! Refusals for which the site or the user is responsible, whichever balancer is in front.

use stickler_model::event::Credentials;
use stickler_model::{Leg, What};

use crate::index::Index;
use crate::logons::{ACCOUNT_LOCKED_OUT, Cause, NO_LOGON_SERVERS};
use crate::requests::{Request, is_proof};
use crate::settings::CommonPackages;

/// STATUS_NO_TRUST_SAM_ACCOUNT, STATUS_TRUSTED_RELATIONSHIP_FAILURE, STATUS_DOMAIN_TRUST_INCONSISTENT (MS-ERREF 2.3.1).
const NO_TRUST: [u32; 3] = [0xC000_018B, 0xC000_018D, 0xC000_019B];

/// Returns whether the request was refused because of the site and not because of the balancer:
/// * its account is locked out by wrong passwords that users sent, or a fault keeps the DC from answering a server, or
///   from answering a client that can log on with a ticket only;
/// * a machine or a domain is not trusted, or not believed: no balancer causes that;
/// * nobody could log on in this way: see [`is_barred`].
pub(crate) fn is_refused_by_site(index: &Index<'_>, request: &Request<'_>) -> bool {
    let logon = request.events.iter().any(|&event| match *index.what(event) {
        What::ServerLogon { status: ACCOUNT_LOCKED_OUT, .. } => index.logons.cause(event) == Cause::User,
        What::ServerLogon { status: NO_LOGON_SERVERS, .. } => index.is_explained(request),
        What::ServerLogon { status, .. } => NO_TRUST.contains(&status),
        _ => false,
    });
    logon || lacks_ticket(index, request) || is_barred(index, request)
}

/// Returns whether the client could not log on at this site even without a balancer, with credentials that are good
/// elsewhere:
/// * client and site have no package in common (the client may not use Kerberos, and the site wants
///   `Negotiate:Kerberos`);
/// * the site requires a channel binding, and the client's is of another certificate, or the client sends none. If TLS
///   is terminated in between, this is how it has to be (TL-1).
pub(crate) fn is_barred(index: &Index<'_>, request: &Request<'_>) -> bool {
    let CommonPackages { ntlm, kerberos } = index.settings.common_packages(request.client);
    let binds = index.settings.binds(request.client);
    let unbound = || {
        let proofs = index.tls_paths(request).filter(|path| is_proof(path.leg));
        let mut required = proofs.filter(|path| index.settings.requires_binding(path.at.0));
        required.any(|path| !binds || !path.has_one_certificate())
    };
    !(ntlm || kerberos) || unbound()
}

/// Returns whether the last answer of a server authenticated the client's own user and refused access to it (401.3).
pub(crate) fn is_user_forbidden(index: &Index<'_>, request: &Request<'_>) -> bool {
    let last = index.answered(request).last();
    last.is_some_and(|answer| answer.is_forbidden() && request.is_taken_for_own_user(&answer))
}

/// Returns whether a client that can log on with a ticket only got none, because the KDC was out of reach or users had
/// locked the account.
fn lacks_ticket(index: &Index<'_>, request: &Request<'_>) -> bool {
    let Some(end) = request.ended else { return false };
    let sent = || index.sent(request).any(|(.., leg)| leg == Leg::Ticket);
    let locked = || index.logons.is_refused_locked(request.identity, request.started, end.event);
    request.credentials == Credentials::Valid
        && !index.settings.common_packages(request.client).ntlm
        && !sent()
        && (!index.farm.is_quiet_elsewhere(request.started, end.event) || locked())
}
