//! The reports of a command (`--report FORMAT=FILE`, `--format json`), written while it runs.
//!
//! * `destination.rs`: the destinations of reports, and the replacement of an older report.
//!
//! A command opens its reports before its work, so that a wrong path is noticed early, passes each run to them as soon
//! as it is made, and completes them with the available results, however it ends. The formats themselves are in
//! `stickler-report`.

mod destination;
#[cfg(test)]
mod schemas;

use std::io::{self, Write as _};
use std::time::Duration;

use serde::Serialize;
use stickler_report::json::{self, ErrorRecord, Form, Head, RunRecord, Tail, Writer};
use stickler_report::page::Page;
use stickler_report::sarif::{self, Notice};
use stickler_report::test_case::TestCase;
use stickler_report::{github, junit, tap};
use stickler_runner::Run;

use self::destination::Output;
use crate::Failure;
use crate::args::{Destination, Report, ReportFormat};

/// The reports of a command.
#[derive(Debug)]
pub(crate) struct Reports {
    head: Head,
    /// The reports that are written from all cases at the end.
    of_cases: Vec<(ReportFormat, Output)>,
    /// The reports to which each run is written as soon as it is made.
    of_runs: Vec<Writer<Output>>,
    /// The reports that are one JSON document of the command itself.
    of_document: Vec<Output>,
    /// The reports of findings in files.
    of_files: Vec<Output>,
    /// The reports that are a page.
    of_pages: Vec<Output>,
    cases: Vec<TestCase>,
    /// The errors that prevented a part of the work.
    errors: Vec<ErrorRecord>,
    /// The errors that became known as everything was done.
    late: Vec<ErrorRecord>,
    takes_stdout: bool,
}

/// The parts of a run that reports need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    cases: bool,
    json: bool,
    /// Whether JSON contains the whole transcript.
    everything: bool,
    /// Whether the name of a case contains its seed, to distinguish it from others.
    with_seed: bool,
}

/// The parts of a run that reports keep.
#[derive(Debug)]
pub(crate) struct Piece {
    case: Option<TestCase>,
    line: Option<String>,
}

impl Wants {
    /// Returns the parts of a run that reports keep. `replay` returns the command that repeats a run.
    pub(crate) fn piece(self, run: &Run, replay: impl Fn(&Run) -> String, took: Duration) -> Piece {
        Piece {
            case: self.cases.then(|| TestCase::of(run, &replay(run), Some(took), self.with_seed)),
            line: self.json.then(|| RunRecord::of(run, replay(run), self.everything).to_line()),
        }
    }
}

/// The JSON document of a command: the fields that all documents share, around those of the command itself.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Document<'a, T> {
    #[serde(flatten)]
    head: &'a Head,
    #[serde(flatten)]
    says: T,
    /// Whether the command did everything that was requested.
    complete: bool,
    /// The errors that were found before the work began, and those that were found too late.
    errors: &'a [ErrorRecord],
}

impl Reports {
    /// Opens the reports of a command that writes its own document. `json` says that the document goes to standard output
    /// as well.
    ///
    /// # Errors
    /// A file cannot be written, or two reports would go to standard output.
    pub(crate) fn open(command: &str, wanted: &[Report], json: bool) -> Result<Self, Failure> {
        let mut reports = Self {
            head: Head::new(command, env!("CARGO_PKG_VERSION")),
            of_cases: Vec::new(),
            of_runs: Vec::new(),
            of_document: Vec::new(),
            of_files: Vec::new(),
            of_pages: Vec::new(),
            cases: Vec::new(),
            errors: Vec::new(),
            late: Vec::new(),
            takes_stdout: false,
        };
        let stdout = json.then_some(Report { format: ReportFormat::Json, to: Destination::Stdout });
        // A report that grows loses its older content at once, so it is opened only if all others can be written.
        let grows = |report: &&Report| report.format == ReportFormat::Jsonl;
        let (growing, whole): (Vec<&Report>, Vec<&Report>) = wanted.iter().chain(&stdout).partition(grows);
        for Report { format, to } in whole.into_iter().chain(growing) {
            if *to == Destination::Stdout && reports.takes_stdout {
                let message = "only one report fits on standard output: name a file for each other (--report)";
                return Err(Failure::Wrong(message.to_owned()));
            }
            reports.takes_stdout |= *to == Destination::Stdout;
            let opened = Output::open(to, *format == ReportFormat::Jsonl);
            let output = opened.map_err(|error| Failure::Wrong(format!("cannot write {error}")))?;
            match format {
                ReportFormat::Json => reports.of_document.push(output),
                ReportFormat::Sarif => reports.of_files.push(output),
                ReportFormat::Html => reports.of_pages.push(output),
                ReportFormat::Jsonl => reports.of_runs.push(Writer::new(output, Form::Lines, &reports.head)?),
                ReportFormat::Junit | ReportFormat::Tap | ReportFormat::Github => {
                    reports.of_cases.push((*format, output));
                }
            }
        }
        Ok(reports)
    }

