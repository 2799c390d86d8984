//! Reading a request's body, one chunk at a time.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use stickler_model::payload::{BodyHasher, Digest};
use tokio::time::timeout;

/// What was read of a request's body.
pub(crate) struct Received {
    /// The number of bytes read.
    pub(crate) length: u64,
    /// The digest of the bytes read.
    pub(crate) digest: Digest,
    /// Whether the body was read to its end.
    pub(crate) whole: bool,
}

/// Why a request gets no response: its connection is closed or, over HTTP/2, its stream is reset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("the request's body broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the request's body stalled")]
    Stalled(#[from] tokio::time::error::Elapsed),
    /// hyper resets the stream with the reason that it finds among the error's sources.
    #[error("Windows authentication is for HTTP/1.1")]
    Http1Required(#[source] h2::Error),
}

/// Reads a body of up to `limit` bytes, each part of which may take `patience`.
///
/// The first read makes hyper send `100 Continue` to a client that waits for it (RFC 9110 10.1.1). Nothing is read of a
/// body that announces more than `limit`.
pub(crate) async fn read(body: &mut Incoming, limit: u64, patience: Duration) -> Result<Received, Unanswered> {
    if body.is_end_stream() {
        return Ok(Received { length: 0, digest: Digest::EMPTY, whole: true });
    }
    let mut hasher = BodyHasher::default();
    let mut left = limit;
    let mut whole = body.size_hint().lower() <= limit;
    while whole && let Some(frame) = timeout(patience, body.frame()).await? {
        // Trailers have no meaning here.
        let Ok(data) = frame?.into_data() else { continue };
        match left.checked_sub(data.len() as u64) {
            Some(rest) => left = rest,
            None => whole = false,
        }
        hasher.update(&data);
    }
    let (length, digest) = hasher.finish();
    Ok(Received { length, digest, whole })
}
