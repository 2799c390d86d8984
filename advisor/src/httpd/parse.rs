//! Reads the directives of a configuration, with includes, variables, conditions and macros expanded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stickler_runner::Diagnostic;

use super::lines::{Line, lines, words};
use crate::Files;
use crate::bounds::{Budget, check_characters, read_first};
use crate::draft::Said;
use crate::source::Source;

/// The maximum depth of nested includes, macros and sections. For includes, httpd's `AP_MAX_INCLUDE_DEPTH` is 20.
const MOST_DEPTH: usize = 20;
const MOST_NESTED: usize = 60;

/// The maximum number of files, and of directives, in a configuration.
const MOST_FILES: usize = 5_000;
const MOST_DIRECTIVES: usize = 500_000;

/// The maximum length of a line in bytes, both before and after variables are replaced by their values.
const MOST_LINE: usize = 1 << 16;

/// The modules that Debian's program contains, so they need not be loaded.
const BUILT_IN: [&str; 16] = [
    "core",
    "core.c",
    "so_module",
    "mod_so.c",
    "http_module",
    "http_core.c",
    "log_config_module",
    "mod_log_config.c",
    "logio_module",
    "mod_logio.c",
    "version_module",
    "mod_version.c",
    "watchdog_module",
    "mod_watchdog.c",
    "unixd_module",
    "mod_unixd.c",
];

/// A configuration.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) directives: Vec<Directive>,
    /// The conditions that could not be decided, with the reason.
    pub(super) undecided: Vec<(Said, &'static str)>,
}

/// A directive.
#[derive(Debug)]
pub(super) struct Directive {
    /// The name as it is written; for a section, without `<`.
    pub(super) name: String,
    /// The text after the name, as it is written. Only words of it can get into a copy.
    pub(super) rest: String,
    /// The words of that text, without their quotes.
    pub(super) arguments: Vec<String>,
    pub(super) said: Said,
    /// The directives within a section; `None` for a directive that is not a section.
    pub(super) body: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the argument at an index, or an empty string if there is no such argument.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// Returns the content of a section; empty for a directive that is not a section.
    pub(super) fn body(&self) -> &[Self] {
        self.body.as_deref().unwrap_or_default()
    }

    fn new(name: &str, rest: &str, line: &Line, body: Option<Vec<Self>>) -> Self {
        let text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = Said { place: line.place(), text };
        Self { name: name.to_owned(), rest: rest.to_owned(), arguments: words(rest), said, body }
    }
}

/// Reads a configuration. `version` is the version of the program that is to run it.
///
/// # Errors
/// A file cannot be read, there are too many files, or a section is not closed.
pub(super) fn read(path: &Path, files: &dyn Files, version: Option<&str>) -> Result<Configuration, Box<Diagnostic>> {
    let (name, text) = read_first(path, files)?;
    let source = Arc::new(Source::new(name, text));
    let mut reader = Reader {
        files,
        version,
        root: PathBuf::from("/etc/apache2"),
        defines: BTreeMap::new(),
        modules: BUILT_IN.map(str::to_owned).into(),
        macros: BTreeMap::new(),
        included: 0,
        budget: Budget::new(),
        directives: 0,
        depth: 0,
        nested: 0,
        undecided: Vec::new(),
    };
    let mut directives = Vec::new();
    reader.add(&lines(&source), &mut directives)?;
    Ok(Configuration { directives, undecided: reader.undecided })
}

struct Reader<'a> {
    files: &'a dyn Files,
    version: Option<&'a str>,
    /// The `ServerRoot`, to which paths are relative; Debian's until it is set.
    root: PathBuf,
    defines: BTreeMap<String, String>,
    modules: Vec<String>,
    /// The parameters and lines of macros, by name in lower case.
    macros: BTreeMap<String, (Vec<String>, Vec<Line>)>,
    included: usize,
    budget: Budget,
    directives: usize,
    depth: usize,
    nested: usize,
    undecided: Vec<(Said, &'static str)>,
}

