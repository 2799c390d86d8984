//! Performs the plans of run files again, and compares the results with the recorded ones.

use std::io::{self, Write};

use serde::Serialize;
use stickler_model::{Event, escape};
use stickler_oracle::{Grade, Party};
use stickler_report::json::ErrorRecord;
use stickler_report::test_case::Place;
use stickler_report::{pretty, transcript};
use stickler_runner::file::{self, Comparison, Difference, FileError, RecordedVerdict, Replay};
use stickler_runner::{End, Run};

use crate::args::{self, Arm, Format};
use crate::output::Reports;
use crate::pcap::Capture;
use crate::{Failure, hunt, jobs};

/// The maximum number of characters that are shown of each side of a difference.
const MOST_SHOWN: usize = 4_000;

/// The JSON document of `stickler replay`.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Replays {
    /// The results by file, in the order in which the files were named.
    replays: Vec<Replayed>,
}

/// The result of one file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Replayed {
    /// The path of the run file.
    file: String,
    /// The outcome of the replay.
    outcome: Outcome,
    /// The reason why the plan was skipped, or the error in the file; missing otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The difference from the recorded run, in lines; missing if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<String>,
    /// The number of events that were seen.
    events: usize,
    /// The requirements that were violated.
    violated: Vec<String>,
}

/// The outcome of the replay of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The run is equal to the recorded one.
    Equal,
    /// The run differs from the recorded one.
    Different,
    /// The plan was performed, and the file contains no recorded run for a comparison.
    Performed,
    /// The arm does not support the plan.
    Skipped,
    /// The file or its plan is wrong.
    Wrong,
}

pub(crate) fn replay(arguments: &args::Replay) -> Result<(), Failure> {
    let mut reports = Reports::open("replay", &arguments.report, arguments.format == Format::Json)?;
    let capture = arguments.pcap.prepare(arguments.files.len(), arguments.arm != Some(Arm::Wire))?;
    let sim = capture.as_ref().map_or_else(|| jobs::build(Arm::Sim), |capture| Ok(capture.arm()))?;
    let wire = jobs::build(Arm::Wire).ok();
    let arm = |recorded: &str| match (arguments.arm, recorded) {
        (Some(Arm::Sim), _) | (None, "sim") => Some(&*sim),
        (Some(Arm::Wire), _) | (None, "wire") => wire.as_deref(),
        (None, _) => None,
    };
    if arguments.shrink {
        return hunt::shrink_files(&arguments.files, &arm, &arguments.out);
    }
    arguments.diagram.check(arguments.files.len(), reports.takes_stdout())?;
    let (mut says, mut wrong) = (Replays::default(), Vec::new());
    let mut unexpected = false;
    for path in &arguments.files {
        let mut out: Box<dyn Write> =
            if reports.takes_stdout() { Box::new(io::sink()) } else { Box::new(io::stdout().lock()) };
        let file = path.display().to_string();
        match file::replay(path, &arm) {
            Ok(replay) => {
                let one = Replayed::of(file, &replay);
                let is_news = one.outcome == Outcome::Performed && !one.violated.is_empty();
                unexpected |= is_news || one.outcome == Outcome::Different;
                one.show(&mut out, &replay.run, arguments, is_news)?;
                if let End::Failed(diagnostic) = &replay.run.end {
                    wrong.push(ErrorRecord { message: diagnostic.to_string(), place: Some((&**diagnostic).into()) });
                }
                says.replays.push(one);
            }
            Err(error) => {
                wrong.push(ErrorRecord { message: error.to_string(), place: Some(place(&error)) });
                says.replays.push(Replayed::wrong(file, error.to_string()));
            }
        }
    }
    let ended = match (unexpected, says.any(&[Outcome::Equal, Outcome::Performed])) {
        _ if !wrong.is_empty() => Err(Failure::WrongFiles(wrong)),
        (true, _) => Err(Failure::NotAsExpected),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::Nothing("every plan was skipped, so nothing was compared".into())),
    };
    let is_wrong = matches!(ended, Err(Failure::WrongFiles(_)));
    if let (Err(failure), true) = (&ended, is_wrong) {
        reports.add_failure(failure);
    }
    let captured = capture.as_ref().filter(|_| !is_wrong).map_or(Ok(()), Capture::write);
    reports.finish(None, &says).and(captured).and(ended)
}

impl Replays {
    fn any(&self, outcomes: &[Outcome]) -> bool {
        self.replays.iter().any(|one| outcomes.contains(&one.outcome))
    }
}

