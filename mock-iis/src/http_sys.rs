//! The answers of http.sys itself, the kernel driver that reads requests and authenticates in kernel mode. The driver
//! refuses some requests before any authentication. It answers with its own page and closes the connection. The module
//! is pure.
//!
//! The page, the fields and their order come from recorded answers of `Microsoft-HTTPAPI/2.0`: a 411 to `curl -X POST`
//! (a write-up of the machine "Nickel", 2025), 400 "Request Too Long" and "Invalid Verb" (many sources, including
//! nmap), and 401 "Not Authorized" (Inveigh answers with it, as Windows does). The reasons are those of the HTTPERR log
//! (Microsoft, KB 820729 "Error logging in HTTP APIs"). IIS 6 has shorter pages, which are not modelled.

use stickler_http1::{Lookup as _, RequestHead, Version};

/// The reason why http.sys answers a request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The bytes are not a request, or a field is malformed.
    Header,
    /// The target is not a path. It is the target of CONNECT, which names a host and a port.
    Url,
    /// The request uses HTTP/1.1 and has no `Host`, or more than one (RFC 9112 3.2).
    Hostname,
    /// A field is longer than `MaxFieldLength`.
    FieldLength,
    /// The request line and the fields together are longer than `MaxRequestBytes`.
    RequestLength,
    /// The request has a method with a body, and neither `Content-Length` nor `Transfer-Encoding`.
    LengthRequired,
    /// The request has an unknown transfer coding.
    Coding,
    /// The request carries, in kernel mode, a token of a handshake that continues. This is not a refusal, and the
    /// connection stays open.
    NotAuthorized,
}

/// The limits `MaxFieldLength` and `MaxRequestBytes` in bytes (Microsoft, KB 820129 "Http.sys registry settings for
/// Windows").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadBounds {
    /// The maximum length of a field's value.
    pub(crate) field: usize,
    /// The maximum length of the request line with all fields.
    pub(crate) request: usize,
}

impl Reason {
    /// Returns the status of the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::LengthRequired => 411,
            Self::Coding => 501,
            Self::NotAuthorized => 401,
            Self::Header | Self::Url | Self::Hostname | Self::FieldLength | Self::RequestLength => 400,
        }
    }

    /// Returns the title, the heading and the text of the page. The page for [`Reason::Coding`] has not been observed.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        const BAD: &str = "Bad Request";
        match self {
            Self::Header => (BAD, "Bad Request - Invalid Header", "The request has an invalid header name."),
            Self::Url => (BAD, "Bad Request - Invalid URL", "The request URL is invalid."),
            Self::Hostname => (BAD, "Bad Request - Invalid Hostname", "The request hostname is invalid."),
            Self::FieldLength => (BAD, "Bad Request - Header Field Too Long", "A request header field is too long."),
            Self::RequestLength => {
                (BAD, "Bad Request - Request Too Long", "The size of the request headers is too long.")
            }
            Self::LengthRequired => {
                ("Length Required", "Length Required", "The request must be chunked or have a content length.")
            }
            Self::Coding => {
                ("Not Implemented", "Not Implemented", "The request transfer encoding type is not supported.")
            }
            Self::NotAuthorized => {
                ("Not Authorized", "Not Authorized", "The requested resource requires user authentication.")
            }
        }
    }

    /// Returns the page of the answer.
    pub(crate) fn page(self) -> String {
        let (status, (title, heading, text)) = (self.status(), self.texts());
        format!(
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
             <HTML><HEAD><TITLE>{title}</TITLE>\r\n\
             <META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n\
             <BODY><h2>{heading}</h2>\r\n\
             <hr><p>HTTP Error {status}. {text}</p>\r\n\
             </BODY></HTML>\r\n"
        )
    }
}

