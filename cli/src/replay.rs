//! Plans of run files, performed again and compared with what is recorded.

use std::io::{self, Write};

use serde::Serialize;
use stickler_model::{Event, escape};
use stickler_oracle::{Grade, Party};
use stickler_report::{pretty, transcript};
use stickler_runner::file::{self, Comparison, Difference, RecordedVerdict};
use stickler_runner::{End, Run};

use crate::args::{self, Arm};
use crate::{Failure, hunt, jobs};

/// Most characters that are shown of each side of a difference.
const MOST_SHOWN: usize = 4_000;

pub(crate) fn replay(arguments: &args::Replay) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let (sim, wire) = (jobs::build(Arm::Sim)?, jobs::build(Arm::Wire).ok());
    let arm = |recorded: &str| match (arguments.arm, recorded) {
        (Some(Arm::Sim), _) | (None, "sim") => Some(&*sim),
        (Some(Arm::Wire), _) | (None, "wire") => wire.as_deref(),
        (None, _) => None,
    };
    if arguments.shrink {
        return hunt::shrink_files(&arguments.files, &arm, &arguments.out);
    }
    arguments.diagram.check(arguments.files.len(), false)?;
    let (mut wrong, mut unexpected, mut performed) = (Vec::new(), false, false);
    for path in &arguments.files {
        let shown = path.display().to_string();
        let shown = escape::line(&shown);
        let replay = match file::replay(path, &arm) {
            Ok(replay) => replay,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let run = &replay.run;
        let on = arguments.arm.map_or("", |arm| if arm == Arm::Wire { " --arm wire" } else { " --arm sim" });
        let command = format!("stickler replay {shown}{on}");
        if let Some(alone) = arguments.diagram.alone() {
            alone.write(&mut out, run)?;
        }
        let mut out: &mut dyn Write = if arguments.diagram.alone().is_some() { &mut io::sink() } else { &mut out };
        // What a plan alone violates is news; what a recorded run violates is in its file.
        let mut details = arguments.transcript;
        match (&run.end, &replay.comparison) {
            (End::Failed(diagnostic), _) => wrong.push(diagnostic.to_string()),
            (End::Skipped(reason), _) => writeln!(out, "{shown}: skipped: {}", escape::line(reason))?,
            (End::Complete, Comparison::PlanAlone) => {
                performed = true;
                writeln!(out, "{shown}: performed, {}, nothing is recorded to compare with", outcome(run))?;
                if run.graded(Grade::Violated).next().is_some() {
                    (unexpected, details) = (true, true);
                }
            }
            (End::Complete, Comparison::Equal) => {
                performed = true;
                writeln!(out, "{shown}: equal, {}", outcome(run))?;
            }
            (End::Complete, Comparison::Different(difference)) => {
                unexpected = true;
                writeln!(out, "{shown}: different from what is recorded")?;
                write_difference(&mut out, difference)?;
            }
        }
        if details {
            writeln!(out, "{}", pretty::details(run, &command, arguments.transcript))?;
        }
        arguments.diagram.write_below(&mut out, run)?;
    }
    if !wrong.is_empty() {
        return Err(Failure::Wrong(wrong.join("\n")));
    }
    match (unexpected, performed) {
        (true, _) => Err(Failure::NotAsExpected),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::Nothing("every plan was skipped, so nothing was compared".into())),
    }
}

/// What was seen and violated, in a few words.
fn outcome(run: &Run) -> String {
    let events = run.trace.as_ref().map_or(0, |trace| trace.events.len());
    let violated: Vec<String> = run.graded(Grade::Violated).map(|verdict| verdict.requirement.to_string()).collect();
    if violated.is_empty() {
        format!("{events} events, nothing violated")
    } else {
        format!("{events} events, violated: {}", violated.join(" "))
    }
}

fn write_difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    match difference {
        Difference::Promises(changed) => {
            writeln!(out, "  the balancer declares something else about itself")?;
            changed.iter().try_for_each(|promise| {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
                writeln!(out, "  `{}`", escape::line(&promise.field))?;
                write_both(out, &shown(&promise.recorded), &shown(&promise.replayed))
            })
        }
        Difference::Event { index, recorded, replayed } => {
            let shown = |event: &Option<Box<Event>>, show: fn(&Event) -> String| {
                event.as_deref().map_or_else(|| "(the trace has ended)".to_owned(), show)
            };
            writeln!(out, "  event {} is the first that differs", index + 1)?;
            let (was, is) = (shown(recorded, transcript::line), shown(replayed, transcript::line));
            write_both(out, &was, &is)?;
            // Two events may differ in what a transcript leaves out.
            if was == is { write_both(out, &shown(recorded, json), &shown(replayed, json)) } else { Ok(()) }
        }
        Difference::Verdict { requirement, recorded, replayed } => {
            writeln!(out, "  the events are equal, and {requirement} is judged differently")?;
            let (was, is) = (verdict_line(recorded.as_deref()), verdict_line(replayed.as_deref()));
            write_both(out, &was, &is)?;
            match (recorded, replayed) {
                // They may differ in what these lines leave out.
                (Some(recorded), Some(replayed)) if was == is => write_both(out, &json(recorded), &json(replayed)),
                _ => Ok(()),
            }
        }
    }
}

fn write_both(out: &mut impl Write, recorded: &str, now: &str) -> io::Result<()> {
    let shown = |text: &str| text.chars().take(MOST_SHOWN).collect::<String>();
    writeln!(out, "  recorded: {}", escape::line(&shown(recorded)))?;
    writeln!(out, "  now:      {}", escape::line(&shown(now)))
}

fn verdict_line(verdict: Option<&RecordedVerdict>) -> String {
    let Some(verdict) = verdict else { return "no verdict".to_owned() };
    let against = verdict.evidence.iter().filter(|evidence| evidence.fault == Party::Balancer);
    let summaries: Vec<&str> = against.map(|evidence| evidence.summary.as_str()).collect();
    let colon = if summaries.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", verdict.grade, summaries.join("; "))
}

/// A value as it stands in a run file.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
