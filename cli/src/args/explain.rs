//! The arguments of `explain`.

use clap::{Args, ValueEnum};

/// The arguments of `explain`: the names, and the form of the explanations.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 explained; 2 the name or the arguments are wrong.\n\nExamples:\n  stickler explain ID-1\n  stickler explain haproxy-safe --format toml > mine.toml\n  stickler explain ID-1 --format json"
)]
pub(crate) struct Explain {
    /// The name of a product profile, a file with your own profiles, a mechanism (optionally with defects), a requirement
    /// (ID-1), a defect (B6) or a scenario. The names are looked up in this order, and explained one after the other.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// The form of the explanation: text for a terminal, Markdown, JSON, or, for profiles and mechanisms, a file of profiles as
    /// a starting point for your own.
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
    /// For programs: one document, whose schema is in docs/schemas.
    Json,
}
