//! What a folder of scripts says of all of them: `group.toml`.
//!
//! ```toml
//! title = "Somebody else's identity"
//! order = 2               # the group's place among the shipped ones
//! conformance = true      # whether what goes wrong in these scenarios is the balancer's doing, whichever it is
//! accepts = "NTLM"        # the provider of the well set-up IIS sites in them; without: other servers, or other setups
//! ```

use serde::Deserialize;
use stickler_model::topology::Provider;

use crate::expected::{FileError, Source};

/// The scripts of one folder, as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The folder's name.
    pub name: String,
    /// What they are about, in a line; empty where nothing says it.
    pub title: String,
    /// The place among the shipped groups, from 1.
    pub order: u32,
    /// Whether they hold for every sound balancer in front of IIS: the conformance suite consists of them.
    pub conformance: bool,
    /// What the site takes, of scenarios in which a well set-up IIS stands behind the balancer: NTLM; Kerberos alone; or
    /// Negotiate, where some clients fall back to NTLM. What goes wrong there is the balancer's doing. `None`: another
    /// kind of server, a site that is set up wrong, or sites of several kinds.
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
    /// A folder without such a file.
    pub(crate) fn unnamed(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The group of the folder `name`, whose file this is.
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
