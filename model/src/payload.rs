//! Request and response bodies that are described by a recipe, so that a trace contains the recipe and not the bytes.

use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use crate::text::from_text;

/// The number of bytes after which the pattern of [`Payload::Bytes`] repeats itself.
const PERIOD: u64 = 251;

/// The content of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// The body is empty.
    #[default]
    Empty,
    /// The body is this text, in UTF-8.
    Text(String),
    /// The body has this many bytes of a fixed pattern ([`Payload::pattern`]).
    Bytes(u64),
}

impl Payload {
    /// Returns the length of the body in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Text(text) => text.len() as u64,
            Self::Bytes(length) => *length,
        }
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes from `offset` on, at most `limit` of them. The result is empty at the end of the body.
    pub fn chunk(&self, offset: u64, limit: usize) -> Vec<u8> {
        let count = self.len().saturating_sub(offset).min(limit as u64);
        match self {
            Self::Empty => Vec::new(),
            Self::Text(text) => text.as_bytes()[offset as usize..(offset + count) as usize].to_vec(),
            Self::Bytes(_) => Self::repeated(offset, count as usize),
        }
    }

    /// Returns `count` bytes of the pattern from `offset` on.
    fn repeated(offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        bytes.extend((offset..offset + count.min(PERIOD as usize) as u64).map(Self::pattern));
        // The length is a whole number of periods until the last round, so the next byte is always the first byte of the pattern.
        while bytes.len() < count {
            bytes.extend_from_within(..bytes.len().min(count - bytes.len()));
        }
        bytes
    }

    /// Returns the byte at `offset` of every [`Payload::Bytes`]. The pattern's period of 251 is prime, so the digest
    /// reveals a block that was lost, duplicated or moved.
    pub fn pattern(offset: u64) -> u8 {
        (offset % PERIOD) as u8
    }

    /// Returns the digest of the whole body.
    pub fn digest(&self) -> Digest {
        let mut hasher = BodyHasher::default();
        let mut offset = 0;
        while offset < self.len() {
            let chunk = self.chunk(offset, 64 * 1024);
            offset += chunk.len() as u64;
            hasher.update(&chunk);
        }
        hasher.finish().1
    }
}

/// The XXH64 of a body with seed 0, in hexadecimal, as `xxhsum -H64` prints it. It distinguishes bodies, but does not
/// protect them from forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The digest of the empty body.
    pub const EMPTY: Self = Self(0xef46_db37_51d8_e999);
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a digest of 16 hexadecimal digits", |text| {
            u64::from_str_radix(text, 16).ok().map(Self)
        })
    }
}

/// Computes the digest of a body that arrives in parts.
#[derive(Debug, Clone)]
pub struct BodyHasher {
    length: u64,
    hasher: XxHash64,
}

impl Default for BodyHasher {
    fn default() -> Self {
        Self { length: 0, hasher: XxHash64::with_seed(0) }
    }
}

impl BodyHasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hasher.write(bytes);
    }

    /// Returns the length in bytes and the digest.
    pub fn finish(&self) -> (u64, Digest) {
        (self.length, Digest(self.hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_constant() {
        assert_eq!(BodyHasher::default().finish(), (0, Digest::EMPTY));
        assert_eq!(Payload::Empty.digest(), Digest::EMPTY);
    }

    #[test]
    fn a_digest_is_what_xxhsum_prints() {
        // printf abc | xxhsum -H64
        assert_eq!(Payload::Text("abc".into()).digest().to_string(), "44bc2cf5ad770999");
    }

    #[test]
    fn chunks_join_to_the_whole() {
        let payload = Payload::Bytes(1_000);
        let joined: Vec<u8> = [payload.chunk(0, 300), payload.chunk(300, 700), payload.chunk(1_000, 9)].concat();
        assert_eq!(joined, payload.chunk(0, 5_000));
        assert!((0..).zip(&joined).all(|(offset, &byte)| byte == Payload::pattern(offset)));
        assert_eq!(Payload::Text("abc".into()).chunk(1, 9), b"bc");
    }
}
