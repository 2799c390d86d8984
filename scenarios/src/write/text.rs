//! The layout of values and calls in a script.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use stickler_model::escape;

use super::Inexpressible;

/// The maximum length of a line that is not broken, in characters.
const WIDTH: usize = 120;

/// The additional indentation of inner lines, in characters.
const INDENT: usize = 4;

/// The length above which a text is searched for repetitions, in bytes.
const LONG: usize = 200;

/// The maximum length of a part of a text that is considered as a repetition, in bytes.
const LONGEST_UNIT: usize = 64;

/// An expression of a script.
pub(super) enum Expression {
    /// An expression that is written unchanged: a literal or a variable.
    Plain(String),
    /// Several parts that are joined by `+`.
    Sum(Vec<String>),
    /// A call, a list or a dictionary.
    Bracketed(Bracketed),
}

/// An expression in brackets. If it is too long for one line, each item is on a separate line.
pub(super) struct Bracketed {
    open: String,
    /// The items, each with the text before it: `name = `, `"key": `.
    items: Vec<(String, Expression)>,
    close: char,
}

/// A call with its arguments: `alice.get("/")`, or the call of a method on the preceding result, `.expect(user =
/// None)`.
pub(super) struct Call(Bracketed);

impl Expression {
    /// Returns the expression of a text.
    pub(super) fn text(text: &str) -> Self {
        Self::Sum(text_parts(text))
    }

    fn on_one_line(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Sum(parts) => parts.join(" + "),
            Self::Bracketed(bracketed) => bracketed.on_one_line(),
        }
    }

    /// Returns the expression with `before` in front of it, on one line if it fits, and otherwise on several lines that
    /// are indented by `indent`.
    fn laid_out(&self, indent: usize, before: &str) -> String {
        let line = self.on_one_line();
        if before.chars().count() + line.chars().count() < WIDTH {
            return format!("{before}{line}");
        }
        match self {
            Self::Plain(text) => format!("{before}{text}"),
            Self::Sum(parts) => format!("{before}{}", parts.join(&format!(" +\n{}", " ".repeat(indent)))),
            Self::Bracketed(bracketed) => format!("{before}{}", bracketed.on_lines(indent)),
        }
    }
}

impl Bracketed {
    fn on_one_line(&self) -> String {
        let Self { open, items, close } = self;
        let items: Vec<String> = items.iter().map(|(before, item)| format!("{before}{}", item.on_one_line())).collect();
        format!("{open}{}{close}", items.join(", "))
    }

    fn on_lines(&self, indent: usize) -> String {
        let Self { open, items, close } = self;
        if items.is_empty() {
            return self.on_one_line();
        }
        let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + INDENT));
        let items = items.iter().map(|(before, item)| item.laid_out(indent + INDENT, &format!("{inner}{before}")));
        let items: Vec<String> = items.collect();
        format!("{open}\n{},\n{outer}{close}", items.join(",\n"))
    }
}

impl From<String> for Expression {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<Call> for Expression {
    fn from(Call(call): Call) -> Self {
        Self::Bracketed(call)
    }
}

impl Call {
    pub(super) fn new(function: impl Into<String>) -> Self {
        Self(Bracketed { open: function.into() + "(", items: Vec::new(), close: ')' })
    }

    /// Adds a positional argument.
    pub(super) fn with(mut self, argument: impl Into<Expression>) -> Self {
        self.0.items.push((String::new(), argument.into()));
        self
    }

    /// Adds a named argument.
    pub(super) fn and(mut self, name: &str, value: impl Into<Expression>) -> Self {
        self.0.items.push((format!("{name} = "), value.into()));
        self
    }

    /// Adds a named argument if there is a value.
    pub(super) fn and_any<T: Into<Expression>>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.and(name, value),
            None => self,
        }
    }

    /// Adds the argument `name = True` or `name = False` if there is a value.
    pub(super) fn and_truth(self, name: &str, value: Option<bool>) -> Self {
        self.and_any(name, value.map(|value| if value { "True" } else { "False" }))
    }

    /// Returns the call of another function with these arguments.
    pub(super) fn called(mut self, function: &str) -> Self {
        self.0.open = format!("{function}(");
        self
    }
}