impl Replayed {
    fn of(file: String, Replay { run, comparison, .. }: &Replay) -> Self {
        let (outcome, reason, difference) = match (&run.end, comparison) {
            (End::Failed(diagnostic), _) => (Outcome::Wrong, Some(diagnostic.to_string()), Vec::new()),
            (End::Skipped(reason), _) => (Outcome::Skipped, Some(reason.clone()), Vec::new()),
            (End::Complete, Comparison::PlanAlone) => (Outcome::Performed, None, Vec::new()),
            (End::Complete, Comparison::Equal) => (Outcome::Equal, None, Vec::new()),
            (End::Complete, Comparison::Different(difference)) => (Outcome::Different, None, lines(difference)),
        };
        let violated = run.graded(Grade::Violated).map(|verdict| verdict.requirement.to_string()).collect();
        let events = run.trace.as_ref().map_or(0, |trace| trace.events.len());
        Self { file, outcome, reason, difference, events, violated }
    }

    fn wrong(file: String, why: String) -> Self {
        let (outcome, reason) = (Outcome::Wrong, Some(why));
        Self { file, outcome, reason, difference: Vec::new(), events: 0, violated: Vec::new() }
    }

    /// Shows the result. The violations of a plan without a recorded run are shown with their evidence, those of a
    /// recorded run only on request.
    fn show(&self, out: &mut dyn Write, run: &Run, arguments: &args::Replay, is_news: bool) -> Result<(), Failure> {
        let mut out = out;
        if let Some(alone) = arguments.diagram.alone() {
            return alone.write(&mut out, run);
        }
        let shown = escape::line(&self.file);
        let seen = if self.violated.is_empty() {
            format!("{} events, nothing violated", self.events)
        } else {
            format!("{} events, violated: {}", self.events, self.violated.join(" "))
        };
        match self.outcome {
            Outcome::Wrong => {}
            Outcome::Skipped => {
                writeln!(out, "{shown}: skipped: {}", escape::line(self.reason.as_deref().unwrap_or_default()))?;
            }
            Outcome::Performed => writeln!(out, "{shown}: performed, {seen}, no recorded run to compare with")?,
            Outcome::Equal => writeln!(out, "{shown}: equal, {seen}")?,
            Outcome::Different => writeln!(out, "{shown}: different from the recorded run")?,
        }
        self.difference.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        if arguments.transcript || is_news {
            let on = arguments.arm.map_or("", |arm| if arm == Arm::Wire { " --arm wire" } else { " --arm sim" });
            let command = format!("stickler replay {shown}{on}");
            writeln!(out, "{}", pretty::details(run, &command, arguments.transcript))?;
        }
        arguments.diagram.write_below(&mut out, run)
    }
}

/// Returns the place of an error in a run file.
fn place(error: &FileError) -> Place {
    Place { line: error.line, ..Place::of_file(error.path.clone()) }
}

/// Returns the lines that describe the difference between a run and the recorded one.
fn lines(difference: &Difference) -> Vec<String> {
    match difference {
        Difference::Promises(changed) => {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
            let of = changed.iter().flat_map(|promise| {
                let field = format!("`{}`", escape::line(&promise.field));
                std::iter::once(field).chain(both(&shown(&promise.recorded), &shown(&promise.replayed)))
            });
            std::iter::once("the balancer makes other declarations about itself".to_owned()).chain(of).collect()
        }
        Difference::Event { index, recorded, replayed } => {
            let shown = |event: &Option<Box<Event>>, show: fn(&Event) -> String| {
                event.as_deref().map_or_else(|| "(the trace has ended)".to_owned(), show)
            };
            let (was, is) = (shown(recorded, transcript::line), shown(replayed, transcript::line));
            let mut lines = vec![format!("event {} is the first that differs", index + 1)];
            lines.extend(both(&was, &is));
            // Two events may differ in details that a transcript leaves out.
            if was == is {
                lines.extend(both(&shown(recorded, json), &shown(replayed, json)));
            }
            lines
        }
        Difference::Verdict { requirement, recorded, replayed } => {
            let (was, is) = (verdict_line(recorded.as_deref()), verdict_line(replayed.as_deref()));
            let mut lines = vec![format!("the events are equal, and {requirement} is judged differently")];
            lines.extend(both(&was, &is));
            // Two verdicts may differ in details that these lines leave out.
            if let (Some(recorded), Some(replayed), true) = (recorded, replayed, was == is) {
                lines.extend(both(&json(recorded), &json(replayed)));
            }
            lines
        }
    }
}

fn both(recorded: &str, now: &str) -> [String; 2] {
    let shown = |text: &str| escape::line(&text.chars().take(MOST_SHOWN).collect::<String>()).into_owned();
    [format!("recorded: {}", shown(recorded)), format!("now:      {}", shown(now))]
}

fn verdict_line(verdict: Option<&RecordedVerdict>) -> String {
    let Some(verdict) = verdict else { return "no verdict".to_owned() };
    let against = verdict.evidence.iter().filter(|evidence| evidence.fault == Party::Balancer);
    let summaries: Vec<&str> = against.map(|evidence| evidence.summary.as_str()).collect();
    let colon = if summaries.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", verdict.grade, summaries.join("; "))
}

/// Returns a value in the JSON of a run file.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
