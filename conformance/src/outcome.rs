//! What came of one scenario, without its trace.

use stickler_oracle::{Grade, Requirement};
use stickler_report::{RunReport, pretty, transcript};

/// What came of one scenario.
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
    /// The script's own expectations that did not hold, or why it could not go on.
    pub(crate) failures: Vec<String>,
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
    /// How often it was not kept.
    pub(crate) times: usize,
    /// The first of them, with the events that prove it.
    pub(crate) example: Option<String>,
}

impl Outcome {
    /// Of a script that ran to its end. `everything` adds the transcript to the details.
    pub(crate) fn of(name: &str, place: usize, report: &RunReport, missed: Vec<String>, everything: bool) -> Self {
        let judged = report.verdicts.iter().map(|verdict| Judged {
            requirement: verdict.requirement,
            grade: verdict.grade,
            exercised: verdict.exercised,
            times: verdict.evidence.len(),
            example: verdict.evidence.first().map(|first| transcript::evidence(&report.trace, first)),
        });
        let sound = report.as_expected();
        let telling = !sound || everything || report.graded(Grade::NonStrict).next().is_some();
        Self {
            name: name.to_owned(),
            place,
            sound,
            judged: judged.collect(),
            failures: report.failures.clone(),
            missed,
            details: if telling { pretty::details(report, everything) } else { String::new() },
            replay: report.replay.clone(),
        }
    }

    /// Of a script that could not go on, or asked for nothing.
    pub(crate) fn broken(name: &str, place: usize, error: String, replay: String) -> Self {
        let details = format!("── {name}\n{error}\nreplay: {replay}\n");
        Self {
            name: name.to_owned(),
            place,
            sound: false,
            judged: Vec::new(),
            failures: vec![error],
            missed: Vec::new(),
            details,
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
        parts.extend(self.missed.iter().cloned());
        parts.join("; ")
    }

    /// The requirements with this grade.
    pub(crate) fn graded(&self, grade: Grade) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.grade == grade)
    }
}
