//! The arguments of `matrix`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::Seeds;
use super::{Arm, Report, ReportFormat, Selection, report};

/// The arguments of `matrix`: the balancers, the scenarios that measure them, and the form of the table.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 measured, with any result; 2 a file or the arguments are wrong; 3 nothing matched; 4 a product is missing; 130 interrupted, after the results so far were shown.\n\nExamples:\n  stickler matrix haproxy nginx\n  stickler matrix --format html > matrix.html\n  stickler matrix --mechanisms --requirement ID-1"
)]
pub(crate) struct Matrix {
    /// Profiles, or the first words of their names (haproxy, gcp); all by default.
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Show mechanisms instead of products.
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) mechanisms: bool,
    /// A file with your own product profiles. They follow the others, or stand alone if no other is named. May be given more
    /// than once.
    #[arg(long, value_name = "FILE", conflicts_with = "mechanisms")]
    pub(crate) profile: Vec<PathBuf>,
    /// Scenarios, their groups, or patterns of these ('lone-*'), instead of all that have a place in the table; may be given
    /// more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The form in which the matrix is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TableFormat,
    /// Write a report: json=FILE or html=FILE. An older file is replaced. `-` is standard output, and replaces what --format
    /// shows. A matrix has no expectations, so it cannot be written in a format for test runners. May be given more than
    /// once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[ReportFormat::Json, ReportFormat::Html]))]
    pub(crate) report: Vec<Report>,
    /// The JSON document of an earlier matrix: the HTML page then shows the changes since.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
    /// The arm: the simulation, or real sockets of this machine.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arm: Arm,
    #[command(flatten)]
    pub(crate) seeds: Seeds,
    /// The number of worlds that run at a time, at most 256; by default the number of cores, and twice that on real sockets.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// The form of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// For a terminal: a column for each family of requirements.
    #[default]
    Pretty,
    /// A column for each requirement.
    Markdown,
    /// For programs: one JSON document, with the evidence.
    Json,
    /// One page, with the evidence.
    Html,
}
