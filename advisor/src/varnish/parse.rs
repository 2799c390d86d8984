//! Reads declarations and statements, with includes expanded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stickler_runner::Diagnostic;

use super::tokens::{Kind, Token, tokens};
use crate::Files;
use crate::bounds::{Budget, check_characters, read_first};
use crate::draft::Said;
use crate::source::Source;

/// The maximum depth of nested includes and blocks, and the maximum number of files.
const MOST_DEPTH: usize = 20;
const MOST_NESTED: usize = 60;
const MOST_FILES: usize = 5_000;

/// The maximum number of tokens in all files.
const MOST_TOKENS: usize = 2_000_000;

/// The folders in which files without a folder are searched (varnishd: `vcl_path`).
const FOLDERS: [&str; 2] = ["/etc/varnish", "/usr/share/varnish/vcl"];

/// A configuration.
#[derive(Debug)]
pub(super) struct Program {
    /// The declarations outside of blocks (`backend`, `probe`, `sub` and others), in order.
    pub(super) declarations: Vec<Statement>,
    /// The indices of declarations, by their kinds and names. Only the first of each counts.
    named: HashMap<(String, String), usize>,
    /// The file itself.
    pub(super) source: Arc<Source>,
}

/// A statement, or a declaration, with its block.
#[derive(Debug)]
pub(super) struct Statement {
    /// The tokens, without the block, and without `;`.
    pub(super) tokens: Vec<Token>,
    pub(super) said: Said,
    pub(super) body: Option<Vec<Statement>>,
    /// The line in which the statement ends.
    pub(super) last: usize,
}

impl Statement {
    /// Returns the word at an index, or an empty string if there is no such word.
    pub(super) fn word(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    pub(super) fn is_code(&self) -> bool {
        matches!(&self.tokens[..], [token] if token.kind == Kind::Code)
    }

    pub(super) fn body(&self) -> &[Self] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Returns whether it is an `if (...)` of which one alternative holds for every request.
    pub(super) fn always_holds(&self) -> bool {
        if self.word(0) != "if" || self.tokens.iter().any(|token| token.is("&&") || token.is("!")) {
            return false;
        }
        let inside = self.tokens.get(2..self.tokens.len().saturating_sub(1)).unwrap_or_default();
        inside.split(|token| token.is("||")).any(|part| {
            let words: Vec<&str> = part.iter().map(|token| &*token.text).collect();
            matches!(&words[..], ["true"] | ["req.url", "~", "^/" | "^" | "." | ".*" | "/"])
        })
    }
}

impl Statement {
    /// Returns whether it answers 503 while no server of the farm is up, and does nothing else.
    pub(super) fn answers_without_servers(&self) -> bool {
        let words: Vec<&str> = self.tokens.iter().map(|token| &*token.text).collect();
        let condition = ["if", "(", "!", "std.healthy", "(", "req.backend_hint", ")", ")"];
        let [answer] = self.body() else { return false };
        let answer: Vec<&str> = answer.tokens.iter().map(|token| &*token.text).collect();
        words == condition && answer == ["return", "(", "synth", "(", "503", ")", ")"]
    }
}

impl Program {
    /// Returns the statements of a subroutine that are always performed, and the conditions in it, in order.
    pub(super) fn statements(&self, sub: &str) -> Vec<&Statement> {
        let mut found = Vec::new();
        let is_it = |declaration: &&Statement| declaration.word(0) == "sub" && declaration.word(1) == sub;
        for declaration in self.declarations.iter().filter(is_it) {
            flatten(declaration.body(), &mut found);
        }
        found
    }

    pub(super) fn named(&self, kind: &str, name: &str) -> Option<&Statement> {
        self.declarations.get(*self.named.get(&(kind.to_owned(), name.to_owned()))?)
    }
}

fn flatten<'a>(statements: &'a [Statement], found: &mut Vec<&'a Statement>) {
    for statement in statements {
        if statement.always_holds() {
            flatten(statement.body(), found);
        } else {
            found.push(statement);
        }
    }
}

/// Reads a file with all that it includes.
///
/// # Errors
/// A file cannot be read, there are too many files, or a string, a comment or a block is not closed.
pub(super) fn read(path: &Path, files: &dyn Files) -> Result<Program, Box<Diagnostic>> {
    let (name, text) = read_first(path, files)?;
    let source = Arc::new(Source::new(name, text));
    let mut reader = Reader { files, included: 0, budget: Budget::new(), all: Vec::new() };
    reader.add(tokens(&source)?, 0)?;
    let mut index = 0;
    let declarations = block(&reader.all, &mut index, 0)?;
    if let Some(token) = reader.all.get(index) {
        return Err(token.wrong("`}` has no `{` before it".into()));
    }
    let mut named = HashMap::new();
    for (index, declaration) in declarations.iter().enumerate() {
        let key = (declaration.word(0).to_owned(), declaration.word(1).to_owned());
        named.entry(key).or_insert(index);
    }
    Ok(Program { declarations, named, source })
}

