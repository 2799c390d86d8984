//! `stickler.toml` in the working folder: the options that apply if the command line does not give them.
//!
//! ```toml
//! [run]
//! balancer = ["haproxy-safe", "nginx-keepalive"]
//! jobs = 4
//! expectations = "accepted.toml"
//! ```
//!
//! A table holds the options of the command of its name, and a key is a long option without `--`. An option of the
//! command line replaces that of the file; a list is replaced as a whole. Options of the file are read as if they were
//! on the command line.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use stickler_runner::{Diagnostic, text_file};
use toml::{Spanned, Value};

use crate::args::Arguments;
use crate::{Failure, terminal};

/// The name of the file.
const FILE: &str = "stickler.toml";

/// The maximum size of the file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The tables of the file by the names of commands, and the keys of each.
type Tables = std::collections::BTreeMap<Spanned<String>, std::collections::BTreeMap<Spanned<String>, Spanned<Value>>>;

/// Reads the command line, and adds the options of the file in the working folder to it. Ends the process if the
/// command line is wrong.
///
/// # Errors
/// The file cannot be read or is wrong. The message says where and how.
pub(crate) fn parse(line: &[OsString]) -> Result<Arguments, Failure> {
    let command = || Arguments::command().color(terminal::asked(line));
    let matches = command().get_matches_from(line);
    let added = match Path::new(FILE).symlink_metadata() {
        Ok(_) => {
            let text = text_file::read(Path::new(FILE), MAX_FILE);
            let text = text.map_err(|error| Failure::Wrong(format!("cannot read {FILE}: {error}")))?;
            added(&text, &matches).map_err(|diagnostic| Failure::from(&*diagnostic))?
        }
        Err(_) => Vec::new(),
    };
    if added.is_empty() {
        return Arguments::from_arg_matches(&matches).map_err(|error| Failure::Wrong(error.to_string()));
    }
    // The options are inserted directly after the command, because `-- PATH` may follow, after which no options are
    // allowed.
    let name = matches.subcommand_name().unwrap_or_default();
    let place = line.iter().position(|word| word == name).map_or(line.len(), |at| at + 1);
    let (before, after) = line.split_at(place);
    let whole: Vec<OsString> =
        before.iter().cloned().chain(added.into_iter().map(OsString::from)).chain(after.iter().cloned()).collect();
    let read = command().try_get_matches_from(whole);
    read.and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(|error| Failure::Wrong(format!("{FILE}, with the command line: {}", error.render())))
}

