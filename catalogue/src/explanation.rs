//! The explanation of each requirement for operators: what goes wrong for users, how that shows in the logs of IIS, and
//! how to cure it.
//!
//! The data is in `explanations.toml`. This crate knows only the ids of the requirements; a test of `cli` checks that
//! each requirement has an explanation.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a requirement means to an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The id of the requirement, for example `ID-1`.
    pub id: String,
    /// What goes wrong for users if the requirement is violated.
    pub means: Statement,
    /// How a violation shows in the W3C log of IIS and elsewhere, and what does not show there.
    pub log: Statement,
    /// The cures: first those that do not depend on the product, then those by product.
    pub cures: Vec<Cure>,
}

/// A text of several lines, with its source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The text, without a line end after it.
    pub text: String,
    /// Its source, in one line.
    pub source: String,
}

/// What an operator can do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cure {
    /// The product in which the cure is applied; `None` if the cure does not depend on the product.
    pub product: Option<String>,
    /// What to do, in one line.
    pub text: String,
    /// The source of the cure, in one line.
    pub source: String,
}

/// Why a file of explanations is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ExplanationError {
    /// The file is not TOML, has an unknown key, or lacks a key.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// A requirement has two explanations.
    #[error("{0} has two explanations: remove one of them")]
    Twice(String),
    /// A requirement refers to cures that do not exist.
    #[error("the explanation of {id} refers to the cures of `{key}`, which does not exist")]
    NoSuchCures {
        /// The id of the requirement.
        id: String,
        /// The key to which it refers.
        key: String,
    },
}

/// The file in its written form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    shared: Vec<Shared>,
    requirement: Vec<Written>,
}

/// Cures that several requirements share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    key: String,
    cures: Vec<Cure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    means: Statement,
    log: Statement,
    /// The requirement's own cures.
    #[serde(default)]
    cures: Vec<Cure>,
    /// The keys of the cures that the requirement shares with others.
    #[serde(default)]
    shared: Vec<String>,
}

static EXPLANATIONS: LazyLock<Vec<Explanation>> = LazyLock::new(|| {
    Explanation::parse(include_str!("../explanations.toml"))
        .unwrap_or_else(|error| panic!("the shipped explanations are wrong: {error}"))
});

/// Returns all explanations that are shipped, in the order of the requirements.
pub fn explanations() -> &'static [Explanation] {
    &EXPLANATIONS
}

/// Returns the explanation of the requirement with this id. Letter case does not matter.
pub fn explanation(id: &str) -> Option<&'static Explanation> {
    explanations().iter().find(|explanation| explanation.id.eq_ignore_ascii_case(id))
}

impl Explanation {
    /// Reads a file of explanations.
    ///
    /// # Errors
    /// [`ExplanationError`] says what is wrong with the file.
    pub fn parse(text: &str) -> Result<Vec<Self>, ExplanationError> {
        let File { shared, requirement } = toml::from_str(text)?;
        let mut ids = BTreeSet::new();
        let mut all = Vec::new();
        for written in requirement {
            if !ids.insert(written.id.clone()) {
                return Err(ExplanationError::Twice(written.id));
            }
            all.push(written.with(&shared)?);
        }
        Ok(all)
    }
}

impl Written {
    /// Returns the explanation, with shared cures placed after its own cures for the same product.
    fn with(self, all: &[Shared]) -> Result<Explanation, ExplanationError> {
        let Self { id, means, log, mut cures, shared } = self;
        for key in shared {
            match all.iter().find(|shared| shared.key == key) {
                Some(shared) => cures.extend(shared.cures.iter().cloned()),
                None => return Err(ExplanationError::NoSuchCures { id, key }),
            }
        }
        cures.sort_by_cached_key(|cure| cure.product.as_ref().map(|product| product.to_lowercase()));
        let cures = cures.into_iter().map(Cure::in_lines).collect();
        Ok(Explanation { id, means: means.in_lines(), log: log.in_lines(), cures })
    }
}

impl Statement {
    fn in_lines(self) -> Self {
        Self { text: self.text.trim().to_owned(), source: one_line(&self.source) }
    }
}

impl Cure {
    fn in_lines(self) -> Self {
        Self { product: self.product, text: one_line(&self.text), source: one_line(&self.source) }
    }
}

/// Returns the text without the line ends that only serve the width of the file.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"
        [[shared]]
        key = "own"
        [[shared.cures]]
        product = "nginx"
        text = "shared"
        source = "a"
        [[shared.cures]]
        text = "for all"
        source = "b"

        [[requirement]]
        id = "XX-1"
        shared = ["own"]
        means = { text = "it\ngoes wrong\n", source = "c;\nd" }
        log = { text = "401 2 5", source = "e" }
        [[requirement.cures]]
        product = "nginx"
        text = "its own,\nfirst"
        source = "f"
        [[requirement.cures]]
        product = "HAProxy"
        text = "http-reuse never"
        source = "g"
    "#;

    #[test]
    fn what_holds_for_all_comes_first_and_then_each_product_with_its_own_cure_before_the_shared_one() {
        let [one] = &Explanation::parse(ONE).unwrap()[..] else { panic!("one explanation") };
        let cures: Vec<_> = one.cures.iter().map(|cure| (cure.product.as_deref(), &*cure.text)).collect();
        let nginx = [(Some("nginx"), "its own, first"), (Some("nginx"), "shared")];
        assert_eq!(cures, [&[(None, "for all"), (Some("HAProxy"), "http-reuse never")][..], &nginx].concat());
        assert_eq!((&*one.means.text, &*one.means.source), ("it\ngoes wrong", "c; d"));
    }

    #[test]
    fn an_unknown_key_a_missing_one_a_second_entry_and_cures_that_are_not_there_are_refused() {
        let error = |text: &str| Explanation::parse(text).unwrap_err().to_string();
        assert!(error(&ONE.replace("product", "produkt")).contains("unknown field `produkt`"));
        assert!(error(&ONE.replace("source = \"g\"", "")).contains("missing field `source`"));
        let (_, requirement) = ONE.split_once("[[requirement]]").unwrap();
        assert_eq!(
            error(&format!("{ONE}\n[[requirement]]{requirement}")),
            "XX-1 has two explanations: remove one of them"
        );
        let none = error(&ONE.replace("[\"own\"]", "[\"other\"]"));
        assert_eq!(none, "the explanation of XX-1 refers to the cures of `other`, which does not exist");
    }

    #[test]
    fn the_shipped_explanations_say_something_with_a_source_and_use_all_shared_cures() {
        for one in explanations() {
            let statements = [&one.means, &one.log].map(|it| (&it.text, &it.source));
            let cures = one.cures.iter().map(|it| (&it.text, &it.source));
            for (text, source) in statements.into_iter().chain(cures) {
                assert!(!text.is_empty() && !source.is_empty(), "{}: {text:?} [{source}]", one.id);
            }
            assert!(!one.cures.is_empty(), "{} has no cure", one.id);
        }
        let file: File = toml::from_str(include_str!("../explanations.toml")).unwrap();
        for Shared { key, .. } in &file.shared {
            assert!(file.requirement.iter().any(|it| it.shared.contains(key)), "nothing has the cures of `{key}`");
        }
        assert_eq!(explanation("id-1").map(|it| &*it.id), Some("ID-1"));
        assert_eq!(explanation("ID-99"), None);
    }
}