/// Writes a statement: calls that are chained one after the other, with `name = ` in front of them if there is a
/// variable. If the statement is too long for one line, the first call is broken into several.
pub(super) fn statement(variable: Option<&str>, calls: &[Call]) -> String {
    let start = variable.map(|variable| format!("{variable} = ")).unwrap_or_default();
    let Some((Call(first), rest)) = calls.split_first() else { return start };
    let rest = rest.iter().fold(String::new(), |rest, Call(call)| rest + "." + &call.on_one_line());
    let line = format!("{start}{}{rest}", first.on_one_line());
    if line.chars().count() <= WIDTH { line } else { format!("{start}{}{rest}", first.on_lines(0)) }
}

/// Returns a string in quotes. Characters that cannot be shown are escaped.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ if escape::line(c.encode_utf8(&mut [0; 4])).chars().eq([c]) => quoted.push(c),
            '\0'..='\x7f' => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            '\u{80}'..='\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Returns a list of texts: `["a", "b"]`.
pub(super) fn strings<T: AsRef<str>>(texts: &[T]) -> Expression {
    list(texts.iter().map(|text| string(text.as_ref())))
}

/// Returns a list of expressions: `[a, b]`.
pub(super) fn list<T: Into<Expression>>(items: impl IntoIterator<Item = T>) -> Expression {
    let items = items.into_iter().map(|item| (String::new(), item.into())).collect();
    Expression::Bracketed(Bracketed { open: "[".to_owned(), items, close: ']' })
}

/// Returns a dictionary: `{"a": b}`.
///
/// # Errors
/// A key occurs twice.
pub(super) fn dictionary<'k>(
    entries: impl IntoIterator<Item = (&'k String, Expression)>,
) -> Result<Expression, Inexpressible> {
    let (mut keys, mut items) = (BTreeSet::new(), Vec::new());
    for (key, value) in entries {
        if !keys.insert(key) {
            return Err(Inexpressible("a name occurs twice, but a dictionary has each key only once"));
        }
        items.push((format!("{}: ", string(key)), value));
    }
    Ok(Expression::Bracketed(Bracketed { open: "{".to_owned(), items, close: '}' }))
}

/// Returns a time as a number of seconds.
///
/// # Errors
/// No number that a script can write is exactly this time.
pub(super) fn seconds(time: Duration) -> Result<String, Inexpressible> {
    let seconds = time.as_secs_f64();
    match Duration::try_from_secs_f64(seconds) {
        Ok(read) if read == time => Ok(seconds.to_string()),
        _ => Err(Inexpressible("the time is too long to be exact to a nanosecond")),
    }
}

/// Returns a call of `advance()` with its argument: seconds, or milliseconds for less than one second.
///
/// # Errors
/// No number that a script can write is exactly this time.
pub(super) fn advance(time: Duration) -> Result<Call, Inexpressible> {
    let milliseconds = time.as_nanos() as f64 / 1_000_000.0;
    let is_exact = Duration::try_from_secs_f64(milliseconds / 1_000.0) == Ok(time);
    if is_exact && !time.is_zero() && time < Duration::from_secs(1) {
        return Ok(Call::new("advance").and("ms", milliseconds.to_string()));
    }
    Ok(Call::new("advance").with(seconds(time)?))
}

/// Returns a time as a whole number of milliseconds.
///
/// # Errors
/// The time is not a whole number of milliseconds.
pub(super) fn milliseconds(time: Duration) -> Result<String, Inexpressible> {
    let milliseconds = time.as_millis();
    if Duration::from_millis(milliseconds as u64) == time {
        Ok(milliseconds.to_string())
    } else {
        Err(Inexpressible("the time is not a whole number of milliseconds"))
    }
}

/// Returns the parts of a text. A long text is split after line ends, and a repeated part is written only once.
pub(super) fn text_parts(text: &str) -> Vec<String> {
    if text.len() <= LONG {
        return lines(text);
    }
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let Some((unit, count)) = repetition(&text[at..]) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        // A repetition of lines is kept as whole lines.
        if let Some(end) = unit.rfind('\n').filter(|end| end + 1 < unit.len()) {
            at += end + 1;
            continue;
        }
        if start < at {
            parts.extend(lines(&text[start..at]));
        }
        parts.push(format!("{} * {count}", string(unit)));
        at += unit.len() * count;
        start = at;
    }
    if start < text.len() {
        parts.extend(lines(&text[start..]));
    }
    parts
}

