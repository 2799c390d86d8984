//! A small bounded reader and writer of DER (X.690 10), for SPNEGO, GSS framing and Kerberos.
//!
//! | module | holds |
//! |---|---|
//! | [`Reader`] | reads tags, definite lengths and the few types that those protocols use |
//! | [`Primitive`] | the types among them for which Rust has a type |
//! | [`Writer`] | writes them |
//!
//! The reader borrows its input, allocates nothing, and goes no deeper than [`MAX_DEPTH`]. It refuses input that DER
//! forbids and that a hostile peer may send: indefinite and non-minimal lengths, lengths beyond the input, and tags of
//! several bytes.

mod primitive;
mod reader;
mod writer;

pub use primitive::Primitive;
pub use reader::{DerError, Fault, Reader};
pub use writer::Writer;

/// The deepest nesting of constructed values that is read. Kerberos and SPNEGO need 10 levels.
pub const MAX_DEPTH: u8 = 16;

/// An identifier octet (X.690 8.1.2): class, constructed bit and a number below 31.
pub type Tag = u8;

/// Universal tags (X.680 8.4).
pub mod tag {
    use super::Tag;

    /// The tag of a BOOLEAN.
    pub const BOOLEAN: Tag = 0x01;
    /// The tag of an INTEGER.
    pub const INTEGER: Tag = 0x02;
    /// The tag of a BIT STRING.
    pub const BIT_STRING: Tag = 0x03;
    /// The tag of an OCTET STRING.
    pub const OCTET_STRING: Tag = 0x04;
    /// The tag of an OBJECT IDENTIFIER.
    pub const OBJECT_IDENTIFIER: Tag = 0x06;
    /// The tag of an ENUMERATED value.
    pub const ENUMERATED: Tag = 0x0A;
    /// The tag of a GeneralizedTime.
    pub const GENERALIZED_TIME: Tag = 0x18;
    /// The tag of a GeneralString.
    pub const GENERAL_STRING: Tag = 0x1B;
    /// The tag of a SEQUENCE or a SEQUENCE OF.
    pub const SEQUENCE: Tag = 0x30;

    /// Returns the constructed application tag `number`, below 31.
    pub const fn application(number: u8) -> Tag {
        0x60 | number
    }

    /// Returns the constructed context-specific tag `number`, below 31.
    pub const fn context(number: u8) -> Tag {
        0xA0 | number
    }
}
