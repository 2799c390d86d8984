//! The primitive types of DER that these protocols use and that have an equivalent in Rust.

use super::{Tag, tag};

/// A type that DER encodes as one primitive value, so the contents alone determine the value.
pub trait Primitive<'a>: Sized {
    /// The tag of the type's values.
    const TAG: Tag;

    /// Reads a value from its contents, without tag and length.
    ///
    /// # Errors
    /// The contents are not a value of the type. The error says what is wrong with them.
    fn parse(contents: &'a [u8]) -> Result<Self, &'static str>;
}

/// An INTEGER of up to 64 bits.
impl Primitive<'_> for i64 {
    const TAG: Tag = tag::INTEGER;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        match *contents {
            [first, second, ..] if (first == 0 && second < 0x80) || (first == 0xFF && second >= 0x80) => {
                Err("an integer in more bytes than needed")
            }
            [first, ..] if contents.len() <= 8 => {
                let sign = if first >= 0x80 { -1 } else { 0 };
                Ok(contents.iter().fold(sign, |value, byte| value << 8 | Self::from(*byte)))
            }
            _ => Err("an integer of no bytes, or more than 8"),
        }
    }
}

/// A signed 32-bit INTEGER.
impl Primitive<'_> for i32 {
    const TAG: Tag = tag::INTEGER;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        Self::try_from(i64::parse(contents)?).map_err(|_| OUTSIDE)
    }
}

/// An unsigned 32-bit INTEGER. A negative number is read as its two's complement, because some implementations encode
/// sequence numbers and nonces in this way.
impl Primitive<'_> for u32 {
    const TAG: Tag = tag::INTEGER;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        let value = i64::parse(contents)?;
        Self::try_from(value).or_else(|_| i32::try_from(value).map(i32::cast_unsigned)).map_err(|_| OUTSIDE)
    }
}

const OUTSIDE: &str = "an integer outside of 32 bits";

/// An OCTET STRING of any length.
impl<'a> Primitive<'a> for &'a [u8] {
    const TAG: Tag = tag::OCTET_STRING;

    #[inline]
    fn parse(contents: &'a [u8]) -> Result<Self, &'static str> {
        Ok(contents)
    }
}

/// A GeneralString, read as UTF-8, because Windows and MIT write UTF-8 into it.
impl<'a> Primitive<'a> for &'a str {
    const TAG: Tag = tag::GENERAL_STRING;

    #[inline]
    fn parse(contents: &'a [u8]) -> Result<Self, &'static str> {
        str::from_utf8(contents).map_err(|_| "a string that is not UTF-8")
    }
}