/// Returns the reason why http.sys refuses a request; `None` if it passes the request on. If several reasons apply, the
/// one that the real http.sys finds first is not known.
///
/// * The target of CONNECT is not a path (RFC 9112 3.2.3). http.sys certainly refuses it with 400. The reason in its
///   log, `URL` or `Verb`, has not been measured.
/// * `MaxFieldLength` and `MaxRequestBytes`: a head that exceeds both gets "Request Too Long", as users who are in many
///   groups report for the defaults. The documentation does not say whether the name of a field counts towards its
///   length; here it does not.
/// * HTTP/1.1 needs one `Host`. Over HTTP/2 the target names the host.
/// * A POST without a length gets a 411 without `WWW-Authenticate`, before any authentication (measured on Exchange
///   Server SE 15.02.2562.045: changelog of the Rust crate `mapi-auth`). PUT is assumed to behave the same. Over
///   HTTP/2, the frames mark the end of the body.
pub(crate) fn refuses(head: &RequestHead, http2: bool, bounds: HeadBounds) -> Option<Reason> {
    let fields = head.fields();
    let unframed = fields.first("Content-Length").is_none() && fields.first("Transfer-Encoding").is_none();
    let hosts = fields.all("Host").count();
    if head.method() == "CONNECT" {
        Some(Reason::Url)
    } else if head.length() > bounds.request {
        Some(Reason::RequestLength)
    } else if fields.iter().any(|(_, value)| value.len() > bounds.field) {
        Some(Reason::FieldLength)
    } else if !http2 && (hosts > 1 || (hosts == 0 && head.version() == Version::Http11)) {
        Some(Reason::Hostname)
    } else if !http2 && unframed && matches!(head.method(), "POST" | "PUT") {
        Some(Reason::LengthRequired)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use stickler_http1::HeadLimits;

    use super::*;

    const DEFAULT: HeadBounds = HeadBounds { field: 16_384, request: 16_384 };

    fn head(text: &str) -> RequestHead {
        let mut head = RequestHead::default();
        head.parse(text.as_bytes(), HeadLimits { length: 1 << 20, fields: 100 }).unwrap().unwrap();
        head
    }

    #[test]
    fn the_pages_have_the_lengths_that_were_recorded() {
        for (reason, length) in [
            (Reason::LengthRequired, 344),
            (Reason::NotAuthorized, 341),
            (Reason::RequestLength, 346),
            (Reason::Url, 324),
            (Reason::Hostname, 334),
        ] {
            assert_eq!(reason.page().len(), length, "{reason:?}");
        }
    }

    #[test]
    fn what_is_refused_and_what_is_handed_on() {
        for (text, refused) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\n", Some(Reason::Hostname)),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Some(Reason::Hostname)),
            ("GET / HTTP/1.0\r\n\r\n", None),
            ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", Some(Reason::LengthRequired)),
            ("PUT / HTTP/1.1\r\nHost: x\r\n\r\n", Some(Reason::LengthRequired)),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", None),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", None),
            ("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", None),
            ("RPC_IN_DATA / HTTP/1.1\r\nHost: x\r\n\r\n", None),
            ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", Some(Reason::Url)),
        ] {
            assert_eq!(refuses(&head(text), false, DEFAULT), refused, "{text}");
        }
        // In HTTP/2, the frames mark the end of the body, and the target names the host.
        assert_eq!(refuses(&head("POST / HTTP/1.1\r\n\r\n"), true, DEFAULT), None);
    }

    #[test]
    fn a_field_and_all_of_the_head_have_limits_of_their_own() {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n", "a".repeat(20_000));
        let with = |field, request| refuses(&head(&text), false, HeadBounds { field, request });
        assert_eq!(with(16_384, 16_384), Some(Reason::RequestLength));
        assert_eq!(with(16_384, 65_534), Some(Reason::FieldLength));
        assert_eq!(with(65_534, 16_384), Some(Reason::RequestLength));
        assert_eq!(with(20_000, text.len()), None);
        assert_eq!(with(19_999, text.len()), Some(Reason::FieldLength));
        assert_eq!(with(20_000, text.len() - 1), Some(Reason::RequestLength));
    }
}
