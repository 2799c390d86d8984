//! What is shown beside the output: colours, and how far a command is.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line says how far a command is, where there is no terminal for a bar.
const TOLD: Duration = Duration::from_secs(5);

/// How much is shown, and in which colours. For every command.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Appearance {
    /// Do not say how far a command is.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When output is coloured: on a terminal, unless NO_COLOR is set or TERM is dumb; always; or never.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto, hide_possible_values = false)]
    pub(crate) color: Color,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, as its user wants it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Returns when clap is to colour what it says of a command line, which it has not read then.
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
    /// Has it hold for everything that is shown from now on.
    pub(crate) fn apply(self) {
        let choice = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        // Nothing is shown before it is set, and it is set once.
        let _ = QUIET.set(self.quiet);
    }
}

fn is_quiet() -> bool {
    QUIET.get().copied().unwrap_or(false)
}

/// Whether what goes to standard output is coloured.
pub(crate) fn has_color() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// How far a command is: a bar on a terminal, and else a line from time to time. Both are on the error stream.
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

    /// Counts one more.
    pub(crate) fn inc(&mut self) {
        self.bar.inc(1);
        self.tell();
    }

    /// Says how far it is, if nothing has said so for a while.
    pub(crate) fn tell(&mut self) {
        if is_quiet() || !self.bar.is_hidden() || self.told.elapsed() < TOLD {
            return;
        }
        self.told = now();
        let (done, all, seconds) =
            (self.bar.position(), self.bar.length().unwrap_or_default(), self.began.elapsed().as_secs());
        let _ = writeln!(io::stderr(), "stickler: {done} of {all} {}, {seconds} s", self.what);
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A bar on the error stream; hidden where that is no terminal, and where nobody wants one.
pub(crate) fn bar(length: usize, what: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{elapsed}} elapsed, {{eta}} to go"))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length as u64), target()).with_style(style)
}

/// Where a bar is drawn.
pub(crate) fn target() -> ProgressDrawTarget {
    let shown = io::stderr().is_terminal() && !is_quiet();
    if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// Whether a command says how far it is in lines, where it has no bar.
pub(crate) fn tells() -> bool {
    !is_quiet()
}

#[expect(clippy::disallowed_methods, reason = "it says how long a command takes; no trace sees it")]
fn now() -> Instant {
    Instant::now()
}