/// Splits a text after its line ends if it is too long for one line of a script.
fn lines(text: &str) -> Vec<String> {
    const MOST: usize = WIDTH - 20;
    let whole = string(text);
    if whole.len() <= MOST {
        return vec![whole];
    }
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for line in text.split_inclusive('\n') {
        // The head of a message ends with an empty line.
        if part.ends_with("\r\n\r\n") || (!part.is_empty() && string(&part).len() + string(line).len() > MOST + 2) {
            parts.push(string(&std::mem::take(&mut part)));
        }
        part.push_str(line);
    }
    parts.push(string(&part));
    parts
}

/// Returns the part that a text repeats at its beginning, and the number of repetitions, if the shortened form is
/// worthwhile. The shortest form is chosen.
fn repetition(text: &str) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let repeats = |length: usize| {
        let unit = &bytes[..length];
        let count = bytes.chunks_exact(length).take_while(|chunk| *chunk == unit).count();
        let pays = length * count >= 64 && count >= 4;
        text.get(..length).filter(|_| pays).map(|unit| (unit, count))
    };
    (1..=LONGEST_UNIT.min(text.len())).find_map(repeats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_everything_escaped_that_cannot_be_shown() {
        assert_eq!(string("a \"b\" \\ ä 𝄞"), r#""a \"b\" \\ ä 𝄞""#);
        assert_eq!(string("\r\n\t\0\u{1b}\u{7f}"), r#""\r\n\t\x00\x1b\x7f""#);
        assert_eq!(string("\u{85}\u{202e}\u{e0001}"), r#""\u0085\u202e\U000e0001""#);
    }

    #[test]
    fn a_time_is_exact_or_not_written() {
        let passes = |time: Duration| advance(time).map(|Call(call)| call.on_one_line());
        for (time, written) in [
            (Duration::ZERO, "advance(0)"),
            (Duration::from_nanos(1), "advance(ms = 0.000001)"),
            (Duration::from_micros(1), "advance(ms = 0.001)"),
            (Duration::from_micros(2_500), "advance(ms = 2.5)"),
            (Duration::from_millis(50), "advance(ms = 50)"),
            (Duration::from_secs(70), "advance(70)"),
            (Duration::from_micros(119_999_500), "advance(119.9995)"),
        ] {
            assert_eq!(passes(time).as_deref(), Ok(written));
        }
        assert!(passes(Duration::from_hours(24 * 366) + Duration::from_nanos(1)).is_err());
        assert_eq!(milliseconds(Duration::from_millis(5)).as_deref(), Ok("5"));
        assert!(milliseconds(Duration::from_micros(5_500)).is_err());
    }

    #[test]
    fn what_repeats_in_a_long_text_stands_there_once() {
        assert_eq!(text_parts("").join(""), "\"\"");
        let long = format!("{}ä{}", "x".repeat(300), "ab".repeat(100));
        assert_eq!(text_parts(&long), ["\"x\" * 300", "\"ä\"", "\"ab\" * 100"]);
        let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: 1\r\n".repeat(99));
        let expected = [r#""GET / HTTP/1.1\r\n""#, r#""X-A: 1\r\n" * 99"#, r#""\r\n""#];
        assert_eq!(text_parts(&fields), expected);
        // Three repetitions do not justify a shortened form.
        assert_eq!(text_parts(&"0123456789abcdefghijklmnopqrstuvwxyz".repeat(3)[..100]).len(), 1);
    }

    #[test]
    fn what_is_too_long_for_a_line_has_each_item_on_a_line_of_its_own() {
        let short = Call::new("f").with("1").and("x", strings(&["a"]));
        assert_eq!(statement(Some("y"), &[short, Call::new("g")]), "y = f(1, x = [\"a\"]).g()");
        let word = "w".repeat(50);
        let long = Call::new("f").with("1").and("x", strings(&[&word, &word, &word])).and_any("z", None::<String>);
        let lines =
            format!("f(\n    1,\n    x = [\n        \"{word}\",\n        \"{word}\",\n        \"{word}\",\n    ],\n)");
        assert_eq!(statement(None, &[long]), lines);
        assert!(dictionary([(&word, "1".into()), (&word, "2".into())]).is_err());
    }
}
