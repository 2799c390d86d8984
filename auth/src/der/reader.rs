//! The reader of DER.

use std::fmt;

use super::{MAX_DEPTH, Primitive, Tag, tag};

/// The reason why bytes are not the expected DER, and the position of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct DerError {
    /// The position of the fault, in bytes from the start of the outermost input.
    pub at: usize,
    /// The fault at this position.
    pub fault: Fault,
}

/// A fault in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input ends within a value.
    Truncated,
    /// A value has an indefinite length (X.690 8.1.3.6), which DER forbids.
    Indefinite,
    /// A length takes more bytes than it needs (X.690 10.1).
    NonMinimal,
    /// A tag has more than one byte.
    LongTag,
    /// The tag of a value is not the expected one.
    Tag {
        /// The tag that was found.
        got: Tag,
        /// The tag that was expected.
        expected: Tag,
    },
    /// Bytes follow the last known field.
    Trailing,
    /// Values are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A value does not belong to its type, or is out of range.
    Value(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("DER ends within a value"),
            Self::Indefinite => f.write_str("DER with an indefinite length"),
            Self::NonMinimal => f.write_str("DER with a length in more bytes than needed"),
            Self::LongTag => f.write_str("DER with a tag of several bytes"),
            Self::Tag { got, expected } => write!(f, "DER tag 0x{got:02X} in place of 0x{expected:02X}"),
            Self::Trailing => f.write_str("DER with bytes behind its end"),
            Self::TooDeep => write!(f, "DER nested deeper than {MAX_DEPTH}"),
            Self::Value(what) => write!(f, "DER with a wrong value: {what}"),
        }
    }
}

/// The low bits of an identifier octet whose tag number is in the following bytes (X.690 8.1.2.4).
const LONG_TAG: Tag = 0x1F;

