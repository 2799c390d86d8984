//! The options of this program, which are environment variables: its arguments are criterion's.

use std::env;

/// The number of rows that are printed unless the user asks for more.
const ROWS: usize = 40;

/// What `--help` says before criterion's own help.
pub(crate) const HELP: &str = "\
Runs Stickler's benchmarks, and writes a report into target/benchmark-report: report.md, report.json, report.html.

A full run judges each figure that has an aim: met, missed, or open where the confidence interval contains the aim.
A run with a filter judges its figures and counts none; a run with --quick judges nothing.

Environment variables:
  STICKLER_BENCH_ROWS=N|all   Print at most N rows of the report (40), or all, together with what criterion prints,
                              which otherwise goes to target/benchmark-report/criterion.log.
  STICKLER_STORE_HISTORY=1    Store the figures of a full run as a file of benches/history.
  STICKLER_SAVE_BASELINE=1    Make this run the baseline of later ones (benches/baseline.json).

The arguments are criterion's:
";

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// The largest number of rows to print.
    pub(crate) rows: usize,
    /// Whether everything is printed, also what criterion says.
    pub(crate) all: bool,
    /// Whether a full run is stored in the history.
    pub(crate) store_history: bool,
    /// Whether the run becomes the baseline.
    pub(crate) save_baseline: bool,
}

impl Options {
    /// Reads the environment variables, or says which one has a value that means nothing.
    pub(crate) fn read() -> Result<Self, String> {
        let (rows, all) = match env::var("STICKLER_BENCH_ROWS").as_deref() {
            Err(_) => (ROWS, false),
            Ok("all") => (usize::MAX, true),
            Ok(number) => {
                let number = number.parse();
                (number.map_err(|_| "STICKLER_BENCH_ROWS has to be a number or `all`".to_owned())?, false)
            }
        };
        let (store_history, save_baseline) = (switch("STICKLER_STORE_HISTORY")?, switch("STICKLER_SAVE_BASELINE")?);
        Ok(Self { rows, all, store_history, save_baseline })
    }
}

fn switch(name: &str) -> Result<bool, String> {
    match env::var(name).as_deref() {
        Err(_) | Ok("" | "0") => Ok(false),
        Ok("1") => Ok(true),
        Ok(_) => Err(format!("{name} has to be 0 or 1")),
    }
}
