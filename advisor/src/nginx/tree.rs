//! Reads directives in their blocks, including those of all included files.

use std::path::{Path, PathBuf};

use stickler_runner::Diagnostic;

use super::words::{Token, Tokens, Unquoted, Word, written};
use crate::bounds::{Budget, check_characters, read_first};
use crate::draft::Said;
use crate::source::Source;
use crate::{Files, Place};

/// The maximum depth of nested includes and blocks.
const DEPTH: usize = 32;

/// The maximum number of directives in all files.
const MOST: usize = 200_000;

/// A directive.
#[derive(Debug, Clone)]
pub(super) struct Directive {
    pub(super) name: String,
    /// The name as it is written: in a `map`, it is a value, and may have quotes.
    raw: String,
    pub(super) arguments: Vec<Word>,
    /// The directives in its braces; `None` if it has no braces.
    pub(super) block: Option<Vec<Directive>>,
    /// The place of its name and arguments.
    pub(super) place: Place,
    /// The bytes of its file that it occupies, from its name to its semicolon or brace.
    pub(super) span: (usize, usize),
}

/// Why a file cannot be read.
type Wrong = Box<Diagnostic>;

impl Directive {
    /// Returns the meaning of an argument, or an empty string if there is no such argument.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", |word| &word.text)
    }

    /// Returns the meanings of all arguments.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|word| &*word.text)
    }

    /// Returns the directives in its braces.
    pub(super) fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Returns the directives with this name in its braces.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Self> {
        named(self.inner(), name)
    }

    /// Returns the directive written again from the meaning of its words, so nginx reads exactly what was read here.
    pub(super) fn afresh(&self) -> String {
        let words = std::iter::once(&self.name).chain(self.arguments.iter().map(|word| &word.text));
        words.map(|text| written(text)).collect::<Vec<_>>().join(" ")
    }

    /// Returns the text of the directive, with its place.
    pub(super) fn said(&self) -> Said {
        Said { place: self.place.clone(), text: self.says() }
    }

    /// Returns the text of the directive, without the content of its braces.
    pub(super) fn says(&self) -> String {
        let words = std::iter::once(&*self.raw).chain(self.arguments.iter().map(|word| &*word.raw));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Returns the directives with this name.
pub(super) fn named<'a>(directives: &'a [Directive], name: &'a str) -> impl DoubleEndedIterator<Item = &'a Directive> {
    directives.iter().filter(move |directive| directive.name == name)
}

/// A configuration as the text of its first file, and as a tree with all included files.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) directives: Vec<Directive>,
}

/// Reads a file with all that it includes.
///
/// # Errors
/// A file cannot be read, or is not a configuration of nginx.
pub(super) fn read(path: &Path, files: &dyn Files) -> Result<Tree, Wrong> {
    let (name, text) = read_first(path, files)?;
    // Includes are relative to the folder of the main file (ngx_conf_full_name).
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut reader = Reader { files, folder, including: vec![path.to_owned()], count: 0, budget: Budget::new() };
    let source = Source::new(&*name, text);
    let directives = reader.block(&mut File::new(&source), 0, false)?;
    Ok(Tree { path: name, text: source.text, directives })
}

struct Reader<'a> {
    files: &'a dyn Files,
    folder: PathBuf,
    /// The files that are being included at the moment, each by the one before it.
    including: Vec<PathBuf>,
    /// The number of directives so far.
    count: usize,
    /// The number of bytes that may still be included.
    budget: Budget,
}

/// A file that is being read.
struct File<'a> {
    source: &'a Source,
    tokens: Tokens<'a>,
}

impl<'a> File<'a> {
    const fn new(source: &'a Source) -> Self {
        Self { source, tokens: Tokens::new(source.text.as_str()) }
    }

    #[expect(clippy::unnecessary_box_returns, reason = "it is an error, which is boxed everywhere")]
    fn wrong(&self, start: usize, end: usize, message: impl Into<String>) -> Wrong {
        self.source.wrong(start..end, message)
    }

    fn next(&mut self) -> Result<Option<(usize, Token)>, Wrong> {
        self.tokens.next().map_err(|Unquoted(start)| {
            self.wrong(
                start,
                start + 1,
                "the quote that begins here does not end, or is directly followed by other text",
            )
        })
    }
}

