//! Parses a text that may have several mistakes. A part that cannot be parsed is reported and left out, and the rest is
//! parsed again.

use std::collections::BTreeSet;
use std::ops::Range;

use starlark::syntax::AstModule;

use super::rules::{self, Rule};
use crate::script::place::bytes;
use crate::script::{DIALECT, nesting};

/// The maximum number of syntax mistakes that are reported for one file.
const MOST: usize = 20;

/// A text, with the part of it that could be parsed.
pub(super) struct Parsed {
    /// The module; `None` where nothing could be parsed.
    pub(super) module: Option<AstModule>,
    pub(super) mistakes: Vec<Mistake>,
    /// The words in the parts that were left out. They may be names that the rest uses.
    pub(super) left_out: BTreeSet<String>,
}

/// A mistake of syntax.
pub(super) struct Mistake {
    pub(super) rule: &'static Rule,
    pub(super) bytes: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Parses a file, and leaves out the parts that cannot be parsed.
pub(super) fn parse(path: &str, text: &str) -> Parsed {
    let mut parsed = Parsed { module: None, mistakes: Vec::new(), left_out: BTreeSet::new() };
    let mut rest = text.to_owned();
    while parsed.mistakes.len() < MOST {
        if let Some(at) = nesting::too_deep(&rest) {
            let message =
                format!("this statement has more than {} brackets, operators and keywords: split it", nesting::MAX);
            parsed.mistakes.push(Mistake { rule: &rules::TOO_DEEP, bytes: at, message, hint: None });
            return parsed;
        }
        let error = match AstModule::parse(path, rest.clone(), &DIALECT) {
            Ok(module) => {
                parsed.module = Some(module);
                return parsed;
            }
            Err(error) => error,
        };
        let at = error.span().map_or(0..0, |span| bytes(span.span));
        let chunks = chunks(&rest);
        let open = chunks.iter().find_map(|chunk| Some((chunk.clone(), chunk.start + unclosed(&rest[chunk.clone()])?)));
        // The text behind a bracket that is never closed is not at fault.
        let (chunk, mistake) = match open {
            Some((chunk, bracket)) if bracket < at.end => {
                let message = format!("this `{}` is never closed", &rest[bracket..=bracket]);
                (chunk, Mistake { rule: &rules::SYNTAX, bytes: bracket..bracket + 1, message, hint: None })
            }
            _ => {
                let message = error.without_diagnostic().to_string();
                let (message, hint) = (plain(&message), hint(&rest, &at));
                let Some(chunk) = chunks.into_iter().rev().find(|chunk| chunk.start <= at.start) else { break };
                (chunk, Mistake { rule: &rules::SYNTAX, bytes: at, message, hint })
            }
        };
        parsed.mistakes.push(mistake);
        parsed.left_out.extend(words(&rest[chunk.clone()]));
        if rest[chunk.clone()].trim().is_empty() {
            break;
        }
        blank(&mut rest, chunk);
    }
    parsed
}

/// Returns Starlark's message without its first word, which is the same in each of them.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Parse error: ").unwrap_or(message);
    message.trim().to_owned()
}

