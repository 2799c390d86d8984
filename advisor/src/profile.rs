//! Writes a site as a profile.

use std::fmt::Write as _;

use stickler_catalogue::profile::Evidence;
use stickler_catalogue::profiles;

use crate::{Document, Site};

impl Site {
    /// Returns the site as a file with one profile, which has the values of the configuration, and extends the base for
    /// the rest. The profile's `configuration` is the template of a run.
    pub fn profile(&self, document: &dyn Document, name: &str, template: &str) -> String {
        let mut text = String::from("[[profile]]\n");
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key} = {}", toml::Value::from(value));
        };
        line("name", name);
        line("extends", self.base);
        line("config", &self.config);
        line("program", document.product());
        line("configuration", template);
        // A value that the base does not have cannot be removed from it.
        let base = profiles().iter().find(|profile| profile.name == self.base);
        let has = |key: &str| {
            let mut facts = base.into_iter().flat_map(|base| &base.facts);
            facts.any(|fact| fact.what.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        let without: Vec<String> = self.without.iter().filter(|key| has(key)).map(|key| format!("{key:?}")).collect();
        if !without.is_empty() {
            let _ = writeln!(text, "without = [{}]", without.join(", "));
        }
        // If several lines set the same value, the last one applies.
        let is_last = |&(index, key): &(usize, &str)| !self.facts[index + 1..].iter().any(|later| later.key == key);
        let keys = self.facts.iter().map(|fact| fact.key).enumerate().filter(is_last);
        let mut sections: Vec<(&str, Vec<String>)> = vec![("", Vec::new())];
        let evidence = Evidence::Configuration.letter();
        for (index, key) in keys {
            let fact = &self.facts[index];
            let (section, key) = key.split_once('.').unwrap_or(("", key));
            let source = toml::Value::from(format!("{}: {}", fact.place, fact.says));
            let value = format!("{key} = {{ is = {}, source = {source}, evidence = \"{evidence}\" }}", fact.toml);
            match sections.iter_mut().find(|(name, _)| *name == section) {
                Some((_, lines)) => lines.push(value),
                None => sections.push((section, vec![value])),
            }
        }
        for (section, lines) in sections {
            if !section.is_empty() {
                let _ = writeln!(text, "\n[profile.{section}]");
            }
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }
}
