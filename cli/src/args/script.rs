//! The arguments of `script`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, Report, ReportFormat, report};

/// The arguments of `script`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing found; 1 findings; 2 a file or the arguments are wrong.\n\nExamples:\n  \
stickler script new my-site --like user-after-user\n  stickler script lint my-scripts\n  stickler script watch my-site.star"
)]
pub(crate) struct Script {
    /// The command for authors of scripts.
    #[command(subcommand)]
    pub(crate) command: ScriptCommand,
}

/// The commands for authors of scripts.
#[derive(Debug, Subcommand)]
pub(crate) enum ScriptCommand {
    /// Write a commented script as a starting point. No file is ever overwritten.
    New(New),
    /// Find the mistakes of scripts, and of the tables beside them, without running them.
    #[command(after_help = "Exit codes: 0 nothing found; 1 findings; 2 something cannot be read.\n\n\
`# starlark-lint-disable CODE` on a line, or on the one above it, switches a rule off there.")]
    Lint(Lint),
    /// Print the language reference.
    Docs(Docs),
    /// Run scripts whenever they are saved, and show the verdicts, until Ctrl-C.
    Watch(Watch),
}

/// The arguments of `script new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The name of the scenario, or the path of its file: `my-site` writes my-site.star.
    pub(crate) name: PathBuf,
    /// Start with a copy of this shipped scenario.
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) like: Option<String>,
}

/// The arguments of `script lint`.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Scripts, together with the files that they load, or folders with all scripts in them and below them.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<String>,
    /// The form in which mistakes are shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write a report: sarif=FILE (for code-scanning services). An older file is replaced. `-` is standard output, and
    /// replaces what --format shows. May be given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[ReportFormat::Sarif]))]
    pub(crate) report: Vec<Report>,
}

/// The arguments of `script docs`.
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The format.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: DocsFormat,
}

/// The format of the reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocsFormat {
    /// Markdown, as in docs/language.md.
    #[default]
    Markdown,
}

/// The arguments of `script watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A script, or a folder of scripts.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// A mechanism or a product profile over which to run; may be given more than once. The default is one sound balancer and
    /// two that are not: l4-nat, pin-on-401 and shared-pool.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Vec<String>,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}
