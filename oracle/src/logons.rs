//! Pass-through logons, tied to the requests that caused them.
//!
//! A server numbers the logons on its secure channel, the DC notes the same number, and the server
//! notes the request that it asked for: so a decision of the DC leads back to a user. The numbers
//! begin again when a server restarts, therefore a server's note belongs to the *latest* decision
//! with its number that has no note yet. Where one DC asked another, its note leads from the other's
//! decision to the server's question.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, Principal, RequestId, Topology, Trace, What};

use crate::index::{Index, Request};

// RFC 4120 7.5.9: a password that is wrong, and an account that may not log on, or is locked out.
const KDC_PREAUTH_FAILED: u32 = 24;
const KDC_CLIENT_REVOKED: u32 = 18;

// MS-ERREF 2.3.1. The failures that a DC holds against an account (MS-SAMR 3.1.5.14.7), and what an
// account that has had too many of them answers.
const NO_SUCH_USER: u32 = 0xC000_0064;
const WRONG_PASSWORD: u32 = 0xC000_006A;
const LOGON_FAILURE: u32 = 0xC000_006D;
pub(crate) const ACCOUNT_LOCKED_OUT: u32 = 0xC000_0234;
pub(crate) const NO_LOGON_SERVERS: u32 = 0xC000_005E;

/// One decision of the DC.
pub(crate) struct Logon<'t> {
    /// The DC's event.
    pub(crate) decided: usize,
    /// The server's event, where it got the decision.
    pub(crate) noted: Option<usize>,
    /// The account.
    pub(crate) account: &'t Principal,
    /// The request it was for, where its sender is known.
    pub(crate) request: Option<RequestId>,
    /// What came of it, and through whom.
    pub(crate) cause: Cause,
}

/// Who brought a failed logon about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It did not fail, or in a way that says nothing of the password.
    NotFailed,
    /// The sender is unknown, so anybody may have.
    Unknown,
    /// A client with wrong credentials, or the wrong passwords before.
    User,
    /// A client whose credentials the directory accepts.
    Valid,
    /// A client that has no credentials.
    Anonymous,
    /// A client with wrong credentials, but more often than it sent them.
    Replayed,
}

impl Cause {
    /// Whether no user can have caused the failure.
    pub(crate) fn is_nobody(self) -> bool {
        matches!(self, Self::Valid | Self::Anonymous | Self::Replayed)
    }
}

/// All decisions of the DC, in order; and where its KDC refused an account that users had locked.
pub(crate) fn read<'t>(index: &Index<'t>) -> (Vec<Logon<'t>>, Vec<(usize, &'t Principal)>) {
    let mut logons = tie(index.trace);
    let mut tickets = index.trace.events.iter().enumerate().peekable();
    let mut count = Failures { topology: Some(&index.trace.header.topology), ..Failures::default() };
    for logon in &mut logons {
        while let Some((event, seen)) = tickets.next_if(|&(event, _)| event < logon.decided) {
            count.ticket(event, &seen.what);
        }
        decide(index, logon, &mut count);
    }
    tickets.for_each(|(event, seen)| count.ticket(event, &seen.what));
    (logons, count.locked)
}

/// Failed logons so far.
#[derive(Default)]
struct Failures<'t> {
    /// Whose domains say how many lock an account.
    topology: Option<&'t Topology>,
    /// By account: those that users may have caused since its last good one.
    by_users: BTreeMap<String, u32>,
    /// Of each request.
    of: BTreeMap<RequestId, usize>,
    /// Where the KDC refused an account that users had locked.
    locked: Vec<(usize, &'t Principal)>,
}

impl<'t> Failures<'t> {
    fn by_users(&mut self, account: &Principal) -> &mut u32 {
        self.by_users.entry(account.as_str().to_ascii_lowercase()).or_default()
    }

    fn is_locked_by_users(&mut self, account: &Principal) -> bool {
        let domain = self.topology.map(|topology| match &topology.partner {
            Some(partner) if partner.domain.netbios.eq_ignore_ascii_case(account.domain()) => &partner.domain,
            _ => &topology.domain,
        });
        let threshold = domain.and_then(|domain| domain.lockout_threshold);
        threshold.is_some_and(|threshold| *self.by_users(account) >= threshold)
    }

    /// The KDC's answers count too. A client asks it by itself: no balancer fails there. That a ticket
    /// was issued resets nothing here, for it does not tell whether a password was proven with it.
    fn ticket(&mut self, event: usize, what: &'t What) {
        let What::DcTicket { client: Some(account), error, .. } = what else { return };
        match *error {
            KDC_PREAUTH_FAILED => *self.by_users(account) += 1,
            KDC_CLIENT_REVOKED if self.is_locked_by_users(account) => self.locked.push((event, account)),
            _ => {}
        }
    }
}

fn decide<'t>(index: &Index<'t>, logon: &mut Logon<'t>, count: &mut Failures<'t>) {
    let What::DcLogon { status, .. } = *index.what(logon.decided) else { return };
    match status {
        0 => *count.by_users(logon.account) = 0,
        NO_SUCH_USER | WRONG_PASSWORD | LOGON_FAILURE => {
            logon.cause = index.request(logon.request).map_or(Cause::Unknown, |request| {
                let failures = count.of.entry(request.id).or_default();
                *failures += 1;
                cause(index, request, logon.decided, *failures)
            });
            // Who is unknown may be a user: only what is proven counts against a balancer.
            *count.by_users(logon.account) += u32::from(!logon.cause.is_nobody());
        }
        ACCOUNT_LOCKED_OUT => {
            let locked_by_users = count.is_locked_by_users(logon.account);
            logon.cause = match index.request(logon.request).map(|request| request.credentials) {
                None => Cause::Unknown,
                Some(Credentials::Valid) if !locked_by_users => Cause::Valid,
                Some(Credentials::None) => Cause::Anonymous,
                Some(Credentials::Valid | Credentials::Wrong) => Cause::User,
            };
        }
        _ => {}
    }
}

/// The cause of a failed logon of a known request, the `nth` that failed for it.
fn cause(index: &Index<'_>, request: &Request<'_>, decided: usize, nth: usize) -> Cause {
    match request.credentials {
        Credentials::Valid => Cause::Valid,
        Credentials::None => Cause::Anonymous,
        Credentials::Wrong => {
            let sent =
                index.sent(request).filter(|&(event, _, leg)| event < decided && leg == Leg::Authenticate).count();
            if nth > sent { Cause::Replayed } else { Cause::User }
        }
    }
}

/// All decisions of the DC with the requests that they were for; no causes yet.
pub(crate) fn tie(trace: &Trace) -> Vec<Logon<'_>> {
    let mut logons: Vec<Logon<'_>> = Vec::new();
    let mut waiting: BTreeMap<(&Name, u64), usize> = BTreeMap::new();
    for (event, seen) in trace.events.iter().enumerate() {
        match &seen.what {
            What::DcLogon { server, logon, account, .. } => {
                waiting.insert((server, *logon), logons.len());
                let cause = Cause::NotFailed;
                logons.push(Logon { decided: event, noted: None, account, request: None, cause });
            }
            // The server knows a decision that was made elsewhere by the number of its own question.
            What::DcPassedOn { server, logon, passed, .. } => {
                if let Some(place) = waiting.remove(&(&seen.by, *passed)) {
                    waiting.insert((server, *logon), place);
                }
            }
            What::ServerLogon { logon, request, .. } => {
                if let Some(place) = waiting.remove(&(&seen.by, *logon)) {
                    logons[place].noted = Some(event);
                    logons[place].request = *request;
                }
            }
            _ => {}
        }
    }
    logons
}
