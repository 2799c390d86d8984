//! Reads values and their citations, and reports where a file is wrong.

use std::fmt;
use std::ops::Range;

use stickler_lb_core::Layer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::port::{Port, Read};
use super::value::Value;
use super::{Citation, Evidence, Fact, describe};

/// What is wrong with a file of profiles, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// The name of the file, as it was given.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
    /// What is wrong, and how to correct it.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, text, message } = self;
        write!(f, "{path}:{line}:{column}: {message}\n  {text}")?;
        // The mark would be beyond the part of the line that is shown.
        if *column <= text.chars().count() + 1 { write!(f, "\n  {:>column$}", "^") } else { Ok(()) }
    }
}

impl std::error::Error for ProfileError {}

/// The maximum length of a line that an error shows, in characters.
const LINE: usize = 160;

impl ProfileError {
    pub(super) fn at(path: &str, text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default().chars().take(LINE).collect();
        let column = text[begin..start].chars().count() + 1;
        let number = before.matches('\n').count() + 1;
        Self { path: path.into(), line: number, column, text: line, message: message.into() }
    }
}

/// A part of a file that contains keys: a profile, or a section of it.
#[derive(Debug, Clone)]
pub(super) struct Part<'t> {
    /// The name of the section; empty for the profile itself.
    name: &'static str,
    span: Range<usize>,
    /// The table of the part; `None` if all of it is inherited.
    table: Option<&'t DeTable<'t>>,
    /// The keys that were read so far. In the end, these are all keys that the part may contain.
    known: Vec<&'static str>,
}

/// Reads the keys of a profile, and records the sources of its values.
pub(super) struct Reader<'t> {
    path: &'t str,
    text: &'t str,
    profile: Part<'t>,
    /// The current section; `None` outside of sections.
    section: Option<Part<'t>>,
    /// The source that the profile states for all values without one of their own.
    source: Option<Citation>,
    /// The values of the extended profile, which apply to keys that this profile does not set.
    inherited: Vec<Fact>,
    /// The layer of the balancer, which decides which keys exist.
    layer: Layer,
    pub(super) facts: Vec<Fact>,
}

impl<'t> Reader<'t> {
    /// Returns a reader of the profile in this table, at this place of the file.
    pub(super) fn new(text: &'t str, path: &'t str, span: Range<usize>, table: &'t DeTable<'t>) -> Self {
        let profile = Part { name: "", span, table: Some(table), known: Vec::new() };
        Self {
            path,
            text,
            profile,
            section: None,
            source: None,
            inherited: Vec::new(),
            layer: Layer::L7,
            facts: Vec::new(),
        }
    }

    /// Sets the layer of the profile, the source of values without one of their own, and the values for keys that the
    /// profile does not set.
    pub(super) fn resting_on(&mut self, layer: Layer, source: Option<Citation>, inherited: Vec<Fact>) {
        (self.layer, self.source, self.inherited) = (layer, source, inherited);
    }

    pub(super) fn at(&self, span: &Range<usize>, message: impl Into<String>) -> ProfileError {
        ProfileError::at(self.path, self.text, span, message)
    }

    /// Reads a key of the profile itself whose value has no source, such as its name, with its place.
    pub(super) fn plain<T: Value>(&mut self, name: &'static str) -> Read<Option<Spanned<T>>> {
        let Some(value) = self.lookup(name) else { return Ok(None) };
        let read = T::read(value.get_ref()).ok_or_else(|| self.unfit::<T>(name, &value.span()))?;
        Ok(Some(Spanned::new(value.span(), read)))
    }

    /// Checks that the section has only the keys that were read before, and `keys`. `elsewhere` explains a key that
    /// exists in another place.
    pub(super) fn only(&self, keys: &[&str], elsewhere: impl Fn(&str) -> Option<String>) -> Read<()> {
        let part = self.part();
        let known = || part.known.iter().chain(keys);
        let there = part.table.into_iter().flat_map(DeTable::keys);
        let Some(unknown) = there.into_iter().find(|key| !known().any(|known| **known == **key.get_ref())) else {
            return Ok(());
        };
        let message = elsewhere(unknown.get_ref()).unwrap_or_else(|| {
            let known: Vec<String> = known().map(|key| format!("`{key}`")).collect();
            format!("unknown field `{}`, expected one of {}", unknown.get_ref(), known.join(", "))
        });
        Err(self.at(&unknown.span(), message))
    }

