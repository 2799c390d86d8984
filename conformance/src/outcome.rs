//! The outcome of one scenario, without its trace.

use stickler_oracle::{Grade, Requirement};
use stickler_report::{pretty, transcript};
use stickler_runner::{Deviation, Ending, Run};

/// The outcome of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The test's name, `group::scenario`.
    pub(crate) name: String,
    /// Its place among the shipped scenarios.
    pub(crate) place: usize,
    /// Whether it ended as it has to.
    pub(crate) sound: bool,
    /// The requirements that it put to the test.
    pub(crate) judged: Vec<Judged>,
    /// The script's own expectations that did not hold.
    pub(crate) failures: Vec<String>,
    /// Why the scenario was not played to its end: most often, the balancer panicked.
    pub(crate) stopped: Option<String>,
    /// What else is not as it has to be: a requirement that was not put to the test.
    pub(crate) missed: Vec<String>,
    /// All of the evidence; empty where there is nothing to tell.
    pub(crate) details: String,
    /// The command that plays it again.
    pub(crate) replay: String,
}

/// A requirement in one scenario.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) requirement: Requirement,
    pub(crate) grade: Grade,
    /// How often it was put to the test.
    pub(crate) exercised: usize,
    /// How often the requirement was violated or, as a SHOULD, not followed.
    pub(crate) times: usize,
    /// The first of them, with the events that prove it.
    pub(crate) example: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a run. `replay` is the command that makes it again; `everything` adds the transcript to the
    /// details.
    pub(crate) fn of(name: &str, place: usize, run: &Run, replay: String, everything: bool) -> Self {
        let judged = run.verdicts.iter().map(|verdict| Judged {
            requirement: verdict.requirement,
            grade: verdict.grade,
            exercised: verdict.exercised,
            times: verdict.against_balancer().count(),
            example: run
                .trace
                .as_ref()
                .and_then(|trace| verdict.against_balancer().next().map(|first| transcript::evidence(trace, first))),
        });
        let ending = run.ending();
        let sound = matches!(ending, Ending::AsExpected);
        let (mut failures, mut missed, mut stopped) = (Vec::new(), Vec::new(), None);
        match ending {
            Ending::AsExpected => {}
            Ending::NotAsExpected(deviations) => {
                failures = run.failures.iter().map(ToString::to_string).collect();
                missed = deviations.iter().filter(|it| is_untested(it)).map(ToString::to_string).collect();
            }
            // Nothing was judged, so nothing was shown to be sound.
            Ending::Skipped(reason) => stopped = Some(format!("skipped: {reason}")),
            Ending::Failed(diagnostic) => stopped = Some(diagnostic.to_string()),
        }
        let worth_showing = !sound || everything || run.graded(Grade::NonStrict).next().is_some();
        Self {
            name: name.to_owned(),
            place,
            sound,
            judged: judged.collect(),
            failures,
            stopped,
            missed,
            details: if worth_showing { pretty::details(run, &replay, everything) } else { String::new() },
            replay,
        }
    }

    /// What is not as it has to be.
    pub(crate) fn in_a_line(&self) -> String {
        let violated: Vec<String> = self.graded(Grade::Violated).map(|judged| judged.requirement.to_string()).collect();
        let mut parts = Vec::new();
        if !violated.is_empty() {
            parts.push(format!("violates {}", violated.join(", ")));
        }
        match self.failures.len() {
            0 => {}
            1 => parts.push("one expectation of the script does not hold".into()),
            count => parts.push(format!("{count} expectations of the script do not hold")),
        }
        parts.extend(self.stopped.as_deref().map(|_| "did not come to its end".to_owned()));
        parts.extend(self.missed.iter().cloned());
        parts.join("; ")
    }

    /// The requirements with this grade.
    pub(crate) fn graded(&self, grade: Grade) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.grade == grade)
    }
}

/// Whether a requirement was to be put to the test, and was not.
fn is_untested(deviation: &Deviation) -> bool {
    matches!(deviation, Deviation::Grade { actual: Grade::NotExercised, .. })
}
