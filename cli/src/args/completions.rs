//! The arguments of `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// The shell for which completions are printed.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 written; 2 the arguments are wrong.\n\nExamples:\n  \
stickler completions bash > ~/.local/share/bash-completion/completions/stickler\n  \
stickler completions zsh > ~/.zfunc/_stickler")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// The folder for man pages.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder. It is created if it does not exist, and existing pages are replaced.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
