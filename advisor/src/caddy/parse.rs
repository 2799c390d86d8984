//! The blocks of a Caddyfile, after imports.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use super::tokens::{self, Line, Token, lines, with_environment};
use crate::Files;
use crate::bounds::{Budget, check_characters, read_first};
use crate::draft::Said;
use crate::source::Source;

/// The maximum depth of nested imports and blocks.
const MOST_DEPTH: usize = 20;
const MOST_NESTED: usize = 60;

/// The maximum number of files that are imported, and of lines that result.
const MOST_FILES: usize = 5_000;
const MOST_LINES: usize = 500_000;

/// The maximum length of a word in bytes, after the arguments of imports have been inserted.
const MOST_TOKEN: usize = 1 << 16;

/// The number of characters of a line that are quoted.
const MOST_SAID: usize = 400;

/// A directive, a site, or the global options.
#[derive(Debug)]
pub(super) struct Directive {
    /// The first token. It is empty for the global options, and holds the addresses of a site.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) said: Said,
    /// The content of the block; `None` if there is no block.
    pub(super) body: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Returns the argument at an index, or an empty string if there is no such argument.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// Returns the content of the block, which is empty if there is no block.
    pub(super) fn body(&self) -> &[Self] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Returns the last directive with this name in the block.
    pub(super) fn inner(&self, name: &str) -> Option<&Self> {
        self.body().iter().rfind(|directive| directive.is(name))
    }

    /// Returns the arguments after the matcher, if there is one.
    pub(super) fn after_matcher(&self) -> &[String] {
        &self.arguments[usize::from(self.matcher().is_some())..]
    }

    /// Returns the matcher: `*`, a path, or a name (<https://caddyserver.com/docs/caddyfile/matchers#syntax>).
    pub(super) fn matcher(&self) -> Option<&str> {
        self.arguments.first().map(String::as_str).filter(|word| *word == "*" || word.starts_with(['/', '@']))
    }
}

type Read<T> = Result<T, Box<Diagnostic>>;

/// Reads a file: the global options, if there are any, and sites.
///
/// # Errors
/// A file cannot be read, there are too many files, or a quote or a block is not closed.
pub(super) fn read(path: &Path, files: &dyn Files) -> Read<Vec<Directive>> {
    let (name, text) = read_first(path, files)?;
    let source = Arc::new(Source::new(name, text));
    let (snippets, budget) = (BTreeMap::new(), Budget::new());
    let mut importer = Importer { files, snippets, imported: 0, seen: 0, budget, lines: Vec::new() };
    let own = lines(&source, &with_environment(&source, files)?)?;
    importer.add(own, &[], 0)?;
    top(&importer.lines)
}

/// Replaces imports by the snippets and files that they name.
struct Importer<'a> {
    files: &'a dyn Files,
    snippets: BTreeMap<String, Vec<Line>>,
    imported: usize,
    /// The number of lines so far. Lines of snippets count as often as they are imported.
    seen: usize,
    budget: Budget,
    lines: Vec<Line>,
}

impl Importer<'_> {
    fn add(&mut self, lines: Vec<Line>, arguments: &[String], depth: usize) -> Read<()> {
        let mut open = 0_usize;
        let mut lines = lines.into_iter().peekable();
        while let Some(mut line) = lines.next() {
            self.seen += 1;
            if self.seen > MOST_LINES {
                return Err(line.wrong(format!("there are more than {MOST_LINES} lines")));
            }
            for index in 0..line.tokens.len() {
                let text = with_arguments(&line.tokens[index].text, arguments);
                let text = text.ok_or_else(|| {
                    line.wrong(format!("a word is longer than {MOST_TOKEN} bytes with its arguments"))
                })?;
                self.budget.take(text.len()).map_err(|message| line.wrong(message))?;
                line.tokens[index].text = text;
            }
            // In some versions it begins a block, and in others it is a word.
            if line.tokens.iter().any(|token| token.quoted && matches!(&*token.text, "{" | "}")) {
                return Err(line.wrong(
                    "a brace alone in quotes is not accepted here, because versions of Caddy read it in different ways"
                        .into(),
                ));
            }
            let first = line.tokens.first().map_or("", |token| &token.text);
            let snippet = first.strip_prefix('(').and_then(|name| name.strip_suffix(')'));
            if let (Some(name), true, 0) = (snippet, line.opens(), open) {
                let name = name.to_owned();
                let mut within = 1_usize;
                let mut body = Vec::new();
                loop {
                    let Some(inner) = lines.next() else {
                        return Err(line.wrong("the block that begins here does not end".into()));
                    };
                    self.seen += 1;
                    within += usize::from(inner.opens());
                    within -= usize::from(inner.closes());
                    if within == 0 {
                        break;
                    }
                    body.push(inner);
                }
                self.snippets.insert(name, body);
            } else if first == "import" {
                self.import(&line, depth)?;
            } else {
                open += usize::from(line.opens());
                open = open.saturating_sub(usize::from(line.closes()));
                self.lines.push(line);
            }
        }
        Ok(())
    }

    /// Performs `import NAME|PATTERN ARGUMENTS`: inserts a snippet, or files beside the importing one
    /// (<https://caddyserver.com/docs/caddyfile/directives/import>).
    fn import(&mut self, line: &Line, depth: usize) -> Read<()> {
        if depth >= MOST_DEPTH {
            return Err(line.wrong(format!("imports are nested deeper than {MOST_DEPTH}: they import themselves")));
        }
        let words: Vec<String> = line.tokens.iter().skip(1).map(|token| token.text.clone()).collect();
        let Some((what, arguments)) = words.split_first() else {
            return Err(line.wrong("`import` needs a name".into()));
        };
        self.imported += 1;
        if self.imported > MOST_FILES {
            return Err(line.wrong(format!("there are more than {MOST_FILES} imports")));
        }
        if let Some(snippet) = self.snippets.get(what) {
            if self.seen + snippet.len() > MOST_LINES {
                return Err(line.wrong(format!("there are more than {MOST_LINES} lines")));
            }
            let snippet = snippet.clone();
            return self.add(snippet, arguments, depth + 1);
        }
        let folder = Path::new(&*line.source.path).parent().unwrap_or(Path::new(""));
        let pattern = folder.join(what);
        let shown = pattern.display().to_string();
        let found = self.files.matching(&pattern);
        let found = found.map_err(|error| line.wrong(format!("cannot import {shown}: {error}")))?;
        for path in found {
            self.imported += 1;
            if self.imported > MOST_FILES {
                return Err(line.wrong(format!("more than {MOST_FILES} files are imported")));
            }
            let shown = path.display().to_string();
            let text = self.files.read(&path);
            let text = text.map_err(|error| line.wrong(format!("cannot import {shown}: {error}")))?;
            check_characters(&shown, &text)?;
            self.budget.take(text.len()).map_err(|message| line.wrong(message))?;
            let source = Arc::new(Source::new(shown, text));
            let text = with_environment(&source, self.files)?;
            self.add(lines(&source, &text)?, arguments, depth + 1)?;
        }
        Ok(())
    }
}

