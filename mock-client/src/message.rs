//! Builds requests, and reads answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use stickler_auth::http::format_token;
use stickler_model::action::AppAnswer;
use stickler_model::payload::{BodyHasher, Digest};
use stickler_model::{Payload, REQUEST_ID_HEADER, RequestId, RequestSpec};

use crate::agent::{Body, Send};
use crate::error::{InvalidRequest, NoAnswer};

/// How much of an answer's body is kept to parse the application's answer, in bytes. The rest is only hashed.
const MAX_APP_ANSWER: usize = 64 * 1024;

/// Bytes of a body that are handed to the connection at once.
const CHUNK: usize = 16 * 1024;

static ID_HEADER: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);
static ANY: HeaderValue = HeaderValue::from_static("*/*");
static ZERO: HeaderValue = HeaderValue::from_static("0");

/// The parts that all legs of a request share.
pub(crate) struct Template<'a> {
    id: RequestId,
    method: Method,
    uri: Uri,
    tag: HeaderValue,
    body: &'a Payload,
    /// The headers that the script adds.
    extra: HeaderMap,
}

/// The body of a request, generated while it is sent.
pub(crate) struct Outgoing {
    payload: Payload,
    offset: u64,
}

/// An answer whose body has been read.
pub(crate) struct Received {
    pub(crate) application: Option<AppAnswer>,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
    /// The fields of the answer's head.
    pub(crate) headers: HeaderMap,
}

impl<'a> Template<'a> {
    /// Parses the parts of a request.
    ///
    /// # Errors
    /// HTTP does not allow the method, the path or a header, or the script may not set that header.
    pub(crate) fn new(id: RequestId, spec: &'a RequestSpec) -> Result<Self, InvalidRequest> {
        let method =
            Method::from_bytes(spec.method.as_bytes()).map_err(|_| InvalidRequest::Method(spec.method.clone()))?;
        let uri = Uri::try_from(&*spec.path)
            .ok()
            .filter(|_| spec.path.starts_with('/'))
            .ok_or_else(|| InvalidRequest::Path(spec.path.clone()))?;
        Ok(Self { id, method, uri, tag: id_value(id), body: &spec.body, extra: extra(&spec.headers)? })
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the HTTP/1.1 request of one leg, and the length of its body in bytes. The script's headers replace the
    /// client's own, and its `Cookie` replaces the jar's.
    pub(crate) fn request(
        &self,
        send: &Send,
        host: &HeaderValue,
        agent: &HeaderValue,
        cookie: Option<HeaderValue>,
    ) -> (Request<Outgoing>, u64) {
        let payload = match send.body {
            Body::Whole => self.body.clone(),
            Body::Empty => Payload::Empty,
        };
        let length = payload.len();
        let mut request = Request::new(Outgoing { payload, offset: 0 });
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, host.clone());
        if let Some(token) = &send.token {
            let value = HeaderValue::try_from(format_token(token.scheme, &token.token))
                .expect("a scheme's name and base64 are visible ASCII");
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(USER_AGENT, agent.clone());
        headers.insert(ACCEPT, ANY.clone());
        headers.insert(ID_HEADER.clone(), self.tag.clone());
        // RFC 9110 8.6: a length of 0 is stated if the method gives a body a meaning. hyper states any other length.
        if length == 0 && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, ZERO.clone());
        }
        if let Some(cookie) = cookie {
            headers.insert(COOKIE, cookie);
        }
        for name in self.extra.keys() {
            headers.remove(name);
        }
        for (name, value) in &self.extra {
            headers.append(name.clone(), value.clone());
        }
        (request, length)
    }
}

/// Converts a request to HTTP/2, where `:authority` names the site instead of `Host` (RFC 9113 8.3.1).
///
/// # Errors
/// `Host` is not an authority.
pub(crate) fn http2(mut request: Request<Outgoing>) -> Result<Request<Outgoing>, InvalidRequest> {
    let host = request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| InvalidRequest::Authority)?;
    Ok(request)
}

/// Parses the headers that a script adds.
fn extra(headers: &[(String, String)]) -> Result<HeaderMap, InvalidRequest> {
    let mut extra = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| InvalidRequest::HeaderName(name.clone()))?;
        if [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) || name == ID_HEADER {
            return Err(InvalidRequest::OwnHeader(name));
        }
        let Ok(parsed) = HeaderValue::try_from(value.as_str()) else {
            return Err(InvalidRequest::HeaderValue { name, value: value.clone() });
        };
        extra.append(name, parsed);
    }
    Ok(extra)
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let chunk = self.payload.chunk(self.offset, CHUNK);
        self.offset += chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.payload.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.payload.len() - self.offset)
    }
}

/// Reads an answer's body to its end.
///
/// # Errors
/// The body is not complete.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Received, NoAnswer> {
    let json =
        response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let (head, mut body) = response.into_parts();
    let mut hasher = BodyHasher::default();
    let mut kept: Option<Vec<u8>> = json.then(Vec::new);
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Truncated { length, error })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        hasher.update(&data);
        kept = kept.filter(|_| length <= MAX_APP_ANSWER);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&data);
        }
    }
    let application = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    let (length, digest) = hasher.finish();
    Ok(Received { application, length, digest, headers: head.headers })
}

/// Returns whether the connection stays open after an answer (RFC 9112 9.3).
pub(crate) fn keeps_alive(response: &Response<Incoming>) -> bool {
    let says = |option: &str| {
        response.headers().get_all(CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|&byte| byte == b',')
                .any(|text| text.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        })
    };
    if response.version() == Version::HTTP_10 { says("keep-alive") } else { !says("close") }
}

/// Returns the request id that a server echoed.
pub(crate) fn echoed(headers: &HeaderMap) -> Option<RequestId> {
    headers.get(&ID_HEADER).and_then(|value| RequestId::parse(value.as_bytes()))
}

/// Writes an id, such as `r17`, without the cost of a formatter.
fn id_value(RequestId(mut number): RequestId) -> HeaderValue {
    let mut text = [0; 11];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= 1;
    text[at] = b'r';
    HeaderValue::from_bytes(&text[at..]).expect("a letter and digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_read() {
        for number in [0, 1, 9, 10, 4_294_967_295] {
            let value = id_value(RequestId(number));
            assert_eq!(value, format!("r{number}"));
            assert_eq!(RequestId::parse(value.as_bytes()), Some(RequestId(number)));
        }
    }
}
