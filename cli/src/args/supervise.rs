//! The arguments of `supervise`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// The arguments of `supervise`.
#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// The folder that is created, and removed when standard input ends.
    #[arg(long, value_name = "DIR", conflicts_with = "program", required_unless_present = "program")]
    pub(crate) folder: Option<PathBuf>,
    /// The program.
    pub(crate) program: Option<OsString>,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}
