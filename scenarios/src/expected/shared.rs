//! The common part of the tables of all folders: reasons by key, and the balancers that behave alike.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::ALL;
use super::source::{FileError, Source};

/// The common part of the tables of all folders.
///
/// ```toml
/// # Reasons: a key, and the text that reports show.
/// header-not-read = "IIS does not read the PROXY protocol's header"
/// ```
///
/// ```toml
/// [classes]                         # names for balancers that behave alike, and what they have in common
/// shared-pools = "any client may use any upstream connection"
///
/// [like]                            # rows for the second also apply to the first, unless it has its own
/// shared-pool-fifo = "shared-pools"
/// sticky-pools = "shared-pools"     # a class may be like another
/// my-pool = "shared-pool-fifo"      # and a balancer like a balancer
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// The texts of the reasons, by key.
    reasons: BTreeMap<String, String>,
    /// The common property of each class's members, by the name of the class.
    classes: BTreeMap<String, String>,
    /// For a balancer or class, the balancer or class that it is like.
    like: BTreeMap<String, String>,
}

/// The form of the file of balancers that behave alike.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alike {
    classes: BTreeMap<Spanned<String>, String>,
    like: BTreeMap<Spanned<String>, Spanned<String>>,
}

impl Shared {
    /// Reads the file of reasons, and the file of balancers that behave alike. `balancers` are the names that exist.
    ///
    /// # Errors
    /// One of the files is not TOML of that form (a balancer in two classes is a duplicate key), a name does not exist,
    /// a class has the name of a balancer, or something is, directly or through others, like itself.
    pub fn parse(reasons: Source<'_>, alike: Source<'_>, balancers: &[&str]) -> Result<Self, FileError> {
        let read: Alike = alike.read()?;
        for class in read.classes.keys() {
            let name = class.get_ref().as_str();
            if name == ALL || balancers.contains(&name) {
                return Err(
                    alike.wrong(class.span(), format!("`{name}` cannot be a class: the name is already in use"))
                );
            }
        }
        let known = || balancers.iter().copied().chain(read.classes.keys().map(|class| class.get_ref().as_str()));
        for name in read.like.iter().flat_map(|(name, other)| [name, other]) {
            alike.check("balancer or class", name.get_ref(), &name.span(), known())?;
        }
        let plain = read.like.iter().map(|(name, other)| (name.get_ref().clone(), other.get_ref().clone()));
        let classes = read.classes.iter().map(|(name, about)| (name.get_ref().clone(), about.clone()));
        let shared = Self { reasons: reasons.read()?, classes: classes.collect(), like: plain.collect() };
        for name in read.like.keys() {
            // A chain can be longer than the number of entries only if it leads back to its beginning.
            if shared.lineage(name.get_ref()).nth(shared.like.len() + 1).is_some() {
                return Err(alike
                    .wrong(name.span(), format!("`{}` is like itself, directly or through others", name.get_ref())));
            }
        }
        Ok(shared)
    }

    /// Returns the text of a reason by its key.
    pub fn reason(&self, key: &str) -> Option<&str> {
        self.reasons.get(key).map(String::as_str)
    }

    /// Returns the keys of all reasons.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.reasons.keys().map(String::as_str)
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// Returns the balancer, then the one that it is like, then the one that this is like, and so on.
    pub(super) fn lineage<'a>(&'a self, balancer: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::successors(Some(balancer), |&name| self.like.get(name).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(alike: &str) -> Result<Shared, FileError> {
        let reasons = Source { text: "why = \"because\"\n", origin: "reasons.toml" };
        let alike = Source { text: alike, origin: "mechanisms.toml" };
        Shared::parse(reasons, alike, &["l4-nat", "shared-pool", "safe-pool"])
    }

    #[test]
    fn a_balancer_is_like_a_class_that_is_like_another() {
        let shared = parse("[classes]\npools = \"x\"\nsafe = \"y\"\n[like]\nsafe-pool = \"safe\"\nsafe = \"pools\"\n");
        let shared = shared.unwrap();
        assert_eq!(shared.lineage("safe-pool").collect::<Vec<_>>(), ["safe-pool", "safe", "pools"]);
        assert_eq!(shared.lineage("l4-nat").collect::<Vec<_>>(), ["l4-nat"]);
        assert_eq!(shared.reason("why"), Some("because"));
    }

    #[test]
    fn whatever_is_wrong_is_shown_with_its_place() {
        let files = [
            "[classes]\npools = \"x\"\nother = \"y\"\n[like]\nsafe-pool = \"pools\"\nsafe-pool = \"other\"\n",
            "[classes]\npools = \"x\"\n[like]\nsafe-pool = \"pool\"\n",
            "[classes]\npools = \"x\"\n[like]\nsave-pool = \"pools\"\n",
            "[classes]\nl4-nat = \"x\"\n[like]\n",
            "[classes]\nall = \"x\"\n[like]\n",
            "[classes]\na = \"x\"\nb = \"x\"\n[like]\nl4-nat = \"a\"\na = \"b\"\nb = \"a\"\n",
            "[classes]\npools = 3\n[like]\n",
            "[classes]\n[likes]\n",
        ];
        insta::assert_snapshot!(files.map(|file| parse(file).unwrap_err().to_string()).join("\n\n"));
    }
}
