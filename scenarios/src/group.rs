//! The description of a folder of scripts: `group.toml`.
//!
//! ```toml
//! title = "Identity when users change"
//! order = 2               # the group's place among the shipped ones
//! conformance = true      # whether a failure in these scenarios is always the balancer's fault
//! accepts = "NTLM"        # the provider of the correctly set-up IIS sites; absent for other servers or set-ups
//! ```

use serde::Deserialize;
use stickler_model::topology::Provider;

use crate::expected::{FileError, Source};

/// The scripts of one folder, as a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The name of the folder.
    pub name: String,
    /// The subject of the scripts, in one line; empty if the folder gives none.
    pub title: String,
    /// The place among the shipped groups, from 1.
    pub order: u32,
    /// Whether the scenarios hold for every sound balancer in front of IIS. The conformance suite consists of such
    /// groups.
    pub conformance: bool,
    /// The provider that the site accepts, in scenarios with a correctly set-up IIS behind the balancer: NTLM; Kerberos
    /// alone; or Negotiate, where some clients fall back to NTLM. A failure there is the balancer's fault. `None`
    /// stands for another kind of server, a site that is set up incorrectly, or sites of several kinds.
    pub accepts: Option<Provider>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: String,
    #[serde(default)]
    order: u32,
    #[serde(default)]
    conformance: bool,
    accepts: Option<Provider>,
}

impl Group {
    /// Returns the group of a folder without such a file.
    pub(crate) fn unnamed(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Parses the file of the folder `name`.
    pub(crate) fn parse(name: &str, source: Source<'_>) -> Result<Self, FileError> {
        let Written { title, order, conformance, accepts } = source.read()?;
        Ok(Self { name: name.to_owned(), title, order, conformance, accepts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Group, FileError> {
        Group::parse("mine", Source { text, origin: "mine/group.toml" })
    }

    #[test]
    fn a_title_is_enough() {
        let group = parse("title = \"Mine\"\naccepts = \"Negotiate:Kerberos\"\n").unwrap();
        assert_eq!((&*group.name, &*group.title, group.conformance), ("mine", "Mine", false));
        assert_eq!(group.accepts, Some(Provider::NegotiateKerberos));
        assert_eq!(parse("title = \"Mine\"\n").unwrap().accepts, None);
    }

    #[test]
    fn whatever_is_wrong_is_shown_with_its_place() {
        let place = |text| {
            let diagnostic = parse(text).unwrap_err().0;
            (diagnostic.line, diagnostic.column, diagnostic.message)
        };
        let (line, column, message) = place("title = \"x\"\naccepts = \"Kerberos\"\n");
        assert_eq!((line, column), (2, 11));
        assert!(message.contains("unknown variant `Kerberos`"), "{message}");
        assert!(place("title = \"x\"\norde = 3\n").2.contains("unknown field `orde`"));
        assert!(place("order = 1\n").2.contains("missing field `title`"));
    }
}
