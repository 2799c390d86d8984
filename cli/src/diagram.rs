//! Sequence diagrams of runs, for `run` and `replay`.
//!
//! Text follows the evidence of each run that is shown. Mermaid and SVG are files for other programs, so standard
//! output contains nothing but the diagram of one run.

use std::io::Write;

use clap::{Args, ValueEnum};
use stickler_report::diagram::{Diagram, Focus};
use stickler_report::pretty;
use stickler_runner::Run;

use crate::Failure;

/// The width of a diagram that does not go to a terminal, in columns.
const WIDTH: usize = 120;

/// The options about diagrams.
#[derive(Debug, Args)]
pub(crate) struct DiagramOptions {
    /// Draw each run that is shown as a sequence diagram: the messages on each connection, and the user as whom each request
    /// was served. `text` follows the evidence. With `mermaid` and `svg`, only the diagram of one run is printed:
    /// --diagram=svg > run.svg
    #[arg(
        id = "diagram",
        long = "diagram",
        value_enum,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text"
    )]
    format: Option<Format>,
}

/// The form of a diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for a terminal, in the terminal's width.
    Text,
    /// A `sequenceDiagram` of Mermaid, for Markdown.
    Mermaid,
    /// A self-contained image.
    Svg,
}

impl DiagramOptions {
    /// Checks that this number of runs can be drawn in the requested form.
    ///
    /// # Errors
    /// Standard output is for other programs, or there are several runs and the form has room for one only.
    pub(crate) fn check(&self, runs: usize, is_for_programs: bool) -> Result<(), Failure> {
        let Some(format) = self.format else { return Ok(()) };
        if is_for_programs {
            return Err(Failure::Wrong("--diagram is for people, but --format json and --report FORMAT=- write to standard output for programs: choose one".into()));
        }
        if format != Format::Text && runs > 1 {
            return Err(Failure::Wrong(format!(
                "--diagram={} prints one diagram and nothing else, and these are {runs} runs: name one scenario and one \
                 --balancer, or use --diagram=text",
                if format == Format::Svg { "svg" } else { "mermaid" }
            )));
        }
        Ok(())
    }

    /// Returns the form, if it is one of those that are printed alone.
    pub(crate) fn alone(&self) -> Option<Format> {
        self.format.filter(|format| *format != Format::Text)
    }

    /// Writes the diagram of a run as text, if that is requested.
    pub(crate) fn write_below(&self, out: &mut impl Write, run: &Run) -> Result<(), Failure> {
        let diagram = if self.format == Some(Format::Text) { draw(run) } else { None };
        let Some(diagram) = diagram else { return Ok(()) };
        Ok(writeln!(out, "{}", diagram.text(pretty::columns().unwrap_or(WIDTH)))?)
    }
}

impl Format {
    /// Writes the diagram of a run, and nothing else.
    pub(crate) fn write(self, out: &mut impl Write, run: &Run) -> Result<(), Failure> {
        let Some(diagram) = draw(run) else {
            return Err(Failure::Nothing("the run has no trace, so that there is nothing to draw".into()));
        };
        let text = match self {
            Self::Text => diagram.text(WIDTH),
            Self::Mermaid => diagram.mermaid(),
            Self::Svg => diagram.svg(),
        };
        Ok(write!(out, "{text}")?)
    }
}

/// Returns the diagram of a run; `None` if the run has no trace.
fn draw(run: &Run) -> Option<Diagram> {
    let title = format!("{} over {}, seed {}", run.source.scenario, run.balancer, run.seed);
    run.trace.as_ref().map(|trace| Diagram::of(&title, trace, &run.verdicts, Focus::Findings))
}
