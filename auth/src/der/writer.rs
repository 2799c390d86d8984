//! Writing DER.

use super::{Tag, tag};

/// Writes values one after the other; a constructed value is a closure that writes its contents.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// The bytes that `write` writes.
    pub fn encode(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self { out: Vec::with_capacity(256) };
        write(&mut writer);
        writer.out
    }

    /// Bytes that are DER already, or need no tag.
    pub fn raw(&mut self, der: &[u8]) {
        self.out.extend_from_slice(der);
    }

    /// A value with these contents.
    pub fn value(&mut self, tag: Tag, contents: &[u8]) {
        self.out.push(tag);
        let (digits, skip) = length(contents.len());
        self.raw(&digits[skip..]);
        self.raw(contents);
    }

    /// A constructed value whose contents `write` writes.
    pub fn nested(&mut self, tag: Tag, write: impl FnOnce(&mut Self)) {
        self.out.push(tag);
        let start = self.out.len();
        self.out.push(0);
        write(self);
        // The length is known last: most are short and fit the byte that was left for them.
        match self.out.len() - start - 1 {
            short @ 0..0x80 => self.out[start] = short as u8,
            long => {
                let (digits, skip) = length(long);
                let end = self.out.len();
                // One of the digits has its place already.
                self.raw(&digits[skip + 1..]);
                self.out.copy_within(start + 1..end, start + digits.len() - skip);
                self.out[start..][..digits.len() - skip].copy_from_slice(&digits[skip..]);
            }
        }
    }

    /// A SEQUENCE whose contents `write` writes.
    pub fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, write);
    }

    /// The field `[number]`, explicitly tagged.
    pub fn field(&mut self, number: u8, write: impl FnOnce(&mut Self)) {
        self.nested(tag::context(number), write);
    }

    /// The field `[number]`, where there is one.
    pub fn field_if<T>(&mut self, number: u8, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        if let Some(value) = value {
            self.field(number, |w| write(w, value));
        }
    }

    /// An INTEGER, in as few bytes as can be.
    pub fn integer(&mut self, value: i64) {
        let bytes = value.to_be_bytes();
        let redundant = |at: &usize| {
            let fill = if value < 0 { 0xFF } else { 0 };
            bytes[*at] == fill && (bytes[*at + 1] ^ fill) < 0x80
        };
        let skip = (0..7).take_while(redundant).count();
        self.value(tag::INTEGER, &bytes[skip..]);
    }

    /// An OCTET STRING.
    pub fn octets(&mut self, bytes: &[u8]) {
        self.value(tag::OCTET_STRING, bytes);
    }

    /// A BIT STRING of 32 flags, the highest bit first.
    pub fn flags(&mut self, flags: u32) {
        let [a, b, c, d] = flags.to_be_bytes();
        self.value(tag::BIT_STRING, &[0, a, b, c, d]);
    }

    /// A GeneralString.
    pub fn string(&mut self, text: &str) {
        self.value(tag::GENERAL_STRING, text.as_bytes());
    }
}

/// A length as DER writes it: the bytes from the given index on.
fn length(length: usize) -> ([u8; 5], usize) {
    let [.., a, b, c, d] = length.to_be_bytes();
    match length {
        0..0x80 => ([0, 0, 0, 0, d], 4),
        0x80..0x100 => ([0, 0, 0, 0x81, d], 3),
        0x100..0x1_0000 => ([0, 0, 0x82, c, d], 2),
        0x1_0000..0x100_0000 => ([0, 0x83, b, c, d], 1),
        _ => ([0x84, a, b, c, d], 0),
    }
}