type Result_<T> = Result<T, Box<Diagnostic>>;

impl Reader<'_> {
    /// Reads lines, and adds their directives.
    fn add(&mut self, lines: &[Line], out: &mut Vec<Directive>) -> Result_<()> {
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            self.directives += 1;
            if self.directives > MOST_DIRECTIVES {
                return Err(line.wrong(format!("there are more than {MOST_DIRECTIVES} directives")));
            }
            let mut line = line.clone();
            line.text = self.expand(&line)?;
            self.budget.take(line.text.len()).map_err(|message| line.wrong(message))?;
            index += 1;
            if let Some(name) = line.text.strip_prefix("</") {
                let name = name.trim_end_matches('>');
                return Err(line.wrong(format!("`</{name}>` has no `<{name}>` before it")));
            }
            let Some(head) = line.text.strip_prefix('<') else {
                let (name, rest) = line.text.split_once([' ', '\t']).unwrap_or((&line.text, ""));
                self.directive(&Directive::new(name, rest.trim(), &line, None), &line, out)?;
                continue;
            };
            let Some(head) = head.trim_end().strip_suffix('>') else {
                return Err(line.wrong("a section's first line ends with `>`".into()));
            };
            let (name, rest) = head.split_once([' ', '\t']).unwrap_or((head, ""));
            let end = end_of(name, &lines[index..])
                .ok_or_else(|| line.wrong(format!("`<{name}>` is not closed by `</{name}>`")))?;
            let inner = &lines[index..index + end];
            index += end + 1;
            self.section(name, rest.trim(), &line, inner, out)?;
        }
        Ok(())
    }

    fn section(
        &mut self,
        name: &str,
        rest: &str,
        line: &Line,
        inner: &[Line],
        out: &mut Vec<Directive>,
    ) -> Result_<()> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(line.wrong(format!("sections are nested deeper than {MOST_NESTED}")));
        }
        let head = Directive::new(name, rest, line, None);
        match &*name.to_ascii_lowercase() {
            "ifdefine" | "ifmodule" | "ifversion" => {
                if self.holds(&head) {
                    self.add(inner, out)?;
                }
            }
            "iffile" | "ifdirective" | "ifsection" => {
                self.undecided
                    .push((head.said, "this condition cannot be evaluated here, so that its lines are left out"));
            }
            "macro" => {
                let mut words = words(rest).into_iter();
                let name = words.next().unwrap_or_default().to_ascii_lowercase();
                self.macros.insert(name, (words.collect(), inner.to_vec()));
            }
            _ => {
                let mut body = Vec::new();
                self.add(inner, &mut body)?;
                out.push(Directive { body: Some(body), ..head });
            }
        }
        self.nested -= 1;
        Ok(())
    }

    fn directive(&mut self, directive: &Directive, line: &Line, out: &mut Vec<Directive>) -> Result_<()> {
        match &*directive.name.to_ascii_lowercase() {
            "define" => {
                self.defines.insert(directive.argument(0).to_owned(), directive.argument(1).to_owned());
            }
            "undefine" => {
                self.defines.remove(directive.argument(0));
            }
            "include" => self.include(directive, line, true, out)?,
            "includeoptional" => self.include(directive, line, false, out)?,
            "use" => self.use_macro(directive, line, out)?,
            "undefmacro" => {
                self.macros.remove(&directive.argument(0).to_ascii_lowercase());
            }
            "error" => return Err(line.wrong(format!("the file says: {}", directive.rest))),
            name => {
                if name == "serverroot" {
                    self.root = PathBuf::from(directive.argument(0));
                }
                if name == "loadmodule" {
                    self.modules.push(directive.argument(0).to_owned());
                    self.modules.push(source_of(directive.argument(1)));
                }
                out.push(Directive::new(&directive.name, &directive.rest, line, None));
            }
        }
        Ok(())
    }

    /// Returns the files of an `Include`, in order: those that match a pattern, and all files in a folder.
    fn include(
        &mut self,
        directive: &Directive,
        line: &Line,
        is_needed: bool,
        out: &mut Vec<Directive>,
    ) -> Result_<()> {
        let path = self.root.join(directive.argument(0));
        let shown = path.display().to_string();
        let wrong = |error: &dyn std::fmt::Display| line.wrong(format!("cannot include {shown}: {error}"));
        let found = self.files.matching(&path).map_err(|error| wrong(&error))?;
        if found.is_empty() && is_needed {
            return Err(line.wrong(format!("cannot include {shown}: there is no such file")));
        }
        for path in found {
            self.included += 1;
            if self.included > MOST_FILES {
                return Err(line.wrong(format!("more than {MOST_FILES} files are included")));
            }
            let text = match self.files.read(&path) {
                Ok(text) => text,
                Err(error) => {
                    let inside = self.files.matching(&path.join("*")).unwrap_or_default();
                    if inside.is_empty() && is_needed {
                        return Err(wrong(&error));
                    }
                    for file in inside {
                        let rest = format!("\"{}\"", file.display());
                        let one = Directive::new("Include", &rest, line, None);
                        self.deeper(line, |reader| reader.include(&one, line, true, out))?;
                    }
                    continue;
                }
            };
            self.budget.take(text.len()).map_err(|message| line.wrong(message))?;
            let path = path.display().to_string();
            check_characters(&path, &text)?;
            let source = Arc::new(Source::new(path, text));
            self.deeper(line, |reader| reader.add(&lines(&source), out))?;
        }
        Ok(())
    }

    /// Returns the lines of a macro with its arguments inserted. Their place is the place where the macro is used, as
    /// in httpd's messages.
    fn use_macro(&mut self, directive: &Directive, line: &Line, out: &mut Vec<Directive>) -> Result_<()> {
        let name = directive.argument(0);
        let Some((parameters, body)) = self.macros.get(&name.to_ascii_lowercase()).cloned() else {
            return Err(line.wrong(format!("there is no macro called `{name}` above")));
        };
        let values = directive.arguments.get(1..).unwrap_or_default();
        if values.len() != parameters.len() {
            let message = format!("`{name}` takes {} arguments, and has {}", parameters.len(), values.len());
            return Err(line.wrong(message));
        }
        // The longest name comes first, so that it is not taken for a shorter name at its beginning.
        let mut pairs: Vec<(&String, &String)> = parameters.iter().zip(values).collect();
        pairs.sort_by_key(|(parameter, _)| std::cmp::Reverse(parameter.len()));
        let whole: usize = body.iter().map(|one| one.text.len()).sum();
        self.budget.take(whole).map_err(|message| line.wrong(message))?;
        let mut lines = Vec::with_capacity(body.len());
        for one in &body {
            let mut text = one.text.clone();
            for (parameter, value) in pairs.iter().filter(|(parameter, _)| !parameter.is_empty()) {
                let length = text.len().saturating_add(text.matches(parameter.as_str()).count() * value.len());
                if length > 2 * MOST_LINE {
                    return Err(line.wrong(format!("a line of the macro is longer than {MOST_LINE} bytes")));
                }
                text = text.replace(parameter.as_str(), value);
            }
            lines.push(line.with_text(text));
        }
        self.deeper(line, |reader| reader.add(&lines, out))
    }

    fn deeper(&mut self, line: &Line, read: impl FnOnce(&mut Self) -> Result_<()>) -> Result_<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(
                line.wrong(format!("includes or macros are nested deeper than {MOST_DEPTH}: they include themselves"))
            );
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Returns whether a condition that httpd decides at its start is true.
    fn holds(&mut self, head: &Directive) -> bool {
        let (negated, what) = head.rest.strip_prefix('!').map_or((false, &*head.rest), |rest| (true, rest));
        let what = what.trim().trim_matches('"');
        let holds = match &*head.name.to_ascii_lowercase() {
            "ifdefine" => self.defines.contains_key(what),
            "ifmodule" => self.modules.iter().any(|module| module == what),
            _ => {
                let holds = is_version(self.version.unwrap_or("2.4"), what);
                let is_exact = what.matches('.').count() > 1 || what.contains(['~', '/']);
                if holds.is_none() || (self.version.is_none() && is_exact) {
                    self.undecided.push((head.said.clone(), "its condition on the version cannot be evaluated here"));
                }
                holds.unwrap_or(false)
            }
        };
        holds != negated
    }

    /// Replaces variables by their values. Variables without a value are not changed, as in httpd.
    fn expand(&self, line: &Line) -> Result_<String> {
        let mut result = String::with_capacity(line.text.len());
        let mut rest = &*line.text;
        while let Some((before, from)) = rest.split_once("${") {
            result.push_str(before);
            let value = from.split_once('}').filter(|(name, _)| !name.contains(':')).and_then(|(name, after)| {
                let value = self.defines.get(name).cloned().or_else(|| self.files.variable(name))?;
                Some((value, after))
            });
            if let Some((value, after)) = value {
                // A value with an end of line would begin another directive.
                result.push_str(&value.replace(|c: char| c.is_control(), " "));
                rest = after;
            } else {
                result.push_str("${");
                rest = from;
            }
            if result.len() > MOST_LINE {
                return Err(line.wrong(format!("it is longer than {MOST_LINE} bytes with its variables")));
            }
        }
        result.push_str(rest);
        if result.len() > MOST_LINE {
            return Err(line.wrong(format!("it is longer than {MOST_LINE} bytes")));
        }
        Ok(result)
    }
}

