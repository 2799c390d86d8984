//! The arguments with which several commands select scenarios.

use clap::Args;
use glob::Pattern;
use stickler_oracle::Requirement;

/// The selection among the scenarios that the command line names.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// Only scenarios that put this requirement to the test (ID-1), according to their tables of expected outcomes; a script
    /// without a table is kept. May be given more than once: a scenario has to match one of them.
    #[arg(long, value_name = "ID", value_parser = requirement)]
    pub(crate) requirement: Vec<Requirement>,
    /// Only scenarios of groups with this name or pattern ('kerberos*'). May be given more than once.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) group: Vec<Pattern>,
    /// Only scenarios with this tag: ntlm, kerberos or negotiate (what their site accepts), conformance (which holds for
    /// every balancer), or a tag of the script, given in a line `Tags: one, two` of its docstring. May be given more than
    /// once.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
}

impl Selection {
    /// Returns whether every scenario is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.requirement.is_empty() && self.group.is_empty() && self.tag.is_empty()
    }
}

/// Parses the id of a requirement, in upper or lower case.
fn requirement(id: &str) -> Result<Requirement, String> {
    id.to_ascii_uppercase().parse().map_err(|_| format!("there is no requirement `{id}`; `stickler list` has them"))
}

/// Parses a name, or a pattern with `*`, `?` and `[...]`.
pub(crate) fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("{error}; a pattern has *, ? and [...]"))
}
