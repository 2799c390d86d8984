//! The changes that HTTP requires an intermediary to make to header sections (RFC 9110 7.6.1, RFC 9112 3.2 and 6).
//!
//! No field is added that reveals the balancer. RFC 9110 7.6.3 requires `Via`. However, IIS 6 gives up connection
//! persistence, and therefore NTLM, for a request with that field. HAProxy, nginx and the cloud balancers do not send
//! it either.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Method, StatusCode, Version, request, response};
use hyper::body::Body as _;
use stickler_lb_core::HeadRule;

use super::request_body::RequestBody;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Returns the status of the answer if the head of a request, as it arrived, exceeds the limits of the rule.
pub(super) fn too_long(parts: &request::Parts, rule: Option<HeadRule>) -> Option<StatusCode> {
    let rule = rule?;
    let target = match (parts.uri.authority(), parts.uri.scheme_str()) {
        // In HTTP/2, and from the client of a proxy, the target names the host.
        (Some(authority), Some(scheme)) => scheme.len() + "://".len() + authority.as_str().len(),
        _ => 0,
    };
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let line = parts.method.as_str().len() + target + path + "  HTTP/1.1".len();
    (!rule.takes(line, &parts.headers)).then_some(rule.status)
}

/// Converts a client's request of any version into one that can be sent upstream by HTTP/1.1: with a target in origin
/// form, one `Host`, and new framing.
///
/// # Errors
/// The status of the answer if the request must not be sent.
pub(super) fn prepare_request(
    parts: &mut request::Parts,
    body: &RequestBody,
    rule: Option<HeadRule>,
    fields: usize,
) -> Result<(), StatusCode> {
    if let Some(status) = too_long(parts, rule) {
        return Err(status);
    }
    if parts.method == Method::CONNECT {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    let hosts = parts.headers.get_all(HOST).iter().count();
    // RFC 9112 3.2: an HTTP/1.1 request without `Host`, or with more than one, gets a 400. RFC 9113 8.3.1: HTTP/2 has
    // `:authority` instead, which is in the target now.
    let named = hosts == 1 || (parts.version >= Version::HTTP_2 && parts.uri.authority().is_some());
    if hosts > 1 || (!named && parts.version >= Version::HTTP_11) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let from_http2 = parts.version >= Version::HTTP_2;
    if from_http2 {
        // For HTTP/1.1, the parser has already counted the fields.
        if parts.headers.len() > fields {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        join_cookies(&mut parts.headers);
    }
    to_origin_form(parts)?;
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    if from_http2 && body.is_end_stream() && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
        // The frames said that there is no body. In HTTP/1.1, this field says so (RFC 9110 8.6), as in Envoy
        // (`source/common/http/http1/codec_impl.cc`, `encodeHeadersBase`). http.sys answers 411 to a request without a
        // length.
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    } else if !body.is_end_stream() && body.size_hint().exact().is_none() {
        // The coding is explicit, since hyper's client would otherwise assume that a GET has no body. RFC 9112 6.2
        // forbids both fields together.
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

/// Converts a request that can be sent upstream into the form of HTTP/2: the authority is in the target, and there are
/// no fields about a connection (RFC 9113 8.2.2, 8.3.1). hyper removes the fields about a connection, including those
/// that `Connection` names.
pub(super) fn to_http2(parts: &mut request::Parts, secured: bool) {
    let host = parts.headers.remove(HOST);
    parts.headers.remove(UPGRADE);
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let scheme = if secured { Scheme::HTTPS } else { Scheme::HTTP };
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Ok(uri) = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build() {
        parts.uri = uri;
    }
    parts.version = Version::HTTP_2;
}

/// Converts a request from the form of HTTP/2 back into that of HTTP/1.1.
pub(super) fn to_http1(parts: &mut request::Parts) {
    // The target was in origin form before, so this cannot fail.
    let _ = to_origin_form(parts);
    parts.version = Version::HTTP_11;
}

/// Converts a backend's answer into one that can be sent downstream. Returns whether the backend will close the
/// connection.
pub(super) fn prepare_response(parts: &mut response::Parts) -> bool {
    let closes = says_close(parts.version, &parts.headers);
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 6.3: `Transfer-Encoding` overrides a length, which must not be passed on beside it.
        parts.headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    closes
}

/// Returns whether the sender of this message closes the connection after it (RFC 9112 9.3).
fn says_close(version: Version, headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(options);
    if version >= Version::HTTP_11 {
        options.any(|option| option.eq_ignore_ascii_case(b"close"))
    } else {
        !options.any(|option| option.eq_ignore_ascii_case(b"keep-alive"))
    }
}

/// Replaces `Host` by the authority of an absolute-form target (RFC 9112 3.2.2).
fn to_origin_form(parts: &mut request::Parts) -> Result<(), StatusCode> {
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    // RFC 9110 4.2.4: user information must not be sent in a target.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let host = HeaderValue::from_str(host).map_err(|_| StatusCode::BAD_REQUEST)?;
    parts.headers.insert(HOST, host);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    Ok(())
}

/// Joins the lines of a cookie into one for HTTP/1.1 (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, whole);
    }
}

/// Removes the fields that concern only this connection: the known ones, and those that `Connection` names.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    for name in named_by_connection(headers) {
        // `Host` is for all recipients, even if a peer names it here. Framing is decided elsewhere.
        if name != HOST && name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [&CONNECTION, &TRANSFER_ENCODING, &TE, &UPGRADE, &KEEP_ALIVE, &PROXY_CONNECTION].contains(&name)
}

fn named_by_connection(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let Entry::Occupied(entry) = headers.entry(CONNECTION) else { return Vec::new() };
    let usual = |option: &&[u8]| option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive");
    let named = entry.iter().flat_map(options).filter(|option| !usual(option));
    named.filter_map(|option| HeaderName::from_bytes(option).ok()).collect()
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn known_hop_by_hop_fields_and_those_that_connection_names_are_removed() {
        let mut headers = map(&[
            ("host", "site"),
            ("connection", "close, X-Secret"),
            ("connection", "x-other,host, content-length"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-kept", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("content-length", "0"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("host", "site"), ("x-kept", "3"), ("content-length", "0")]));
    }

    #[test]
    fn a_header_section_without_them_is_left_alone() {
        let mut headers = map(&[("host", "site"), ("authorization", "NTLM TlRMTVNTUAAB")]);
        let before = headers.clone();
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, before);
    }

    #[test]
    fn a_close_is_understood_in_both_versions() {
        assert!(says_close(Version::HTTP_11, &map(&[("connection", "foo, Close")])));
        assert!(!says_close(Version::HTTP_11, &map(&[])));
        assert!(says_close(Version::HTTP_10, &map(&[])));
        assert!(!says_close(Version::HTTP_10, &map(&[("connection", "Keep-Alive")])));
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_one_line_again() {
        let mut headers = map(&[("cookie", "a=1"), ("host", "site"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn an_absolute_form_target_replaces_host() {
        let request = http::Request::get("http://user@real.example:8080/a?b").header(HOST, "other").body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        to_origin_form(&mut parts).unwrap();
        assert_eq!(
            (parts.uri.to_string().as_str(), &parts.headers[HOST]),
            ("/a?b", &"real.example:8080".parse().unwrap())
        );
    }
}