/// Returns the options that the file adds to a command line.
fn added(text: &str, matches: &ArgMatches) -> Result<Vec<String>, Box<Diagnostic>> {
    let wrong = |span: Range<usize>, message: String| Box::new(Diagnostic::new(FILE, text, span, message, None));
    let tables: Tables =
        toml::from_str(text).map_err(|error| wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;
    let mut root = Arguments::command();
    // This gives each command the options that all commands have, such as --quiet.
    root.build();
    let mut options = Vec::new();
    for (name, keys) in tables {
        let Some(command) =
            root.get_subcommands().find(|known| known.get_name() == name.get_ref() && !known.is_hide_set())
        else {
            let known: Vec<&str> =
                root.get_subcommands().filter(|known| !known.is_hide_set()).map(Command::get_name).collect();
            return Err(wrong(
                name.span(),
                format!("there is no command `{}`; there are: {}", name.get_ref(), known.join(", ")),
            ));
        };
        for (key, value) in keys {
            let found = option(command, key.get_ref()).map_err(|message| wrong(key.span(), message))?;
            let words = words(&found, value.get_ref()).map_err(|message| wrong(value.span(), message))?;
            let used = matches.subcommand().filter(|(used, _)| used == name.get_ref());
            if used.is_some_and(|(_, used)| has_room(command, &found, used)) {
                options.extend(words);
            }
        }
    }
    Ok(options)
}

/// Returns whether a command line gives neither an option nor one that excludes it.
fn has_room(command: &Command, option: &clap::Arg, used: &ArgMatches) -> bool {
    let excludes = |one: &clap::Arg, other: &clap::Arg| {
        command.get_arg_conflicts_with(one).iter().any(|excluded| excluded.get_id() == other.get_id())
    };
    let is_given = |known: &clap::Arg| {
        let id = known.get_id().as_str();
        used.try_contains_id(id).is_ok() && used.value_source(id) == Some(ValueSource::CommandLine)
    };
    let mut given = command.get_arguments().filter(|known| is_given(known));
    !given.any(|known| known.get_id() == option.get_id() || excludes(known, option) || excludes(option, known))
}

/// Returns the option of a command with this name.
fn option(command: &Command, name: &str) -> Result<clap::Arg, String> {
    let is_option = |known: &&clap::Arg| {
        known.get_long().is_some_and(|long| !["help", "version"].contains(&long)) && !known.is_hide_set()
    };
    let options = || command.get_arguments().filter(is_option);
    options().find(|known| known.get_long() == Some(name)).cloned().ok_or_else(|| {
        let names: Vec<&str> = options().filter_map(clap::Arg::get_long).collect();
        format!("`stickler {}` has no option `{name}`; there are: {}", command.get_name(), names.join(", "))
    })
}

/// Returns an option with its values, as words of a command line.
fn words(option: &clap::Arg, value: &Value) -> Result<Vec<String>, String> {
    let name = option.get_long().unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    match value {
        Value::Boolean(true) if !takes_value => Ok(vec![format!("--{name}")]),
        Value::Boolean(false) if !takes_value => Ok(Vec::new()),
        _ if !takes_value => Err(format!("--{name} takes no value: write true or false")),
        Value::Array(values) => {
            let all: Result<Vec<Vec<String>>, String> = values.iter().map(|value| words(option, value)).collect();
            Ok(all?.concat())
        }
        Value::String(text) => Ok(vec![format!("--{name}={text}")]),
        Value::Integer(_) | Value::Float(_) | Value::Datetime(_) => Ok(vec![format!("--{name}={value}")]),
        Value::Boolean(_) | Value::Table(_) => Err(format!("--{name} takes a text, a number or a list of them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, line: &str) -> Result<Vec<String>, String> {
        let matches = Arguments::command().get_matches_from(line.split(' '));
        added(text, &matches).map_err(|diagnostic| diagnostic.to_string())
    }

    const FILE: &str =
        "[run]\nbalancer = [\"squid\", \"l4-nat\"]\njobs = 4\nevidence = true\nfail-fast = false\n[matrix]\njobs = 2\n";

    #[test]
    fn options_that_all_commands_have_are_options_of_each() {
        let file = "[run]\nquiet = true\ncolor = \"never\"\n";
        assert_eq!(of(file, "stickler run").unwrap(), ["--color=never", "--quiet"]);
        assert_eq!(of(file, "stickler run --color always").unwrap(), ["--quiet"]);
        assert!(of("[run]\nhelp = true\n", "stickler run").unwrap_err().contains("has no option `help`"));
    }

    #[test]
    fn the_file_gives_what_the_command_line_does_not() {
        let balancers = ["--balancer=squid", "--balancer=l4-nat"].map(str::to_owned);
        let rest = ["--evidence", "--jobs=4"].map(str::to_owned);
        let sorted = |line: &str| {
            of(FILE, line).map(|mut options| {
                options.sort();
                options
            })
        };
        let mut all = [&balancers[..], &rest[..]].concat();
        all.sort();
        assert_eq!(sorted("stickler run lone"), Ok(all));
        assert_eq!(sorted("stickler run lone -b squid"), Ok(rest.to_vec()));
        assert_eq!(sorted("stickler run --rerun"), Ok(rest.to_vec()), "it knows its balancers itself");
        assert_eq!(sorted("stickler matrix"), Ok(vec!["--jobs=2".to_owned()]));
        assert_eq!(sorted("stickler list"), Ok(Vec::new()));
    }

    #[test]
    fn whatever_is_wrong_has_its_place_even_where_another_command_is_used() {
        for (text, place, why) in [
            ("[rum]\n", "stickler.toml:1:2: ", "there is no command `rum`"),
            ("[run]\nbalancers = \"x\"\n", "stickler.toml:2:1: ", "has no option `balancers`"),
            ("[run]\nevidence = 1\n", "stickler.toml:2:12: ", "write true or false"),
            ("[run]\njobs = true\n", "stickler.toml:2:8: ", "takes a text, a number or a list"),
            ("jobs = 1\n", "stickler.toml:1:8: ", ""),
            ("[run\n", "stickler.toml:1:", ""),
            ("[supervise]\n", "stickler.toml:1:2: ", "there is no command"),
        ] {
            let error = of(text, "stickler list").unwrap_err();
            assert!(error.starts_with(place) && error.contains(why), "{error}");
        }
    }
}
