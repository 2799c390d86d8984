//! A run as a value that can be written and read back.

use serde::{Deserialize, Serialize};
use stickler_model::Trace;
use stickler_oracle::{Effort, Evidence, Grade, Requirement};
use stickler_runner::{Diagnostic, Ending, Run};

use super::to_line;
use crate::transcript;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The scenario's name.
    pub scenario: String,
    /// The path of its script as it was given; of a shipped scenario, its name.
    pub path: String,
    /// The balancer's name, with its defects.
    pub balancer: String,
    /// `sim` or `wire`.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Whether it was performed to its end, with the expected outcome.
    pub as_expected: bool,
    /// How its outcome differs from the expected one.
    pub surprises: Vec<String>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why it was not performed to its end; its verdicts are about what was seen until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Diagnostic>"))]
    pub error: Option<Diagnostic>,
    /// Why nobody can log on at its site, as its script declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// The script's own expectations that did not hold.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<super::schema::Diagnostic>"))]
    pub failures: Vec<Diagnostic>,
    /// What the script printed.
    pub printed: Vec<String>,
    /// Why a violation was expected.
    pub reason: Option<String>,
    /// What the oracle says, by requirement.
    pub verdicts: Vec<Judged>,
    /// What the run cost; `null` without a trace.
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Effort>"))]
    pub effort: Option<Effort>,
    /// The hash of the trace. In the simulation, the same run has the same on every machine.
    pub trace_hash: Option<String>,
    /// Everything that was seen, a line for each event; with `--transcript` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Vec<String>>,
    /// The command that makes the run again.
    pub replay: String,
}

/// The verdict of one requirement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The requirement's id.
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::Requirement"))]
    pub requirement: Requirement,
    /// The grade.
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::Grade"))]
    pub grade: Grade,
    /// How often the run put it to the test.
    pub exercised: usize,
    /// Everything that went wrong, with the party at fault.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<super::schema::Evidence>"))]
    pub evidence: Vec<Evidence>,
    /// For each piece of evidence, the events that prove it, as lines.
    pub transcript: Vec<Vec<String>>,
}

impl RunRecord {
    /// Returns the record of a run. `replay` is the command that makes it again; `everything` adds the whole transcript.
    pub fn of(run: &Run, replay: String, everything: bool) -> Self {
        let events = run.trace.as_ref().map_or(&[][..], |trace| &trace.events);
        let lines = |indices: &[usize]| {
            indices.iter().filter_map(|&index| events.get(index)).map(transcript::line).collect::<Vec<_>>()
        };
        let verdicts = run.verdicts.iter().map(|verdict| Judged {
            requirement: verdict.requirement,
            grade: verdict.grade,
            exercised: verdict.exercised,
            evidence: verdict.evidence.clone(),
            transcript: verdict.evidence.iter().map(|evidence| lines(&evidence.events)).collect(),
        });
        let ending = run.ending();
        let as_expected = ending == Ending::AsExpected;
        let (surprises, skipped) = match ending {
            Ending::AsExpected => (Vec::new(), None),
            Ending::NotAsExpected(deviations) => (deviations.iter().map(ToString::to_string).collect(), None),
            Ending::Skipped(reason) => (Vec::new(), Some(reason)),
            Ending::Failed(diagnostic) => (vec![diagnostic.to_string()], None),
        };
        Self {
            scenario: run.source.scenario.clone(),
            path: run.source.path.clone(),
            balancer: run.balancer.to_string(),
            arm: run.arm.clone(),
            seed: run.seed,
            as_expected,
            surprises,
            skipped,
            error: run.error().cloned(),
            broken: run.trace.as_ref().and_then(|trace| trace.header.topology.broken.clone()),
            failures: run.failures.clone(),
            printed: run.printed.clone(),
            reason: run.expected.reason.clone(),
            verdicts: verdicts.collect(),
            effort: run.trace.as_ref().map(Effort::of),
            trace_hash: run.trace.as_ref().map(Trace::hash),
            transcript: everything.then(|| events.iter().map(transcript::line).collect()),
            replay,
        }
    }

    /// Returns it on one line, which a terminal can show too.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}
