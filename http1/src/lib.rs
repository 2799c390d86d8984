//! HTTP/1.1 messages as clients and servers exchange them (RFC 9110, RFC 9112).
//!
//! Pure: [`head`] (reads the heads of requests and answers), [`fields`] (their header fields), [`framing`] (where the body
//! of a message ends), [`body`] (takes a body out of its framing), [`mod@write`] (the bytes of what is sent). Each of them
//! works on bytes that are there, in whatever parts they have come, and says when it needs more.
//!
//! Shell: [`wire`] reads from and writes to a stream, through buffers that the messages of a connection share.
//!
//! The library of the balancer's data plane is hyper. The servers and clients around it use this codec because a library
//! decides on its own when it says `100 Continue`, whether it answers before it has the whole request, and what becomes
//! of the rest: that is the behaviour of IIS and of user agents that a balancer has to live with.

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
