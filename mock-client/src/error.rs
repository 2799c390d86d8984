//! The error of a request without an answer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;
use stickler_http1::ReadError;

/// The reason why a request has no answer. The text becomes part of the trace, and includes the causes. Therefore there
/// is no [`Error::source`].
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// HTTP does not allow the request, or the script may not send it. Nothing was sent.
    #[error("{0}")]
    Invalid(InvalidRequest),
    /// The user agent had nothing to send.
    #[error("the user agent sent nothing, so that there is no answer")]
    NothingSent,
    /// No connection could be opened: it was refused or timed out, or its TLS handshake failed.
    #[error("no connection to {target}: {}", describe(error))]
    NoConnection {
        /// The address that the client connected to.
        target: SocketAddr,
        /// The cause.
        error: io::Error,
    },
    /// The connection was closed or reset before an answer came, and sending the request again was not safe.
    #[error("no answer: {}", describe(.0))]
    Lost(Cause),
    /// The answer violates HTTP.
    #[error("the answer is not valid HTTP: {}", describe(.0))]
    Malformed(Cause),
    /// The connection was lost in the middle of the answer's body.
    #[error("the answer broke off after {length} bytes of its body: {}", describe(error))]
    Truncated {
        /// The number of bytes received of the body.
        length: usize,
        /// The cause.
        error: Cause,
    },
    /// The body of an answer in the middle of a handshake is too long to be read and dropped.
    #[error("a page of more than {0} bytes arrived during the handshake")]
    TooLong(usize),
    /// The client closed its connections itself.
    #[error("the client closed its connections")]
    Closed,
    /// The request needed more HTTP requests than this limit.
    #[error("the client gave up after {0} HTTP requests")]
    GaveUp(u32),
    /// The request took longer than this limit.
    #[error("the request timed out after {} s", .0.as_secs_f64())]
    Timeout(Duration),
}

/// The cause of a missing or incomplete answer on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// An error while reading from an HTTP/1.1 connection.
    #[error(transparent)]
    Http1(#[from] ReadError),
    /// An error of the stream over HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// A request that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The method is not a token (RFC 9110 5.6.2).
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// The path is not the path of a URI.
    #[error("`{0}` is not a path: a path begins with `/` and contains no spaces")]
    Path(String),
    /// A header's name is not a token.
    #[error("`{0}` is not the name of a header field")]
    HeaderName(String),
    /// A header is one that the client sets itself.
    #[error("the client itself sets the header `{0}`: send raw bytes to forge it")]
    OwnHeader(HeaderName),
    /// A header's value contains characters that HTTP does not allow.
    #[error("the header `{name}` cannot have the value {value:?}: it is not a valid field value")]
    HeaderValue {
        /// The header's name.
        name: HeaderName,
        /// The value of the header.
        value: String,
    },
    /// The client's `Host` contains characters that HTTP does not allow.
    #[error("the Host header has a value that HTTP does not allow")]
    Host,
    /// The client's `Host` is not an authority, which HTTP/2 requires.
    #[error("the Host header is not an authority, that is, a host with an optional port")]
    Authority,
}

impl From<InvalidRequest> for NoAnswer {
    fn from(error: InvalidRequest) -> Self {
        Self::Invalid(error)
    }
}

/// Returns the texts of an error and of its causes in one line.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_causes_in_order() {
        let error = io::Error::other(InvalidRequest::Host);
        let error = NoAnswer::NoConnection { target: ([127, 0, 0, 1], 80).into(), error };
        assert_eq!(
            error.to_string(),
            "no connection to 127.0.0.1:80: the Host header has a value that HTTP does not allow"
        );
        assert_eq!(NoAnswer::Timeout(Duration::from_millis(1500)).to_string(), "the request timed out after 1.5 s");
    }
}
