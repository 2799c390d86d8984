//! The text type of rules.

use std::borrow::Cow;

/// The text of a rule: borrowed from the program for rules that are shipped, owned for rules that were read from a
/// file.
pub type Text = Cow<'static, str>;

/// A list in a rule: borrowed or owned, for the same reasons as [`Text`].
pub type List<T> = Cow<'static, [T]>;

/// Returns these texts as a list for a rule.
pub fn texts(texts: &[&'static str]) -> List<Text> {
    texts.iter().map(|&text| Text::Borrowed(text)).collect()
}
