//! A line of a text with a mark under a part of it, drawn by `annotate-snippets`.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use stickler_model::escape;

/// The maximum length of the marked part, in bytes.
const MARKED: usize = 160;

/// The number of characters that are kept before and after the beginning of the marked part when a line alone is drawn.
/// The renderer shows fewer of them, but would examine them all.
const KEPT: usize = 1_000;

/// Returns the line with this number as a snippet, with a mark under these bytes of it. No character of the line or of
/// the label has an effect on a terminal, and the columns are those of the line as it is.
pub fn snippet(
    line: &str,
    number: usize,
    marked: Range<usize>,
    label: Option<&str>,
) -> Snippet<'static, Annotation<'static>> {
    let start = floor_char_boundary(line, marked.start);
    let end = floor_char_boundary(line, marked.end.min(start + MARKED)).max(start);
    let (before, inside) = (plain(&line[..start]), plain(&line[start..end]));
    let (begin, length) = (before.len(), inside.len());
    let mark = AnnotationKind::Primary.span(begin..begin + length);
    let mark = mark.label(label.map(|label| escape::line(label).into_owned()));
    Snippet::source(before + &inside + &plain(&line[end..])).line_start(number).annotation(mark)
}

/// Draws a line without a title, with a mark under this many characters from a column on, which is counted from 1. The
/// result has no end of line at its end.
pub fn drawn(line: &str, (number, column): (usize, usize), width: usize, label: Option<&str>) -> String {
    let skipped = column.saturating_sub(KEPT);
    let kept: String = line.chars().skip(skipped).take(2 * KEPT).collect();
    let byte = |character: usize| kept.char_indices().nth(character).map_or(kept.len(), |(at, _)| at);
    let start = column.saturating_sub(1) - skipped;
    let snippet = snippet(&kept, number, byte(start)..byte(start + width.min(KEPT)), label);
    let text = Renderer::plain().render(&[Group::with_level(Level::ERROR).element(snippet)]);
    text.trim_end().to_owned()
}

/// Replaces each character that a terminal would interpret, except for tabs, by one space.
fn plain(text: &str) -> String {
    let is_harmful = |c: char| c != '\t' && matches!(escape::line(c.encode_utf8(&mut [0; 4])), Cow::Owned(_));
    text.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect()
}

/// Returns the nearest character boundary at or before a byte.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}
