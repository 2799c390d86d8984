//! Pass-through logons, tied to the requests that caused them.
//!
//! A server numbers the logons on its secure channel, the DC records the same number, and the server records the
//! request for which it asked. In this way, a decision of the DC leads back to a user. The numbers start again when a
//! server restarts. Therefore a server's record belongs to the *latest* decision with its number that has no record
//! yet. Where one DC asked another, its record leads from the other DC's decision to the server's question.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::event::Credentials;
use stickler_model::{Event, Leg, Name, Principal, RequestId, Topology, What};

use crate::order::{Position, between};
use crate::requests::{Request, Requests};

// RFC 4120 7.5.9: the password is wrong; the account may not log on or is locked out.
const KDC_PREAUTH_FAILED: u32 = 24;
const KDC_CLIENT_REVOKED: u32 = 18;

// MS-ERREF 2.3.1: the failures that a DC counts against an account (MS-SAMR 3.1.5.14.7), and the status of an account
// that has reached the limit.
pub(crate) const NO_SUCH_USER: u32 = 0xC000_0064;
pub(crate) const WRONG_PASSWORD: u32 = 0xC000_006A;
pub(crate) const LOGON_FAILURE: u32 = 0xC000_006D;
pub(crate) const ACCOUNT_LOCKED_OUT: u32 = 0xC000_0234;
pub(crate) const NO_LOGON_SERVERS: u32 = 0xC000_005E;

/// The decisions of the DCs. A `usize` is an index into the trace's events.
pub(crate) struct Logons<'t> {
    /// The decisions in order.
    decisions: Vec<Logon<'t>>,
    /// The events at which the KDC refused an account that users had locked, in order.
    refused_locked: Vec<(usize, &'t Principal)>,
    /// The cause of each outcome, by the event in which the server recorded it.
    causes: BTreeMap<usize, Cause>,
    /// The servers' events that record the decision of a DC whose directory is not up to date for the account.
    outdated: BTreeSet<usize>,
}

/// One decision of a DC.
pub(crate) struct Logon<'t> {
    /// The DC's event.
    pub(crate) decided: usize,
    /// The event in which the server recorded the decision, if it did.
    pub(crate) noted: Option<usize>,
    /// The account.
    pub(crate) account: &'t Principal,
    /// The request for which the server asked, if its sender is known.
    pub(crate) request: Option<RequestId>,
    /// Who caused the failure, if the logon failed.
    pub(crate) cause: Cause,
}

/// Who caused a failed logon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The logon did not fail, or failed in a way that says nothing about the password.
    NotFailed,
    /// The sender is unknown, so anybody may have caused it.
    Unknown,
    /// A client with wrong credentials, or the wrong passwords that users sent before.
    User,
    /// Not a user: the directory accepts the client's credentials.
    Valid,
    /// Not a user: the client has no credentials.
    Anonymous,
    /// Not a user: the client has wrong credentials but sent them fewer times than they were tried.
    Replayed,
}

impl Cause {
    /// Returns whether no user can have caused the failure.
    pub(crate) fn is_nobody(self) -> bool {
        matches!(self, Self::Valid | Self::Anonymous | Self::Replayed)
    }
}

impl<'t> Logons<'t> {
    /// Reads the decisions from a trace and determines their causes.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let mut decisions = tie(requests.events());
        let mut events = requests.events().peekable();
        let mut failures = Failures::new(requests.topology());
        for logon in &mut decisions {
            while let Some((event, seen)) = events.next_if(|&(event, _)| event.is_before(logon.decided)) {
                failures.note_ticket(event, &seen.what);
            }
            decide(requests, logon, &mut failures);
        }
        events.for_each(|(event, seen)| failures.note_ticket(event, &seen.what));
        let causes = decisions.iter().filter_map(|logon| Some((logon.noted?, logon.cause))).collect();
        let outdated = decisions.iter().filter(|logon| is_outdated(requests, logon)).filter_map(|logon| logon.noted);
        Self { outdated: outdated.collect(), decisions, refused_locked: failures.refused_locked, causes }
    }

    /// Returns the decisions in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Logon<'t>> {
        self.decisions.iter()
    }

    /// Returns who caused the outcome that a server recorded with this event.
    pub(crate) fn cause(&self, noted: usize) -> Cause {
        self.causes.get(&noted).copied().unwrap_or(Cause::Unknown)
    }

    /// Returns whether the outcome that a server recorded with this event was decided by a DC whose directory lacks the
    /// account, or has an older password of it.
    pub(crate) fn is_outdated(&self, noted: usize) -> bool {
        self.outdated.contains(&noted)
    }

    /// Returns whether the KDC refused this account because users had locked it, from the event `from` (inclusive) to
    /// the event `to` (exclusive).
    pub(crate) fn is_refused_locked(&self, account: Option<&Principal>, from: usize, to: usize) -> bool {
        between(&self.refused_locked, from, to).iter().any(|&(_, refused)| Some(refused) == account)
    }
}

