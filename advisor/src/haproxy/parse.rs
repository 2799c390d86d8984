//! Reads the sections of a file, and finds the settings of a proxy.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use super::conditions::{Conditions, Known};
use super::settings::is_at_least;
use super::words::{self, Word};
use crate::draft::Said;
use crate::{Files, Place};

/// A configuration in lines, of one file, or of several files that are read one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) parts: Vec<Part>,
    /// The lines of all parts, unchanged.
    pub(super) lines: Vec<Line>,
    pub(super) sections: Vec<Section>,
}

/// One of the files of which a configuration consists.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) path: Arc<str>,
    pub(super) text: String,
    /// The lines of the file, as indices.
    pub(super) lines: Range<usize>,
}

/// A line of a file.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The text of the line, without its end.
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    /// The number of the line, from 1, counted through all files.
    pub(super) number: usize,
    /// The section of the line; `None` before the first.
    pub(super) section: Option<usize>,
    /// Whether the conditions of the preprocessor are true for the line, and whether that is known.
    pub(super) holds: bool,
    pub(super) is_known: bool,
}

/// A section of a file.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// The kind of the section, for example `backend`.
    pub(super) kind: String,
    /// The name of the section; empty if it has none.
    pub(super) name: String,
    /// The index of its first line.
    pub(super) first: usize,
    /// The index of the line after its last.
    pub(super) end: usize,
    /// The section of defaults that applies to everything that this one does not set.
    pub(super) defaults: Option<usize>,
}

/// The words with which sections begin, up to HAProxy 3.3.
const SECTIONS: [&str; 19] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "mailers",
    "program",
    "userlist",
    "cache",
    "ring",
    "log-forward",
    "http-errors",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-profile",
    "acme",
];

/// The directives of the preprocessor (section 2.4 of the manual).
const PREPROCESSOR: [&str; 8] = [".if", ".elif", ".else", ".endif", ".diag", ".notice", ".warning", ".alert"];

impl Line {
    /// Returns the place of the words in the line of a file with this number. A comment after them does not belong to
    /// it.
    fn place(&self, file: &Arc<str>, number: usize) -> Place {
        let column = |at: usize| self.text[..at].chars().count() + 1;
        let (start, end) =
            (self.words.first().map_or(0, |word| word.start), self.words.last().map_or(0, |word| word.end));
        Place { file: Arc::clone(file), line: number, column: column(start), end_line: number, end_column: column(end) }
    }

    /// Returns the first word, without `no` or `default` before it.
    pub(super) fn keyword(&self) -> &str {
        self.word(usize::from(self.is_negated()))
    }

    /// Returns the word at an index, or an empty string if there is no such word.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| &word.text)
    }

    /// Returns the words after the keyword.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(1 + usize::from(self.is_negated())).map(|word| &*word.text)
    }

    /// Returns whether the line begins with `no` or `default`.
    pub(super) fn is_negated(&self) -> bool {
        matches!(self.word(0), "no" | "default") && self.words.len() > 1
    }

    /// Returns whether the line is a directive of the preprocessor.
    pub(super) fn is_preprocessed(&self) -> bool {
        PREPROCESSOR.contains(&self.word(0))
    }
}

impl Section {
    /// Returns whether the section accepts connections, or has servers.
    pub(super) fn is_proxy(&self) -> bool {
        matches!(&*self.kind, "frontend" | "backend" | "listen")
    }

    /// Returns the title of the section, for example `backend iis`.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind, self.name).trim_end().to_owned()
    }
}

impl File {
    /// Reads files, each with its path and its text, as HAProxy does: the defaults and the environment of a file apply
    /// to the following ones, and each file begins with a section (the management guide's section 3, `-f`).
    ///
    /// # Errors
    /// A quote is not closed, a proxy has no name, defaults do not exist, or a further file does not begin with a
    /// section.
    pub(super) fn parse(
        texts: Vec<(String, String)>,
        files: &dyn Files,
        version: Option<&str>,
    ) -> Result<Self, Box<Diagnostic>> {
        let mut reader =
            Reader { read: Self::default(), variables: BTreeMap::new(), last_defaults: None, files, version };
        for (path, text) in texts {
            reader.part(path, text)?;
        }
        Ok(reader.read)
    }