    /// Opens the reports of a command whose document consists of its runs, each written as soon as it is made.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub(crate) fn of_runs(command: &str, wanted: &[Report], json: bool) -> Result<Self, Failure> {
        let mut reports = Self::open(command, wanted, json)?;
        for output in std::mem::take(&mut reports.of_document) {
            reports.of_runs.push(Writer::new(output, Form::Document, &reports.head)?);
        }
        Ok(reports)
    }

    /// Returns whether a report goes to standard output, in place of the usual text.
    pub(crate) const fn takes_stdout(&self) -> bool {
        self.takes_stdout
    }

    /// Returns the parts that the reports need of each run.
    pub(crate) fn wants(&self, everything: bool, with_seed: bool) -> Wants {
        Wants { cases: !self.of_cases.is_empty(), json: !self.of_runs.is_empty(), everything, with_seed }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, piece: Piece) -> io::Result<()> {
        self.cases.extend(piece.case);
        match piece.line {
            Some(line) => self.of_runs.iter_mut().try_for_each(|writer| writer.run(&line)),
            None => Ok(()),
        }
    }

    /// Adds a case that is not a run.
    pub(crate) fn add_case(&mut self, case: TestCase) {
        self.cases.push(case);
    }

    /// Writes the reports that are pages, if there are any. A command that ran nothing does not call this, so an older
    /// page stays.
    pub(crate) fn write_pages(&mut self, page: impl FnOnce() -> Page) -> Result<(), Failure> {
        if self.of_pages.is_empty() {
            return Ok(());
        }
        let text = page().render();
        let written = self.of_pages.drain(..).try_for_each(|mut output| {
            output.write_all(text.as_bytes())?;
            output.finish()
        });
        written.map_err(of_report)
    }

    /// Adds an error that was found before anything could be run.
    pub(crate) fn add_failure(&mut self, failure: &Failure) {
        let errors = failure.records();
        self.cases.extend(
            errors.iter().map(|ErrorRecord { message, place }| TestCase::of_error("stickler", message, place.clone())),
        );
        self.errors.extend(errors);
    }

    /// Adds the errors of a command that did everything that was requested, such as mistakes that scripts showed as they
    /// ran. They are cases already.
    pub(crate) fn add_late(&mut self, failure: &Failure) {
        self.late.extend(failure.records());
    }

    /// Completes the reports of runs. `missing` is the reason why some of the requested runs were not made; `tail` is
    /// the last part of a document, with the mistakes that prevented runs from being performed to their end.
    pub(crate) fn finish_runs(mut self, missing: Option<&str>, tail: Tail) -> Result<(), Failure> {
        let tail = Tail { complete: self.is_complete(missing), errors: self.all_errors(), ..tail };
        let written = self.of_runs.drain(..).try_for_each(|writer| writer.end(&tail)?.finish());
        written.and_then(|()| self.write_cases(missing)).map_err(of_report)
    }

    /// Writes the reports of a command whose document has the fields of `says`. `missing` is the reason why the
    /// document does not contain everything that was requested.
    pub(crate) fn finish(mut self, missing: Option<&str>, says: &impl Serialize) -> Result<(), Failure> {
        let complete = self.is_complete(missing);
        let errors = &*self.all_errors();
        let document = json::to_text(&Document { head: &self.head, says, complete, errors });
        let written = self.of_document.drain(..).try_for_each(|mut output| {
            writeln!(output, "{document}")?;
            output.finish()
        });
        written.and_then(|()| self.write_cases(missing)).map_err(of_report)
    }

    /// Writes the findings in files, together with the errors so far. It has to be called before [`Self::finish`].
    pub(crate) fn write_findings(&mut self, mut log: sarif::Log) -> Result<(), Failure> {
        let notice =
            |ErrorRecord { message, place }: &ErrorRecord| Notice { message: message.clone(), place: place.clone() };
        log.errors.extend(self.errors.iter().map(notice));
        let text = log.document(&self.head.stickler);
        let written = self.of_files.drain(..).try_for_each(|mut output| {
            output.write_all(text.as_bytes())?;
            output.finish()
        });
        written.map_err(of_report)
    }

    fn all_errors(&self) -> Vec<ErrorRecord> {
        self.errors.iter().chain(&self.late).cloned().collect()
    }

    fn is_complete(&self, missing: Option<&str>) -> bool {
        missing.is_none() && self.errors.is_empty()
    }

    fn write_cases(&mut self, missing: Option<&str>) -> io::Result<()> {
        for (format, mut output) in self.of_cases.drain(..) {
            let text = match format {
                ReportFormat::Junit => junit::document(&self.cases),
                ReportFormat::Tap => tap::document(&self.cases, missing),
                ReportFormat::Github => github::document(&self.cases),
                ReportFormat::Json | ReportFormat::Jsonl | ReportFormat::Sarif | ReportFormat::Html => continue,
            };
            output.write_all(text.as_bytes())?;
            output.finish()?;
        }
        Ok(())
    }
}

/// Returns the failure of a report that cannot be written.
fn of_report(error: io::Error) -> Failure {
    match Failure::from(error) {
        Failure::Wrong(message) => Failure::Wrong(format!("{message} (a report)")),
        closed => closed,
    }
}
