//! Describes the schema of profiles in words, from the list of their keys.

use std::fmt::Write as _;
use std::sync::LazyLock;

use stickler_lb_core::Layer;

use super::keys;
use super::port::{Port, Read};
use super::read::ProfileError;
use super::value::Value;

/// Returns the keys of a profile for a layer, with sections and meanings, in order.
fn entries(layer: Layer) -> Vec<Entry> {
    let mut describer = Describer { section: "", entries: Vec::new() };
    // The described mechanism is sound. If it were not, only its keys up to the contradiction would be described.
    let _ = keys::mechanism(&mut describer, keys::blank(layer));
    describer.entries
}

/// Returns the names of the keys in a section for a layer. The empty section contains the keys outside of sections, and
/// the sections themselves.
pub(super) fn keys_of(layer: Layer, section: &str) -> Vec<&'static str> {
    static REQUESTS: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(Layer::L7));
    static FLOWS: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(Layer::L4));
    let all = if layer == Layer::L7 { &REQUESTS } else { &FLOWS };
    all.iter().filter(|entry| entry.section == section).map(|entry| entry.name).collect()
}

/// A key or a section.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The section of a key; empty for keys outside of sections, and for sections themselves.
    section: &'static str,
    name: &'static str,
    meaning: &'static str,
    /// The values that the key accepts, and whether it is required; `None` for a section.
    kind: Option<(String, bool)>,
}

struct Describer {
    section: &'static str,
    entries: Vec<Entry>,
}

impl Describer {
    fn put<T: Value>(&mut self, name: &'static str, meaning: &'static str, needed: bool) {
        self.entries.push(Entry { section: self.section, name, meaning, kind: Some((T::kind(), needed)) });
    }
}

impl Port for Describer {
    fn key<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: Option<T>) -> Read<Option<T>> {
        self.put::<T>(name, meaning, false);
        Ok(value)
    }

    fn needed<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: T) -> Read<T> {
        self.put::<T>(name, meaning, true);
        Ok(value)
    }

    fn or<T: Value + PartialEq>(&mut self, name: &'static str, meaning: &'static str, value: T, default: T) -> Read<T> {
        let kind = format!("{}; without the key, {}", T::kind(), default.shown());
        self.entries.push(Entry { section: self.section, name, meaning, kind: Some((kind, false)) });
        Ok(value)
    }

    fn section<T: Clone>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: Option<T>,
        blank: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<Option<T>> {
        self.entries.push(Entry { section: "", name, meaning, kind: None });
        self.section = name;
        keys(self, blank)?;
        self.section = "";
        // The described value does not change: otherwise sections would have to be consistent that nobody has set.
        Ok(value)
    }

    fn wrong(&self, message: &str) -> ProfileError {
        ProfileError::at("schema", "", &(0..0), message)
    }
}

/// The introduction to the description.
const INTRODUCTION: &str = include_str!("describe.md");

/// Returns the schema of profiles as Markdown.
pub(super) fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    let (requests, flows) = (entries(Layer::L7), entries(Layer::L4));
    let all: Vec<&Entry> = requests.iter().chain(flows.iter().filter(|entry| !requests.contains(entry))).collect();
    let layers = |entry: &Entry| match (requests.contains(entry), flows.contains(entry)) {
        (true, false) => " (L7)",
        (false, true) => " (L4)",
        _ => "",
    };
    text.push_str("\n## Outside of sections\n\n");
    for key in all.iter().filter(|entry| entry.section.is_empty() && entry.kind.is_some()) {
        bullet(&mut text, key, layers(key));
    }
    for section in all.iter().filter(|entry| entry.kind.is_none()) {
        let _ = write!(text, "\n## `[profile.{}]`{}\n\n", section.name, layers(section));
        wrapped(&mut text, "", section.meaning);
        text.push('\n');
        for key in all.iter().filter(|entry| entry.section == section.name) {
            bullet(&mut text, key, "");
        }
    }
    text
}

fn bullet(text: &mut String, key: &Entry, layers: &str) {
    let Some((kind, needed)) = &key.kind else { return };
    let needed = if *needed { ", required" } else { "" };
    let kind = format!("`{}`{layers}{needed}: {kind}. {}", key.name, key.meaning);
    wrapped(text, "* ", &kind);
}

/// The maximum length of a line, in characters.
const WIDTH: usize = 120;

fn wrapped(text: &mut String, mark: &str, words: &str) {
    let mut line = mark.to_owned();
    let indent = " ".repeat(mark.len());
    for word in words.split(' ') {
        if line.chars().count() + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
