//! The arguments of `compare`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;

use super::ReportFormat::{Github, Html, Json, Junit, Tap};
use super::{Format, Report, Selection, report};

/// The arguments of `compare`: the profiles, the scenarios, and the number of trials.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 equal, or explained; 1 the verdicts differ; 2 a file or the arguments are wrong, or too many verdicts are exceptions; 3 nothing was compared; 4 a product is missing; 130 interrupted, after the results so far were shown.\n\nExamples:\n  stickler compare haproxy-safe --scenario identity\n  stickler compare nginx --trials 20 --report junit=compare.xml"
)]
pub(crate) struct Compare {
    /// Profiles whose product can be started, or the first words of their names (haproxy); all of them by default.
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// A file with your own product profiles (see docs/profile-schema.md). They are compared instead of the shipped ones: all
    /// of them, or those that are named. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// Scenarios, their groups, or patterns of these ('lone-*'); may be given more than once. All shipped ones by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The date with which expiry dates of exceptions are compared, instead of today.
    #[arg(long, value_name = "DATE", value_parser = crate::today::parse)]
    pub(crate) today: Option<Date>,
    /// The number of trials of each scenario over each product. A few trials show only large differences; 200 show
    /// differences of a tenth.
    #[arg(long, default_value = "3", value_name = "N")]
    pub(crate) trials: NonZeroU32,
    /// The number of seeds of each scenario over each profile in the simulation.
    #[arg(long, default_value = "10", value_name = "N")]
    pub(crate) seeds: NonZeroU32,
    /// The number of worlds on real sockets that run at a time, at most 256; by default twice the number of cores.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The form in which the comparison is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write a report: junit=FILE, tap=FILE, github=FILE (workflow commands), json=FILE or html=FILE (one page for people).
    /// An older file is replaced. `-` is standard output, and replaces what --format shows. May be given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[Junit, Tap, Github, Json, Html]))]
    pub(crate) report: Vec<Report>,
    /// A JSON document of an earlier `compare` (--report json=FILE). The HTML page shows what has changed since then.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
}
