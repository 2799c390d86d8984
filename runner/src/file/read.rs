//! The reader of run files, which reads line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;
use stickler_model::bounds::MAX_PLAN_BYTES;
use stickler_model::plan::{MAX_STEPS, PlanError, StepProblem};
use stickler_model::trace::{MAX_EVENTS, Promises};
use stickler_model::{Action, Event, Plan};

use super::digests::Digests;
use super::{FORMAT, FileError, Head, Last, MAX_FILE, MAX_LINE, Problem, RecordedVerdict, line_of_step, write};
use crate::{Diagnostic, Expected, Source, text_file};

/// Reads a run file from its head to its last line. The reader keeps the plan, the current line and the verdicts, one
/// for each requirement, and never the whole file.
pub struct Reader<R> {
    path: String,
    input: R,
    /// The number of the current line, from 1.
    line: usize,
    /// A line that was read and has not been returned yet.
    ahead: Option<Line>,
    /// The source of the run.
    pub source: Source,
    /// The arm that recorded the run.
    pub arm: String,
    /// The plan, which is valid.
    pub plan: Plan,
    /// What the balancer declared; `None` if the file contains a plan alone.
    pub promises: Option<Promises>,
    events: usize,
    /// The number of bytes that may still be read.
    left: usize,
    digests: Digests,
}

/// The results of a recorded run. The text that the script printed is checked and not kept, because it is for people
/// only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// The verdicts of the oracle.
    pub verdicts: Vec<RecordedVerdict>,
    /// The outcome that was expected.
    pub expected: Expected,
}

/// A line after the head.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Step(Box<Action>),
    Promises(Promises),
    Event(Box<Event>),
    Verdict(RecordedVerdict),
    Expected(Expected),
    Failure(#[expect(dead_code, reason = "it is read to know that it makes sense")] Box<Diagnostic>),
    Printed(#[expect(dead_code, reason = "it is read to know that it makes sense")] String),
    End(Last),
}

impl Reader<BufReader<File>> {
    /// Opens a file, and reads the plan that it begins with.
    ///
    /// # Errors
    /// [`FileError`]: the file cannot be read, is not a run file of this format, or has a plan that is not valid.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let whole = |problem| FileError { path: shown.clone(), line: None, problem };
        let file = text_file::open(path).map_err(|error| whole(Problem::Unopened(error)))?;
        // A file that is too long is refused before a line of it is read.
        if file.metadata().is_ok_and(|metadata| metadata.len() > MAX_FILE as u64) {
            return Err(whole(Problem::TooLarge));
        }
        Self::new(BufReader::new(file), &shown)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the plan that a file begins with. Errors show `path` as the file's name.
    ///
    /// # Errors
    /// [`FileError`]: the input cannot be read, is not a run file of this format, or has a plan that is not valid.
    pub fn new(mut input: R, path: &str) -> Result<Self, FileError> {
        let at_head = |problem| FileError { path: path.to_owned(), line: Some(1), problem };
        let mut left = MAX_FILE;
        let text = read_line(&mut input, &mut left).map_err(at_head)?.unwrap_or_default();
        let mut digests = Digests::default();
        digests.add("head", 1, &text);
        let Head { scenario, path: script, arm, seed, balancer, topology, .. } = head(&text).map_err(at_head)?;
        let mut reader = Self {
            path: path.to_owned(),
            input,
            line: 1,
            ahead: None,
            source: Source { scenario, path: script },
            arm,
            plan: Plan { seed, balancer, topology, steps: Vec::new() },
            promises: None,
            events: 0,
            left,
            digests,
        };
        reader.read_plan()?;
        Ok(reader)
    }

    fn read_plan(&mut self) -> Result<(), FileError> {
        let mut weight = 0;
        loop {
            match self.next()? {
                Line::Step(_) if self.plan.steps.len() == MAX_STEPS => return Err(self.wrong(Problem::TooManySteps)),
                Line::Step(step) => {
                    // This check comes before the step is kept; the whole plan is checked below.
                    step.check().map_err(|problem| self.wrong(Problem::Step(problem.into())))?;
                    weight += step.weight();
                    if weight > MAX_PLAN_BYTES {
                        return Err(self.wrong(Problem::Step(StepProblem::TooMuchText)));
                    }
                    self.plan.steps.push(*step);
                }
                Line::Promises(promises) => {
                    self.promises = Some(promises);
                    break;
                }
                other => {
                    self.ahead = Some(other);
                    break;
                }
            }
        }
        self.plan.check().map_err(|error| match error {
            PlanError::Topology(problem) => self.at(1, Problem::Topology(problem)),
            PlanError::Step { step, problem } => self.at(line_of_step(step), Problem::Step(problem)),
        })
    }

    /// Returns the next event of the recorded trace, or `None` after the last one.
    ///
    /// # Errors
    /// [`FileError`]: the line is malformed, or cannot be in this place.
    pub fn next_event(&mut self) -> Result<Option<Event>, FileError> {
        match self.next()? {
            Line::Event(_) if self.promises.is_none() => Err(self.wrong(Problem::Order { found: "event" })),
            Line::Event(_) if self.events == MAX_EVENTS => Err(self.wrong(Problem::TooManyEvents)),
            Line::Event(event) => {
                self.events += 1;
                Ok(Some(*event))
            }
            other => {
                self.ahead = Some(other);
                Ok(None)
            }
        }
    }

    /// Reads the file to its end, and returns its plan alone.
    ///
    /// # Errors
    /// This function returns the same errors as [`finish`](Self::finish).
    pub fn into_plan(self) -> Result<Plan, FileError> {
        let plan = self.plan.clone();
        self.finish().map(|_| plan)
    }

    /// Reads the results of the run, up to the last line.
    ///
    /// # Errors
    /// [`FileError`]: a line is malformed or in the wrong place, or the file was cut off or edited.
    pub fn finish(self) -> Result<Results, FileError> {
        let (results, edited) = self.results()?;
        edited.map_or(Ok(results), Err)
    }

    /// Reads the results of the run, up to the last line. Returns them with the error that the file was edited, if it
    /// was: a difference from a replay says more than that.
    ///
    /// # Errors
    /// [`FileError`]: a line is malformed or in the wrong place, or the file was cut off.
    pub(super) fn results(mut self) -> Result<(Results, Option<FileError>), FileError> {
        while self.next_event()?.is_some() {}
        let mut results = Results::default();
        let mut stage = 0;
        loop {
            let line = self.next()?;
            let (kind, at) = line.kind();
            if at < stage || (self.promises.is_none() && !matches!(line, Line::End(_))) {
                return Err(self.wrong(Problem::Order { found: kind }));
            }
            stage = at;
            match line {
                Line::Verdict(verdict) if !verdict.is_bounded() => return Err(self.wrong(Problem::TooMuchEvidence)),
                Line::Verdict(verdict) => {
                    let requirement = verdict.requirement;
                    if results.verdicts.iter().any(|known| known.requirement == requirement) {
                        return Err(self.wrong(Problem::SecondVerdict(requirement)));
                    }
                    results.verdicts.push(verdict);
                }
                Line::Expected(expected) => {
                    results.expected = expected;
                    // The file already has this line.
                    stage += 1;
                }
                Line::Failure(_) | Line::Printed(_) => {}
                Line::End(last) => return self.end(&last).map(|edited| (results, edited)),
                Line::Step(_) | Line::Promises(_) | Line::Event(_) => {
                    return Err(self.wrong(Problem::Order { found: kind }));
                }
            }
        }
    }

    /// Checks the last line. Returns the error that the file was edited, if it was.
    fn end(&mut self, last: &Last) -> Result<Option<FileError>, FileError> {
        let counts = [("steps", last.steps, self.plan.steps.len()), ("events", last.events, self.events)];
        for (what, counted, found) in counts {
            if counted != found {
                return Err(self.wrong(Problem::Count { what, counted, found }));
            }
        }
        match read_line(&mut self.input, &mut self.left) {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.line += 1;
                return Err(self.wrong(Problem::AfterEnd));
            }
            Err(problem) => return Err(self.wrong(problem)),
        }
        // The last line contains the digests, so that only the rest of it has one.
        self.digests.add("end", self.line, write::json(&last.how).as_bytes());
        let edited = last.digests.as_ref().and_then(|stated| self.digests.edited(stated, self.line));
        Ok(edited.map(|(line, problem)| self.at(line, problem)))
    }

    fn next(&mut self) -> Result<Line, FileError> {
        if let Some(line) = self.ahead.take() {
            return Ok(line);
        }
        self.line += 1;
        let text = read_line(&mut self.input, &mut self.left).map_err(|problem| self.wrong(problem))?;
        let text = text.ok_or_else(|| self.wrong(Problem::CutOff))?;
        let is_whole = text.last() == Some(&b'\n');
        let line: Line = serde_json::from_slice(&text).map_err(|error| {
            let cut_off = !is_whole && error.is_eof();
            self.wrong(if cut_off { Problem::CutOff } else { Problem::Malformed(error) })
        })?;
        let (kind, _) = line.kind();
        match line {
            Line::End(_) => {}
            // The last line may lack its line end, as many editors leave it. Any other line without one was cut off, even
            // if it is well-formed.
            _ if !is_whole => return Err(self.wrong(Problem::CutOff)),
            _ => self.digests.add(kind, self.line, &text),
        }
        Ok(line)
    }

    /// Returns an error about the current line.
    fn wrong(&self, problem: Problem) -> FileError {
        self.at(self.line, problem)
    }

    /// Returns an error about this line.
    pub(super) fn at(&self, line: usize, problem: Problem) -> FileError {
        FileError { path: self.path.clone(), line: Some(line), problem }
    }
}

