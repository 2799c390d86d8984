//! Plans of run files, performed again and compared with what is recorded.

use std::io::{self, Write};

use stickler_model::escape;
use stickler_report::{pretty, transcript};
use stickler_runner::file::{self, Difference};
use stickler_runner::{End, Run};
use stickler_sim::SimArm;

use crate::{Failure, args};

pub(crate) fn replay(arguments: &args::Replay) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let (mut wrong, mut different, mut judged) = (Vec::new(), false, false);
    for path in &arguments.files {
        let shown = path.display().to_string();
        let shown = escape::line(&shown);
        let replay = match file::replay(path, &SimArm) {
            Ok(replay) => replay,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let events = replay.run.trace.as_ref().map_or(0, |trace| trace.events.len());
        match (&replay.run.end, &replay.difference) {
            (End::Failed(diagnostic), _) => wrong.push(diagnostic.to_string()),
            (End::Skipped(reason), _) => writeln!(out, "{shown}: skipped: {}", escape::line(reason))?,
            (End::Complete, Some(difference)) => {
                different = true;
                writeln!(out, "{shown}: different from what is recorded")?;
                write_difference(&mut out, difference)?;
            }
            (End::Complete, None) => {
                judged = true;
                writeln!(out, "{shown}: equal, {events} events, {}", violated(&replay.run))?;
            }
        }
        if arguments.transcript {
            let command = format!("stickler replay {shown}");
            writeln!(out, "{}", pretty::details(&replay.run, &command, true))?;
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::Wrong(wrong.join("\n")));
    }
    match (different, judged) {
        (true, _) => Err(Failure::NotAsExpected),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::Nothing("every plan was skipped, so nothing was compared".into())),
    }
}

/// What the run violated, in a few words.
fn violated(run: &Run) -> String {
    let violated: Vec<String> =
        run.graded(stickler_oracle::Grade::Violated).map(|verdict| verdict.requirement.to_string()).collect();
    if violated.is_empty() { "nothing violated".into() } else { format!("violated: {}", violated.join(" ")) }
}

fn write_difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    match difference {
        Difference::Promises { recorded, replayed } => {
            writeln!(out, "  the balancer declares something else about itself")?;
            writeln!(out, "  recorded: {recorded:?}")?;
            writeln!(out, "  now:      {replayed:?}")
        }
        Difference::Event { index, recorded, replayed } => {
            let line = |event: &Option<Box<stickler_model::Event>>| {
                event.as_ref().map_or_else(|| "(the trace has ended)".to_owned(), |event| transcript::line(event))
            };
            writeln!(out, "  event {} is the first that differs", index + 1)?;
            writeln!(out, "  recorded: {}", line(recorded))?;
            writeln!(out, "  now:      {}", line(replayed))?;
            // Two events may differ in what a transcript leaves out.
            if line(recorded) == line(replayed) {
                writeln!(out, "  recorded: {recorded:?}")?;
                writeln!(out, "  now:      {replayed:?}")?;
            }
            Ok(())
        }
        Difference::Verdict { recorded, replayed } => {
            let line = |verdict: &Option<Box<stickler_oracle::Verdict>>| {
                verdict.as_ref().map_or_else(
                    || "no verdict".to_owned(),
                    |verdict| {
                        let summaries = verdict.against_balancer().map(|evidence| evidence.summary.as_str());
                        let summaries: Vec<&str> = summaries.collect();
                        let summaries = summaries.join("; ");
                        format!("{} {}: {}", verdict.requirement, verdict.grade, escape::line(&summaries))
                    },
                )
            };
            writeln!(out, "  the events are equal, and are judged differently")?;
            writeln!(out, "  recorded: {}", line(recorded))?;
            writeln!(out, "  now:      {}", line(replayed))
        }
    }
}
