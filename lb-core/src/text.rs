//! Text in rules.

use std::borrow::Cow;

/// Text in a rule: part of the program for what is shipped, owned for what was read from a file.
pub type Text = Cow<'static, str>;

/// A list in a rule, likewise.
pub type List<T> = Cow<'static, [T]>;

/// Returns these texts as a list for a rule.
pub fn texts(texts: &[&'static str]) -> List<Text> {
    texts.iter().map(|&text| Text::Borrowed(text)).collect()
}
