//! The arguments of `replay`.

use std::path::PathBuf;

use clap::Args;

use super::{Arm, Format, Report, ReportFormat, report};

/// The arguments of `replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 equal to the record, or, with --shrink, no plan shows a failure; 1 not equal, a plan without a record violates a MUST, or, with --shrink, a plan shows a failure; 2 a run file or the arguments are wrong, or a run file contradicts itself; 3 the arm does not support the plan; 4 a product is missing.\n\nExamples:\n  stickler replay runs/user-after-user/shared-pool/0.jsonl\n  stickler replay --shrink --out short stickler-hunt/shared-pool/found.jsonl"
)]
pub(crate) struct Replay {
    /// Run files, as `stickler run --record` writes them.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The arm that performs the plans; by default the arm that recorded them. On real sockets no two traces are equal, so
    /// the violated requirements are compared instead.
    #[arg(long, value_enum)]
    pub(crate) arm: Option<Arm>,
    /// Show all events.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// The form in which the result is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write a report: json=FILE. An older file is replaced. `-` is standard output, and replaces what --format shows. May be
    /// given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[ReportFormat::Json]))]
    pub(crate) report: Vec<Report>,
    /// Instead of comparing, find for each kind of failure the shortest plan that shows it, and write that plan to --out, as
    /// KIND.star and KIND.jsonl. A plan that shows no failure is named, and nothing is written for it.
    #[arg(long, conflicts_with_all = ["transcript", "diagram", "pcap", "report", "format"])]
    pub(crate) shrink: bool,
    /// The folder for the results of --shrink. No file is ever overwritten.
    #[arg(long, value_name = "DIR", default_value = ".", requires = "shrink")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) diagram: crate::diagram::DiagramOptions,
    #[command(flatten)]
    pub(crate) pcap: crate::pcap::PcapOptions,
}
