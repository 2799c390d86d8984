//! The answers of the server: header fields in the order and the spelling of IIS, and bodies that are known or
//! generated.
//!
//! The sources are recorded responses of IIS 10.0 with Windows authentication: a 401 to a request with
//! `Connection: close`, and the Challenge (0xdf, "HTB: Sizzle", 2019, requests to `/certsrv/`); a 200 to
//! `curl --negotiate` (a write-up of the machine "Lustrous2", 2026). They have `Content-Type`, `Server`,
//! `WWW-Authenticate`, `Persistent-Auth`, `X-Powered-By`, `Date`, `Connection` and `Content-Length` in this order. A
//! cookie comes before `Persistent-Auth` (Exchange) and after `Server` (a classic ASP site).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use stickler_auth::http::{AuthToken, Scheme, format_token};
use stickler_http1::write;
use stickler_model::Payload;
use stickler_model::topology::IisVersion;

use crate::authn::{Completed, Unauthorized};
use crate::calendar::HttpDate;
use crate::codes::ACL;
use crate::http_sys::Reason;
use crate::web_socket;

const HTML: &str = "text/html";
/// The content type of http.sys's own pages.
const HTML_ASCII: &str = "text/html; charset=us-ascii";

/// The period of the pattern of [`Payload::Bytes`], in bytes. A block of whole periods can be used at any place in a
/// body.
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

const NO_SOCKET_PAGE: &[u8] = b"<html><head><title>No WebSocket</title></head>\
<body><h2>This is not a WebSocket handshake of version 13.</h2></body></html>";

/// An answer. Its fields are written in the order of IIS. The order in which they were set does not matter.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    kind: &'static str,
    author: Author,
    cookie: Option<HeaderValue>,
    /// The values of `WWW-Authenticate`.
    challenges: Vec<HeaderValue>,
    /// The value of `Persistent-Auth`.
    persists: Option<bool>,
    /// Whether the answer comes from ASP.NET.
    powered: bool,
    /// The value of the field that identifies the request, as it was received.
    echo: Option<Vec<u8>>,
    /// The fields about switching the protocol.
    switching: Option<Switching>,
    /// Whether the connection closes after the answer.
    pub(crate) closes: bool,
    pub(crate) body: AnswerBody,
}

/// The fields of an answer about WebSocket.
#[derive(Debug)]
enum Switching {
    /// The connection changes to WebSocket; this is the value of `Sec-WebSocket-Accept` (RFC 6455 4.2.2).
    Granted(String),
    /// The client must ask for another version (RFC 6455 4.4).
    OtherVersion,
}

/// The part of Windows that writes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    /// The worker process of IIS.
    Iis,
    /// The kernel driver, for this reason.
    HttpSys(Reason),
}

impl Author {
    /// Returns the value of `Server`. The value for http.sys on Windows Server 2003 is from memory.
    fn server(self, version: IisVersion) -> &'static str {
        match (self, version) {
            (Self::Iis, IisVersion::Iis6) => "Microsoft-IIS/6.0",
            (Self::Iis, IisVersion::Iis10) => "Microsoft-IIS/10.0",
            (Self::HttpSys(_), IisVersion::Iis6) => "Microsoft-HTTPAPI/1.0",
            (Self::HttpSys(_), IisVersion::Iis10) => "Microsoft-HTTPAPI/2.0",
        }
    }
}

/// The properties that every answer of a server has: its author, and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) version: IisVersion,
    /// The server's time as the answer begins, in seconds since 1970-01-01 UTC.
    pub(crate) unix_seconds: u64,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
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

impl Answer {
    fn iis(status: u16, kind: &'static str, body: AnswerBody) -> Self {
        Self {
            status,
            kind,
            author: Author::Iis,
            cookie: None,
            challenges: Vec::new(),
            persists: None,
            powered: true,
            echo: None,
            switching: None,
            closes: false,
            body,
        }
    }

    fn page(status: u16, page: &'static [u8]) -> Self {
        Self::iis(status, HTML, AnswerBody::whole(page))
    }

    /// Returns http.sys's own answer. A refusal closes the connection.
    pub(crate) fn http_sys(reason: Reason) -> Self {
        let author = Author::HttpSys(reason);
        let closes = reason != Reason::NotAuthorized;
        let page = AnswerBody::whole(reason.page());
        Self { author, powered: false, closes, ..Self::iis(reason.status(), HTML_ASCII, page) }
    }

    /// Returns whether http.sys refused the request before it reached IIS. Such an answer appears in no log of a site.
    pub(crate) fn is_refused_by_http_sys(&self) -> bool {
        matches!(self.author, Author::HttpSys(reason) if reason != Reason::NotAuthorized)
    }

    /// Returns the application's answer.
    pub(crate) fn application(kind: &'static str, body: AnswerBody) -> Self {
        Self::iis(200, kind, body)
    }

