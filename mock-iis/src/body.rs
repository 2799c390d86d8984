//! Reading a request's body.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use stickler_http1::ReadError;
use stickler_model::event::Closed;
use stickler_model::payload::{BodyHasher, Digest};
use tokio::time::timeout;

/// The body of a request that is being answered.
pub(crate) trait RequestBody {
    /// Reads the body to its end. Each part may take `patience`. If the client waits for `100 Continue` (RFC 9110
    /// 10.1.1), the first read asks it for the body.
    ///
    /// # Errors
    /// The error is the reason why the request gets no answer.
    async fn read(&mut self, patience: Duration) -> Result<Received, Unanswered>;

    /// Returns the number of bytes of the body that are still to come, as far as it is known. There may be more.
    fn announced(&self) -> u64;

    /// Waits until the client is gone, as far as the server can notice that before the body is read. Returns the way in
    /// which the connection ended.
    async fn gone(&mut self) -> Closed;
}

/// The part of a request's body that the application received.
pub(crate) struct Received {
    /// The number of bytes.
    pub(crate) length: u64,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
}

impl Received {
    /// No bytes, because the request has no body or the application did not ask for it.
    pub(crate) const NOTHING: Self = Self { length: 0, digest: Digest::EMPTY };
}

impl From<BodyHasher> for Received {
    fn from(hasher: BodyHasher) -> Self {
        let (length, digest) = hasher.finish();
        Self { length, digest }
    }
}

/// The reason why a request gets no response from the site. Its connection is closed or, over HTTP/2, its stream is
/// reset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("the request's body broke off: {0}")]
    BrokenOff(#[from] ReadError),
    #[error("the request's body broke off: {0}")]
    Reset(#[from] hyper::Error),
    #[error("the client stopped sending the request's body")]
    Stalled(#[from] tokio::time::error::Elapsed),
    #[error("the client closed its connection")]
    Gone(Closed),
    /// The request must be sent again over HTTP/1.1. hyper resets the stream with the reason that it finds among the
    /// error's sources.
    #[error("Windows authentication works over HTTP/1.1 only")]
    Http1Required(#[source] h2::Error),
}

impl Unanswered {
    /// Returns the way in which the connection of the request ends.
    pub(crate) fn how(&self) -> Closed {
        match self {
            Self::Gone(how) => *how,
            Self::BrokenOff(error) => how(error),
            Self::Reset(_) | Self::Stalled(_) | Self::Http1Required(_) => Closed::Here,
        }
    }
}

/// Returns the way in which a connection ends after this error of a read.
pub(crate) fn how(error: &ReadError) -> Closed {
    match error {
        ReadError::Ended => Closed::ByPeer,
        ReadError::Io(_) => Closed::Broken,
        ReadError::Head(_) | ReadError::Framing(_) | ReadError::Body(_) => Closed::Here,
    }
}

/// Reads the body of an HTTP/2 request. Before the body is read, this implementation cannot notice that the client is
/// gone. hyper drops the request in that case.
impl RequestBody for Incoming {
    async fn read(&mut self, patience: Duration) -> Result<Received, Unanswered> {
        let mut hasher = BodyHasher::default();
        while let Some(frame) = timeout(patience, self.frame()).await? {
            // Trailers have no meaning here.
            let Ok(data) = frame?.into_data() else { continue };
            hasher.update(&data);
        }
        Ok(hasher.into())
    }

    fn announced(&self) -> u64 {
        self.size_hint().lower()
    }

    async fn gone(&mut self) -> Closed {
        std::future::pending().await
    }
}
