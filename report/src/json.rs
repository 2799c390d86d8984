//! The same for programs: one JSON document.

use serde::Serialize;
use stickler_model::{Trace, escape};
use stickler_oracle::{Effort, Requirement, Severity, Verdict};
use stickler_runner::confidence::RATE;
use stickler_runner::{Conclusion, Confidence, Diagnostic, Ending, Run};

use crate::transcript;

#[derive(Serialize)]
struct Document<'a> {
    runs: Vec<RunValue<'a>>,
    /// What all of them together say of the identity of users, over balancers of which nothing was expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identity: Vec<Identity<'a>>,
    requirements: Vec<RequirementText>,
}

#[derive(Serialize)]
struct Identity<'a> {
    balancer: &'a str,
    conclusion: Conclusion,
    requests: u64,
    clients: usize,
    missed_at_1_percent: f64,
}

#[derive(Serialize)]
struct RunValue<'a> {
    scenario: &'a str,
    balancer: String,
    arm: &'a str,
    seed: u64,
    as_expected: bool,
    surprises: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    /// Why it was not performed to its end; its verdicts are about what was seen until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Diagnostic>,
    /// Why nobody can log on at its site, as its script declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a str>,
    failures: &'a [Diagnostic],
    printed: &'a [String],
    reason: Option<&'a str>,
    verdicts: Vec<GradedVerdict<'a>>,
    effort: Option<Effort>,
    trace_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<Vec<String>>,
    replay: String,
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

/// All runs, and the requirements that they were judged by. `replay` gives the command that makes a run again;
/// `everything` adds the whole transcripts.
pub fn document(runs: &[Run], replay: &dyn Fn(&Run) -> String, everything: bool) -> String {
    document_with(runs, &[], replay, everything)
}

/// The same, with what all runs over a balancer together say of the identity of its users.
pub fn document_with(
    runs: &[Run],
    identity: &[(&str, Confidence)],
    replay: &dyn Fn(&Run) -> String,
    everything: bool,
) -> String {
    let runs = runs.iter().map(|run| run_value(run, replay(run), everything)).collect();
    let said = |&(balancer, confidence): &(_, Confidence)| Identity {
        balancer,
        conclusion: confidence.conclusion(),
        requests: confidence.requests,
        clients: confidence.clients,
        missed_at_1_percent: confidence.missed(RATE),
    };
    let identity = identity.iter().map(said).collect();
    to_text(&Document { runs, identity, requirements: requirements() })
}

/// A value as a document that a terminal can show too.
pub(crate) fn to_text(value: &impl Serialize) -> String {
    let document = serde_json::to_string_pretty(value).expect("a report has no map keys that JSON refuses");
    escape::json(&document).into_owned()
}

fn run_value(run: &Run, replay: String, everything: bool) -> RunValue<'_> {
    let events = run.trace.as_ref().map_or(&[][..], |trace| &trace.events);
    let lines = |indices: &[usize]| {
        indices.iter().filter_map(|&index| events.get(index)).map(transcript::line).collect::<Vec<_>>()
    };
    let verdicts = run.verdicts.iter().map(|verdict| GradedVerdict {
        verdict,
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
    RunValue {
        scenario: &run.source.scenario,
        balancer: run.balancer.to_string(),
        arm: &run.arm,
        seed: run.seed,
        as_expected,
        surprises,
        skipped,
        error: run.error(),
        broken: run.trace.as_ref().and_then(|trace| trace.header.topology.broken.as_deref()),
        failures: &run.failures,
        printed: &run.printed,
        reason: run.expected.reason.as_deref(),
        verdicts: verdicts.collect(),
        effort: run.trace.as_ref().map(Effort::of),
        trace_hash: run.trace.as_ref().map(Trace::hash),
        transcript: everything.then(|| events.iter().map(transcript::line).collect()),
        replay,
    }
}
