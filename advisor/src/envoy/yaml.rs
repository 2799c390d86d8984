//! A reader of YAML that keeps the places of values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use stickler_runner::Diagnostic;

use crate::bounds::{Budget, read_first};
use crate::draft::Said;
use crate::{Files, Place};

/// The maximum depth of nested nodes, and the maximum number of nodes with aliases expanded.
const MOST_DEPTH: usize = 100;
const MOST_NODES: usize = 200_000;

/// The number of characters of a line that are quoted, since a whole file may be one line.
const MOST_SAID: usize = 400;

/// A file.
#[derive(Debug)]
pub(super) struct Yaml {
    pub(super) path: Arc<str>,
    pub(super) text: String,
    pub(super) root: Node,
    /// The lines of the file, without their ends.
    lines: Vec<String>,
}

/// A value, and its beginning.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column in characters, from 0.
    pub(super) column: usize,
    /// The line and the column after the last character of the part that messages show: a scalar, a list or a map in
    /// brackets if it is on one line, and otherwise its first entry. That of a field's name ends with the value if the
    /// value is such a scalar, list or map on the same line.
    end: (usize, usize),
    /// Whether the value is in brackets, and on one line.
    is_one_line: bool,
    /// Whether the value is in brackets, as in JSON.
    pub(super) is_flow: bool,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar {
        text: String,
        /// Whether the scalar has no quotes.
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Returns the text of a scalar; empty for other values.
    pub(super) fn text(&self) -> &str {
        match &self.value {
            Value::Scalar { text, .. } => text,
            Value::List(_) | Value::Map(_) => "",
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    pub(super) fn fields(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(fields) => fields,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// Returns the key and the value of a field. Envoy accepts names as `max_requests` and as `maxRequests`.
    pub(super) fn field(&self, name: &str) -> Option<(&Self, &Self)> {
        self.fields().iter().find(|(key, _)| snake(key.text()) == name).map(|(key, value)| (key, value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.field(name).map(|(_, value)| value)
    }

    /// Returns the key and the value of a nested field.
    pub(super) fn path(&self, names: &[&str]) -> Option<(&Self, &Self)> {
        let (last, outer) = names.split_last()?;
        outer.iter().try_fold(self, |node, name| node.get(name))?.field(last)
    }

    pub(super) fn is_true(&self) -> bool {
        self.text() == "true"
    }
}

/// Returns `max_requests` for `maxRequests`.
pub(super) fn snake(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_uppercase() && !name.contains(['.', '_']) {
            result.push('_');
        }
        result.push(if name.contains('.') { c } else { c.to_ascii_lowercase() });
    }
    result
}

impl Yaml {
    /// Returns the text at the beginning of a node, with its place.
    pub(super) fn said(&self, node: &Node) -> Said {
        let line = self.lines.get(node.line - 1).map_or("", String::as_str);
        let end = line.char_indices().nth(MOST_SAID).map_or(line.len(), |(at, _)| at);
        let text = line[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        let Node { line, column, end: (end_line, end_column), .. } = *node;
        let file = Arc::clone(&self.path);
        Said { place: Place { file, line, column: column + 1, end_line, end_column: end_column + 1 }, text }
    }
}

/// Reads a file of one document.
///
/// # Errors
/// The file cannot be read, is not YAML, or is too large once each alias is replaced by its value.
pub(super) fn read(path: &Path, files: &dyn Files) -> Result<Yaml, Box<Diagnostic>> {
    let (name, text) = read_first(path, files)?;
    let lines: Vec<String> = text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect();
    let mut builder = Builder {
        name: &name,
        text: &text,
        lines: &lines,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        budget: Budget::new(),
        cursor: (0, 0, 0),
        root: None,
    };
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = event.map_err(|error| builder.wrong(error.marker().line(), error.info().to_owned()))?;
        builder.event(event, span)?;
    }
    let root = builder.root.take().ok_or_else(|| builder.wrong(1, "there is nothing in it".into()))?;
    Ok(Yaml { path: name.as_str().into(), root, lines, text })
}

struct Builder<'a> {
    name: &'a str,
    text: &'a str,
    lines: &'a [String],
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    budget: Budget,
    /// The last place whose position was requested: its line, its column, and its position in the line in bytes.
    cursor: (usize, usize, usize),
    root: Option<Node>,
}

/// A list or a map that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// For a map, the key whose value comes next, and the keys that exist.
    key: Option<Node>,
    keys: BTreeSet<String>,
}

impl Builder<'_> {
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    fn wrong(&self, line: usize, message: String) -> Box<Diagnostic> {
        let begin: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let length = self.text[begin..].lines().next().unwrap_or_default().len();
        Box::new(Diagnostic::new(self.name, self.text, begin..begin + length, message, None))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        let line = span.start.line().max(1);
        let column = span.start.col();
        let end = (span.end.line().max(line), span.end.col());
        let node = |value: Value, is_flow: bool| Node { line, column, end, is_one_line: false, is_flow, value };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = matches!(style, ScalarStyle::Plain);
                // The span begins with an anchor or a tag, if there is one.
                let is_bare = anchor == 0 && tag.is_none();
                let length = written(&text, style).filter(|_| is_bare);
                let mut node = node(Value::Scalar { text: text.into_owned(), is_plain }, false);
                // The span of a text in quotes contains a comment after it.
                if let Some(length) = length.filter(|_| node.end.0 == line) {
                    node.end.1 = node.end.1.min(column + length);
                }
                self.put(node, anchor, line)?;
            }
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor) else {
                    return Err(self.wrong(line, "this alias refers to an incomplete value".into()));
                };
                let (nodes, bytes) = size(known);
                self.grow(nodes, bytes, line)?;
                let Some(known) = self.anchors.get(&anchor).cloned() else { return Ok(()) };
                // The content of an anchor belongs to the place where it is used.
                self.put(Node { line, column, end, ..known }, 0, line)?;
            }
            Event::SequenceStart(anchor, _) => {
                let is_flow = self.begins_with(&span, '[');
                self.open(node(Value::List(Vec::new()), is_flow), anchor, line)?;
            }
            Event::MappingStart(anchor, _) => {
                let is_flow = self.begins_with(&span, '{');
                self.open(node(Value::Map(Vec::new()), is_flow), anchor, line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, anchor, .. }) = self.open.pop() {
                    node.is_one_line = node.is_flow && end.0 == node.line;
                    let first = node.items().first().or(node.fields().first().map(|(name, _)| name));
                    node.end = first.filter(|_| !node.is_one_line).map_or(end, |first| first.end);
                    self.put(node, anchor, line)?;
                }
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(self.wrong(line, "Envoy reads only one document".into()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns whether a span begins with this bracket. Spans come in order, so no line is searched repeatedly.
    fn begins_with(&mut self, span: &Span, bracket: char) -> bool {
        let (number, column) = (span.start.line().saturating_sub(1), span.start.col());
        let Some(line) = self.lines.get(number) else { return false };
        let (known, from, begin) = self.cursor;
        let (from, begin) = if known == number && from <= column { (from, begin) } else { (0, 0) };
        let found = line[begin..].char_indices().nth(column - from);
        if let Some((at, _)) = found {
            self.cursor = (number, column, begin + at);
        }
        // An anchor or a tag may be in front of it.
        let mut rest = found.map_or("", |(at, _)| &line[begin + at..]);
        while rest.starts_with(['&', '!']) {
            rest = rest.split_once([' ', '\t']).map_or("", |(_, rest)| rest.trim_start());
        }
        rest.starts_with(bracket)
    }

    fn grow(&mut self, nodes: usize, bytes: usize, line: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(self.wrong(line, format!("there are more than {MOST_NODES} values")));
        }
        self.budget.take(bytes).map_err(|message| self.wrong(line, message))
    }

    fn open(&mut self, node: Node, anchor: usize, line: usize) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= MOST_DEPTH {
            return Err(self.wrong(line, format!("it is nested deeper than {MOST_DEPTH}")));
        }
        self.open.push(Open { node, anchor, key: None, keys: BTreeSet::new() });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize, line: usize) -> Result<(), Box<Diagnostic>> {
        self.grow(1, node.text().len(), line)?;
        if anchor > 0 {
            let (nodes, bytes) = size(&node);
            self.grow(nodes, bytes, line)?;
            self.anchors.insert(anchor, node.clone());
        }
        // If two values have the same name, Envoy takes one, which may not be the one that is examined here.
        if let Some(Open { node: Node { value: Value::Map(_), .. }, key: None, keys, .. }) = self.open.last_mut() {
            if !matches!(node.value, Value::Scalar { .. }) {
                return Err(self.wrong(line, "the name of a field is a list or a map".into()));
            }
            if !keys.insert(node.text().to_owned()) {
                return Err(self.wrong(line, format!("`{}` occurs twice here", node.text())));
            }
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { node: Node { value: Value::List(items), .. }, .. }) => items.push(node),
            Some(Open { node: Node { value: Value::Map(fields), .. }, key, .. }) => match key.take() {
                None => *key = Some(node),
                Some(mut name) => {
                    if node.end.0 == name.line && (node.is_one_line || matches!(node.value, Value::Scalar { .. })) {
                        name.end = node.end;
                    }
                    fields.push((name, node));
                }
            },
            Some(Open { node: Node { value: Value::Scalar { .. }, .. }, .. }) => {}
        }
        Ok(())
    }
}

