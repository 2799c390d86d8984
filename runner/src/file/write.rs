//! The writer of run files.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use stickler_model::{BalancerSpec, Plan, Topology, escape};

use super::digests::Digests;
use super::kept::{self, RecordedVerdict};
use super::{FORMAT, Head, Last, MAX_FILE, MAX_LINE};
use crate::{End, Run, Source};

/// Writes a run: its plan, its trace, and its results. If the run has no trace, nothing is written. Returns whether the
/// run was written.
///
/// # Errors
/// The operating system cannot write, a line would be longer than [`MAX_LINE`], or the file longer than [`MAX_FILE`].
pub fn write(run: &Run, out: &mut impl Write) -> io::Result<bool> {
    let Some(trace) = &run.trace else { return Ok(false) };
    let header = &trace.header;
    let mut out = Lines::new(out);
    out.line("head", &json(&head(&run.source, &run.arm, header.seed, &header.balancer, &header.topology)))?;
    let steps = trace.actions().try_fold(0, |count, step| out.keyed("step", step).map(|()| count + 1))?;
    out.keyed("promises", &header.promises)?;
    trace.events.iter().try_for_each(|event| out.keyed("event", event))?;
    run.verdicts.iter().try_for_each(|verdict| out.keyed("verdict", &RecordedVerdict::of(verdict)))?;
    out.keyed("expected", &run.expected)?;
    run.failures.iter().try_for_each(|failure| out.keyed("failure", &kept::diagnostic(failure)))?;
    run.printed.iter().try_for_each(|text| out.keyed("printed", &kept::said(text)))?;
    let how = match &run.end {
        End::Complete => End::Complete,
        End::Skipped(reason) => End::Skipped(kept::said(reason).into_owned()),
        End::Failed(diagnostic) => End::Failed(Box::new(kept::diagnostic(diagnostic))),
    };
    out.digests.add("end", 0, json(&how).as_bytes());
    let digests = Some(out.digests.shown());
    out.keyed("end", &Last { steps, events: trace.events.len(), how, digests })?;
    Ok(true)
}

/// Writes a plan that was not performed.
///
/// # Errors
/// The operating system cannot write, a line would be longer than [`MAX_LINE`], or the file longer than [`MAX_FILE`].
pub fn write_plan(plan: &Plan, source: &Source, arm: &str, out: &mut impl Write) -> io::Result<()> {
    let mut out = Lines::new(out);
    out.line("head", &json(&head(source, arm, plan.seed, &plan.balancer, &plan.topology)))?;
    plan.steps.iter().try_for_each(|step| out.keyed("step", step))?;
    out.keyed("end", &Last { steps: plan.steps.len(), events: 0, how: End::Complete, digests: None })
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

/// The lines of a file that is being written.
struct Lines<'a, W> {
    out: &'a mut W,
    digests: Digests,
    /// The number of bytes that may still be written.
    left: usize,
}

impl<'a, W: Write> Lines<'a, W> {
    fn new(out: &'a mut W) -> Self {
        Self { out, digests: Digests::default(), left: MAX_FILE }
    }

    fn keyed(&mut self, kind: &'static str, value: &impl Serialize) -> io::Result<()> {
        self.line(kind, &line_text(kind, value))
    }

    /// Writes a line, after checking that it, and the file, are short enough to be read back.
    fn line(&mut self, kind: &'static str, text: &str) -> io::Result<()> {
        let too_large = |message| Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        if text.len() >= MAX_LINE {
            let count = text.len();
            return too_large(format!("a line would have {count} bytes, and {MAX_LINE} are the most: {text:.80}..."));
        }
        match self.left.checked_sub(text.len() + 1) {
            Some(left) => self.left = left,
            None => return too_large(format!("the file would have more than {MAX_FILE} bytes, which are the most")),
        }
        // The number of the line matters to the reader alone.
        self.digests.add(kind, 0, text.as_bytes());
        writeln!(self.out, "{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_read_back_is_not_written() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        assert_eq!(lines.left, MAX_FILE);
        lines.left = 12;
        lines.line("printed", "12345").unwrap();
        lines.line("printed", "12345").unwrap();
        let error = lines.line("printed", "").unwrap_err();
        assert!(error.to_string().contains("more than 536870912 bytes"), "{error}");
        assert_eq!(out, b"12345\n12345\n");
    }
}
