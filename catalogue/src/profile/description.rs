//! The description of a product, as sentences and numbered sources without a layout.

use std::fmt;

use super::{Citation, Evidence, Profile};

/// The way in which a product treats connections, and the consequences for NTLM. The description follows from the rules
/// of the profile: it is an expectation, not a verdict. Its layout for a terminal is that of [`fmt::Display`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description<'a> {
    pub(super) profile: &'a Profile,
    /// The sentences about the product's treatment of connections.
    pub sentences: Vec<Sentence>,
    /// The consequences for a handshake, and for the user on the connection afterwards.
    pub meaning: String,
    /// The sources of the sentences, numbered from 1.
    pub sources: Vec<(&'a str, Evidence)>,
}

/// A sentence about a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence, without its full stop.
    pub text: String,
    /// The sources and assumptions on which the sentence is based.
    pub marks: Vec<Mark>,
}

/// The basis of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A value that is unknown and assumed.
    Assumed,
    /// The source with this number.
    Source(usize),
}

/// A value that is unknown, with the value that is assumed instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumption<'a> {
    /// The name of the value: `pool.order`.
    pub what: &'a str,
    /// The assumed value.
    pub value: &'a str,
    /// The reason why the value is unknown, and why this one is assumed.
    pub why: &'a str,
}

impl Description<'_> {
    /// Returns the assumptions of the profile, in the order of the schema.
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
