//! What is said of a product, as sentences and numbered sources that have no form yet.

use std::fmt;

use super::{Citation, Evidence, Profile};

/// How a product treats connections, and what that means for NTLM. It follows from the profile's rules: it is an expectation, not a
/// verdict. Its form for a terminal is that of [`fmt::Display`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description<'a> {
    pub(super) profile: &'a Profile,
    /// What it does with connections.
    pub sentences: Vec<Sentence>,
    /// What that means for a handshake, and for the user on the connection afterwards.
    pub meaning: String,
    /// What the sentences rest on, numbered from 1.
    pub sources: Vec<(&'a str, Evidence)>,
}

/// A sentence about a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence, without its full stop.
    pub text: String,
    /// What it rests on.
    pub marks: Vec<Mark>,
}

/// What a sentence rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A value that is not known, and is assumed.
    Assumed,
    /// The source of this number.
    Source(usize),
}

/// A value that is not known, and what it is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumption<'a> {
    /// Which value: `pool.order`.
    pub what: &'a str,
    /// What it is taken to be.
    pub value: &'a str,
    /// Why it is not known, and why it is taken to be this.
    pub why: &'a str,
}

impl Description<'_> {
    /// Returns what the profile assumes, in the order of the schema.
    pub fn assumptions(&self) -> impl Iterator<Item = Assumption<'_>> {
        self.profile.facts.iter().filter_map(|fact| match &fact.citation {
            Citation::Known { .. } => None,
            Citation::Assumed { why } => Some(Assumption {
                what: &fact.what,
                value: fact.value(),
                why: why.strip_prefix("not known: ").unwrap_or(why),
            }),
        })
    }
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Profile { product, versions, config, name, notes, .. } = self.profile;
        write!(f, "{name}: {product} {versions}, {config}.\n\n")?;
        for (index, Sentence { text, marks }) in self.sentences.iter().enumerate() {
            write!(f, "{}{text}", if index == 0 { "" } else { " " })?;
            for (index, mark) in marks.iter().enumerate() {
                write!(f, "{}{mark}", if index == 0 { " " } else { "" })?;
            }
            f.write_str(".")?;
        }
        write!(f, "\n\nFor NTLM: {}\n", self.meaning)?;
        for note in notes {
            write!(f, "\nNote: {note}")?;
        }
        for Assumption { what, value, why } in self.assumptions() {
            write!(f, "\nNot known: `{what}`, taken to be {value}: {why}")?;
        }
        for (index, (source, evidence)) in self.sources.iter().enumerate() {
            write!(f, "\n[{}] {source} ({evidence})", index + 1)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assumed => f.write_str("[assumed]"),
            Self::Source(number) => write!(f, "[{number}]"),
        }
    }
}
