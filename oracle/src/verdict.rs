//! Verdicts, and the evidence for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Requirement;

/// What a trace says of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Nothing in the trace put it to the test.
    NotExercised,
    /// It does not concern this site or this balancer.
    NotApplicable,
    /// Put to the test, and kept.
    Ok,
    /// A SHOULD that was not followed.
    NonStrict,
    /// A MUST that was broken.
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

/// One requirement's verdict on one trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which requirement.
    pub requirement: Requirement,
    /// The grade.
    pub grade: Grade,
    /// How often the trace put it to the test.
    pub exercised: usize,
    /// Each violation (or departure, for a SHOULD), in the order in which they happened.
    pub evidence: Vec<Evidence>,
}

/// Why a requirement counts as violated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// In one sentence, with names: "bob's request r4 was processed as CORP\alice by iis1 on connection 2".
    pub summary: String,
    /// The events that prove it, as indices into the trace's events, in order.
    pub events: Vec<usize>,
}
