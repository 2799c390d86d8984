//! The arguments of `explain`.

use clap::{Args, ValueEnum};

/// What is explained, and in which form.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 explained; 2 the name or the arguments are wrong.\n\nExamples:\n  stickler explain ID-1\n  stickler explain haproxy-safe --format toml > mine.toml"
)]
pub(crate) struct Explain {
    /// A product profile, a file of profiles of your own, a mechanism, one with defects, a requirement (ID-1), a defect (B6) or a
    /// scenario, looked for in this order. Of several names, one after the other.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// In words, for a terminal or as Markdown; or, of profiles and mechanisms, as the file of a profile, to start one of your own from.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Explanation,
}

/// The form in which something is explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Explanation {
    /// For people.
    #[default]
    Pretty,
    /// A page of the book, as Markdown, with links to its other pages.
    Markdown,
    /// A file of profiles, for `--profile`.
    Toml,
}