    /// Returns the answer after which the connection is a WebSocket. Its body is not sent as such: it is the first
    /// message of the application on the connection.
    pub(crate) fn switching(accept: String, body: AnswerBody) -> Self {
        Self { status: 101, switching: Some(Switching::Granted(accept)), ..Self::application("application/json", body) }
    }

    /// Returns the answer to a request for a WebSocket that is not granted.
    pub(crate) fn no_socket(other_version: bool) -> Self {
        if other_version {
            return Self { switching: Some(Switching::OtherVersion), ..Self::page(426, NO_SOCKET_PAGE) };
        }
        Self::page(400, NO_SOCKET_PAGE)
    }

    /// Returns the 404 for a resource that does not exist.
    pub(crate) fn not_found() -> Self {
        Self::page(404, NOT_FOUND_PAGE)
    }

    /// Returns a 401 with a token in the request's scheme, or with every scheme of the site. The reason for refusing a
    /// password appears only in the log, never on the wire; KRB-ERROR gives the reason for refusing a ticket.
    pub(crate) fn unauthorized(refused: &Unauthorized, schemes: &[Scheme]) -> Self {
        let page = if refused.substatus == ACL { ACL_PAGE } else { LOGON_FAILED_PAGE };
        Self { challenges: challenges(Some(refused), schemes), ..Self::page(401, page) }
    }

    /// Returns the 401 that continues a handshake in kernel mode: http.sys sends it, and the worker process does not
    /// see the request (recorded exchanges of IIS 8.5: `Server: Microsoft-HTTPAPI/2.0` beside a Challenge, and
    /// `Microsoft-IIS/8.5` beside the 401 before it).
    pub(crate) fn challenged_by_http_sys(refused: &Unauthorized, schemes: &[Scheme]) -> Self {
        Self { challenges: challenges(Some(refused), schemes), ..Self::http_sys(Reason::NotAuthorized) }
    }

    /// Returns the 403 for a request whose user the balancer does not name, if the site offers no scheme to
    /// authenticate with.
    pub(crate) fn forbidden() -> Self {
        Self::page(403, FORBIDDEN_PAGE)
    }

    /// Adds two fields to the answer that completes a handshake: whether the identity stays with the connection
    /// (MS-N2HT 3.2.5), and the last token (RFC 4559 4.2). The first field is sent under the scheme `NTLM` as well
    /// (recorded exchanges of IIS 8.5).
    pub(crate) fn complete(&mut self, done: &Completed) {
        self.persists = Some(done.persists);
        if !done.token.is_empty() {
            let token = HeaderValue::try_from(format_token(done.scheme, &done.token));
            self.challenges = vec![token.expect("a scheme and base64 are visible ASCII")];
        }
    }

    /// Makes the answer set a cookie.
    pub(crate) fn set_cookie(&mut self, cookie: HeaderValue) {
        self.cookie = Some(cookie);
    }

    /// Makes the answer repeat the request's id.
    pub(crate) fn echo(&mut self, id: Option<&[u8]>) {
        self.echo = id.map(<[u8]>::to_vec);
    }

    /// Passes each field to `put`, except those about the connection and the length of the body. Windows has sent
    /// `Persistent-Auth` since Vista and Server 2008 (MS-N2HT, appendix A).
    fn fields(&self, stamp: Stamp, mut put: impl FnMut(&'static str, &[u8])) {
        if self.status != 101 {
            put("Content-Type", self.kind.as_bytes());
        }
        put("Server", self.author.server(stamp.version).as_bytes());
        if let Some(cookie) = &self.cookie {
            put("Set-Cookie", cookie.as_bytes());
        }
        for challenge in &self.challenges {
            put("WWW-Authenticate", challenge.as_bytes());
        }
        if let Some(persists) = self.persists.filter(|_| stamp.version != IisVersion::Iis6) {
            put("Persistent-Auth", if persists { b"true" } else { b"false" });
        }
        if self.powered {
            put("X-Powered-By", b"ASP.NET");
        }
        match &self.switching {
            Some(Switching::Granted(accept)) => put("Sec-WebSocket-Accept", accept.as_bytes()),
            Some(Switching::OtherVersion) => put("Sec-WebSocket-Version", web_socket::VERSION.as_bytes()),
            None => {}
        }
        if let Some(id) = &self.echo {
            put("X-Stickler-Request", id);
        }
        put("Date", HttpDate(stamp.unix_seconds).to_string().as_bytes());
    }

    /// Writes the head as HTTP/1.1. If `stays` is set, the head tells a client of HTTP/1.0 that the connection stays
    /// open, which the client would not expect (RFC 9112 9.3).
    pub(crate) fn write_head(&self, output: &mut BytesMut, stays: bool, stamp: Stamp) {
        write::status_line(output, self.status);
        self.fields(stamp, |name, value| write::field(output, name, value));
        if let Some(Switching::Granted(_)) = self.switching {
            write::field(output, "Connection", "Upgrade");
            write::field(output, "Upgrade", "websocket");
            return write::end(output);
        }
        if self.closes {
            write::field(output, "Connection", "close");
        } else if stays {
            write::field(output, "Connection", "keep-alive");
        }
        write::content_length(output, self.body.left());
        write::end(output);
    }

    /// Returns the answer for HTTP/2, which has no field about the connection and writes names in lower case.
    pub(crate) fn into_http2(self, stamp: Stamp) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody::Whole(None));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = response.headers_mut();
        self.fields(stamp, |name, value| {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        });
        *response.body_mut() = self.body;
        response
    }
}