/// Replaces `{args.0}`, or `{args[0]}` since 2.7, by the arguments of an import. Returns `None` if the result is too
/// long.
fn with_arguments(text: &str, arguments: &[String]) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{args") {
        result.push_str(before);
        let value = from.split_once('}').and_then(|(inside, after)| {
            let bracketed = inside.strip_prefix('[').and_then(|inside| inside.strip_suffix(']'));
            let index: usize = inside.strip_prefix('.').or(bracketed)?.parse().ok()?;
            Some((arguments.get(index)?, after))
        });
        if let Some((value, after)) = value {
            result.push_str(value);
            rest = after;
        } else {
            result.push_str("{args");
            rest = from;
        }
        if result.len() > MOST_TOKEN {
            return None;
        }
    }
    result.push_str(rest);
    (result.len() <= MOST_TOKEN).then_some(result)
}

/// Reads the blocks of a whole file.
fn top(lines: &[Line]) -> Read<Vec<Directive>> {
    let mut blocks = Vec::new();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        let mut words: Vec<Token> = line.tokens.clone();
        // A comma continues the addresses.
        while words.last().is_some_and(|token| token.text.ends_with(',')) {
            index += 1;
            let Some(next) = lines.get(index) else { break };
            // The place of the block does not extend into another file.
            let end =
                words.last().map(|token| token.bytes.clone()).filter(|_| !Arc::ptr_eq(&next.source, &line.source));
            let moved = |token: &Token| Token { bytes: end.clone().unwrap_or(token.bytes.clone()), ..token.clone() };
            words.extend(next.tokens.iter().map(moved));
        }
        let head = Line { tokens: words, source: Arc::clone(&line.source) };
        index += 1;
        if head.closes() {
            return Err(head.wrong("`}` has no `{` before it".into()));
        }
        let body = if head.opens() {
            directives(lines, &mut index, Some(&head), 0)?
        } else {
            // The only site of a file may have no braces.
            directives(lines, &mut index, None, 0)?
        };
        let mut addresses: Vec<&str> = head.tokens.iter().map(|token| &*token.text).collect();
        if head.opens() {
            addresses.pop();
        }
        let name = addresses.join(" ");
        blocks.push(Directive { name, arguments: Vec::new(), said: said(&head), body: Some(body) });
    }
    Ok(blocks)
}

/// Reads the directives up to the end of a block, or of the file.
fn directives(lines: &[Line], index: &mut usize, opened: Option<&Line>, depth: usize) -> Read<Vec<Directive>> {
    let mut found = Vec::new();
    while let Some(line) = lines.get(*index) {
        *index += 1;
        if line.closes() {
            if opened.is_some() {
                return Ok(found);
            }
            return Err(line.wrong("`}` has no `{` before it".into()));
        }
        if depth > MOST_NESTED {
            return Err(line.wrong(format!("blocks are nested deeper than {MOST_NESTED}")));
        }
        let body = if line.opens() { Some(directives(lines, index, Some(line), depth + 1)?) } else { None };
        let count = line.tokens.len() - usize::from(body.is_some());
        let mut words = line.tokens.iter().take(count).map(|token: &tokens::Token| token.text.clone());
        let name = words.next().unwrap_or_default();
        found.push(Directive { name, arguments: words.collect(), said: said(line), body });
    }
    match opened {
        Some(line) => Err(line.wrong("the block that begins here does not end".into())),
        None => Ok(found),
    }
}

fn said(line: &Line) -> Said {
    let words: Vec<&str> = line.tokens.iter().filter(|token| token.text != "{").map(|token| &*token.text).collect();
    let text = if words.is_empty() { "{".to_owned() } else { words.join(" ") };
    let end = text.char_indices().nth(MOST_SAID).map_or(text.len(), |(at, _)| at);
    Said { place: line.place(), text: text[..end].split_whitespace().collect::<Vec<_>>().join(" ") }
}
