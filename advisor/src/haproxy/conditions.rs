//! The conditions of the preprocessor (section 2.4 of the manual): `.if`, `.elif`, `.else`, `.endif`.

use super::words::Word;

/// The maximum length of a condition that is read, in characters. HAProxy's own lines have at most 2,048.
const LONGEST: usize = 2_048;

/// The maximum depth of nested conditions, parentheses and negations.
const DEPTH: usize = 64;

/// The facts on which conditions depend.
pub(super) struct Known<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The version of the program that is to read the file.
    pub(super) version: Option<&'a str>,
}

/// The conditions that apply to a line.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    open: Vec<Branch>,
}

#[derive(Debug, Clone, Copy)]
struct Branch {
    /// Whether the lines of the branch apply.
    holds: bool,
    /// Whether this branch, or an earlier one, applies.
    taken: bool,
    /// Whether that follows from known facts.
    known: bool,
}

impl Conditions {
    /// Reads a line of the preprocessor; any other line changes nothing. A condition whose value is not known counts as
    /// true.
    pub(super) fn read(&mut self, words: &[Word], known: &Known<'_>) {
        let Some(first) = words.first() else { return };
        let condition = || {
            let text: String = words[1..].iter().map(|word| &*word.text).collect();
            if text.chars().count() > LONGEST { None } else { value(&text, known, DEPTH) }
        };
        match &*first.text {
            ".if" => {
                let value = condition();
                let holds = value.unwrap_or(true);
                self.open.push(Branch { holds, taken: holds, known: value.is_some() });
            }
            ".elif" | ".else" => {
                let value = if first.text == ".else" { Some(true) } else { condition() };
                if let Some(branch) = self.open.last_mut() {
                    branch.holds = !branch.taken && value.unwrap_or(true);
                    branch.known &= value.is_some();
                    branch.taken |= branch.holds;
                }
            }
            ".endif" => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// Returns whether the next line applies, and whether that is known.
    pub(super) fn hold(&self) -> (bool, bool) {
        (self.open.iter().all(|branch| branch.holds), self.open.iter().all(|branch| branch.known))
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

/// Returns the value of an expression without spaces; `None` if it depends on facts that are not known here.
fn value(text: &str, known: &Known<'_>, depth: usize) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    if let Some((one, other)) = split(text, "||") {
        return or(value(one, known, depth), value(other, known, depth));
    }
    if let Some((one, other)) = split(text, "&&") {
        return and(value(one, known, depth), value(other, known, depth));
    }
    if let Some(rest) = text.strip_prefix('!') {
        return value(rest, known, depth).map(|value| !value);
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return value(inner, known, depth);
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
        // HAProxy sets some variables itself.
        ("defined", [variable]) if variable.starts_with("HAPROXY_") || variable.starts_with('.') => None,
        ("defined", [variable]) => Some((known.variable)(variable).is_some()),
        ("streq", [one, other]) => Some(one == other),
        ("strneq", [one, other]) => Some(one != other),
        ("strstr", [text, part]) => Some(text.contains(part)),
        ("version_atleast", [version]) => Some(numbers(known.version?) >= numbers(version)),
        ("version_before", [version]) => Some(numbers(known.version?) < numbers(version)),
        _ => None,
    }
}

/// Splits at an operator outside of parentheses.
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

/// Returns the numbers of a version, and whether it is a release: `2.6-dev4` comes before `2.6`.
fn numbers(version: &str) -> (Vec<u32>, bool) {
    let (release, development) = version.split_once("-dev").map_or((version, false), |(release, _)| (release, true));
    let mut numbers: Vec<u32> = release.split('.').map(|number| number.parse().unwrap_or_default()).collect();
    numbers.resize(3, 0);
    (numbers, !development)
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    fn variable(name: &str) -> Option<String> {
        (name == "SET").then(|| "yes".into())
    }

    const KNOWN: Known<'_> = Known { variable: &variable, version: Some("2.6.12") };

    /// Returns each line that is not a condition. The two flags say whether the line applies, and whether that is
    /// known.
    fn holding(text: &str) -> Vec<(String, (bool, bool))> {
        let mut conditions = Conditions::default();
        let mut all = Vec::new();
        for line in text.lines() {
            let mut words = words::split(line).unwrap();
            for word in &mut words {
                word.expand(line, &variable);
            }
            conditions.read(&words, &KNOWN);
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
            ("a", (true, true)),
            ("b", (false, true)),
            ("c", (false, true)),
            ("d", (true, true)),
            ("e", (false, true)),
            ("f", (false, true)),
            ("g", (true, true)),
            ("h", (true, false)),
            ("i", (false, false)),
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
            ("defined(HAPROXY_LOCALPEER)", None),
        ] {
            assert_eq!(value(text, &KNOWN, DEPTH), expected, "{text}");
        }
    }

    #[test]
    fn a_condition_without_end_is_not_known() {
        for text in ["!".repeat(1_000) + "1", "(".repeat(1_000) + "1" + &")".repeat(1_000), "0||".repeat(500) + "0"] {
            assert_eq!(value(&text, &KNOWN, DEPTH), None);
        }
    }
}
