//! The arguments of `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Whose completions are written.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 written; 2 the arguments are wrong.\n\nExamples:\n  \
stickler completions bash > ~/.local/share/bash-completion/completions/stickler\n  \
stickler completions zsh > ~/.zfunc/_stickler")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// Where man pages go.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder, which is made if it is not there. Pages that are there are replaced.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
