//! `stickler completions SHELL`, and man pages.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Manual;

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
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, folder).map_err(cannot)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(inner, folder)?;
    }
    let page = page(command)?;
    std::fs::write(folder.join(Manual::new(command.clone()).get_filename()), page)
}

/// Returns the man page of a command. Its exit codes and its examples, which clap has in one text, have the sections in
/// which readers of man pages look for them.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let manual = Manual::new(command.clone());
    let mut page = Vec::new();
    manual.render_title(&mut page)?;
    manual.render_name_section(&mut page)?;
    manual.render_synopsis_section(&mut page)?;
    manual.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        manual.render_options_section(&mut page)?;
    }
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        manual.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    page.extend(sections(&after).into_bytes());
    if command.get_version().is_some() {
        manual.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// Returns the text that follows the options of a command as sections in roff: EXIT STATUS and EXAMPLES.
fn sections(after: &str) -> String {
    let mut text = String::new();
    for part in after.split("\n\n") {
        if let Some(codes) = part.strip_prefix("Exit codes: ") {
            text.push_str(".SH \"EXIT STATUS\"\n");
            for (code, meaning) in codes.trim_end_matches('.').split("; ").filter_map(|code| code.split_once(' ')) {
                let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", roff(code), roff(meaning));
            }
        } else if let Some(examples) = part.strip_prefix("Examples:\n") {
            // The lines of examples are neither filled nor broken, so that they can be copied.
            text.push_str(".SH EXAMPLES\n.nf\n");
            for example in examples.lines() {
                let _ = writeln!(text, "{}", roff(example));
            }
            text.push_str(".fi\n");
        } else if !part.is_empty() {
            let _ = writeln!(text, ".PP\n{}", part.lines().map(roff).collect::<Vec<_>>().join("\n"));
        }
    }
    text
}

/// Returns a line of text in roff.
fn roff(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_examples_have_the_sections_that_readers_look_for() {
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let page = String::from_utf8(page(inner).unwrap()).unwrap();
            assert!(page.contains(".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n"), "{page}");
            assert!(page.contains(".SH EXAMPLES\n.nf\n  stickler ") && !page.contains(".SH EXTRA"), "{page}");
        }
    }

    #[test]
    fn text_is_no_request_of_roff() {
        assert_eq!(roff(".x \\ a-b"), "\\&.x \\e a\\-b");
    }
}