/// Returns the index of the line that closes a section.
fn end_of(name: &str, lines: &[Line]) -> Option<usize> {
    let mut open = 1_usize;
    lines.iter().position(|line| {
        let is = |rest: &str| {
            let found = rest.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
            found.eq_ignore_ascii_case(name)
        };
        match line.text.strip_prefix("</") {
            Some(rest) if is(rest) => open -= 1,
            Some(_) => {}
            None => open += usize::from(line.text.strip_prefix('<').is_some_and(is)),
        }
        open == 0
    })
}

/// Returns the source file by which `IfModule` knows the module of a file: `mod_ssl.c` for `.../mod_ssl.so`.
fn source_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.strip_suffix(".so").unwrap_or(file) {
        "mod_mpm_event" => "event.c".into(),
        "mod_mpm_worker" => "worker.c".into(),
        "mod_mpm_prefork" => "prefork.c".into(),
        stem => format!("{stem}.c"),
    }
}

/// Returns whether a version fulfils the condition of `<IfVersion>`; `None` for a regular expression.
fn is_version(version: &str, condition: &str) -> Option<bool> {
    let (operator, wanted) = condition.split_once(char::is_whitespace).unwrap_or(("=", condition));
    let numbers = |text: &str| -> Vec<u32> {
        let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = digits.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        digits.split('.').map(|number| number.parse().unwrap_or_default()).collect()
    };
    let (is, mut wanted) = (numbers(version), numbers(wanted.trim().trim_matches('"')));
    // `= 2.4` covers all of 2.4, and `>= 2.4` covers 2.4.0 and later.
    let is_prefix = is.starts_with(&wanted);
    wanted.resize(3, 0);
    let is: Vec<u32> = is.into_iter().chain([0, 0, 0]).take(3).collect();
    match operator {
        "=" | "==" if !condition.contains(['/', '~']) => Some(is_prefix || is == wanted),
        ">" => Some(is > wanted),
        ">=" => Some(is >= wanted),
        "<" => Some(is < wanted),
        "<=" => Some(is <= wanted),
        _ => None,
    }
}
