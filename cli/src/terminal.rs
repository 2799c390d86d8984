//! The appearance of the output: colours, and the progress of a command.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The interval between two lines about the progress of a command, if there is no terminal for a bar.
const TOLD: Duration = Duration::from_secs(5);

/// The options about colours and progress, which every command has.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Appearance {
    /// Do not show the progress of a command.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When to colour the output: auto (on a terminal, unless NO_COLOR is set or TERM is dumb), always or never.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto, hide_possible_values = false)]
    pub(crate) color: Color,
}

/// The cases in which output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Colour the output on a terminal, unless its user does not want it.
    Auto,
    /// Always colour the output.
    Always,
    /// Never colour the output.
    Never,
}

/// Returns the choice of colours for clap's messages about a command line, whose option `--color` clap has not read
/// yet.
pub(crate) fn asked(line: &[OsString]) -> clap::ColorChoice {
    let next = |at: usize| line.get(at + 1).and_then(|word| word.to_str());
    let value = line.iter().enumerate().rev().find_map(|(at, word)| match word.to_str()? {
        "--color" => next(at),
        word => word.strip_prefix("--color="),
    });
    match value {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

static QUIET: OnceLock<bool> = OnceLock::new();

impl Appearance {
    /// Applies the options to all output from now on.
    pub(crate) fn apply(self) {
        let choice = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        // Nothing is shown before the value is set, and it is set only once.
        let _ = QUIET.set(self.quiet);
    }
}

fn is_quiet() -> bool {
    QUIET.get().copied().unwrap_or(false)
}

/// Returns whether standard output is coloured.
pub(crate) fn has_color() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// The progress of a command on the error stream: a bar on a terminal, or else a line from time to time.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Begins to count to `length`.
    pub(crate) fn new(length: usize, what: &'static str) -> Self {
        let began = now();
        Self { bar: bar(length, what), what, began, told: began }
    }

    /// Counts one more item.
    pub(crate) fn inc(&mut self) {
        self.bar.inc(1);
        self.tell();
    }

    /// Writes a line about the progress, unless there is a bar or the last line is recent.
    pub(crate) fn tell(&mut self) {
        if is_quiet() || !self.bar.is_hidden() || self.told.elapsed() < TOLD {
            return;
        }
        self.told = now();
        let (done, all, seconds) =
            (self.bar.position(), self.bar.length().unwrap_or_default(), self.began.elapsed().as_secs());
        let _ = writeln!(io::stderr(), "stickler: {done} of {all} {}, {seconds} s", self.what);
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Returns a bar on the error stream. It is hidden if that is not a terminal, and if the user wants no progress.
pub(crate) fn bar(length: usize, what: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{elapsed}} elapsed, {{eta}} to go"))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length as u64), target()).with_style(style)
}

/// Returns the target on which a bar is drawn.
pub(crate) fn target() -> ProgressDrawTarget {
    let shown = io::stderr().is_terminal() && !is_quiet();
    if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// Returns whether a command without a bar writes lines about its progress.
pub(crate) fn tells() -> bool {
    !is_quiet()
}

#[expect(clippy::disallowed_methods, reason = "it says how long a command takes; no trace sees it")]
fn now() -> Instant {
    Instant::now()
}
