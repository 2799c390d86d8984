//! A small bounded reader and writer of DER (X.690 10), for SPNEGO, GSS framing and Kerberos.
//!
//! | module | holds |
//! |---|---|
//! | [`Reader`] | reads tags, definite lengths and the few types that those protocols use |
//! | [`Primitive`] | those of these types that Rust has a type for |
//! | [`Writer`] | writes them |
//!
//! The reader borrows, allocates nothing, and goes no deeper than [`MAX_DEPTH`]. It refuses what DER
//! forbids and a hostile peer may send: indefinite and non-minimal lengths, lengths beyond the input,
//! tags of several bytes.

mod primitive;
mod reader;
mod writer;

pub use primitive::Primitive;
pub use reader::{DerError, Fault, Reader};
pub use writer::Writer;

/// Deepest nesting of constructed values that is read. Kerberos and SPNEGO need 10.
pub const MAX_DEPTH: u8 = 16;

/// An identifier octet (X.690 8.1.2): class, constructed bit and a number below 31.
pub type Tag = u8;

/// Universal tags (X.680 8.4).
pub mod tag {
    use super::Tag;

    /// BOOLEAN.
    pub const BOOLEAN: Tag = 0x01;
    /// INTEGER.
    pub const INTEGER: Tag = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: Tag = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: Tag = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OBJECT_IDENTIFIER: Tag = 0x06;
    /// ENUMERATED.
    pub const ENUMERATED: Tag = 0x0A;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: Tag = 0x18;
    /// GeneralString.
    pub const GENERAL_STRING: Tag = 0x1B;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: Tag = 0x30;

    /// The constructed application tag `number`, below 31.
    pub const fn application(number: u8) -> Tag {
        0x60 | number
    }

    /// The constructed context-specific tag `number`, below 31.
    pub const fn context(number: u8) -> Tag {
        0xA0 | number
    }
}
