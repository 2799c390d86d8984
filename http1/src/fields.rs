//! Header fields, in the order in which they arrived or will be sent.

use http::HeaderMap;

/// A list of header fields. Their text is kept in one buffer, which is reused after [`Fields::clear`].
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pub(crate) text: Vec<u8>,
    pub(crate) spans: Vec<Span>,
}

/// The positions of a field's name and value in the text, each as start and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

/// Header fields that can be looked up by name. The case of letters does not matter.
pub trait Lookup {
    /// Returns each value of the field, in order.
    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]>;

    /// Returns the first value of the field.
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Returns whether a field that is a list of tokens contains this one (RFC 9110 5.6.1). Case does not matter.
    fn lists(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.all(name).flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl Fields {
    /// Adds a field. The caller must ensure that HTTP allows its name and its value. For example, they must not contain
    /// line breaks.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = self.append(name.as_bytes());
        let value = self.append(value.as_ref());
        self.spans.push(Span { name, value });
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Returns the name and the value of each field, in the form in which they arrived.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|span| (self.slice(span.name), self.slice(span.value)))
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        (start, self.text.len() as u32)
    }

    pub(crate) fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.text[start as usize..end as usize]
    }

    /// Returns a part of the text that is known to be ASCII or UTF-8.
    pub(crate) fn str(&self, span: (u32, u32)) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }
}

impl Lookup for Fields {
    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(|(its, _)| its.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

impl Lookup for HeaderMap {
    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(http::HeaderValue::as_bytes)
    }
}
