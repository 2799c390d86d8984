//! The arguments of `replay`.

use std::path::PathBuf;

use clap::Args;

use super::Arm;

/// Which run files are performed again, and what is done with them.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Run files, as `stickler run --record` writes them.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to perform the plans; as they were recorded, by default. On real sockets no trace is the same twice, and the requirements
    /// that are violated are compared.
    #[arg(long, value_enum)]
    pub(crate) arm: Option<Arm>,
    /// Show everything that was seen.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// In place of comparing: find the shortest plan that shows the same, for each kind of failure that a plan shows, and write it
    /// into --out, as KIND.star and KIND.jsonl.
    #[arg(long, conflicts_with_all = ["transcript", "diagram"])]
    pub(crate) shrink: bool,
    /// The folder for what --shrink writes. No file is ever overwritten.
    #[arg(long, value_name = "DIR", default_value = ".", requires = "shrink")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) diagram: crate::diagram::Options,
}