    /// Returns the part that contains a line, given by its index.
    fn part(&self, line: usize) -> Option<&Part> {
        self.parts.iter().find(|part| part.lines.contains(&line))
    }

    /// Returns the place of the words of a line, given by its index.
    pub(super) fn place(&self, line: usize) -> Option<Place> {
        let Part { path, lines, .. } = self.part(line)?;
        Some(self.lines.get(line)?.place(path, line - lines.start + 1))
    }

    /// Returns the text of a line, with its place.
    pub(super) fn said(&self, line: &Line) -> Said {
        let text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let nowhere = || line.place(&"".into(), line.number);
        Said { place: self.place(line.number - 1).unwrap_or_else(nowhere), text }
    }

    /// Returns the lines of a section, except for the first, empty ones, and those that are known not to apply.
    pub(super) fn body(&self, section: usize) -> impl DoubleEndedIterator<Item = &Line> {
        let Section { first, end, .. } = self.sections[section];
        self.lines[first + 1..end].iter().filter(|line| !line.words.is_empty() && line.holds && !line.is_preprocessed())
    }

    /// Returns the same lines, including all directives of the preprocessor.
    pub(super) fn body_and_conditions(&self, section: usize) -> impl Iterator<Item = &Line> {
        let Section { first, end, .. } = self.sections[section];
        self.lines[first + 1..end]
            .iter()
            .filter(|line| !line.words.is_empty() && (line.holds || line.is_preprocessed()))
    }

    /// Returns the line that sets a keyword in a proxy: the last of its own, or else the last of its defaults.
    pub(super) fn setting(&self, section: usize, is_it: &dyn Fn(&Line) -> bool) -> Option<&Line> {
        self.body(section)
            .rev()
            .find(|line| is_it(line))
            .or_else(|| self.setting(self.sections[section].defaults?, is_it))
    }

    /// Returns the line that sets a keyword with this name.
    pub(super) fn keyword(&self, section: usize, keyword: &str) -> Option<&Line> {
        self.setting(section, &|line| line.keyword() == keyword)
    }

    /// Returns the line that enables an option in a proxy; `None` if the option is off or not set.
    pub(super) fn option(&self, section: usize, option: &str) -> Option<&Line> {
        let line =
            self.setting(section, &|line| line.keyword() == "option" && line.arguments().next() == Some(option))?;
        (!line.is_negated()).then_some(line)
    }

    /// Returns the line and the value of a timeout.
    pub(super) fn timeout(&self, section: usize, name: &str) -> Option<(&Line, &str)> {
        let line =
            self.setting(section, &|line| line.keyword() == "timeout" && line.arguments().next() == Some(name))?;
        Some((line, line.arguments().nth(1)?))
    }
}

/// The state of reading a configuration.
struct Reader<'f> {
    read: File,
    /// The changes that the configuration itself makes to the environment.
    variables: BTreeMap<String, Option<String>>,
    last_defaults: Option<usize>,
    files: &'f dyn Files,
    version: Option<&'f str>,
}

