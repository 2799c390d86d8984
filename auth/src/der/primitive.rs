//! The primitive types that those protocols use, as Rust knows them.

use super::{Tag, tag};

/// A type that stands in DER as one primitive value, so that its contents alone give it.
pub trait Primitive<'a>: Sized {
    /// The tag of its values.
    const TAG: Tag;

    /// The value of these contents.
    ///
    /// # Errors
    /// What is wrong with them.
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

/// An INTEGER of 32 bits with a sign.
impl Primitive<'_> for i32 {
    const TAG: Tag = tag::INTEGER;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        Self::try_from(i64::parse(contents)?).map_err(|_| OUTSIDE)
    }
}

/// An INTEGER of 32 bits without a sign. A negative one stands for its two's complement: some
/// implementations encode sequence numbers and nonces so.
impl Primitive<'_> for u32 {
    const TAG: Tag = tag::INTEGER;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        let value = i64::parse(contents)?;
        Self::try_from(value).or_else(|_| i32::try_from(value).map(i32::cast_unsigned)).map_err(|_| OUTSIDE)
    }
}

const OUTSIDE: &str = "an integer outside of 32 bits";

/// An OCTET STRING.
impl<'a> Primitive<'a> for &'a [u8] {
    const TAG: Tag = tag::OCTET_STRING;

    #[inline]
    fn parse(contents: &'a [u8]) -> Result<Self, &'static str> {
        Ok(contents)
    }
}

/// A GeneralString, read as UTF-8: that is what Windows and MIT put into it.
impl<'a> Primitive<'a> for &'a str {
    const TAG: Tag = tag::GENERAL_STRING;

    #[inline]
    fn parse(contents: &'a [u8]) -> Result<Self, &'static str> {
        str::from_utf8(contents).map_err(|_| "a string that is not UTF-8")
    }
}
