//! The arguments of `list`.

use clap::Args;

use super::Format;

/// The arguments of `list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 listed; 2 the arguments are wrong.\n\nExamples:\n  stickler list\n  stickler list --format json"
)]
pub(crate) struct List {
    /// The form of the list.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
