//! The writer of DER.

use super::{Tag, tag};

/// Writes values one after the other. A closure writes the contents of a constructed value.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Returns the bytes that `write` writes.
    pub fn encode(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self { out: Vec::with_capacity(256) };
        write(&mut writer);
        writer.out
    }

    /// Writes bytes that are already DER or need no tag.
    pub fn raw(&mut self, der: &[u8]) {
        self.out.extend_from_slice(der);
    }

    /// Writes a value with the given tag and contents.
    pub fn value(&mut self, tag: Tag, contents: &[u8]) {
        self.out.push(tag);
        let (digits, skip) = length(contents.len());
        self.raw(&digits[skip..]);
        self.raw(contents);
    }

    /// Writes a constructed value whose contents `write` writes.
    pub fn nested(&mut self, tag: Tag, write: impl FnOnce(&mut Self)) {
        self.out.push(tag);
        let start = self.out.len();
        self.out.push(0);
        write(self);
        // The length is known only now. Most lengths are short, and fit into the byte that was reserved.
        match self.out.len() - start - 1 {
            short @ 0..0x80 => self.out[start] = short as u8,
            long => {
                let (digits, skip) = length(long);
                let end = self.out.len();
                // One byte is already reserved for the length.
                self.raw(&digits[skip + 1..]);
                self.out.copy_within(start + 1..end, start + digits.len() - skip);
                self.out[start..][..digits.len() - skip].copy_from_slice(&digits[skip..]);
            }
        }
    }

    /// Writes a SEQUENCE whose contents `write` writes.
    pub fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, write);
    }

    /// Writes the explicitly tagged field `[number]`.
    pub fn field(&mut self, number: u8, write: impl FnOnce(&mut Self)) {
        self.nested(tag::context(number), write);
    }

    /// Writes the field `[number]` if there is a value for it.
    pub fn field_if<T>(&mut self, number: u8, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        if let Some(value) = value {
            self.field(number, |w| write(w, value));
        }
    }

    /// Writes an INTEGER in as few bytes as possible.
    pub fn integer(&mut self, value: i64) {
        let bytes = value.to_be_bytes();
        let redundant = |at: &usize| {
            let fill = if value < 0 { 0xFF } else { 0 };
            bytes[*at] == fill && (bytes[*at + 1] ^ fill) < 0x80
        };
        let skip = (0..7).take_while(redundant).count();
        self.value(tag::INTEGER, &bytes[skip..]);
    }

    /// Writes an OCTET STRING with these bytes.
    pub fn octets(&mut self, bytes: &[u8]) {
        self.value(tag::OCTET_STRING, bytes);
    }

    /// Writes a BIT STRING of 32 flags, the highest bit first.
    pub fn flags(&mut self, flags: u32) {
        let [a, b, c, d] = flags.to_be_bytes();
        self.value(tag::BIT_STRING, &[0, a, b, c, d]);
    }

    /// Writes a GeneralString with this text.
    pub fn string(&mut self, text: &str) {
        self.value(tag::GENERAL_STRING, text.as_bytes());
    }
}

/// Returns a length in the form of DER, which consists of the bytes from the returned index on.
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
