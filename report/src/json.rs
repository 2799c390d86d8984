//! Writes runs as JSON for other programs.
//!
//! The output is one document ([`Runs`]), or a line for each run. A [`Writer`] writes both while the runs are
//! performed, so that no run has to be kept until the end. The schemas are `docs/schemas/run.json` and
//! `docs/schemas/run-line.json`, and their version is [`FORMAT`].

mod record;
#[cfg(feature = "schema")]
pub(crate) mod schema;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use stickler_model::escape;
use stickler_oracle::{Requirement, Severity};
use stickler_runner::confidence::RATE;
use stickler_runner::{Conclusion, Confidence, Run};

pub use record::{Judged, RunRecord};
#[cfg(feature = "schema")]
pub use schema::schema_of;

use crate::test_case::Place;

/// The version of all JSON that this crate writes. A new field does not change the version; a field that is removed or
/// changes its meaning does.
pub const FORMAT: u32 = 1;

/// The beginning of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of the format, which is 1.
    pub format: u32,
    /// The command that wrote the document: `run`.
    pub command: String,
    /// The version of Stickler.
    pub stickler: String,
}

impl Head {
    /// Returns the head of a document that `command` of the version `stickler` writes.
    pub fn new(command: &str, stickler: &str) -> Self {
        Self { format: FORMAT, command: command.to_owned(), stickler: stickler.to_owned() }
    }
}

/// The end of a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Whether all requested runs were performed. `false` if the command was interrupted, if it stopped at the first
    /// failure, or if an error occurred before the first run.
    pub complete: bool,
    /// The errors: those before the first run, such as a mistake in a table of expected outcomes or a profile, and the
    /// mistakes that scripts showed as they ran.
    pub errors: Vec<ErrorRecord>,
    /// The conclusions of all runs about the identity of users, over balancers without expectations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// The requirements by which the runs were judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<RequirementText>,
}

/// An error, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorRecord {
    /// The description of the error, as the command prints it.
    pub message: String,
    /// The place of the error, if it is in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The conclusion of all runs over a balancer about the identity of its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The name of the balancer.
    pub balancer: String,
    /// The conclusion about the balancer.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Conclusion"))]
    pub conclusion: Conclusion,
    /// The number of requests that could have been served as another user.
    pub requests: u64,
    /// The largest number of clients that sent these requests in one run.
    pub clients: usize,
    /// The probability that the runs missed a leak that occurs in 1% of the requests.
    pub missed_at_1_percent: f64,
}

impl Identity {
    /// Returns the conclusion about a balancer from the number of requests and clients.
    pub fn new(balancer: &str, confidence: Confidence) -> Self {
        let Confidence { requests, clients, .. } = confidence;
        let (conclusion, missed_at_1_percent) = (confidence.conclusion(), confidence.missed(RATE));
        Self { balancer: balancer.to_owned(), conclusion, requests, clients, missed_at_1_percent }
    }
}

/// The texts of a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequirementText {
    /// The id of the requirement, such as `HS-1`.
    pub id: String,
    /// The severity: `MUST` or `SHOULD`.
    pub severity: String,
    /// The text of the requirement in one sentence.
    pub text: String,
    /// The source of the requirement.
    pub source: String,
}

impl RequirementText {
    /// Returns the texts of a requirement.
    pub fn of(requirement: Requirement) -> Self {
        Self {
            id: requirement.id().to_owned(),
            severity: if requirement.severity() == Severity::Must { "MUST" } else { "SHOULD" }.to_owned(),
            text: requirement.text().to_owned(),
            source: requirement.source().to_owned(),
        }
    }
}

/// Returns all requirements, in order.
pub fn requirements() -> Vec<RequirementText> {
    Requirement::all().map(RequirementText::of).collect()
}

/// A whole document, as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "What `stickler run` writes as JSON"))]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// The version of the format, which is 1.
    pub format: u32,
    /// The command that wrote the document: `run`.
    pub command: String,
    /// The version of Stickler.
    pub stickler: String,
    /// The runs, in the order of scenarios, balancers and seeds.
    pub runs: Vec<RunRecord>,
    /// Whether all requested runs were performed. `false` if the command was interrupted, if it stopped at the first
    /// failure, or if an error occurred before the first run.
    pub complete: bool,
    /// The errors: those before the first run, such as a mistake in a table of expected outcomes or a profile, and the
    /// mistakes that scripts showed as they ran.
    pub errors: Vec<ErrorRecord>,
    /// The conclusions of all runs about the identity of users, over balancers without expectations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// The requirements by which the runs were judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<RequirementText>,
}

