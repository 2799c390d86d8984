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
    after_help = "Exit codes: 0 as expected, or equal to what is recorded; 1 not, or a plan without a record violates a MUST; 2 a script, a run file or the arguments are wrong; 3 nothing matched, or every run was skipped; 4 a product is missing, or a target is clean in too few requests to say so."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) appearance: crate::terminal::Appearance,
}

/// What the command does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios over balancers in the simulated world, and judge them.
    Run(Box<Run>),
    /// Perform the plans of run files again, without their scripts, and compare what is seen with what is recorded.
    Replay(Replay),
    /// Show the shipped scenarios, the balancers and the requirements.
    List(List),
    /// Measure which product keeps which requirement.
    Matrix(Matrix),
    /// Run the same scenarios over profiles in the simulation and over the products themselves, and show where they differ.
    #[cfg(unix)]
    Compare(Compare),
    /// Say whether a balancer keeps users apart, from its own configuration file: run the real product on a safe copy of it, in front
    /// of Stickler's servers, and show which line to change.
    #[cfg(unix)]
    Check(Check),
    /// Look for what nobody has scripted: random plans, changed where they reach something new, judged, and shrunk to the shortest
    /// that shows the same.
    Hunt(Hunt),
    /// Put the shards of a hunt together.
    Merge(Merge),
    /// Say how a product, or a mechanism, treats connections; or what a requirement, a defect or a scenario is, how its violation
    /// shows in the logs of IIS, and what cures it. Each with where that is known from.
    Explain(Explain),
    /// Write scenarios: begin one, find its mistakes, look the language up, and see the verdict after each save.
    Script(Script),
    /// Start mock DC, mock IIS servers and a balancer on real sockets, for real clients.
    ///
    /// Whoever is served as another user is told at once ("LEAK: bob was served as alice"), with what proves it, and so are all of
    /// them at the end (exit code 1). A server cannot know who sent a request without credentials, so the clients have to say
    /// it: curl -H 'x-stickler-user: bob', or '-' for a client without credentials, with every request; or in the query,
    /// /?x-stickler-user=bob, as a browser can. The servers note that name and do nothing else by it. What is sent without it is served all
    /// the same, and not judged: it may be the next request of whoever authenticated the connection.
    Serve(Serve),
    /// Print what a shell completes after `stickler`.
    Completions(Completions),
    /// Write man pages. For packages.
    #[command(hide = true)]
    Man(Man),
    /// Run a program, and kill it and all that it started when standard input ends; or keep a folder until then. Not for use by
    /// hand.
    #[cfg(unix)]
    #[command(hide = true)]
    Supervise(Supervise),
}

/// The arm that scenarios run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arm {
    /// In simulated time: the same seed gives the same trace.
    #[default]
    Sim,
    /// On real sockets of this machine, in real time.
    Wire,
}

/// How to show something.
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
                // What the shell does with it, and what is said of it.
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
