//! HTTP responses: fixed headers, and bodies that are known or streamed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SERVER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use stickler_auth::http::{AuthToken, Scheme, format_token};
use stickler_model::Payload;

use crate::authn::{Completed, Unauthorized};
use crate::codes::ACL;

const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// The period in bytes of the pattern of [`Payload::Bytes`]. A block of whole periods can stand anywhere in a body.
const PATTERN_PERIOD: u64 = 251;
/// The length of a block of the pattern in bytes: 256 periods, about 64 KiB.
const BLOCK: u64 = PATTERN_PERIOD * 256;

const LOGON_FAILED_PAGE: &[u8] =
    b"<html><head><title>401 - Unauthorized: Access is denied due to invalid credentials.</title></head>\
<body><h2>401 - Unauthorized: Access is denied due to invalid credentials.</h2></body></html>";
const ACL_PAGE: &[u8] = b"<html><head><title>401 - Unauthorized: Access is denied due to an ACL.</title></head>\
<body><h2>401.3 - Access is denied due to an ACL set on the requested resource.</h2></body></html>";
const FORBIDDEN_PAGE: &[u8] = b"<html><head><title>403 - Forbidden: Access is denied.</title></head>\
<body><h2>403 - Forbidden: Access is denied.</h2></body></html>";
const NOT_FOUND_PAGE: &[u8] = b"<html><head><title>404 - File or directory not found.</title></head>\
<body><h2>404 - File or directory not found.</h2></body></html>";
const BAD_REQUEST_PAGE: &[u8] = b"<html><head><title>Bad Request</title></head>\
<body><h2>Bad Request - Invalid Header</h2><hr><p>HTTP Error 400. The request has an invalid header name.</p></body></html>";
const TOO_LONG_PAGE: &[u8] = b"<html><head><title>Bad Request</title></head>\
<body><h2>Bad Request - Request Too Long</h2><hr><p>HTTP Error 400. The size of the request headers is too long.</p></body></html>";

/// The body of a response.
#[derive(Debug)]
pub enum AnswerBody {
    /// Known bytes; `None` after they were sent.
    Whole(Option<Bytes>),
    /// Bytes of the pattern of [`Payload::Bytes`], generated while they are sent.
    Pattern {
        /// The number of bytes sent so far.
        sent: u64,
        /// The number of bytes in total.
        length: u64,
    },
}

impl AnswerBody {
    /// Creates a body of known bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Pattern { sent, length } if *sent < *length => {
                let count = BLOCK.min(*length - *sent);
                // Every block except the last consists of whole periods, so each one begins with a period.
                *sent += count;
                Some(pattern_block().slice(..count as usize))
            }
            Self::Pattern { .. } => None,
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pattern { sent, length } => sent >= length,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Pattern { sent, length } => length - sent,
        })
    }
}

/// Returns the block that all bodies share, so that a body of any length is sent without copying.
fn pattern_block() -> &'static Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    PATTERN.get_or_init(|| Payload::Bytes(BLOCK).chunk(0, BLOCK as usize).into())
}

/// Returns the application's answer.
pub(crate) fn application(kind: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    iis(StatusCode::OK, HeaderValue::from_static(kind), body)
}

/// Returns the 404 for a resource that does not exist.
pub(crate) fn not_found() -> Response<AnswerBody> {
    iis(StatusCode::NOT_FOUND, HTML, AnswerBody::whole(NOT_FOUND_PAGE))
}

/// Returns a 401 with a token in the request's scheme, or with every scheme of the site. The reason for refusing a
/// password appears only in the log, never on the wire; KRB-ERROR gives the reason for refusing a ticket.
pub(crate) fn unauthorized(answer: &Unauthorized, schemes: &[Scheme]) -> Response<AnswerBody> {
    let page = if answer.substatus == ACL { ACL_PAGE } else { LOGON_FAILED_PAGE };
    let mut response = iis(StatusCode::UNAUTHORIZED, HTML, AnswerBody::whole(page));
    for value in challenges(Some(answer), schemes) {
        response.headers_mut().append(WWW_AUTHENTICATE, value);
    }
    response
}

/// Returns the values of a 401's `WWW-Authenticate`: the token alone if the handshake continues, or every scheme if it
/// has failed. Which schemes IIS repeats beside KRB-ERROR has not been measured.
pub(crate) fn challenges(answer: Option<&Unauthorized>, schemes: &[Scheme]) -> Vec<HeaderValue> {
    let challenge = answer.and_then(|answer| answer.challenge.as_ref());
    match challenge {
        Some(token) if answer.is_some_and(|answer| !answer.refused) => vec![with_token(token)],
        _ => schemes
            .iter()
            .map(|scheme| match challenge.filter(|token| token.scheme == *scheme) {
                Some(token) => with_token(token),
                None => HeaderValue::from_static(scheme.as_str()),
            })
            .collect(),
    }
}

fn with_token(AuthToken { scheme, token }: &AuthToken) -> HeaderValue {
    HeaderValue::try_from(format_token(*scheme, token)).expect("a scheme and base64 are visible ASCII")
}

/// Returns the 403 for a request whose user nobody names, at a site that offers no scheme to authenticate with.
pub(crate) fn forbidden() -> Response<AnswerBody> {
    iis(StatusCode::FORBIDDEN, HTML, AnswerBody::whole(FORBIDDEN_PAGE))
}

/// Returns http.sys's own answer to a head that it refuses. It closes the connection.
pub(crate) fn bad_request(too_long: bool) -> Response<AnswerBody> {
    let page = if too_long { TOO_LONG_PAGE } else { BAD_REQUEST_PAGE };
    let mut response = Response::new(AnswerBody::whole(page));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    headers.insert(SERVER, HeaderValue::from_static("Microsoft-HTTPAPI/2.0"));
    close(&mut response);
    response
}

/// Adds to the response that completes a Negotiate handshake whether the identity stays with the connection
/// (MS-N2HT 3.2.5), and the last token (RFC 4559 4.2).
pub(crate) fn completes(response: &mut Response<AnswerBody>, done: &Completed) {
    let value = HeaderValue::from_static(if done.persists { "true" } else { "false" });
    let headers = response.headers_mut();
    headers.insert(PERSISTENT_AUTH, value);
    if !done.token.is_empty() {
        let token = HeaderValue::try_from(format_token(done.scheme, &done.token));
        headers.insert(WWW_AUTHENTICATE, token.expect("a scheme and base64 are visible ASCII"));
    }
}

/// Makes the response close its connection.
pub(crate) fn close(response: &mut Response<AnswerBody>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn iis(status: StatusCode, kind: HeaderValue, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(SERVER, HeaderValue::from_static("Microsoft-IIS/10.0"));
    headers.insert(POWERED_BY, HeaderValue::from_static("ASP.NET"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn a_streamed_body_is_the_payload_of_its_length() {
        for length in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17] {
            let body = AnswerBody::Pattern { sent: 0, length };
            assert_eq!(body.size_hint().exact(), Some(length));
            let mut collect = std::pin::pin!(body.collect());
            let mut context = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready(Ok(collected)) = collect.as_mut().poll(&mut context) else {
                panic!("the body waits for nothing")
            };
            assert_eq!(collected.to_bytes(), Payload::Bytes(length).chunk(0, usize::MAX));
        }
    }
}
