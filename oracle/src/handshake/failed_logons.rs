//! HS-6: the DC counts no failed logon that no user caused.
//!
//! A balancer that mixes two handshakes, or repeats one, makes a correct password look wrong and can lock the account
//! out. HS-6 is put to the test by each decision of the DC that is tied to a client's request (see `logons`). It is
//! violated if the logon fails because the password is not right (C000006D, C000006A, C0000064), or because the account
//! is locked (C0000234), and
//! * the client's credentials are valid; for a locked account only if the wrong passwords that users sent are fewer than
//!   the domain's threshold, because otherwise users locked it; or
//! * the client has no credentials at all; or
//! * the client's credentials are wrong, but the DC counted more failures for the request than the client sent
//!   Authenticate legs.
//!
//! If the topology says that a DC's directory is not up to date for the account, the DC rejects a correct password. The
//! site's set-up is then at fault. A decision for an unknown sender is not judged, because anybody may have mistyped a
//! password.

use crate::finding::Finding;
use crate::index::Index;
use crate::logons::Cause;
use crate::order::Position;
use crate::verdict::{Failure, Party};

/// Judges HS-6.
pub(crate) fn hs6_users_cause_failed_logons(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for logon in index.logons.iter() {
        let Some(request) = index.request(logon.request) else { continue };
        let outdated = logon.noted.is_some_and(|noted| index.logons.is_outdated(noted));
        let fault = if outdated { Party::SiteSetUp } else { Party::Balancer };
        if !outdated || !logon.cause.is_nobody() {
            finding.exercise();
        }
        let why = match logon.cause {
            Cause::Valid => "whose credentials are valid",
            Cause::Anonymous => "who has no credentials",
            Cause::Replayed => "who sent wrong credentials less often than they were tried",
            Cause::NotFailed | Cause::Unknown | Cause::User => continue,
        };
        let (client, id, account) = (request.client, request.id, logon.account);
        let summary = format!("the DC holds a failed logon of {account} against request {id} of {client}, {why}");
        let sent = index.sent(request).map(|(event, ..)| event);
        let received = index.received(request).map(|(event, ..)| event);
        let before = sent.chain(received).filter(|&event| event.is_before(logon.decided));
        finding.blame(
            fault,
            Failure::FailedLogon,
            request.cited(),
            summary,
            before.chain([logon.decided]).chain(logon.noted).collect(),
        );
    }
    finding
}