/// Returns the values of a 401's `WWW-Authenticate`: the token alone if the handshake continues, or every scheme if it
/// has failed. The schemes that IIS repeats beside KRB-ERROR have not been measured.
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

impl AnswerBody {
    /// Creates a body of known bytes.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// Returns the number of bytes that are still to be sent.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Pattern { sent, length } => length - sent,
        }
    }

    /// Returns the next bytes; `None` after the last ones.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => bytes.take(),
            Self::Pattern { sent, length } if *sent < *length => {
                let count = BLOCK.min(*length - *sent);
                // Every block except the last consists of whole periods, so each one begins with a period.
                *sent += count;
                Some(pattern_block().slice(..count as usize))
            }
            Self::Pattern { .. } => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pattern { .. } => self.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

/// Returns the block that all bodies share, so that a body of any length is sent without copying.
fn pattern_block() -> &'static Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    PATTERN.get_or_init(|| Payload::Bytes(BLOCK).chunk(0, BLOCK as usize).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_body_is_the_payload_of_its_length() {
        for length in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17] {
            let mut body = AnswerBody::Pattern { sent: 0, length };
            assert_eq!(body.size_hint().exact(), Some(length));
            let mut sent = Vec::new();
            while let Some(bytes) = body.next() {
                sent.extend_from_slice(&bytes);
            }
            assert_eq!(sent, Payload::Bytes(length).chunk(0, usize::MAX));
            assert!(body.is_end_stream());
        }
    }

    /// Returns the head of an answer at the time that the examples in RFC 9110 use.
    fn head(answer: &Answer, version: IisVersion) -> String {
        let mut output = BytesMut::new();
        answer.write_head(&mut output, true, Stamp { version, unix_seconds: 784_111_777 });
        String::from_utf8_lossy(&output).into_owned()
    }

    #[test]
    fn the_fields_have_the_order_and_the_spelling_of_iis() {
        let mut answer = Answer::application("application/json", AnswerBody::whole("{}".as_bytes()));
        answer.complete(&Completed { scheme: Scheme::Negotiate, token: vec![1], persists: true, ticket: None });
        answer.echo(Some(b"r1"));
        answer.set_cookie(HeaderValue::from_static("a=b"));
        answer.closes = true;
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: Microsoft-IIS/10.0\r\nSet-Cookie: a=b\r\n\
            WWW-Authenticate: Negotiate AQ==\r\nPersistent-Auth: true\r\nX-Powered-By: ASP.NET\r\n\
            X-Stickler-Request: r1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(head(&answer, IisVersion::Iis10), expected);
        let before_vista = expected.replace("IIS/10.0", "IIS/6.0").replace("Persistent-Auth: true\r\n", "");
        assert_eq!(head(&answer, IisVersion::Iis6), before_vista);
    }

    #[test]
    fn http_sys_names_itself_and_closes_only_what_it_refuses() {
        // This is a recorded 411, except for its time.
        let expected = "HTTP/1.1 411 Length Required\r\nContent-Type: text/html; charset=us-ascii\r\n\
            Server: Microsoft-HTTPAPI/2.0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 344\r\n\r\n";
        let refused = Answer::http_sys(Reason::LengthRequired);
        assert_eq!(head(&refused, IisVersion::Iis10), expected);
        assert!(refused.is_refused_by_http_sys() && !Answer::not_found().is_refused_by_http_sys());
        let token = AuthToken { scheme: Scheme::Ntlm, token: vec![1] };
        let goes_on = Unauthorized { substatus: 1, win32: 0, challenge: Some(token), refused: false, ticket: None };
        let challenge = Answer::challenged_by_http_sys(&goes_on, &[Scheme::Negotiate, Scheme::Ntlm]);
        let expected = "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html; charset=us-ascii\r\n\
            Server: Microsoft-HTTPAPI/2.0\r\nWWW-Authenticate: NTLM AQ==\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Connection: keep-alive\r\nContent-Length: 341\r\n\r\n";
        assert_eq!(head(&challenge, IisVersion::Iis10), expected);
        assert!(!challenge.is_refused_by_http_sys());
    }
}
