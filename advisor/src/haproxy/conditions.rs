//! Conditions of the preprocessor (the manual's section 2.4): `.if`, `.elif`, `.else`, `.endif`.

use super::words::Word;
use crate::Files;

/// What conditions are about.
pub(super) struct Known<'a> {
    pub(super) files: &'a dyn Files,
    /// The version of the program that is to read the file.
    pub(super) version: Option<&'a str>,
}

/// The conditions that a line stands under.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    open: Vec<Branch>,
}

#[derive(Debug, Clone, Copy)]
struct Branch {
    /// Whether its lines hold.
    holds: Option<bool>,
    /// Whether a branch before it did.
    before: Option<bool>,
}

impl Conditions {
    /// Reads a line of the preprocessor. Any other line changes nothing.
    pub(super) fn read(&mut self, words: &[Word], line: &str, known: &Known<'_>) {
        let Some(first) = words.first() else { return };
        let condition = || {
            let texts: Vec<&str> = words[1..].iter().map(|word| &*word.text).collect();
            // Quotes and spaces are those of the line.
            if line.contains('"') { value(&texts.concat(), known) } else { value(&texts.join(""), known) }
        };
        match &*first.text {
            ".if" => self.open.push(Branch { holds: condition(), before: Some(false) }),
            ".elif" | ".else" => {
                let holds = if first.text == ".else" { Some(true) } else { condition() };
                if let Some(branch) = self.open.last_mut() {
                    branch.before = or(branch.before, branch.holds);
                    branch.holds = and(branch.before.map(|before| !before), holds);
                }
            }
            ".endif" => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// Whether what stands here holds; `None` where that cannot be said.
    pub(super) fn hold(&self) -> Option<bool> {
        self.open.iter().fold(Some(true), |holds, branch| and(holds, branch.holds))
    }
}

fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), other) => other,
        (None, _) => None,
    }
}

fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    and(one.map(|value| !value), other.map(|value| !value)).map(|value| !value)
}

/// The value of an expression without spaces; `None` where it asks for what is not known here.
fn value(text: &str, known: &Known<'_>) -> Option<bool> {
    if let Some((one, other)) = split(text, "||") {
        return or(value(one, known), value(other, known));
    }
    if let Some((one, other)) = split(text, "&&") {
        return and(value(one, known), value(other, known));
    }
    if let Some(rest) = text.strip_prefix('!') {
        return value(rest, known).map(|value| !value);
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return value(inner, known);
    }
    if text.is_empty() {
        return Some(false);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number != 0);
    }
    let (name, rest) = text.split_once('(')?;
    let arguments: Vec<&str> = rest.strip_suffix(')')?.split(',').collect();
    match (name, &arguments[..]) {
        ("defined", [variable]) => Some(known.files.variable(variable).is_some()),
        ("streq", [one, other]) => Some(one == other),
        ("strneq", [one, other]) => Some(one != other),
        ("strstr", [text, part]) => Some(text.contains(part)),
        ("version_atleast", [version]) => Some(numbers(known.version?) >= numbers(version)),
        ("version_before", [version]) => Some(numbers(known.version?) < numbers(version)),
        _ => None,
    }
}

/// Splits at an operator that stands outside of parentheses.
fn split<'t>(text: &'t str, operator: &str) -> Option<(&'t str, &'t str)> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && text[at..].starts_with(operator) => {
                return Some((&text[..at], &text[at + operator.len()..]));
            }
            _ => {}
        }
    }
    None
}

/// A version's numbers: `2.6-dev4` is before `2.6`.
fn numbers(version: &str) -> (Vec<u32>, bool) {
    let (release, development) = version.split_once("-dev").map_or((version, false), |(release, _)| (release, true));
    let mut numbers: Vec<u32> = release.split('.').map(|number| number.parse().unwrap_or_default()).collect();
    numbers.resize(3, 0);
    (numbers, !development)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::super::words;
    use super::*;

    struct Set;

    impl Files for Set {
        fn read(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn matching(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }

        fn is_there(&self, _: &Path) -> bool {
            false
        }

        fn variable(&self, name: &str) -> Option<String> {
            (name == "SET").then(|| "yes".into())
        }
    }

    /// Which of these lines hold.
    fn holding(text: &str) -> Vec<(String, Option<bool>)> {
        let mut conditions = Conditions::default();
        let mut all = Vec::new();
        for line in text.lines() {
            let mut words = words::split(line).unwrap();
            words.iter_mut().for_each(|word| word.expand(line, &Set));
            conditions.read(&words, line, &Known { files: &Set, version: Some("2.6.12") });
            if !line.trim_start().starts_with('.') {
                all.push((line.trim().to_owned(), conditions.hold()));
            }
        }
        all
    }

    #[test]
    fn one_branch_of_each_condition_holds() {
        let text = ".if defined(SET) && version_atleast(2.6)\na\n.elif 1\nb\n.else\nc\n.endif\nd\n\
            .if streq(\"${SET}\",no)\ne\n .if 1\n f\n .endif\n.else\ng\n.endif\n.if feature(OPENSSL)\nh\n.else\ni\n.endif";
        let expected = [
            ("a", Some(true)),
            ("b", Some(false)),
            ("c", Some(false)),
            ("d", Some(true)),
            ("e", Some(false)),
            ("f", Some(false)),
            ("g", Some(true)),
            ("h", None),
            ("i", None),
        ];
        assert_eq!(holding(text), expected.map(|(line, holds)| (line.to_owned(), holds)));
    }

    #[test]
    fn expressions_are_those_of_the_manual() {
        for (text, expected) in [
            ("!defined(SET)||version_before(2.7)", Some(true)),
            ("version_before(2.6.12)", Some(false)),
            ("version_before(2.7-dev1)", Some(true)),
            ("!(1&&0)", Some(true)),
            ("strstr(abc,bc)", Some(true)),
            ("feature(X)&&0", Some(false)),
            ("feature(X)||0", None),
            ("", Some(false)),
        ] {
            assert_eq!(value(text, &Known { files: &Set, version: Some("2.6.12") }), expected, "{text}");
        }
    }
}