impl Line {
    /// Returns the key of the line, and the position of its kind in the order of a file.
    fn kind(&self) -> (&'static str, u8) {
        match self {
            Self::Step(_) => ("step", 0),
            Self::Promises(_) => ("promises", 0),
            Self::Event(_) => ("event", 0),
            Self::Verdict(_) => ("verdict", 0),
            Self::Expected(_) => ("expected", 1),
            Self::Failure(_) => ("failure", 2),
            Self::Printed(_) => ("printed", 3),
            Self::End(_) => ("end", 4),
        }
    }
}

/// Reads the head, after checking the format that it states.
fn head(text: &[u8]) -> Result<Head, Problem> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format } = serde_json::from_slice(text).map_err(|error| {
        let cut_off = error.is_eof() && text.starts_with(b"{\"format\":") && !text.ends_with(b"\n");
        if cut_off { Problem::CutOff } else { Problem::NotARunFile(error) }
    })?;
    if format != u64::from(FORMAT) {
        return Err(Problem::Format { found: format });
    }
    serde_json::from_slice(text).map_err(Problem::Malformed)
}

/// Reads a line with its end, at most [`MAX_LINE`] bytes, and subtracts its length from `left`, the number of bytes that
/// may still be read. Returns `None` at the end of the file.
fn read_line(input: &mut impl BufRead, left: &mut usize) -> Result<Option<Vec<u8>>, Problem> {
    let mut text = Vec::new();
    let count = input.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut text).map_err(Problem::Unreadable)?;
    if count > MAX_LINE {
        return Err(Problem::TooLong);
    }
    *left = left.checked_sub(count).ok_or(Problem::TooLarge)?;
    Ok((count > 0).then_some(text))
}