impl Reader<'_> {
    /// Reads directives up to the brace that ends their block, or to the end of the file.
    fn block(&mut self, file: &mut File<'_>, depth: usize, in_braces: bool) -> Result<Vec<Directive>, Wrong> {
        let mut directives = Vec::new();
        loop {
            let Some((start, token)) = file.next()? else {
                let end = file.source.text.len();
                return if in_braces { Err(file.wrong(end, end, "a `}` is missing")) } else { Ok(directives) };
            };
            match token {
                Token::Word(name) => self.directive(file, (start, name), depth, &mut directives)?,
                Token::Close if in_braces => return Ok(directives),
                Token::Close => return Err(file.wrong(start, start + 1, "this `}` ends no block")),
                Token::Open => return Err(file.wrong(start, start + 1, "a block needs a name")),
                Token::End => return Err(file.wrong(start, start + 1, "a directive needs a name")),
            }
        }
    }

    fn directive(
        &mut self,
        file: &mut File<'_>,
        (start, name): (usize, Word),
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), Wrong> {
        self.count += 1;
        if depth >= DEPTH || self.count > MOST {
            return Err(file.wrong(
                start,
                file.tokens.at,
                format!("there are more than {MOST} directives, or blocks {DEPTH} deep"),
            ));
        }
        let mut arguments = Vec::new();
        let (end, block) = loop {
            let end = file.tokens.at;
            match file.next()? {
                Some((_, Token::Word(word))) => arguments.push(word),
                Some((_, Token::End)) => break (end, None),
                Some((_, Token::Open)) if name.text.ends_with("_by_lua_block") => {
                    file.tokens.skip_block();
                    break (end, Some(Vec::new()));
                }
                Some((_, Token::Open)) => break (end, Some(self.block(file, depth + 1, true)?)),
                Some((at, Token::Close)) => {
                    return Err(file.wrong(at, at + 1, format!("`{}` has no `;` before this", name.text)));
                }
                None => return Err(file.wrong(start, end, format!("`{}` has no `;`", name.text))),
            }
        };
        let span = (start, file.tokens.at);
        if name.text == "include" && block.is_none() {
            return self.include(file, span, &arguments, depth, into);
        }
        let place = file.source.place(start..end);
        into.push(Directive { name: name.text, raw: name.raw, arguments, block, place, span });
        Ok(())
    }

    fn include(
        &mut self,
        file: &File<'_>,
        (start, end): (usize, usize),
        arguments: &[Word],
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), Wrong> {
        let [pattern] = arguments else { return Err(file.wrong(start, end, "`include` has one argument")) };
        let wrong = |message: String| file.wrong(start, end, message);
        let pattern = self.folder.join(&pattern.text);
        let found = self.files.matching(&pattern).map_err(|error| wrong(format!("{}: {error}", pattern.display())))?;
        for path in found {
            if self.including.contains(&path) {
                return Err(wrong(format!("{} includes itself", path.display())));
            }
            if self.including.len() >= DEPTH {
                return Err(wrong(format!("files include each other more than {DEPTH} deep")));
            }
            let text = self.files.read(&path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
            self.budget.take(text.len()).map_err(wrong)?;
            let name = path.display().to_string();
            check_characters(&name, &text)?;
            self.including.push(path);
            let source = Source::new(name, text);
            into.extend(self.block(&mut File::new(&source), depth + 1, false)?);
            self.including.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Texts;

    fn read_all(files: &[(&str, &str)]) -> Result<Vec<Directive>, String> {
        let tree = read(Path::new("/etc/main"), &Texts::new(files));
        tree.map(|tree| tree.directives).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn includes_stand_where_they_are_included_and_know_their_place() {
        let tree =
            read_all(&[("/etc/main", "http {\n include a;\n}\n"), ("/etc/a", "\nserver { listen 80; }\n")]).unwrap();
        let server = &tree[0].inner()[0];
        assert_eq!(server.place.to_string(), "/etc/a:2");
        assert_eq!(server.inner()[0].says(), "listen 80");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (main, error) in [
            ("a\n}", "/etc/main:2:1: `a` has no `;` before this"),
            ("a {\n", "/etc/main:2:1: a `}` is missing"),
            ("}", "/etc/main:1:1: this `}` ends no block"),
            ("a 'b;", "/etc/main:1:3: the quote that begins here"),
            ("x;\ninclude main;", "/etc/main:2:1: /etc/main includes itself"),
            ("include missing;", "/etc/main:1:1: /etc/missing: entity not found"),
            ("a", "/etc/main:1:1: `a` has no `;`"),
        ] {
            let said = read_all(&[("/etc/main", main)]).unwrap_err();
            assert!(said.starts_with(error), "{said}");
        }
    }
}
