//! Verdicts and their evidence, and who is at fault.
//!
//! Each piece of [`Evidence`] names one [`Party`] that is at fault. Only a fault of the balancer makes a requirement
//! [`Grade::Violated`]; other evidence is kept and shown. The evidence also contains the data by which a control run
//! recognises the same failure: the requests concerned, and the kind of failure ([`Evidence::is_like`]). If a control
//! finds that another party is at fault, [`Verdict::reattribute`] records that.

use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_model::{Name, RequestId};

use crate::requirement::{Requirement, Severity};

/// The end of a summary that accuses the balancer because nothing else explains the failure.
pub(crate) const UNEXPLAINED: &str = ", and no fault explains it";

/// The result of judging a trace by a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Nothing in the trace put the requirement to the test.
    NotExercised,
    /// The requirement does not concern this site or this balancer.
    NotApplicable,
    /// The requirement was put to the test and kept.
    Ok,
    /// A requirement with severity SHOULD was not followed.
    NonStrict,
    /// A requirement with severity MUST was violated.
    Violated,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotExercised => "not exercised",
            Self::NotApplicable => "not applicable",
            Self::Ok => "ok",
            Self::NonStrict => "non-strict",
            Self::Violated => "violated",
        })
    }
}

/// The verdict on one trace by one requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The requirement.
    pub requirement: Requirement,
    /// The grade.
    pub grade: Grade,
    /// How many times the trace put the requirement to the test. Failures that are not the balancer's fault do not
    /// count.
    pub exercised: usize,
    /// Every violation (or departure, for a SHOULD), and every failure that would be one if it were the balancer's
    /// fault, in the order in which they happened.
    pub evidence: Vec<Evidence>,
}

impl Verdict {
    /// Creates the verdict that follows from the evidence.
    pub(crate) fn new(requirement: Requirement, applies: bool, exercised: usize, evidence: Vec<Evidence>) -> Self {
        let mut verdict = Self { requirement, grade: Grade::NotApplicable, exercised, evidence };
        if applies || !verdict.evidence.is_empty() {
            verdict.regrade();
        }
        verdict
    }

    /// Returns the evidence against the balancer, in order. There is some if and only if the grade is
    /// [`Grade::Violated`] or [`Grade::NonStrict`].
    pub fn against_balancer(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().filter(|evidence| evidence.fault == Party::Balancer)
    }

    /// Returns the evidence for which others are at fault, in order.
    pub fn against_others(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().filter(|evidence| evidence.fault != Party::Balancer)
    }

    /// Asks `who` for the party at fault of each piece of evidence against the balancer, and grades the requirement
    /// again. Evidence that turns out to be somebody else's fault does not count as a test.
    pub fn reattribute(&mut self, mut who: impl FnMut(&Evidence) -> Party) {
        for evidence in self.evidence.iter_mut().filter(|evidence| evidence.fault == Party::Balancer) {
            evidence.fault = who(evidence);
            if evidence.fault != Party::Balancer {
                self.exercised = self.exercised.saturating_sub(1);
                let plain = evidence.summary.strip_suffix(UNEXPLAINED).map(str::to_owned);
                evidence.summary = plain.unwrap_or_else(|| std::mem::take(&mut evidence.summary));
            }
        }
        if !self.evidence.is_empty() {
            self.regrade();
        }
    }

    /// Puts failures down to the balancer after all: each piece of evidence against others for which `is_balancers` returns
    /// `true`. `why` is added to the sentence that describes it.
    pub fn accuse(&mut self, why: &str, mut is_balancers: impl FnMut(&Evidence) -> bool) {
        for evidence in self.evidence.iter_mut().filter(|evidence| evidence.fault != Party::Balancer) {
            if is_balancers(evidence) {
                evidence.fault = Party::Balancer;
                evidence.summary = format!("{}, {why}", evidence.summary);
                self.exercised += 1;
            }
        }
        if !self.evidence.is_empty() {
            self.regrade();
        }
    }

    /// Adds evidence, which counts as a test if it is against the balancer.
    pub fn add(&mut self, evidence: Evidence) {
        self.exercised += usize::from(evidence.fault == Party::Balancer);
        self.evidence.push(evidence);
        self.regrade();
    }

