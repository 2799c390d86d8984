//! The arguments of `list`.

use clap::Args;

use super::Format;

/// How everything that has a name is listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
