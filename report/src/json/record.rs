//! Converts a run to a value that can be written and read back.

use serde::{Deserialize, Serialize};
use stickler_model::Trace;
use stickler_oracle::{Effort, Evidence, Grade, Requirement};
use stickler_runner::{Diagnostic, Ending, Run};

use super::to_line;
use crate::transcript;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The name of the scenario.
    pub scenario: String,
    /// The path of the script as the user gave it. For a shipped scenario, its name.
    pub path: String,
    /// The name of the balancer, with its defects.
    pub balancer: String,
    /// The arm: `sim` or `wire`.
    pub arm: String,
    /// The seed of the run.
    pub seed: u64,
    /// Whether the run was performed to its end, with the expected outcome.
    pub as_expected: bool,
    /// The differences between the outcome and the expected one.
    pub surprises: Vec<String>,
    /// The reason why the run was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The reason why the run was not performed to its end. Its verdicts are then about the events until that point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Diagnostic>"))]
    pub error: Option<Diagnostic>,
    /// The reason why nobody can log on at the site, as the script declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// The script's own expectations that did not hold.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<super::schema::Diagnostic>"))]
    pub failures: Vec<Diagnostic>,
    /// The lines that the script printed.
    pub printed: Vec<String>,
    /// The reason why a violation was expected.
    pub reason: Option<String>,
    /// The verdicts of the oracle, by requirement.
    pub verdicts: Vec<Judged>,
    /// The cost of the run; `null` without a trace.
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Effort>"))]
    pub effort: Option<Effort>,
    /// The hash of the trace. A simulated run has the same hash on every machine.
    pub trace_hash: Option<String>,
    /// The whole transcript, with one line for each event. It is present only with `--transcript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Vec<String>>,
    /// The command that repeats the run.
    pub replay: String,
}

/// The verdict of one requirement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The id of the requirement.
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::Requirement"))]
    pub requirement: Requirement,
    /// The grade of the requirement.
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::Grade"))]
    pub grade: Grade,
    /// The number of times that the run put the requirement to the test.
    pub exercised: usize,
    /// The failures, each with the party at fault.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<super::schema::Evidence>"))]
    pub evidence: Vec<Evidence>,
    /// The events that prove each piece of evidence, as transcript lines.
    pub transcript: Vec<Vec<String>>,
}

impl RunRecord {
    /// Returns the record of a run. `replay` is the command that repeats the run. `everything` adds the whole
    /// transcript.
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

    /// Returns the record as JSON on one line that is also safe to show in a terminal.
    pub fn to_line(&self) -> String {
        to_line(self)
    }
}
