//! Determines the end of a message's body (RFC 9112 6.3).

use crate::fields::{Fields, Lookup};
use crate::head::{RequestHead, ResponseHead, Version};

/// The way in which a message marks the end of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The body has this many bytes; 0 if there is no body.
    Length(u64),
    /// The body comes in chunks, of which the last one is empty.
    Chunked,
    /// The body ends with the connection. Only an answer can have such a body.
    UntilClose,
}

/// The reason why the end of a body cannot be determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// `Content-Length` is not a number, or has several values.
    #[error("the Content-Length field is not one valid number")]
    Length,
    /// The end of the body is ambiguous: a request has both `Content-Length` and `Transfer-Encoding`, the last of its
    /// codings is not `chunked`, or HTTP/1.0 has any coding. The recipient of such a request may read a different body
    /// from the one that the sender intended.
    #[error(
        "the end of the body is ambiguous: its Content-Length, its Transfer-Encoding and the HTTP version contradict one another"
    )]
    Ambiguous,
    /// The message has a transfer coding that is not supported.
    #[error("the message has an unknown transfer coding")]
    Coding,
}

impl Framing {
    /// Returns the framing of a request.
    ///
    /// # Errors
    /// [`FramingError`]. A server answers 501 to [`FramingError::Coding`] (RFC 9112 6.1) and 400 to the others (6.3), and
    /// closes the connection, since it does not know where the next request begins.
    pub fn of_request(head: &RequestHead) -> Result<Self, FramingError> {
        let fields = head.fields();
        let length = length(fields)?;
        match codings(fields) {
            Codings::None => Ok(Self::Length(length.unwrap_or(0))),
            _ if length.is_some() || head.version() == Version::Http10 => Err(FramingError::Ambiguous),
            Codings::Chunked => Ok(Self::Chunked),
            Codings::NotChunkedLast => Err(FramingError::Ambiguous),
            Codings::Unknown => Err(FramingError::Coding),
        }
    }

    /// Returns the framing of an answer. `head_only` says whether the request had the method HEAD.
    ///
    /// # Errors
    /// [`FramingError::Length`] and [`FramingError::Coding`].
    pub fn of_response(head: &ResponseHead, head_only: bool) -> Result<Self, FramingError> {
        let fields = head.fields();
        if head_only || matches!(head.status(), 100..200 | 204 | 304) {
            return Ok(Self::Length(0));
        }
        match codings(fields) {
            Codings::None => Ok(length(fields)?.map_or(Self::UntilClose, Self::Length)),
            Codings::Chunked => Ok(Self::Chunked),
            Codings::NotChunkedLast => Ok(Self::UntilClose),
            Codings::Unknown => Err(FramingError::Coding),
        }
    }

    /// Returns whether there is no body.
    pub fn is_empty(self) -> bool {
        self == Self::Length(0)
    }
}

/// Reads `Content-Length`. The same number may be stated more than once (RFC 9110 8.6).
fn length(fields: &Fields) -> Result<Option<u64>, FramingError> {
    let mut length = None;
    for stated in fields.all("Content-Length").flat_map(|value| value.split(|&byte| byte == b',')) {
        let stated = number(stated.trim_ascii()).ok_or(FramingError::Length)?;
        if length.replace(stated).is_some_and(|before| before != stated) {
            return Err(FramingError::Length);
        }
    }
    Ok(length)
}

/// Reads a number of decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The transfer codings of a message.
enum Codings {
    None,
    /// `chunked` alone.
    Chunked,
    /// The codings are known, but `chunked` is not the last, or not the only one.
    NotChunkedLast,
    /// At least one coding is not known.
    Unknown,
}

fn codings(fields: &Fields) -> Codings {
    let (mut count, mut chunked, mut unknown) = (0, 0, false);
    for coding in fields.all("Transfer-Encoding").flat_map(|value| value.split(|&byte| byte == b',')) {
        count += 1;
        let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        chunked += usize::from(is_chunked);
        unknown |= !is_chunked;
    }
    match (count, chunked) {
        (0, _) => Codings::None,
        (1, 1) => Codings::Chunked,
        _ if unknown => Codings::Unknown,
        _ => Codings::NotChunkedLast,
    }
}
