//! Reading DER.

use std::fmt;

use super::{MAX_DEPTH, Primitive, Tag, tag};

/// Why bytes are not the DER that is due, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct DerError {
    /// Position from the start of the outermost input.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input ends within a value.
    Truncated,
    /// A length without end (X.690 8.1.3.6), which DER forbids.
    Indefinite,
    /// A length in more bytes than it needs (X.690 10.1).
    NonMinimal,
    /// A tag of more than one byte.
    LongTag,
    /// Another tag than the one due.
    Tag {
        /// The tag found.
        got: Tag,
        /// The tag due.
        expected: Tag,
    },
    /// Bytes behind the last field that is known.
    Trailing,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The value is not one of its type, or out of its range.
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

/// In an identifier octet: the tag's number stands in the bytes behind it (X.690 8.1.2.4).
const LONG_TAG: Tag = 0x1F;

/// Reads the values of one constructed value, or of a whole input, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// What is not yet read.
    rest: &'a [u8],
    /// Its position in the outermost input.
    at: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Reads `input` from its start.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, at: 0, depth: MAX_DEPTH }
    }

    /// Whether all was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not yet read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next value's tag, `None` at the end.
    pub fn peek(&self) -> Option<Tag> {
        self.rest.first().copied()
    }

    /// Refuses bytes behind the last value read.
    ///
    /// # Errors
    /// [`Fault::Trailing`].
    pub fn finish(self) -> Result<(), DerError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(Fault::Trailing)) }
    }

    /// An error at the present position.
    pub const fn error(&self, fault: Fault) -> DerError {
        DerError { at: self.at, fault }
    }

    /// The next value whatever it is: its tag and contents.
    pub fn any(&mut self) -> Result<(Tag, &'a [u8]), DerError> {
        let (found, contents) = self.take()?;
        Ok((found, contents.rest))
    }

    /// The next value with its tag and length, as it stands in the input.
    pub fn raw(&mut self) -> Result<&'a [u8], DerError> {
        let before = self.rest;
        self.take()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// The contents of the next value, which must have the tag `expected`.
    #[inline]
    pub fn value(&mut self, expected: Tag) -> Result<&'a [u8], DerError> {
        self.check(expected)?;
        Ok(self.any()?.1)
    }

    /// A reader of the next value's contents; the value must have the tag `expected`.
    #[inline]
    pub fn nested(&mut self, expected: Tag) -> Result<Self, DerError> {
        self.check(expected)?;
        let depth = self.depth.checked_sub(1).ok_or(self.error(Fault::TooDeep))?;
        Ok(Self { depth, ..self.take()?.1 })
    }

    /// As [`Self::nested`], if the next value has that tag; else nothing is read.
    pub fn nested_if(&mut self, expected: Tag) -> Result<Option<Self>, DerError> {
        if self.peek() == Some(expected) { self.nested(expected).map(Some) } else { Ok(None) }
    }

    /// The field `[number]`, explicitly tagged, which holds one value that `read` takes.
    #[inline]
    pub fn field<T>(&mut self, number: u8, read: impl FnOnce(&mut Self) -> Result<T, DerError>) -> Result<T, DerError> {
        let mut inner = self.nested(tag::context(number))?;
        let value = read(&mut inner)?;
        inner.finish()?;
        Ok(value)
    }

    /// As [`Self::field`] for an optional field.
    #[inline]
    pub fn field_if<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&mut Self) -> Result<T, DerError>,
    ) -> Result<Option<T>, DerError> {
        if self.peek() == Some(tag::context(number)) { self.field(number, read).map(Some) } else { Ok(None) }
    }

    /// Skips the optional field `[number]` whatever it holds.
    pub fn skip_field(&mut self, number: u8) -> Result<(), DerError> {
        if self.peek() == Some(tag::context(number)) {
            self.any()?;
        }
        Ok(())
    }

    /// A SEQUENCE OF at most `limit` values that `each` reads.
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

    /// The next value, which must be of the type `P`.
    #[inline]
    pub fn primitive<P: Primitive<'a>>(&mut self) -> Result<P, DerError> {
        let at = self.at;
        P::parse(self.value(P::TAG)?).map_err(|what| DerError { at, fault: Fault::Value(what) })
    }

    /// The field `[number]`, explicitly tagged, which holds one value of the type `P`: as [`Self::field`] with
    /// [`Self::primitive`], and faster, for most fields of Kerberos are these.
    #[inline]
    pub fn primitive_field<P: Primitive<'a>>(&mut self, number: u8) -> Result<P, DerError> {
        // As most are: both lengths short, the one agreeing with the other, all there.
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

    /// As [`Self::primitive_field`] for an optional field.
    #[inline]
    pub fn primitive_field_if<P: Primitive<'a>>(&mut self, number: u8) -> Result<Option<P>, DerError> {
        if self.peek() == Some(tag::context(number)) { self.primitive_field(number).map(Some) } else { Ok(None) }
    }

    /// An INTEGER of up to 64 bits.
    pub fn integer(&mut self) -> Result<i64, DerError> {
        self.primitive()
    }

    /// An INTEGER of 32 bits with a sign.
    pub fn int32(&mut self) -> Result<i32, DerError> {
        self.primitive()
    }

    /// An INTEGER of 32 bits without a sign. A negative one stands for its two's complement: some
    /// implementations encode sequence numbers and nonces so.
    pub fn uint32(&mut self) -> Result<u32, DerError> {
        self.primitive()
    }

    /// An OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], DerError> {
        self.primitive()
    }

    /// A GeneralString, read as UTF-8: that is what Windows and MIT put into it.
    pub fn string(&mut self) -> Result<&'a str, DerError> {
        self.primitive()
    }

    /// A BIT STRING of flags: its first 32 bits, the first of them highest; absent ones are 0.
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

    /// The next value's tag, and a reader of its contents.
    #[inline]
    fn take(&mut self) -> Result<(Tag, Self), DerError> {
        // As most are: a short length, all there.
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

    /// As [`Self::take`], for lengths of several bytes and for errors.
    #[inline(never)]
    fn take_long(&mut self) -> Result<(Tag, Self), DerError> {
        let (found, bytes, length, rest) = match *self.rest {
            [found, ..] if found & LONG_TAG == LONG_TAG => return Err(self.error(Fault::LongTag)),
            [_, 0x80, ..] => return Err(self.error(Fault::Indefinite)),
            // Short, and beyond the input.
            [_, 0..0x80, ..] => return Err(self.error(Fault::Truncated)),
            // As those of tickets and what holds them.
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

    /// A length in `bytes` bytes of its own (X.690 8.1.3.5), as few as can be.
    fn long_length(&self, bytes: usize, rest: &[u8]) -> Result<(usize, usize), DerError> {
        let digits = rest.get(..bytes).ok_or(self.error(Fault::Truncated))?;
        if digits[0] == 0 || (bytes == 1 && digits[0] < 0x80) {
            return Err(self.error(Fault::NonMinimal));
        }
        // No input is as long as a length of more than 4 bytes says.
        if bytes > 4 {
            return Err(self.error(Fault::Truncated));
        }
        Ok((bytes, digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))))
    }
}