    fn part(&self) -> &Part<'t> {
        self.section.as_ref().unwrap_or(&self.profile)
    }

    fn lookup(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        let part = self.section.as_mut().unwrap_or(&mut self.profile);
        part.known.push(name);
        part.table?.get(name)
    }

    fn whole(&self, name: &str) -> String {
        let section = self.part().name;
        if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
    }

    fn unfit<T: Value>(&self, name: &str, span: &Range<usize>) -> ProfileError {
        self.at(span, format!("`{}` has to be {}", self.whole(name), T::kind()))
    }

    /// Reads a value and its source.
    fn cited<T: Value>(&mut self, name: &'static str) -> Read<Option<T>> {
        let what = self.whole(name);
        let Some(cell) = self.lookup(name) else { return self.inherit(&what) };
        let (value, citation) = match (cell.get_ref(), &self.source) {
            (DeValue::Table(table), _) => self.citation(&what, &cell.span(), table)?,
            (_, Some(source)) => (cell, source.clone()),
            (_, None) => return Err(self.uncited(&what, &cell.span())),
        };
        let read = T::read(value.get_ref()).ok_or_else(|| self.unfit::<T>(name, &value.span()))?;
        self.facts.push(Fact { what, toml: read.toml(), citation });
        Ok(Some(read))
    }

    fn inherit<T: Value>(&mut self, what: &str) -> Read<Option<T>> {
        let Some(fact) = self.inherited.iter().find(|fact| fact.what == *what).cloned() else { return Ok(None) };
        let value = DeValue::parse(&fact.toml).ok().and_then(|value| T::read(value.get_ref()));
        let read =
            value.ok_or_else(|| self.wrong(&format!("`{what}` is inherited and cannot be read: {}", fact.toml)))?;
        self.facts.push(fact);
        Ok(Some(read))
    }

    fn citation(
        &self,
        what: &str,
        span: &Range<usize>,
        table: &'t DeTable<'t>,
    ) -> Read<(&'t Spanned<DeValue<'t>>, Citation)> {
        let known = ["is", "source", "evidence", "assumed", "why"];
        if let Some(key) = table.keys().find(|key| !known.contains(&&**key.get_ref())) {
            let known = known.map(|key| format!("`{key}`")).join(", ");
            return Err(self.at(&key.span(), format!("unknown field `{}`, expected one of {known}", key.get_ref())));
        }
        let text =
            |name| table.get(name).and_then(|value| value.get_ref().as_str()).filter(|text| !text.trim().is_empty());
        let evidence = match table.get("evidence") {
            None => None,
            Some(value) => Some(self.evidence(value)?),
        };
        match (table.get("is"), text("source"), evidence, table.get("assumed"), text("why")) {
            (Some(is), Some(source), Some(evidence), None, None) => {
                Ok((is, Citation::Known { source: source.into(), evidence }))
            }
            (None, None, None, Some(assumed), Some(why)) => Ok((assumed, Citation::Assumed { why: why.into() })),
            _ => Err(self.uncited(what, span)),
        }
    }

    pub(super) fn evidence(&self, value: &Spanned<DeValue<'_>>) -> Read<Evidence> {
        let text = value.get_ref().as_str().unwrap_or_default();
        Evidence::ALL.into_iter().find(|evidence| evidence.letter() == text).ok_or_else(|| {
            let known = Evidence::ALL.map(|evidence| format!("`{}`", evidence.letter())).join(", ");
            self.at(&value.span(), format!("unknown variant `{text}`, expected one of {known}"))
        })
    }

    fn uncited(&self, what: &str, span: &Range<usize>) -> ProfileError {
        let message = format!(
            "`{what}` has no source: write {{ is = ..., source = \"...\", evidence = \"M, S, D, I or R\" }}, or \
             {{ assumed = ..., why = \"not known: ...\" }}, or state a `source` for the whole profile"
        );
        self.at(span, message)
    }
}

impl Port for Reader<'_> {
    fn key<T: Value>(&mut self, name: &'static str, _meaning: &'static str, _value: Option<T>) -> Read<Option<T>> {
        self.cited(name)
    }

    fn needed<T: Value>(&mut self, name: &'static str, _meaning: &'static str, _value: T) -> Read<T> {
        if let Some(value) = self.cited(name)? {
            return Ok(value);
        }
        let message = format!("`{}` is missing: state it, or state what is assumed and why", self.whole(name));
        Err(self.wrong(&message))
    }

    fn section<T: Clone>(
        &mut self,
        name: &'static str,
        _meaning: &'static str,
        _value: Option<T>,
        blank: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<Option<T>> {
        let own = self.lookup(name);
        let of_section = |fact: &Fact| fact.what.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let (span, table) = match own.map(|value| (value.span(), value.get_ref())) {
            None if !self.inherited.iter().any(of_section) => return Ok(None),
            None => (self.profile.span.clone(), None),
            Some((span, DeValue::Table(table))) => (span, Some(table)),
            Some((span, _)) => return Err(self.at(&span, format!("`{name}` is a section: write [profile.{name}]"))),
        };
        self.section = Some(Part { name, span, table, known: Vec::new() });
        // This check comes before the one for missing keys, because a missing key may be a misspelt one.
        self.only(&describe::keys_of(self.layer, name), |_| None)?;
        let value = keys(self, blank)?;
        self.section = None;
        Ok(Some(value))
    }

    fn wrong(&self, message: &str) -> ProfileError {
        self.at(&self.part().span, message)
    }
}