/// A line of a report in JSON lines: first the head, then a line for each run, and finally the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(title = "A line of what `stickler run` writes as JSON lines")
)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line, which contains the head.
    Head(Head),
    /// A line that contains a run.
    Run(Box<RunRecord>),
    /// The last line. If it is missing, the command was killed.
    End(Tail),
}

/// The two forms in which runs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document, with a run on each line.
    Document,
    /// A JSON value on each line.
    Lines,
}

/// A writer that writes each run when it has been performed.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    form: Form,
    runs: usize,
}

impl<W: Write> Writer<W> {
    /// Returns a new writer after writing the head.
    ///
    /// # Errors
    ///
    /// Returns the error of the output if the head cannot be written.
    pub fn new(mut out: W, form: Form, head: &Head) -> io::Result<Self> {
        match form {
            Form::Document => {
                let Head { format, command, stickler } = head;
                let (command, stickler) = (to_line(command), to_line(stickler));
                write!(
                    out,
                    "{{\n\"format\": {format},\n\"command\": {command},\n\"stickler\": {stickler},\n\"runs\": ["
                )?;
            }
            Form::Lines => writeln!(out, "{{\"head\":{}}}", to_line(head))?,
        }
        Ok(Self { out, form, runs: 0 })
    }

    /// Writes a run, whose line is the result of [`RunRecord::to_line`].
    ///
    /// # Errors
    ///
    /// Returns the error of the output if the run cannot be written.
    pub fn run(&mut self, line: &str) -> io::Result<()> {
        self.runs += 1;
        match self.form {
            Form::Document if self.runs == 1 => write!(self.out, "\n{line}"),
            Form::Document => write!(self.out, ",\n{line}"),
            Form::Lines => {
                writeln!(self.out, "{{\"run\":{line}}}")?;
                // Flushing lets a program that reads along see each run as soon as it has been performed.
                self.out.flush()
            }
        }
    }

    /// Writes the tail, and returns the output.
    ///
    /// # Errors
    ///
    /// Returns the error of the output if the tail cannot be written.
    pub fn end(mut self, tail: &Tail) -> io::Result<W> {
        match self.form {
            Form::Document => {
                let Tail { complete, errors, identity, requirements } = tail;
                write!(self.out, "\n],\n\"complete\": {complete},\n\"errors\": {}", to_line(errors))?;
                if !identity.is_empty() {
                    write!(self.out, ",\n\"identity\": {}", to_line(identity))?;
                }
                if !requirements.is_empty() {
                    write!(self.out, ",\n\"requirements\": {}", to_line(requirements))?;
                }
                writeln!(self.out, "\n}}")?;
            }
            Form::Lines => writeln!(self.out, "{{\"end\":{}}}", to_line(tail))?,
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Returns the document of finished runs. `replay` returns the command that repeats a run. `everything` adds the whole
/// transcripts.
pub fn document(runs: &[Run], replay: &dyn Fn(&Run) -> String, everything: bool) -> String {
    let head = Head::new("run", env!("CARGO_PKG_VERSION"));
    let tail = Tail { complete: true, requirements: requirements(), ..Tail::default() };
    let written = Writer::new(Vec::new(), Form::Document, &head).and_then(|mut writer| {
        for run in runs {
            writer.run(&RunRecord::of(run, replay(run), everything).to_line())?;
        }
        writer.end(&tail)
    });
    String::from_utf8(written.expect("memory can be written to")).expect("JSON is UTF-8")
}

/// Returns a value as a JSON document that is also safe to show in a terminal.
pub fn to_text(value: &impl Serialize) -> String {
    let document = serde_json::to_string_pretty(value).expect("a report has no map keys that JSON refuses");
    escape::json(&document).into_owned()
}

/// Returns a value as JSON on one line that is also safe to show in a terminal.
fn to_line(value: &(impl Serialize + ?Sized)) -> String {
    let document = serde_json::to_string(value).expect("a report has no map keys that JSON refuses");
    escape::json(&document).into_owned()
}
