//! The outcome of one scenario, without its trace.

use stickler_oracle::{Grade, Requirement};
use stickler_report::{pretty, transcript};
use stickler_runner::{Deviation, Ending, Run};

/// The outcome of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The test's name, `group::scenario`.
    pub(crate) name: String,
    /// The index of the scenario among the shipped ones.
    pub(crate) place: usize,
    /// Whether the scenario ended as it must.
    pub(crate) sound: bool,
    /// The requirements that it put to the test.
    pub(crate) judged: Vec<Judged>,
    /// The script's own expectations that did not hold.
    pub(crate) failures: Vec<String>,
    /// Why the scenario was not played to its end. The most frequent reason is a panic of the balancer.
    pub(crate) stopped: Option<String>,
    /// Other differences from what is required: requirements that were not put to the test.
    pub(crate) missed: Vec<String>,
    /// All of the evidence; empty if there is none.
    pub(crate) details: String,
    /// The command that plays the scenario again.
    pub(crate) replay: String,
}

/// A requirement in one scenario.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) requirement: Requirement,
    pub(crate) grade: Grade,
    /// The number of times that the requirement was put to the test.
    pub(crate) exercised: usize,
    /// The number of times that the requirement was violated or, for a SHOULD, not followed.
    pub(crate) times: usize,
    /// The first violation, with the events that prove it.
    pub(crate) example: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a run. `replay` is the command that repeats the run; `everything` adds the transcript to
    /// the details.
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

    /// Returns in one line how the outcome differs from what is required.
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

    /// Returns the requirements with this grade.
    pub(crate) fn graded(&self, grade: Grade) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.grade == grade)
    }
}

/// Returns whether a requirement had to be put to the test, and was not.
fn is_untested(deviation: &Deviation) -> bool {
    matches!(deviation, Deviation::Grade { actual: Grade::NotExercised, .. })
}