    fn regrade(&mut self) {
        let violations = self.against_balancer().count();
        // A violation is a test, even if the judging function did not count it as one.
        self.exercised = self.exercised.max(violations);
        self.grade = match (violations, self.requirement.severity()) {
            (0, _) if self.exercised == 0 => Grade::NotExercised,
            (0, _) => Grade::Ok,
            (_, Severity::Must) => Grade::Violated,
            (_, Severity::Should) => Grade::NonStrict,
        };
    }
}

/// Proof that something went wrong, and who is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The party at fault. Only a failure that is the balancer's fault is a violation.
    pub fault: Party,
    /// The kind of failure.
    pub failure: Failure,
    /// The requests that failed. Requests that only help to prove it are not among them.
    pub about: Vec<Cited>,
    /// The violation in one sentence, with names: "bob's request r4 was processed as CORP\alice by iis1 on connection 2".
    pub summary: String,
    /// The events that prove the violation, as indices into the trace's events, in order.
    pub events: Vec<usize>,
}

impl Evidence {
    /// Returns whether the other piece of evidence, which may be from another run of the same plan, is about the same kind
    /// of failure of the same requests.
    pub fn is_like(&self, other: &Self) -> bool {
        self.failure == other.failure && self.about == other.about
    }
}

/// A request that a piece of evidence is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cited {
    /// A request that a client started. The same plan gives it the same id in every run.
    Request {
        /// The client.
        client: Name,
        /// The id of its request.
        id: RequestId,
    },
    /// Bytes that a client sent unchanged.
    Raw {
        /// The client.
        client: Name,
        /// The index of the action among the plan's steps, from 0.
        step: usize,
    },
}

impl Cited {
    /// Returns the client that sent the request or the bytes.
    pub fn client(&self) -> &Name {
        match self {
            Self::Request { client, .. } | Self::Raw { client, .. } => client,
        }
    }
}

/// The party that is at fault for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The balancer, which is what a requirement is about.
    Balancer,
    /// A server, which violated its own rules, whatever is in front of it.
    Server,
    /// The site's set-up: nobody could be served with it, whatever is in front of the servers.
    SiteSetUp,
    /// The client, because of the requests that it sent or did not send.
    Client,
    /// The script, because of its actions.
    Script,
    /// A fault that the script injected, until it was repaired and the declared time to notice had passed.
    InjectedFault,
    /// Nobody that the trace identifies.
    Undetermined,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Balancer => "the balancer",
            Self::Server => "a server",
            Self::SiteSetUp => "the site's set-up",
            Self::Client => "the client",
            Self::Script => "the script",
            Self::InjectedFault => "an injected fault",
            Self::Undetermined => "undetermined",
        })
    }
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// A request had no answer: an error at the client, 502, 503 or 504.
    Unanswered,
    /// A client was asked for credentials (401, 407) where it should not have been.
    Refused,
    /// A request ended in a different status from the one that it should have.
    WrongStatus,
    /// A request took more HTTP requests than it needs.
    TooManyRequests,
    /// The legs of one handshake, or requests that belong together, were separated.
    Split,
    /// A body was not processed, or not in the form in which it was sent.
    WrongBody,
    /// Something was sent or processed more often than it may be.
    Repeated,
    /// The DC holds a failed logon against an account.
    FailedLogon,
    /// A request was processed as a user other than its sender.
    WrongUser,
    /// A client received the answer to another request.
    WrongAnswer,
    /// Two clients shared something that belongs to only one of them.
    Shared,
    /// A request went to a backend or connection other than the one it belongs to.
    Moved,
    /// A connection was closed although it had to stay open.
    Closed,
    /// Load was not spread as promised.
    Uneven,
    /// A request was sent to a backend that cannot log users on.
    NoLogonServer,
    /// The balancer turned a request away although a backend could have served it.
    TurnedAway,
    /// A request was not turned away, or not at once, although no backend could have served it.
    NotTurnedAway,
}

impl Failure {
    /// Returns the kind of a request's failure by its final status.
    pub(crate) fn of_status(status: Option<u16>) -> Self {
        match status {
            None | Some(502..=504) => Self::Unanswered,
            Some(401 | 407) => Self::Refused,
            Some(_) => Self::WrongStatus,
        }
    }
}