/// Returns whether the directory of the DC that decided is out of date for the account.
fn is_outdated(requests: &Requests<'_>, logon: &Logon<'_>) -> bool {
    let dc = requests.by(logon.decided);
    let mut controllers = requests.topology().controllers.iter().filter(|controller| controller.name == *dc);
    controllers.any(|controller| {
        let behind = controller.lacks.iter().chain(&controller.outdated);
        behind.into_iter().any(|name| name.eq_ignore_ascii_case(logon.account.user()))
    })
}

/// Counts of failed logons while a trace is being read.
struct Failures<'t> {
    /// The topology, whose domains define how many failures lock an account.
    topology: &'t Topology,
    /// The failures since the last successful logon that users may have caused, by account in lower case.
    by_users: BTreeMap<String, u32>,
    /// The number of failures, by request.
    by_request: BTreeMap<RequestId, usize>,
    /// The events at which the KDC refused an account that users had locked.
    refused_locked: Vec<(usize, &'t Principal)>,
}

impl<'t> Failures<'t> {
    fn new(topology: &'t Topology) -> Self {
        Self { topology, by_users: BTreeMap::new(), by_request: BTreeMap::new(), refused_locked: Vec::new() }
    }

    fn by_users(&mut self, account: &Principal) -> &mut u32 {
        self.by_users.entry(account.as_str().to_ascii_lowercase()).or_default()
    }

    fn is_locked_by_users(&mut self, account: &Principal) -> bool {
        let domain = match &self.topology.partner {
            Some(partner) if partner.domain.netbios.eq_ignore_ascii_case(account.domain()) => &partner.domain,
            _ => &self.topology.domain,
        };
        let threshold = domain.lockout_threshold;
        threshold.is_some_and(|threshold| *self.by_users(account) >= threshold)
    }

    /// Counts the failures that a KDC reports. A client asks it directly, so no balancer can have caused them. A ticket
    /// that was issued resets nothing, because the event does not say whether a password was proven with it.
    fn note_ticket(&mut self, event: usize, what: &'t What) {
        let What::DcTicket { client: Some(account), error, .. } = what else { return };
        match *error {
            KDC_PREAUTH_FAILED => *self.by_users(account) += 1,
            KDC_CLIENT_REVOKED if self.is_locked_by_users(account) => self.refused_locked.push((event, account)),
            _ => {}
        }
    }
}

fn decide<'t>(requests: &Requests<'t>, logon: &mut Logon<'t>, failures: &mut Failures<'t>) {
    let What::DcLogon { status, .. } = *requests.what(logon.decided) else { return };
    match status {
        0 => *failures.by_users(logon.account) = 0,
        NO_SUCH_USER | WRONG_PASSWORD | LOGON_FAILURE => {
            logon.cause = requests.get(logon.request).map_or(Cause::Unknown, |request| {
                let count = failures.by_request.entry(request.id).or_default();
                *count += 1;
                cause(requests, request, logon.decided, *count)
            });
            // An unknown sender may be a user: only what is proven counts against a balancer.
            *failures.by_users(logon.account) += u32::from(!logon.cause.is_nobody());
        }
        ACCOUNT_LOCKED_OUT => {
            let locked_by_users = failures.is_locked_by_users(logon.account);
            logon.cause = match requests.get(logon.request).map(|request| request.credentials) {
                None => Cause::Unknown,
                Some(Credentials::Valid) if !locked_by_users => Cause::Valid,
                Some(Credentials::None) => Cause::Anonymous,
                Some(Credentials::Valid | Credentials::Wrong) => Cause::User,
            };
        }
        _ => {}
    }
}

/// Returns the cause of a failed logon of a known request, which is the `nth` failure for this request.
fn cause(requests: &Requests<'_>, request: &Request<'_>, decided: usize, nth: usize) -> Cause {
    match request.credentials {
        Credentials::Valid => Cause::Valid,
        Credentials::None => Cause::Anonymous,
        Credentials::Wrong => {
            let sent = requests
                .sent(request)
                .filter(|&(event, _, leg)| event.is_before(decided) && leg == Leg::Authenticate)
                .count();
            if nth > sent { Cause::Replayed } else { Cause::User }
        }
    }
}

/// Ties the decisions of the DCs to requests. Causes are not determined yet.
pub(crate) fn tie<'t>(events: impl Iterator<Item = (usize, &'t Event)>) -> Vec<Logon<'t>> {
    let mut logons: Vec<Logon<'_>> = Vec::new();
    let mut waiting: BTreeMap<(&Name, u64), usize> = BTreeMap::new();
    for (event, seen) in events {
        match &seen.what {
            What::DcLogon { server, logon, account, .. } => {
                waiting.insert((server, *logon), logons.len());
                let cause = Cause::NotFailed;
                logons.push(Logon { decided: event, noted: None, account, request: None, cause });
            }
            // The server knows a decision that another DC made by the number of its own question.
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
