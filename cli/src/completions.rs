//! `stickler completions SHELL`, and man pages.

use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;

use crate::Failure;
use crate::args::{Arguments, Completions, Man};

/// Writes the completions of a shell to standard output.
pub(crate) fn completions(arguments: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "stickler", &mut text);
    Ok(io::stdout().write_all(&text)?)
}

/// Writes a man page for the command and for each of its subcommands, such as `stickler-run.1`, into a folder.
pub(crate) fn man(arguments: &Man) -> Result<(), Failure> {
    let folder: &Path = &arguments.folder;
    let cannot =
        |error: io::Error| Failure::Wrong(format!("cannot write man pages into {}: {error}", folder.display()));
    stickler_runner::folder::create(folder).map_err(cannot)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(cannot)
}