/// Returns the number of characters with which a text is written in quotes; `None` if that is not certain, or if it has
/// no quotes.
fn written(text: &str, style: ScalarStyle) -> Option<usize> {
    let escapes = match style {
        ScalarStyle::SingleQuoted => text.matches('\'').count(),
        ScalarStyle::DoubleQuoted if !text.contains(|c: char| c.is_control() || "\"\\".contains(c)) => 0,
        _ => return None,
    };
    Some(text.chars().count() + escapes + 2)
}

/// Returns the number of values in a node, and the total length of their texts.
fn size(node: &Node) -> (usize, usize) {
    let fields = node.fields().iter().flat_map(|(key, value)| [key, value]);
    let inside = node.items().iter().chain(fields).map(size);
    inside.fold((1, node.text().len()), |(nodes, bytes), (more, longer)| (nodes + more, bytes + longer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Texts;

    fn read_text(text: &str) -> Result<Yaml, Box<Diagnostic>> {
        read(Path::new("envoy.yaml"), &Texts::new(&[("envoy.yaml", text)]))
    }

    #[test]
    fn values_have_their_places_and_aliases_those_of_their_use() {
        let yaml = read_text("\u{feff}a: &x { bC: 1s }\r\nd:\r\n- e: \"true\"\r\n- *x\r\n").unwrap();
        let (key, value) = yaml.root.path(&["a", "b_c"]).unwrap();
        assert_eq!((key.line, value.text()), (1, "1s"));
        let items = yaml.root.get("d").unwrap().items();
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [3, 4]);
        assert!(yaml.root.get("a").unwrap().is_flow && !items[0].is_flow);
        assert_eq!(yaml.said(&items[0]).text, "- e: \"true\"");
    }

    #[test]
    fn a_place_ends_with_the_value_or_the_first_entry() {
        let text = "\u{feff}a: 'b' # c\nd:\n- e: \"\u{fc}\"\n  f: 1\ng: {h: i, j: k}\nl: [m,\n  n]\no: |\n  p\nq: r\n  s\nt:\nu: v  # w\nx: &x \"it's\"\ny: *x # z\nz: 'it''s' # 'z'";
        let yaml = read_text(text).unwrap();
        let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
        let marked = |node: &Node| {
            let Place { line, column, end_line, end_column, .. } = yaml.said(node).place;
            assert_eq!(line, end_line, "{node:?}");
            lines[line - 1].chars().skip(column - 1).take(end_column - column).collect::<String>()
        };
        let names: Vec<String> = yaml.root.fields().iter().map(|(name, _)| marked(name)).collect();
        assert_eq!(
            names,
            ["a: 'b'", "d", "g: {h: i, j: k}", "l", "o", "q", "t", "u: v", "x: &x \"it's\"", "y: *x", "z: 'it''s'"]
        );
        let item = &yaml.root.get("d").unwrap().items()[0];
        assert_eq!((marked(item), marked(&item.fields()[1].0)), ("e: \"\u{fc}\"".into(), "f: 1".into()));
        assert_eq!(marked(yaml.root.get("l").unwrap()), "[m");
    }

    #[test]
    fn what_is_no_yaml_or_grows_without_end_has_its_place() {
        let error = read_text("a: b\nc: [\n").err().unwrap();
        assert!(error.line >= 2, "{error}");
        let laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                      d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
        let error = read_text(laughs).err().unwrap();
        assert!(error.message.contains("values"), "{error}");
        assert!(read_text("").is_err());
    }
}
