//! The command line, one file for each command.

#[cfg(unix)]
mod check;
#[cfg(unix)]
mod compare;
mod completions;
mod explain;
mod hunt;
mod list;
mod matrix;
mod replay;
mod report;
mod run;
mod script;
mod selection;
mod serve;
mod shared;
#[cfg(unix)]
mod supervise;

use clap::{Parser, Subcommand, ValueEnum};

#[cfg(unix)]
pub(crate) use check::Check;
#[cfg(unix)]
pub(crate) use compare::Compare;
pub(crate) use completions::{Completions, Man};
pub(crate) use explain::{Explain, Explanation};
pub(crate) use hunt::{Findings, Hunt, Merge, Shard};
pub(crate) use list::List;
pub(crate) use matrix::{Matrix, TableFormat};
pub(crate) use replay::Replay;
pub(crate) use report::{Destination, Report, ReportFormat};
pub(crate) use run::{Run, Target, TargetUrl};
pub(crate) use script::{DocsFormat, Lint, New, Script, ScriptCommand, Watch};
pub(crate) use selection::{Selection, pattern};
pub(crate) use serve::{LocalAccount, LocalAccounts, PoolIdentity, Protection, Serve, Tls, TokenChecking, Upstream};
#[cfg(unix)]
pub(crate) use supervise::Supervise;

/// Shows, reproducibly, how a load balancer treats Windows authentication.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 as expected, or equal to the record; 1 not as expected or not equal, or a plan without a record violates a MUST; 2 a script, a run file or the arguments are wrong; 3 nothing matched, or every run was skipped; 4 a product is missing, or a target had too few requests to be called clean."
)]
pub(crate) struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) appearance: crate::terminal::Appearance,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios over balancers in the simulated world, and judge them.
    Run(Box<Run>),
    /// Perform the plans of run files again, without their scripts, and compare the results with the recorded ones.
    Replay(Replay),
    /// Show the shipped scenarios, the balancers and the requirements.
    List(List),
    /// Measure which requirements each product keeps.
    Matrix(Matrix),
    /// Run the same scenarios over profiles in the simulation and over the products themselves, and show where they differ.
    #[cfg(unix)]
    Compare(Compare),
    /// Judge whether a balancer keeps users apart, from its own configuration file: run the real product on a safe copy of
    /// the file, in front of Stickler's servers, and show which line to change.
    #[cfg(unix)]
    Check(Check),
    /// Search for failures that no script covers: generate random plans, mutate those that reach something new, judge them,
    /// and shrink each finding to the shortest plan that shows it.
    Hunt(Hunt),
    /// Merge the shards of a hunt.
    Merge(Merge),
    /// Explain how a product or a mechanism treats connections. Or explain a requirement, a defect or a scenario, the signs of its
    /// violation in the logs of IIS, and its cures. Every statement has its source.
    Explain(Explain),
    /// Write scenarios: begin one, find its mistakes, look the language up, and see the verdict after each save.
    Script(Script),
    /// Start a mock DC, mock IIS servers and a balancer on real sockets, for real clients.
    ///
    /// When a user is served as another one, the command prints it at once with its evidence ("LEAK: bob was served as
    /// alice"). At the end it prints all leaks again, and exits with 1. A server cannot know who sent a request without
    /// credentials, so clients have to name their user with every request: curl -H 'x-stickler-user: bob', or '-' for a
    /// client without credentials. A browser can name its user in the query: /?x-stickler-user=bob. The servers only record
    /// that name. A request without a name is served, but not judged, because it may come from the client that authenticated
    /// the connection.
    Serve(Serve),
    /// Print completions of `stickler` for a shell.
    Completions(Completions),
    /// Write the man pages that packages contain.
    #[command(hide = true)]
    Man(Man),
    /// Run a program until standard input ends, and then kill it along with all processes that it started; or keep a folder
    /// until then, and then remove it. This command is not meant for use by hand.
    #[cfg(unix)]
    #[command(hide = true)]
    Supervise(Supervise),
}

/// The arm on which scenarios run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arm {
    /// In simulated time: the same seed gives the same trace.
    #[default]
    Sim,
    /// On real sockets of this machine, in real time.
    Wire,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Pretty,
    /// For programs: one JSON document.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_is_a_command_line() {
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (codes, examples) =
                help.split_once("\n\nExamples:\n").unwrap_or_else(|| panic!("{}", command.get_name()));
            assert!(codes.starts_with("Exit codes: 0 "), "{codes}");
            for example in examples.lines() {
                // Redirections, pipes and remarks after an example are not among its arguments.
                let line = example.trim_start().split(['>', '|']).next().unwrap_or_default();
                let line = line.split("    ").next().unwrap_or_default();
                let words = shlex::split(line).unwrap_or_else(|| panic!("{example}"));
                assert!(words.starts_with(&["stickler".to_owned(), command.get_name().to_owned()]), "{example}");
                if let Err(error) = Arguments::command().try_get_matches_from(words) {
                    panic!("{example}: {error}");
                }
            }
        }
    }
}