/// Reads the values of one constructed value, or of a whole input, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The bytes that are not yet read.
    rest: &'a [u8],
    /// The position of `rest` in the outermost input, in bytes.
    at: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Reads `input` from its start.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, at: 0, depth: MAX_DEPTH }
    }

    /// Returns whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the bytes that are not yet read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the tag of the next value without reading it, or `None` at the end.
    pub fn peek(&self) -> Option<Tag> {
        self.rest.first().copied()
    }

    /// Finishes reading, and refuses bytes after the last value that was read.
    ///
    /// # Errors
    /// [`Fault::Trailing`].
    pub fn finish(self) -> Result<(), DerError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(Fault::Trailing)) }
    }

    /// Returns an error at the current position.
    pub const fn error(&self, fault: Fault) -> DerError {
        DerError { at: self.at, fault }
    }

    /// Reads the next value of any type, and returns its tag and contents.
    pub fn any(&mut self) -> Result<(Tag, &'a [u8]), DerError> {
        let (found, contents) = self.take()?;
        Ok((found, contents.rest))
    }

    /// Reads the next value, and returns its bytes in the input, including the tag and the length.
    pub fn raw(&mut self) -> Result<&'a [u8], DerError> {
        let before = self.rest;
        self.take()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// Reads the contents of the next value, which must have the tag `expected`.
    #[inline]
    pub fn value(&mut self, expected: Tag) -> Result<&'a [u8], DerError> {
        self.check(expected)?;
        Ok(self.any()?.1)
    }

    /// Returns a reader of the next value's contents. The value must have the tag `expected`.
    #[inline]
    pub fn nested(&mut self, expected: Tag) -> Result<Self, DerError> {
        self.check(expected)?;
        let depth = self.depth.checked_sub(1).ok_or(self.error(Fault::TooDeep))?;
        Ok(Self { depth, ..self.take()?.1 })
    }

    /// Does the same as [`Self::nested`] if the next value has that tag. Otherwise, reads nothing and returns `None`.
    pub fn nested_if(&mut self, expected: Tag) -> Result<Option<Self>, DerError> {
        if self.peek() == Some(expected) { self.nested(expected).map(Some) } else { Ok(None) }
    }

    /// Reads the explicitly tagged field `[number]`. `read` reads the one value that it holds.
    #[inline]
    pub fn field<T>(&mut self, number: u8, read: impl FnOnce(&mut Self) -> Result<T, DerError>) -> Result<T, DerError> {
        let mut inner = self.nested(tag::context(number))?;
        let value = read(&mut inner)?;
        inner.finish()?;
        Ok(value)
    }

    /// Does the same as [`Self::field`] for an optional field.
    #[inline]
    pub fn field_if<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&mut Self) -> Result<T, DerError>,
    ) -> Result<Option<T>, DerError> {
        if self.peek() == Some(tag::context(number)) { self.field(number, read).map(Some) } else { Ok(None) }
    }

    /// Skips the optional field `[number]` with any contents.
    pub fn skip_field(&mut self, number: u8) -> Result<(), DerError> {
        if self.peek() == Some(tag::context(number)) {
            self.any()?;
        }
        Ok(())
    }

    /// Reads a SEQUENCE OF at most `limit` values, each of which `each` reads.
    pub fn list<T>(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, DerError>,
    ) -> Result<Vec<T>, DerError> {
        let mut inner = self.nested(tag::SEQUENCE)?;
        let mut values = Vec::new();
        while !inner.is_empty() {
            if values.len() == limit {
                return Err(inner.error(Fault::Value("a list with too many entries")));
            }
            values.push(each(&mut inner)?);
        }
        Ok(values)
    }

    /// Reads the next value, which must be of the type `P`.
    #[inline]
    pub fn primitive<P: Primitive<'a>>(&mut self) -> Result<P, DerError> {
        let at = self.at;
        P::parse(self.value(P::TAG)?).map_err(|what| DerError { at, fault: Fault::Value(what) })
    }

    /// Reads the explicitly tagged field `[number]`, which holds one value of the type `P`. The result is that of
    /// [`Self::field`] with [`Self::primitive`]. This method is faster, because most fields of Kerberos are of this
    /// kind.
    #[inline]
    pub fn primitive_field<P: Primitive<'a>>(&mut self, number: u8) -> Result<P, DerError> {
        // This is the usual case: both lengths are short and agree with each other, and the input is complete.
        if let [outer, outer_len, inner, inner_len @ 0..0x7E, rest @ ..] = self.rest
            && (*outer, *inner, *outer_len) == (tag::context(number), P::TAG, inner_len + 2)
            && let Some((contents, rest)) = rest.split_at_checked(usize::from(*inner_len))
            && self.depth > 0
            && let Ok(value) = P::parse(contents)
        {
            (self.rest, self.at) = (rest, self.at + 4 + contents.len());
            return Ok(value);
        }
        self.field(number, Self::primitive)
    }

    /// Does the same as [`Self::primitive_field`] for an optional field.
    #[inline]
    pub fn primitive_field_if<P: Primitive<'a>>(&mut self, number: u8) -> Result<Option<P>, DerError> {
        if self.peek() == Some(tag::context(number)) { self.primitive_field(number).map(Some) } else { Ok(None) }
    }

    /// Reads an INTEGER of up to 64 bits.
    pub fn integer(&mut self) -> Result<i64, DerError> {
        self.primitive()
    }

    /// Reads a signed 32-bit INTEGER.
    pub fn int32(&mut self) -> Result<i32, DerError> {
        self.primitive()
    }

    /// Reads an unsigned 32-bit INTEGER. A negative number is read as its two's complement, because some
    /// implementations encode sequence numbers and nonces in this way.
    pub fn uint32(&mut self) -> Result<u32, DerError> {
        self.primitive()
    }

    /// Reads an OCTET STRING of any length.
    pub fn octets(&mut self) -> Result<&'a [u8], DerError> {
        self.primitive()
    }

    /// Reads a GeneralString as UTF-8, because Windows and MIT write UTF-8 into it.
    pub fn string(&mut self) -> Result<&'a str, DerError> {
        self.primitive()
    }

    /// Reads a BIT STRING of flags. Returns its first 32 bits, of which the first is the highest; absent bits are 0.
    pub fn flags(&mut self) -> Result<u32, DerError> {
        let before = *self;
        match self.value(tag::BIT_STRING)? {
            [unused @ 0..=7, bits @ ..] if *unused == 0 || !bits.is_empty() => {
                let at = |index: usize| bits.get(index).copied().unwrap_or(0);
                let mask =
                    if bits.len() <= 4 { u32::MAX << (*unused + 8 * (4 - bits.len() as u8)).min(31) } else { u32::MAX };
                Ok(u32::from_be_bytes([at(0), at(1), at(2), at(3)]) & mask)
            }
            _ => Err(before.error(Fault::Value("a malformed bit string"))),
        }
    }

    #[inline]
    fn check(&self, expected: Tag) -> Result<(), DerError> {
        match self.peek() {
            Some(got) if got == expected => Ok(()),
            Some(got) => Err(self.error(Fault::Tag { got, expected })),
            None => Err(self.error(Fault::Truncated)),
        }
    }

    /// Reads the next value, and returns its tag and a reader of its contents.
    #[inline]
    fn take(&mut self) -> Result<(Tag, Self), DerError> {
        // This is the usual case: the length is short, and the input is complete.
        if let [found, length @ 0..0x80, rest @ ..] = self.rest
            && found & LONG_TAG != LONG_TAG
            && let Some((contents, rest)) = rest.split_at_checked(usize::from(*length))
        {
            let contents = Self { rest: contents, at: self.at + 2, depth: self.depth };
            (self.rest, self.at) = (rest, contents.at + contents.rest.len());
            return Ok((*found, contents));
        }
        self.take_long()
    }

    /// Does the same as [`Self::take`] for lengths of several bytes and for errors.
    #[inline(never)]
    fn take_long(&mut self) -> Result<(Tag, Self), DerError> {
        let (found, bytes, length, rest) = match *self.rest {
            [found, ..] if found & LONG_TAG == LONG_TAG => return Err(self.error(Fault::LongTag)),
            [_, 0x80, ..] => return Err(self.error(Fault::Indefinite)),
            // The length is short, and exceeds the input.
            [_, 0..0x80, ..] => return Err(self.error(Fault::Truncated)),
            // Tickets, and the values that contain them, have lengths of this form.
            [found, 0x81, length @ 0x80..=0xFF, ref rest @ ..] => (found, 1, usize::from(length), rest),
            [found, 0x82, high @ 1..=0xFF, low, ref rest @ ..] => {
                (found, 2, usize::from(u16::from_be_bytes([high, low])), rest)
            }
            [found, length, ref rest @ ..] => {
                let (bytes, length) = self.long_length(usize::from(length & 0x7F), rest)?;
                (found, bytes, length, &rest[bytes..])
            }
            _ => return Err(self.error(Fault::Truncated)),
        };
        let (contents, rest) = rest.split_at_checked(length).ok_or(self.error(Fault::Truncated))?;
        let contents = Self { rest: contents, at: self.at + 2 + bytes, depth: self.depth };
        (self.rest, self.at) = (rest, contents.at + length);
        Ok((found, contents))
    }

    /// Reads a length that is encoded in `bytes` further bytes (X.690 8.1.3.5) and needs all of them.
    fn long_length(&self, bytes: usize, rest: &[u8]) -> Result<(usize, usize), DerError> {
        let digits = rest.get(..bytes).ok_or(self.error(Fault::Truncated))?;
        if digits[0] == 0 || (bytes == 1 && digits[0] < 0x80) {
            return Err(self.error(Fault::NonMinimal));
        }
        // No input is so long that its length needs more than 4 bytes.
        if bytes > 4 {
            return Err(self.error(Fault::Truncated));
        }
        Ok((bytes, digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))))
    }
}
