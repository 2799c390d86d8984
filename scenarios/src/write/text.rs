//! How values and calls are written.

use std::fmt::Write as _;
use std::time::Duration;

use stickler_model::escape;

use super::Inexpressible;

/// The longest line that is not broken, in characters.
const WIDTH: usize = 120;

/// Text of more bytes than this is searched for repetitions.
const LONG: usize = 200;

/// The longest part of a text that is searched for as a repetition, in bytes.
const LONGEST_UNIT: usize = 64;

/// An expression, in parts that are joined by `+`.
pub(super) struct Expression(Vec<String>);

/// A call with its arguments: `alice.get("/")`, or of a method of what came before, `.expect(user = None)`.
pub(super) struct Call {
    name: String,
    arguments: Vec<Expression>,
}

impl Expression {
    /// Parts that are joined; there has to be one.
    pub(super) fn joined(parts: Vec<String>) -> Self {
        Self(parts)
    }

    /// What stands for a text.
    pub(super) fn text(text: &str) -> Self {
        Self(text_parts(text))
    }

    fn named(self, name: &str) -> Self {
        let Self(mut parts) = self;
        if let Some(first) = parts.first_mut() {
            first.insert_str(0, &format!("{name} = "));
        }
        Self(parts)
    }

    pub(super) fn on_one_line(&self) -> String {
        self.0.join(" + ")
    }
}

impl<T: Into<String>> From<T> for Expression {
    fn from(text: T) -> Self {
        Self(vec![text.into()])
    }
}

impl Call {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), arguments: Vec::new() }
    }

    /// Adds an argument by position.
    pub(super) fn with(mut self, argument: impl Into<Expression>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds an argument by name.
    pub(super) fn and(mut self, name: &str, value: impl Into<Expression>) -> Self {
        self.arguments.push(value.into().named(name));
        self
    }

    /// Adds an argument by name, if there is one.
    pub(super) fn and_any<T: Into<Expression>>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.and(name, value),
            None => self,
        }
    }

    /// Adds the argument `name = True` or `name = False`, if there is one.
    pub(super) fn and_truth(self, name: &str, value: Option<bool>) -> Self {
        self.and_any(name, value.map(truth))
    }

    /// The call of another function with these arguments.
    pub(super) fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(super) fn has_arguments(&self) -> bool {
        !self.arguments.is_empty()
    }

    /// The call in one line.
    pub(super) fn on_one_line(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(Expression::on_one_line).collect();
        format!("{}({})", self.name, arguments.join(", "))
    }

    /// The call with each argument on a line of its own.
    fn on_lines(&self, indent: &str) -> String {
        let mut text = format!("{}(", self.name);
        for argument in &self.arguments {
            let _ = write!(text, "\n{indent}    {},", argument.0.join(&format!(" +\n{indent}    ")));
        }
        let _ = write!(text, "\n{indent})");
        text
    }
}

/// A statement: calls one after the other, behind `name = ` if there is one. The first of them is broken into lines if
/// the statement is too long for one.
pub(super) fn statement(indent: &str, variable: Option<&str>, calls: &[Call]) -> String {
    let start = variable.map(|variable| format!("{indent}{variable} = ")).unwrap_or_else(|| indent.to_owned());
    let short: String = calls.iter().map(Call::on_one_line).collect::<Vec<_>>().join(".");
    let Some((first, rest)) = calls.split_first() else { return start };
    if start.chars().count() + short.chars().count() <= WIDTH || !first.has_arguments() {
        return start + &short;
    }
    let rest: String = rest.iter().map(|call| format!(".{}", call.on_one_line())).collect();
    format!("{start}{}{rest}", first.on_lines(indent))
}

/// `True` or `False`.
pub(super) fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A string in quotes. What cannot be shown is escaped.
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

/// `["a", "b"]`
pub(super) fn strings<T: AsRef<str>>(texts: &[T]) -> String {
    list(texts.iter().map(|text| string(text.as_ref())))
}

/// `[a, b]`
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// `{"a": b}`
///
/// # Errors
/// A key is there twice.
pub(super) fn dictionary<K: AsRef<str>>(entries: &[(K, String)]) -> Result<String, Inexpressible> {
    let mut keys = std::collections::BTreeSet::new();
    if !entries.iter().all(|(key, _)| keys.insert(key.as_ref())) {
        return Err(Inexpressible("a name is there twice, and a dictionary has each key once"));
    }
    let entries: Vec<String> =
        entries.iter().map(|(key, value)| format!("{}: {value}", string(key.as_ref()))).collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}

/// A number of seconds.
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

/// The arguments of `advance()`: seconds, or less than one in milliseconds.
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

/// A whole number of milliseconds.
///
/// # Errors
/// It is none.
pub(super) fn milliseconds(time: Duration) -> Result<String, Inexpressible> {
    let milliseconds = time.as_millis();
    if Duration::from_millis(milliseconds as u64) == time {
        Ok(milliseconds.to_string())
    } else {
        Err(Inexpressible("the time is no whole number of milliseconds"))
    }
}

/// The parts of a text. A long one is cut behind the ends of lines, and what repeats in it stands there once.
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

/// A text cut behind the ends of its lines, where it is too long for one line of a script.
fn lines(text: &str) -> Vec<String> {
    const MOST: usize = WIDTH - 20;
    let whole = string(text);
    if whole.len() <= MOST {
        return vec![whole];
    }
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for line in text.split_inclusive('\n') {
        // A message ends with an empty line.
        if part.ends_with("\r\n\r\n") || (!part.is_empty() && string(&part).len() + string(line).len() > MOST + 2) {
            parts.push(string(&std::mem::take(&mut part)));
        }
        part.push_str(line);
    }
    parts.push(string(&part));
    parts
}

/// What a text begins with several times in a row, and how often, if that is worth saying: the shortest way.
fn repetition(text: &str) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let repeats = |length: usize| {
        let unit = &bytes[..length];
        let count = bytes.chunks_exact(length).take_while(|chunk| *chunk == unit).count();
        (length * count >= 64 && count >= 4 && text.is_char_boundary(length)).then_some((&text[..length], count))
    };
    (1..=LONGEST_UNIT.min(text.len())).find_map(repeats)
}