/// Returns a hint for an author who knows Python and has used a construct that Starlark lacks.
fn hint(text: &str, at: &Range<usize>) -> Option<String> {
    let begin = text[..at.start.min(text.len())].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default().trim_start();
    let first = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let hint = match first {
        "while" => "there is no `while`: write `for step in range(10):`",
        "import" | "from" => {
            "there is no `import`: `load(\"lib.star\", \"name\")` takes a name from a file of the folder"
        }
        "class" => "there are no classes: a function may return a `struct(...)`",
        "try" | "except" | "raise" => "there are no exceptions: a request that fails has an `error`",
        "with" | "async" | "await" => "there is nothing to open or to await: use `start()` and `wait()`",
        _ if line.contains(":0") || line.contains("%0") => {
            "formats have no width: `padded(number, 2)` writes leading zeros"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Returns the statements at the top level of a text, each with the lines that are indented below it, as far as they
/// can be told apart without parsing.
fn chunks(text: &str) -> Vec<Range<usize>> {
    let mut starts = Vec::new();
    let (mut at, mut quoted) = (0, None);
    for line in text.split_inclusive('\n') {
        let continues = quoted.is_some() || line.starts_with([' ', '\t', ')', ']', '}', '#', '\n', '\r']);
        let goes_on = ["else", "elif"].iter().any(|word| line.starts_with(word));
        if !continues && !goes_on {
            starts.push(at);
        }
        quoted = quote_after(line, quoted);
        at += line.len();
    }
    if starts.is_empty() && !text.is_empty() {
        starts.push(0);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Returns the triple quote that is still open at the end of a line.
fn quote_after(line: &str, before: Option<&'static str>) -> Option<&'static str> {
    let (mut open, mut rest) = (before, line);
    loop {
        if let Some(quote) = open {
            let Some(at) = rest.find(quote) else { return open };
            (open, rest) = (None, &rest[at + 3..]);
        } else {
            let code = rest.find('#').unwrap_or(rest.len());
            let next = ["\"\"\"", "'''"].into_iter().filter_map(|quote| Some((rest.find(quote)?, quote))).min();
            match next {
                Some((at, quote)) if at < code => (open, rest) = (Some(quote), &rest[at + 3..]),
                _ => return None,
            }
        }
    }
}

/// Returns the position of a bracket that the statement opens and does not close.
fn unclosed(statement: &str) -> Option<usize> {
    let mut open = Vec::new();
    for (at, token) in nesting::tokens(statement) {
        match token {
            "(" | "[" | "{" => open.push(at),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// Replaces a part of the text by spaces, so that everything else keeps its position.
fn blank(text: &mut String, part: Range<usize>) {
    let blanks: String = text[part.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(part, &blanks);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<(usize, String)> {
        let line = |bytes: &Range<usize>| 1 + text[..bytes.start].matches('\n').count();
        parse("x.star", text).mistakes.into_iter().map(|mistake| (line(&mistake.bytes), mistake.message)).collect()
    }

    #[test]
    fn several_mistakes_are_found_at_once_and_the_rest_is_parsed() {
        let text = "x = = 1\ny = 2\nif x\n    pass\nz = 3)\nlast = 4\n";
        let lines: Vec<usize> = mistakes(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 3, 5]);
        let parsed = parse("x.star", text);
        assert!(parsed.module.is_some() && parsed.left_out.contains("x"));
        assert!(parse("x.star", "x = 1\n").mistakes.is_empty());
    }

    #[test]
    fn a_bracket_that_is_never_closed_is_one_mistake_where_it_stands() {
        let text = "alice = curl(\"alice\"\nbob = curl(\"bob\")\nbob.get(\"/\")\n";
        assert_eq!(mistakes(text), [(1, "this `(` is never closed".to_owned())]);
    }

    #[test]
    fn a_docstring_is_no_code() {
        assert_eq!(mistakes("\"\"\"Title.\n\nIt shows (this\nand that.\n\"\"\"\nx = 1\n"), []);
        assert_eq!(mistakes("x = '''\n(\n'''\ny = = 2\n").len(), 1);
    }

    #[test]
    fn whoever_writes_python_is_told_what_there_is_instead() {
        let hint = |text: &str| parse("x.star", text).mistakes.remove(0).hint.unwrap_or_default();
        assert!(hint("while True:\n    pass\n").contains("range(10)"));
        assert!(hint("import os\n").contains("load("));
        assert!(hint("class User:\n    pass\n").contains("struct"));
    }

    #[test]
    fn any_text_is_taken() {
        for text in
            ["", "(", "\"\"\"", "'", "\u{fc} = \u{fc}(\n", "\t\n )", "#", "]]]]\n[[[[", "def f(:\n  x\n\n", "\\"]
        {
            let parsed = parse("x.star", text);
            assert!(parsed.mistakes.iter().all(|mistake| mistake.bytes.end <= text.len()), "{text:?}");
        }
        assert!(parse("x.star", &"x = = 1\n".repeat(100)).mistakes.len() == MOST);
    }
}
