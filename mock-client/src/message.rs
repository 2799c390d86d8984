//! Builds requests, and reads answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use hyper::body::{Frame, SizeHint};
use stickler_auth::http::format_token;
use stickler_http1::{Fields, Lookup, write};
use stickler_model::action::AppAnswer;
use stickler_model::payload::{BodyHasher, Digest};
use stickler_model::{Payload, REQUEST_ID_HEADER, RequestId, RequestSpec};

use crate::agent::Send;
use crate::error::InvalidRequest;
use crate::http1::Upload;

/// The number of bytes of an answer's body that are kept in order to parse the application's report. The rest is only
/// hashed.
const MAX_APP_ANSWER: usize = 64 * 1024;

/// The number of bytes of a body that are passed to an HTTP/2 connection at once.
const CHUNK: usize = 16 * 1024;

/// The parts that all legs of a request share.
pub(crate) struct Template<'a> {
    id: RequestId,
    method: Method,
    uri: Uri,
    path: &'a str,
    tag: String,
    /// The headers that the script adds.
    extra: &'a [(String, String)],
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
        check_extra(&spec.headers)?;
        Ok(Self { id, method, uri, path: &spec.path, tag: id.to_string(), extra: &spec.headers })
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

    /// Returns the header fields of one leg, in the order of curl. The script's headers replace the client's own, and its
    /// `Cookie` replaces the jar's.
    pub(crate) fn fields(
        &self,
        send: &Send,
        host: &HeaderValue,
        agent: &HeaderValue,
        cookie: Option<HeaderValue>,
        upload: &Upload<'_>,
    ) -> Fields {
        let mut fields = Fields::default();
        let mut own = |name: &str, value: &[u8]| {
            if !self.extra.iter().any(|(extra, _)| extra.eq_ignore_ascii_case(name)) {
                fields.push(name, value);
            }
        };
        own("Host", host.as_bytes());
        if let Some(token) = &send.token {
            own("Authorization", format_token(token.scheme, &token.token).as_bytes());
        }
        own("User-Agent", agent.as_bytes());
        own("Accept", b"*/*");
        if let Some(cookie) = cookie {
            own("Cookie", cookie.as_bytes());
        }
        own("X-Stickler-Request", self.tag.as_bytes());
        for (name, value) in self.extra {
            fields.push(name, value);
        }
        let length = upload.payload.len();
        // RFC 9110 8.6: a length of 0 is stated if the method gives a body a meaning.
        if upload.chunked {
            fields.push("Transfer-Encoding", "chunked");
        } else if length > 0 || matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            fields.push("Content-Length", length.to_string());
        }
        if upload.waits.is_some() {
            fields.push("Expect", "100-continue");
        }
        fields
    }

    /// Writes the head of an HTTP/1.1 request.
    pub(crate) fn write(&self, fields: &Fields, output: &mut BytesMut) {
        write::request_line(output, self.method.as_str(), self.path);
        write::fields(output, fields);
        write::end(output);
    }

    /// Returns an HTTP/2 request, where `:authority` names the site instead of `Host` (RFC 9113 8.3.1).
    ///
    /// # Errors
    /// `Host` is not an authority.
    pub(crate) fn http2(&self, fields: &Fields, payload: &Payload) -> Result<Request<Outgoing>, InvalidRequest> {
        let mut request = Request::new(Outgoing { payload: payload.clone(), offset: 0 });
        *request.method_mut() = self.method.clone();
        let mut parts = self.uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = fields.first("Host").and_then(|host| Authority::try_from(host).ok());
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| InvalidRequest::Authority)?;
        for (name, value) in fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(HOST.as_str().as_bytes())) {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                request.headers_mut().append(name, value);
            }
        }
        Ok(request)
    }
}

/// Checks the headers that a script adds.
fn check_extra(headers: &[(String, String)]) -> Result<(), InvalidRequest> {
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| InvalidRequest::HeaderName(name.clone()))?;
        if [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) || name == REQUEST_ID_HEADER {
            return Err(InvalidRequest::OwnHeader(name));
        }
        if HeaderValue::try_from(value.as_str()).is_err() {
            return Err(InvalidRequest::HeaderValue { name, value: value.clone() });
        }
    }
    Ok(())
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

/// Reads the body of an answer.
pub(crate) struct Reader {
    hasher: BodyHasher,
    /// The start of the body; `None` if it is not JSON, or is too long.
    kept: Option<Vec<u8>>,
    length: usize,
}

impl Reader {
    /// Creates the reader of an answer with these fields.
    pub(crate) fn new(fields: &impl Lookup) -> Self {
        let json = fields.first("Content-Type").is_some_and(|value| value.starts_with(b"application/json"));
        Self { hasher: BodyHasher::default(), kept: json.then(Vec::new), length: 0 }
    }

    /// Adds the next bytes.
    pub(crate) fn take(&mut self, data: &[u8]) {
        self.length += data.len();
        self.hasher.update(data);
        let short = self.length <= MAX_APP_ANSWER;
        if let Some(kept) = self.kept.as_mut().filter(|_| short) {
            kept.extend_from_slice(data);
        }
    }

    /// Returns the number of bytes read so far.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Returns the result of reading the body.
    pub(crate) fn finish(self) -> Received {
        let kept = self.kept.filter(|kept| kept.len() == self.length);
        let application = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
        let (length, digest) = self.hasher.finish();
        Received { application, length, digest }
    }
}

/// Returns the request id that a server echoed.
pub(crate) fn echoed(fields: &impl Lookup) -> Option<RequestId> {
    fields.first(REQUEST_ID_HEADER).and_then(RequestId::parse)
}
