//! HTTP/1.1 messages as clients and servers exchange them (RFC 9110, RFC 9112).
//!
//! The pure part consists of [`head`] (reads the heads of requests and answers), [`fields`] (their header fields),
//! [`framing`] (where the body of a message ends), [`body`] (takes a body out of its framing), and [`mod@write`]
//! (writes messages). Each of them works on the bytes that have arrived, in whatever parts, and reports when it needs
//! more.
//!
//! ```
//! use stickler_http1::framing::Framing;
//! use stickler_http1::head::{HeadLimits, RequestHead};
//!
//! let limits = HeadLimits { length: 16 * 1024, fields: 100 };
//! let bytes = b"POST /form HTTP/1.1\r\nHost: app.corp.example\r\nContent-Length: 5\r\n\r\nhello";
//!
//! let mut head = RequestHead::default();
//! assert_eq!(head.parse(&bytes[..20], limits), Ok(None));      // more bytes are needed
//! let length = head.parse(bytes, limits).unwrap().unwrap();
//! assert_eq!((head.method(), head.path()), ("POST", "/form"));
//! assert_eq!(Framing::of_request(&head), Ok(Framing::Length(5)));
//! assert_eq!(&bytes[length..], b"hello");
//! ```
//!
//! [`wire`] reads from and writes to a stream, through buffers that the messages of a connection share.
//!
//! The library of the balancer's data plane is hyper. The servers and clients around it use this codec because a
//! library decides on its own when it says `100 Continue`, whether it answers before it has the whole request, and what
//! happens to the rest. That is behaviour of IIS and of user agents that a balancer must cope with.

pub mod body;
pub mod fields;
pub mod framing;
pub mod head;
pub mod wire;
pub mod write;

pub use body::{BodyDecoder, BodyError};
pub use fields::{Fields, Lookup};
pub use framing::{Framing, FramingError};
pub use head::{HeadError, HeadLimits, RequestHead, ResponseHead, Version};
pub use wire::{Progress, ReadError, Wire};
