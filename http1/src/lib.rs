//! HTTP/1.1 messages as clients and servers exchange them (RFC 9110, RFC 9112).
//!
//! The pure part consists of [`head`] (reads the heads of requests and answers), [`fields`] (their header fields),
//! [`framing`] (where the body of a message ends), [`body`] (takes a body out of its framing), and [`mod@write`]
//! (writes messages). Each of them works on the bytes that have arrived, in whatever parts, and reports when it needs
//! more.
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
