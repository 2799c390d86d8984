//! The same for programs: one JSON document.

use serde::Serialize;
use stickler_oracle::{Effort, Requirement, Severity, Verdict};

use crate::{RunReport, transcript};

#[derive(Serialize)]
struct Document<'a> {
    runs: Vec<Run<'a>>,
    requirements: Vec<RequirementText>,
}

#[derive(Serialize)]
struct Run<'a> {
    scenario: &'a str,
    balancer: &'a str,
    seed: u64,
    as_expected: bool,
    surprises: &'a [String],
    failures: &'a [String],
    printed: &'a [String],
    reason: Option<&'a str>,
    verdicts: Vec<GradedVerdict<'a>>,
    effort: Effort,
    trace_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<Vec<String>>,
    replay: &'a str,
}

#[derive(Serialize)]
struct GradedVerdict<'a> {
    #[serde(flatten)]
    verdict: &'a Verdict,
    transcript: Vec<Vec<String>>,
}

/// A requirement's texts.
#[derive(Debug, Clone, Serialize)]
pub struct RequirementText {
    /// `HS-1` and so on.
    pub id: &'static str,
    /// `MUST` or `SHOULD`.
    pub severity: &'static str,
    /// The requirement in one sentence.
    pub text: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// All requirements, in order.
pub fn requirements() -> Vec<RequirementText> {
    Requirement::all()
        .map(|requirement| RequirementText {
            id: requirement.id(),
            severity: if requirement.severity() == Severity::Must { "MUST" } else { "SHOULD" },
            text: requirement.text(),
            source: requirement.source(),
        })
        .collect()
}

/// All runs, and the requirements that they were judged by. `everything` adds the whole transcripts.
pub fn document(runs: &[RunReport], everything: bool) -> String {
    let document =
        Document { runs: runs.iter().map(|run| run_value(run, everything)).collect(), requirements: requirements() };
    serde_json::to_string_pretty(&document).expect("a report has no map keys that JSON refuses")
}

fn run_value(run: &RunReport, everything: bool) -> Run<'_> {
    let lines = |events: &[usize]| {
        events.iter().filter_map(|&index| run.trace.events.get(index)).map(transcript::line).collect()
    };
    Run {
        scenario: &run.scenario,
        balancer: &run.balancer,
        seed: run.trace.header.seed,
        as_expected: run.as_expected(),
        surprises: &run.surprises,
        failures: &run.failures,
        printed: &run.printed,
        reason: run.reason.as_deref(),
        verdicts: run
            .verdicts
            .iter()
            .map(|verdict| GradedVerdict {
                verdict,
                transcript: verdict.evidence.iter().map(|evidence| lines(&evidence.events)).collect(),
            })
            .collect(),
        effort: Effort::of(&run.trace),
        trace_hash: run.trace.hash(),
        transcript: everything.then(|| run.trace.events.iter().map(transcript::line).collect()),
        replay: &run.replay,
    }
}
