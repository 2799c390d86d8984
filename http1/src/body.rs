//! Extracts the body of a message from its framing (RFC 9112 6 and 7).

use bytes::{Buf as _, BytesMut};
use httparse::Status;

use crate::framing::Framing;

/// The maximum length of the line that begins a chunk, with its extensions, in bytes. Extensions are ignored.
const MAX_CHUNK_LINE: usize = 1024;

/// The maximum length of the trailer section, in bytes. Trailers are read and ignored.
const MAX_TRAILERS: usize = 8 * 1024;

/// Extracts one body from its framing.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

/// The next part of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of the body, after which it ends.
    Data(u64),
    /// Bytes of the body until the connection ends.
    UntilClose,
    /// The line that begins a chunk.
    ChunkLine,
    /// This many bytes of a chunk.
    Chunk(u64),
    /// The line break after a chunk.
    ChunkEnd,
    /// A line of the trailer section, of which this many bytes were read.
    Trailers(usize),
    /// Nothing: the body is complete.
    Complete,
}

/// The reason why bytes are not the body that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk does not begin with its length.
    #[error("a chunk of the body does not begin with its length")]
    ChunkLine,
    /// A chunk does not end with a line break at its announced length.
    #[error("a chunk of the body is longer than its declared length")]
    ChunkEnd,
    /// The line that begins a chunk, or the trailer section, is too long.
    #[error("a chunk's first line, or the trailer section, is too long")]
    TooLong,
}

impl BodyDecoder {
    /// Creates the decoder of a body with this framing.
    pub fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::Length(0) => State::Complete,
                Framing::Length(length) => State::Data(length),
                Framing::Chunked => State::ChunkLine,
                Framing::UntilClose => State::UntilClose,
            },
        }
    }

    /// Consumes the bytes of the body that have arrived, passes its content to `data`, and leaves everything after the
    /// body in `input`. Returns whether the body is complete.
    ///
    /// # Errors
    /// The bytes are not the body that was announced.
    pub fn decode(&mut self, input: &mut BytesMut, mut data: impl FnMut(&[u8])) -> Result<bool, BodyError> {
        loop {
            self.state = match self.state {
                State::Complete => return Ok(true),
                _ if input.is_empty() => return Ok(false),
                State::Data(left) => match take(input, left, &mut data) {
                    0 => State::Complete,
                    left => State::Data(left),
                },
                State::UntilClose => {
                    take(input, u64::MAX, &mut data);
                    State::UntilClose
                }
                State::ChunkLine => match chunk_line(input)? {
                    None => return Ok(false),
                    Some(0) => State::Trailers(0),
                    Some(length) => State::Chunk(length),
                },
                State::Chunk(left) => match take(input, left, &mut data) {
                    0 => State::ChunkEnd,
                    left => State::Chunk(left),
                },
                State::ChunkEnd if b"\r\n".starts_with(input) => return Ok(false),
                State::ChunkEnd if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    State::ChunkLine
                }
                State::ChunkEnd => return Err(BodyError::ChunkEnd),
                State::Trailers(read) => match trailer(input, read)? {
                    None => return Ok(false),
                    Some(2) => State::Complete,
                    Some(length) => State::Trailers(read + length),
                },
            };
        }
    }

    /// Returns whether the body is complete.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Records the end of the connection. Returns whether the body is complete now.
    pub fn end(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Complete;
        }
        self.is_complete()
    }

    /// Returns the number of bytes of the body that are still to come, if it is known.
    pub fn announced(&self) -> Option<u64> {
        match self.state {
            State::Data(left) => Some(left),
            State::Complete => Some(0),
            _ => None,
        }
    }
}

/// Consumes up to `left` bytes, and returns the number that remains.
fn take(input: &mut BytesMut, left: u64, data: &mut impl FnMut(&[u8])) -> u64 {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    data(&input[..count]);
    input.advance(count);
    left - count as u64
}

/// Consumes the line that begins a chunk, and returns the chunk's length, or `None` if the line is not complete yet.
fn chunk_line(input: &mut BytesMut) -> Result<Option<u64>, BodyError> {
    let line = &input[..input.len().min(MAX_CHUNK_LINE)];
    match httparse::parse_chunk_size(line) {
        Ok(Status::Complete((length, size))) => {
            input.advance(length);
            Ok(Some(size))
        }
        Ok(Status::Partial) if input.len() < MAX_CHUNK_LINE => Ok(None),
        Ok(Status::Partial) => Err(BodyError::TooLong),
        Err(httparse::InvalidChunkSize) => Err(BodyError::ChunkLine),
    }
}

/// Consumes a line of the trailer section, and returns its length including its line break. The empty line at the end
/// has the length 2.
fn trailer(input: &mut BytesMut, read: usize) -> Result<Option<usize>, BodyError> {
    let left = MAX_TRAILERS - read;
    let line = &input[..input.len().min(left)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(at) => {
            input.advance(at + 2);
            Ok(Some(at + 2))
        }
        None if input.len() < left => Ok(None),
        None => Err(BodyError::TooLong),
    }
}
