//! Verdicts and their evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::requirement::Requirement;

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
    /// A SHOULD was not followed.
    NonStrict,
    /// A MUST was broken.
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
pub struct Verdict {
    /// The requirement.
    pub requirement: Requirement,
    /// The grade.
    pub grade: Grade,
    /// How many times the trace put the requirement to the test.
    pub exercised: usize,
    /// Every violation (or departure, for a SHOULD), in the order in which they happened.
    pub evidence: Vec<Evidence>,
}

/// Proof of one violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The violation in one sentence, with names: "bob's request r4 was processed as CORP\alice by iis1 on connection 2".
    pub summary: String,
    /// The events that prove the violation, as indices into the trace's events, in order.
    pub events: Vec<usize>,
}
