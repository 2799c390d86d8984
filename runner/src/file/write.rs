//! The writer of run files.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use stickler_model::{BalancerSpec, Plan, Topology, escape};

use super::kept::{self, RecordedVerdict};
use super::{FORMAT, Head, Last, MAX_LINE};
use crate::{End, Run, Source};

/// Writes a run: its plan, its trace, and its results. If the run has no trace, nothing is written. Returns whether the
/// run was written.
///
/// # Errors
/// The operating system cannot write, or a line would be longer than [`MAX_LINE`].
pub fn write(run: &Run, out: &mut impl Write) -> io::Result<bool> {
    let Some(trace) = &run.trace else { return Ok(false) };
    let header = &trace.header;
    line(out, &head(&run.source, &run.arm, header.seed, &header.balancer, &header.topology))?;
    let steps = trace.actions().try_fold(0, |count, step| keyed(out, "step", step).map(|()| count + 1))?;
    keyed(out, "promises", &header.promises)?;
    trace.events.iter().try_for_each(|event| keyed(out, "event", event))?;
    run.verdicts.iter().try_for_each(|verdict| keyed(out, "verdict", &RecordedVerdict::of(verdict)))?;
    keyed(out, "expected", &run.expected)?;
    run.failures.iter().try_for_each(|failure| keyed(out, "failure", &kept::diagnostic(failure)))?;
    run.printed.iter().try_for_each(|text| keyed(out, "printed", &kept::said(text)))?;
    let how = match &run.end {
        End::Complete => End::Complete,
        End::Skipped(reason) => End::Skipped(kept::said(reason).into_owned()),
        End::Failed(diagnostic) => End::Failed(Box::new(kept::diagnostic(diagnostic))),
    };
    keyed(out, "end", &Last { steps, events: trace.events.len(), how })?;
    Ok(true)
}

/// Writes a plan that was not performed.
///
/// # Errors
/// The operating system cannot write, or a line would be longer than [`MAX_LINE`].
pub fn write_plan(plan: &Plan, source: &Source, arm: &str, out: &mut impl Write) -> io::Result<()> {
    line(out, &head(source, arm, plan.seed, &plan.balancer, &plan.topology))?;
    plan.steps.iter().try_for_each(|step| keyed(out, "step", step))?;
    keyed(out, "end", &Last { steps: plan.steps.len(), events: 0, how: End::Complete })
}

fn head(source: &Source, arm: &str, seed: u64, balancer: &BalancerSpec, topology: &Topology) -> Head {
    Head {
        format: FORMAT,
        stickler: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: source.scenario.clone(),
        path: source.path.clone(),
        arm: arm.to_owned(),
        seed,
        balancer: balancer.clone(),
        topology: topology.clone(),
    }
}

/// Returns a line of this kind, without its end.
pub(super) fn line_text(key: &str, value: &impl Serialize) -> String {
    format!("{{\"{key}\":{}}}", json(value))
}

pub(super) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("the vocabulary has no map keys that JSON refuses");
    match escape::json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    whole(out, &json(value))
}

fn keyed(out: &mut impl Write, key: &str, value: &impl Serialize) -> io::Result<()> {
    whole(out, &line_text(key, value))
}

/// Writes a line, after checking that it is short enough to be read back.
fn whole(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.len() >= MAX_LINE {
        let message = format!("a line would have {} bytes, and {MAX_LINE} are the most: {:.80}...", text.len(), text);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    writeln!(out, "{text}")
}
