//! The results of reading a configuration while its lines are being read: a site, and the copy for a run.

use std::collections::BTreeSet;

use crate::template::literal;
use crate::{Change, Fact, Place, Sandbox, Site, Unread};

/// The reason why a check counts 401 as alive although the file does not.
pub(crate) const ALIVE: &str = "whether the servers answer so to whoever has not logged on is not in the file; the run's servers answer 401, \
                                which counts as alive there";

/// The reason why the file does not describe persistence by a cookie completely.
pub(crate) const COOKIES: &str = "the file does not show whether clients keep cookies";

/// The maximum number of parts of a site that are reported as not read.
const MOST_UNREAD: usize = 1_000;

/// A statement in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) place: Place,
    /// The words of the statement, separated by single spaces.
    pub(crate) text: String,
}

impl Site {
    /// Returns a site about which nothing is known yet.
    pub(crate) fn new(name: String, base: &'static str) -> Self {
        Self {
            name,
            base,
            config: String::new(),
            without: Vec::new(),
            facts: Vec::new(),
            reasons: Vec::new(),
            unread: Vec::new(),
            servers: 0,
            tls: (false, false),
            http2: false,
        }
    }

    /// Adds a value, written in TOML.
    pub(crate) fn fact(&mut self, said: &Said, key: &'static str, toml: impl Into<String>) {
        let (place, says) = (said.place.clone(), said.text.clone());
        self.facts.push(Fact { key, toml: toml.into(), place, says });
    }

    /// Reports a part that may matter and could not be read. Each is reported once, and their number is limited.
    pub(crate) fn cannot_read(&mut self, said: &Said, why: &str) {
        let unread = Unread { place: said.place.clone(), says: said.text.clone(), why: why.to_owned() };
        if self.unread.len() < MOST_UNREAD && !self.unread.contains(&unread) {
            self.unread.push(unread);
        }
    }

    /// Records which answers to a check count as alive: these ranges of statuses, and 401, with which Stickler's
    /// servers answer anybody who has not logged on.
    pub(crate) fn alive(&mut self, said: &Said, statuses: &[(u16, u16)]) {
        let range =
            |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("\"{first}-{last}\"") };
        let mut all: Vec<String> = statuses.iter().map(range).collect();
        if !statuses.iter().any(|(first, last)| (*first..=*last).contains(&401)) {
            all.push("401".into());
            self.cannot_read(said, ALIVE);
        }
        self.fact(said, "check.statuses", format!("[{}]", all.join(", ")));
    }

    /// Adds a reason for the choice of the mechanism.
    pub(crate) fn reason(&mut self, said: &Said, is: &str) {
        self.add_config(&said.text);
        self.reasons.push((Some(said.place.clone()), format!("{}: {is}", said.text)));
    }

    /// Adds a default as a reason for the choice of the mechanism. A text in brackets says that something is absent.
    pub(crate) fn default_reason(&mut self, default: &str, is: &str) {
        if !default.starts_with('(') {
            self.add_config(default);
        }
        self.reasons.push((None, format!("{default} (the default): {is}")));
    }

    fn add_config(&mut self, text: &str) {
        let separator = if self.config.is_empty() { "" } else { "; " };
        self.config.push_str(separator);
        self.config.push_str(text);
    }

    /// Completes the site. If it has no line by which an operator would recognise it, chooses one.
    pub(crate) fn finished(mut self) -> Self {
        if self.config.is_empty() {
            self.config.clone_from(&self.name);
        }
        self
    }
}

/// The copy for a run, as far as it has been written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) template: String,
    /// The further files, with their names.
    further: Vec<(&'static str, String)>,
    pub(crate) changes: Vec<Change>,
    /// The set of changes, so that each is recorded once.
    known: BTreeSet<Change>,
}

impl Draft {
    /// Adds a line of text.
    pub(crate) fn text(&mut self, line: &str) {
        self.template(&literal(line));
    }

    /// Adds the lines of a template.
    pub(crate) fn template(&mut self, lines: &str) {
        self.template.push_str(lines);
        self.template.push('\n');
    }

    /// Adds a further file, whose lines are a template.
    pub(crate) fn file(&mut self, name: &'static str, lines: &str) {
        self.further.push((name, format!("{lines}\n")));
    }

    /// Records that a statement is left out.
    pub(crate) fn leave(&mut self, said: &Said, why: &str, matters: bool) {
        self.change(said, None, why, matters);
    }

    /// Records that a statement is replaced or left out.
    pub(crate) fn change(&mut self, said: &Said, after: Option<&str>, why: &str, matters: bool) {
        let change = Change {
            place: said.place.clone(),
            before: said.text.clone(),
            after: after.map(str::to_owned),
            why: why.to_owned(),
            matters,
        };
        if self.known.insert(change.clone()) {
            self.changes.push(change);
        }
    }

    /// Returns the copy.
    pub(crate) fn finished(self) -> Sandbox {
        Sandbox { template: self.template, further: self.further, changes: self.changes }
    }
}