struct Reader<'a> {
    files: &'a dyn Files,
    included: usize,
    budget: Budget,
    all: Vec<Token>,
}

impl Reader<'_> {
    /// Adds tokens, with each `include` replaced by the tokens of its file.
    fn add(&mut self, tokens: Vec<Token>, depth: usize) -> Result<(), Box<Diagnostic>> {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let is_first =
                self.all.last().is_none_or(|last| matches!(&*last.text, ";" | "}" | "{") || last.kind == Kind::Code);
            if self.all.len() > MOST_TOKENS {
                return Err(token.wrong(format!("there are more than {MOST_TOKENS} words")));
            }
            if !token.is("include") || !is_first {
                self.all.push(token);
                continue;
            }
            let mut is_pattern = false;
            while let Some(flag) = tokens.next_if(|next| next.kind == Kind::Word && !next.is(";")) {
                is_pattern |= flag.is("glob");
            }
            let Some(name) = tokens.next_if(|next| next.kind == Kind::Text) else {
                return Err(token.wrong("`include` needs the name of a file".into()));
            };
            tokens.next_if(|next| next.is(";"));
            self.include(&token, &name.text, is_pattern, depth)?;
        }
        Ok(())
    }

    fn include(&mut self, at: &Token, name: &str, is_pattern: bool, depth: usize) -> Result<(), Box<Diagnostic>> {
        if depth >= MOST_DEPTH {
            return Err(at.wrong(format!("includes are nested deeper than {MOST_DEPTH}: they include themselves")));
        }
        let path = if name.starts_with("./") {
            Path::new(&*at.source.path).parent().unwrap_or(Path::new("")).join(name.trim_start_matches("./"))
        } else if name.starts_with('/') {
            PathBuf::from(name)
        } else {
            let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            places.find(|path| self.files.is_there(path)).unwrap_or_else(|| Path::new(FOLDERS[0]).join(name))
        };
        let shown = path.display().to_string();
        let found = if is_pattern {
            self.files.matching(&path).map_err(|error| at.wrong(format!("cannot include {shown}: {error}")))?
        } else {
            vec![path]
        };
        for path in found {
            self.included += 1;
            if self.included > MOST_FILES {
                return Err(at.wrong(format!("more than {MOST_FILES} files are included")));
            }
            let shown = path.display().to_string();
            let text = self.files.read(&path).map_err(|error| at.wrong(format!("cannot include {shown}: {error}")))?;
            self.budget.take(text.len()).map_err(|message| at.wrong(message))?;
            check_characters(&shown, &text)?;
            let source = Arc::new(Source::new(shown, text));
            self.add(tokens(&source)?, depth + 1)?;
        }
        Ok(())
    }
}

/// Returns the statements up to the `}` of a block, or to the end.
fn block(tokens: &[Token], index: &mut usize, depth: usize) -> Result<Vec<Statement>, Box<Diagnostic>> {
    let mut statements = Vec::new();
    let mut open: Vec<Token> = Vec::new();
    while let Some(token) = tokens.get(*index) {
        if depth > MOST_NESTED {
            return Err(token.wrong(format!("blocks are nested deeper than {MOST_NESTED}")));
        }
        if token.is("}") && open.is_empty() {
            return Ok(statements);
        }
        *index += 1;
        if token.is("{") {
            let body = block(tokens, index, depth + 1)?;
            let Some(end) = tokens.get(*index) else {
                return Err(token.wrong("the block that begins here does not end".into()));
            };
            *index += 1;
            let is_value = open.last().is_some_and(|last| last.is("="));
            statements.push(statement(std::mem::take(&mut open), token, Some(body), end.place().line));
            // `.probe = { ... }` may end with `;`.
            if is_value && tokens.get(*index).is_some_and(|next| next.is(";")) {
                *index += 1;
            }
        } else if token.is(";") {
            statements.push(statement(std::mem::take(&mut open), token, None, token.place().line));
        } else if token.kind == Kind::Code && open.is_empty() {
            statements.push(statement(vec![token.clone()], token, None, token.place().line));
        } else {
            open.push(token.clone());
        }
    }
    match open.first() {
        Some(first) => Err(first.wrong("the statement that begins here does not end".into())),
        None => Ok(statements),
    }
}

fn statement(tokens: Vec<Token>, at: &Token, body: Option<Vec<Statement>>, last: usize) -> Statement {
    let first = tokens.first().unwrap_or(at);
    let words = tokens.iter().map(|token| match token.kind {
        Kind::Word => token.text.clone(),
        Kind::Text => format!("{:?}", token.text),
        Kind::Code => "C{ ... }C".into(),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let text = if text.chars().count() > 200 { text.chars().take(200).collect::<String>() + " ..." } else { text };
    // An include may begin a statement that the including file ends.
    let end = tokens.iter().rfind(|token| Arc::ptr_eq(&token.source, &first.source)).unwrap_or(first);
    let place = first.source.place(first.bytes.start..end.bytes.end);
    Statement { said: Said { place, text }, tokens, body, last }
}