impl Reader<'_> {
    /// Reads one more file.
    fn part(&mut self, path: String, text: String) -> Result<(), Box<Diagnostic>> {
        check_end(&path, &text, self.version)?;
        let first = self.read.lines.len();
        let mut conditions = Conditions::default();
        let mut section: Option<usize> = None;
        let mut begin = 0;
        for line in text.split('\n') {
            let at = begin;
            begin += line.len() + 1;
            let wrong = |Wrong { place, message }: Wrong| {
                Box::new(Diagnostic::new(&path, &text, at + place.start..at + place.end, message, None))
            };
            let mut words = words::split(line).map_err(|start| {
                wrong(Wrong { place: start..line.len(), message: "the quote that begins here does not end".into() })
            })?;
            let variable = |name: &str| self.variables.get(name).cloned().unwrap_or_else(|| self.files.variable(name));
            for word in &mut words {
                word.expand(line, &variable);
            }
            conditions.read(&words, &Known { variable: &variable, version: self.version });
            let (holds, is_known) = conditions.hold();
            if holds {
                set_variables(&words, &mut self.variables, self.files);
            }
            let index = self.read.lines.len();
            if let Some(kind) = words.first().filter(|word| holds && SECTIONS.contains(&&*word.text)) {
                let started = self.section(kind, &words, index).map_err(wrong)?;
                if let Some(last) = section {
                    self.read.sections[last].end = index;
                }
                section = Some(self.read.sections.len());
                self.read.sections.push(started);
            }
            let text = line.trim_end_matches('\r').to_owned();
            let line = Line { text, words, number: index + 1, section, holds, is_known };
            if let (None, Some(word), true) =
                (section, line.words.first(), first > 0 && holds && !line.is_preprocessed())
            {
                let message = "each file except the first has to begin with a section".into();
                return Err(wrong(Wrong { place: word.start..word.end, message }));
            }
            self.read.lines.push(line);
        }
        let end = self.read.lines.len();
        if let Some(last) = section {
            self.read.sections[last].end = end;
        }
        self.read.parts.push(Part { path: path.into(), text, lines: first..end });
        Ok(())
    }

    /// Returns the section that a line begins.
    fn section(&mut self, kind: &Word, words: &[Word], index: usize) -> Result<Section, Wrong> {
        let mut section = Section::begin(kind, words, index);
        let wrong = |word: &Word, message: String| Wrong { place: word.start..word.end, message };
        if let Some(c) = section.name.chars().find(|c| !is_name(*c)) {
            let message = format!("a name cannot contain {c:?}: it consists of letters, digits, `-`, `_`, `.` and `:`");
            return Err(wrong(kind, message));
        }
        if section.is_proxy() && section.name.is_empty() {
            return Err(wrong(kind, format!("a {} needs a name", kind.text)));
        }
        section.defaults = self.last_defaults.filter(|_| section.is_proxy());
        if let Some(position) = words.iter().position(|word| word.text == "from") {
            let name = words.get(position + 1).map_or("", |word| &word.text);
            let is_it = |section: &Section| section.kind == "defaults" && section.name == name;
            let found = self.read.sections.iter().rposition(is_it);
            let message = || format!("there are no defaults called `{name}` above");
            section.defaults = Some(found.ok_or_else(|| wrong(&words[position], message()))?);
        }
        if section.kind == "defaults" {
            self.last_defaults = Some(self.read.sections.len());
        }
        Ok(section)
    }
}

/// A mistake in a line.
struct Wrong {
    /// The position of the mistake in the line, in bytes.
    place: Range<usize>,
    message: String,
}

/// Refuses a last line without an end, as HAProxy does from 2.3 on, because the file may be truncated (src/cfgparse.c,
/// `readcfgfile`).
fn check_end(path: &str, text: &str, version: Option<&str>) -> Result<(), Box<Diagnostic>> {
    if is_at_least(version, (2, 3)) && !text.is_empty() && !text.ends_with('\n') {
        let last = text.rfind('\n').map_or(0, |at| at + 1);
        let message = "the last line has no end, so that HAProxy considers the file truncated".into();
        return Err(Box::new(Diagnostic::new(path, text, last..text.len(), message, None)));
    }
    Ok(())
}

/// Returns whether the name of a proxy or server may contain a character (`invalid_char` in src/tools.c).
pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:".contains(c)
}

/// Records the changes that a line makes to the environment (section 3.1 `setenv`, `presetenv`, `unsetenv`,
/// `resetenv`).
fn set_variables(words: &[Word], variables: &mut BTreeMap<String, Option<String>>, files: &dyn Files) {
    let text = |index: usize| words.get(index).map(|word| word.text.clone());
    let (Some(keyword), Some(name)) = (text(0), text(1)) else { return };
    let is_set = variables.get(&name).map_or_else(|| files.variable(&name).is_some(), Option::is_some);
    match (&*keyword, text(2)) {
        ("setenv", Some(value)) => drop(variables.insert(name, Some(value))),
        ("presetenv", Some(value)) if !is_set => drop(variables.insert(name, Some(value))),
        ("unsetenv", _) => words[1..].iter().for_each(|word| drop(variables.insert(word.text.clone(), None))),
        _ => {}
    }
}

impl Section {
    fn begin(kind: &Word, words: &[Word], index: usize) -> Self {
        let named = words.get(1).filter(|word| word.text != "from");
        let name = named.map_or_else(String::new, |word| word.text.clone());
        Self { kind: kind.text.clone(), name, first: index, end: index + 1, defaults: None }
    }
}
