//! Pass-through logons, tied to the requests that caused them.
//!
//! A server numbers the logons on its secure channel, the DC notes the same number, and the server
//! notes the request that it asked for: so a decision of the DC leads back to a user. The numbers
//! begin again when a server restarts, therefore a server's note belongs to the *latest* decision
//! with its number that has no note yet. Where one DC asked another, its note leads from the other's
//! decision to the server's question.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, Principal, RequestId, Trace, What};

use crate::index::{Index, Request};

// MS-ERREF 2.3.1. The failures that a DC holds against an account (MS-SAMR 3.1.5.14.7), and what an
// account that has had too many of them answers.
const NO_SUCH_USER: u32 = 0xC000_0064;
const WRONG_PASSWORD: u32 = 0xC000_006A;
const LOGON_FAILURE: u32 = 0xC000_006D;
const ACCOUNT_LOCKED_OUT: u32 = 0xC000_0234;
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

/// All decisions of the DC, in order.
pub(crate) fn read<'t>(index: &Index<'t>) -> Vec<Logon<'t>> {
    let mut logons = tie(index.trace);
    let threshold = index.trace.header.topology.domain.lockout_threshold;
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    let mut failures: BTreeMap<RequestId, usize> = BTreeMap::new();
    for logon in &mut logons {
        let What::DcLogon { status, .. } = *index.what(logon.decided) else { continue };
        let by_users = counted.entry(logon.account.as_str().to_ascii_lowercase()).or_default();
        match status {
            0 => *by_users = 0,
            NO_SUCH_USER | WRONG_PASSWORD | LOGON_FAILURE => {
                logon.cause = index.request(logon.request).map_or(Cause::Unknown, |request| {
                    let failures = failures.entry(request.id).or_default();
                    *failures += 1;
                    cause(index, request, logon.decided, *failures)
                });
                // Who is unknown may be a user: only what is proven counts against a balancer.
                *by_users += u32::from(!logon.cause.is_nobody());
            }
            ACCOUNT_LOCKED_OUT => {
                let locked_by_users = threshold.is_some_and(|threshold| *by_users >= threshold);
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
    logons
}

/// Whether the request was refused for what the site did, not the balancer: its account is locked
/// out by wrong passwords that users sent, or a fault keeps the DC from answering.
pub(crate) fn refused_by_site(index: &Index<'_>, request: &Request<'_>) -> bool {
    request.events.iter().any(|&event| match *index.what(event) {
        What::ServerLogon { status: ACCOUNT_LOCKED_OUT, .. } => index.cause(event) == Cause::User,
        What::ServerLogon { status: NO_LOGON_SERVERS, .. } => index.explained(request),
        _ => false,
    })
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

fn tie(trace: &Trace) -> Vec<Logon<'_>> {
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
