//! The same for programs: JSON.
//!
//! One document ([`Runs`]), or a line for each run. Both are written while runs are made, by a [`Writer`], so that nothing of a run
//! has to be kept until the end. `docs/schemas/run.json` and `run-line.json` are their schemas; [`FORMAT`] is their version.

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

/// The version of all JSON that is written here. A new field does not change it; one that goes, or means something else, does.
pub const FORMAT: u32 = 1;

/// What a document begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of the format, 1.
    pub format: u32,
    /// The command that wrote it: `run`.
    pub command: String,
    /// The version of Stickler.
    pub stickler: String,
}

impl Head {
    /// Returns the head of what a command of this version writes.
    pub fn new(command: &str, stickler: &str) -> Self {
        Self { format: FORMAT, command: command.to_owned(), stickler: stickler.to_owned() }
    }
}

/// What a document ends with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Whether all runs were made that were asked for. `false` where somebody ended the command before its time, where one failure
    /// was enough, and where something was wrong before the first run.
    pub complete: bool,
    /// What was wrong before the first run: a script, a table of expected outcomes, a profile.
    pub errors: Vec<ErrorRecord>,
    /// What all runs together say of the identity of users, over balancers of which nothing was expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// The requirements that runs were judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<RequirementText>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorRecord {
    /// What is wrong, as the command prints it.
    pub message: String,
    /// The place, where it is one in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What all runs over a balancer say of the identity of its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The balancer's name.
    pub balancer: String,
    /// What may be said of it.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Conclusion"))]
    pub conclusion: Conclusion,
    /// The number of requests that could have been served as another user.
    pub requests: u64,
    /// The most clients that sent them in one run.
    pub clients: usize,
    /// The probability that a leak of 1% per request was missed.
    pub missed_at_1_percent: f64,
}

impl Identity {
    /// Returns what so many requests say of a balancer.
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
    /// `HS-1` and so on.
    pub id: String,
    /// `MUST` or `SHOULD`.
    pub severity: String,
    /// The requirement in one sentence.
    pub text: String,
    /// Where it comes from.
    pub source: String,
}

/// Returns all requirements, in order.
pub fn requirements() -> Vec<RequirementText> {
    let of = |requirement: Requirement| RequirementText {
        id: requirement.id().to_owned(),
        severity: if requirement.severity() == Severity::Must { "MUST" } else { "SHOULD" }.to_owned(),
        text: requirement.text().to_owned(),
        source: requirement.source().to_owned(),
    };
    Requirement::all().map(of).collect()
}

/// A whole document, as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "What `stickler run` writes as JSON"))]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// The version of the format, 1.
    pub format: u32,
    /// The command that wrote it: `run`.
    pub command: String,
    /// The version of Stickler.
    pub stickler: String,
    /// The runs, in the order of scenarios, balancers and seeds.
    pub runs: Vec<RunRecord>,
    /// Whether all runs were made that were asked for. `false` where somebody ended the command before its time, where one failure
    /// was enough, and where something was wrong before the first run.
    pub complete: bool,
    /// What was wrong before the first run: a script, a table of expected outcomes, a profile.
    pub errors: Vec<ErrorRecord>,
    /// What all runs together say of the identity of users, over balancers of which nothing was expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// The requirements that runs were judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<RequirementText>,
}

/// A line of a report of lines: first the head, then a line for each run, and the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(title = "A line of what `stickler run` writes as JSON lines")
)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Head(Head),
    /// A run.
    Run(Box<RunRecord>),
    /// The last line. Where it is missing, the command was killed.
    End(Tail),
}

/// The two forms that runs are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document, with a run on each line.
    Document,
    /// A JSON value on each line.
    Lines,
}

/// Writes runs as they are made.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    form: Form,
    runs: usize,
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// It cannot be written; so below.
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

    /// Writes a run, as [`RunRecord::to_line`] gives it.
    pub fn run(&mut self, line: &str) -> io::Result<()> {
        self.runs += 1;
        match self.form {
            Form::Document if self.runs == 1 => write!(self.out, "\n{line}"),
            Form::Document => write!(self.out, ",\n{line}"),
            Form::Lines => {
                writeln!(self.out, "{{\"run\":{line}}}")?;
                // Whoever reads along sees each run when it is made.
                self.out.flush()
            }
        }
    }

    /// Writes the tail, and returns what it was written to.
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

/// Returns the document of runs that are there already. `replay` gives the command that makes a run again; `everything` adds the
/// whole transcripts.
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

/// Returns a value as a document that a terminal can show too.
pub fn to_text(value: &impl Serialize) -> String {
    let document = serde_json::to_string_pretty(value).expect("a report has no map keys that JSON refuses");
    escape::json(&document).into_owned()
}

/// The same on one line.
fn to_line(value: &(impl Serialize + ?Sized)) -> String {
    let document = serde_json::to_string(value).expect("a report has no map keys that JSON refuses");
    escape::json(&document).into_owned()
}
