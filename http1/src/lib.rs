//! HTTP/1.1 messages as clients and servers exchange them (RFC 9110, RFC 9112).
//!
//! The pure part consists of [`head`] (reads the heads of requests and answers), [`fields`] (their header fields),
//! [`framing`] (the end of a message's body), [`body`] (extracts a body from its framing), and [`mod@write`] (writes
//! messages). The readers work on the bytes that have arrived, divided into any parts, and report when they need more.
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
//! The balancer's data plane uses the library hyper. The servers and clients use this codec instead. A library itself
//! decides when it sends `100 Continue`, whether it answers before it has the whole request, and what happens to the
//! rest. A balancer must cope with the behaviour of IIS and of user agents in these respects.

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
