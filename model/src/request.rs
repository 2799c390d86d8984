//! The limits on a request that a user agent can be asked to send. Within these limits, a failure of the request is not
//! the sender's own mistake.
//!
//! Anything else is sent as raw bytes ([`RawSpec`](crate::RawSpec)), without a user agent.

use crate::bounds::{MAX_BODY, MAX_TEXT};
use crate::{Payload, REQUEST_ID_HEADER, RequestSpec};

/// The header fields that only the client itself sets, in lower case, each with the reason.
///
/// The fields about one connection, and those that frame a message, are in RFC 9110 7.6.1 and RFC 9112 6.
pub const OWN_FIELDS: [(&str, &str); 14] = [
    ("authorization", "the client computes it from its credentials"),
    ("connection", "it is about one connection, which the client manages"),
    ("content-length", "the client computes it from the body"),
    ("expect", "the client would have to wait for 100 (Continue): expect = True makes it"),
    ("host", "the client has one name for the site: give it host=, if its profile accepts that"),
    ("http2-settings", "it is about one connection, which the client manages"),
    ("keep-alive", "it is about one connection, which the client manages"),
    ("proxy-authorization", "the client computes it from its credentials, and knows of no proxy"),
    ("proxy-connection", "it is about one connection, which the client manages"),
    ("te", "it is about one connection, which the client manages"),
    ("trailer", "it frames the message, and the client sends no trailers"),
    ("transfer-encoding", "it frames the message: chunked = True sends the body in chunks"),
    ("upgrade", "it is about one connection, which the client manages"),
    (REQUEST_ID_HEADER, "the client tells its requests apart by it"),
];

/// The maximum length of a method, in bytes.
const MAX_METHOD: usize = 32;

/// The maximum length of a path with its query, in bytes.
const MAX_PATH: usize = 2_000;

/// The maximum number of fields that a script adds to a request.
const MAX_FIELDS: usize = 1_000;

/// The maximum size of these fields, names and values together, in bytes. IIS accepts 16 KiB by default, and other
/// servers accept up to about 64 KiB. The limit is higher, so that a request can exceed what any of them accepts.
const MAX_FIELDS_LENGTH: usize = 256 << 10;

/// The reason why no user agent can be asked to send a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestProblem {
    /// The method is not a token (RFC 9110 9.1, 5.6.2).
    #[error("`{0}` is not a valid method: use at most {MAX_METHOD} letters, digits and !#$%&'*+-.^_`|~")]
    Method(String),
    /// The method is one that user agents do not send to a server.
    #[error("no user agent sends {0} to a site: send it as raw bytes")]
    NotSent(String),
    /// The path is not a valid request target (RFC 9112 3.2.1).
    #[error(
        "`{0}` is not a path: it starts with /, has at most {MAX_PATH} characters, and all except letters, digits and \
         -._~!$&'()*+,;=:@/?% are percent-encoded"
    )]
    Path(String),
    /// A header field is not valid.
    #[error(
        "`{0}` is not a valid header field: use letters, digits, - and _ in its name, and printable ASCII in its value"
    )]
    Field(String),
    /// There are too many header fields, or their total length is too large.
    #[error(
        "a request can have at most {MAX_FIELDS} header fields of {MAX_FIELDS_LENGTH} bytes in all, but this one has {count} of {length} bytes"
    )]
    Fields {
        /// The number of fields.
        count: usize,
        /// The length of all names and values, in bytes.
        length: usize,
    },
    /// The text of the body is too long for a plan.
    #[error(
        "the text of a body can have at most {MAX_TEXT} bytes, but this one has {0}: describe a longer body with bytes_of()"
    )]
    Text(usize),
    /// The body is too long.
    #[error("a body can have at most {MAX_BODY} bytes, but this one has {0}")]
    Body(u64),
    /// The rate is zero, so the body would never be sent.
    #[error("`limit_rate` must be at least 1: it is the largest number of bytes per second")]
    Rate,
    /// A header field is one that only the client itself sets.
    #[error("a request cannot set the field `{name}`: {why}. The same holds for {}. Use send_raw() to send any bytes", others(.name))]
    OwnField {
        /// The name of the field, as it was given.
        name: String,
        /// The reason why a script cannot set the field.
        why: &'static str,
    },
}

impl RequestSpec {
    /// Checks that a user agent can be asked to send this request.
    ///
    /// # Errors
    /// [`RequestProblem`] names the first part that cannot be sent.
    pub fn check(&self) -> Result<(), RequestProblem> {
        let Self { method, path, headers, body, sending, .. } = self;
        if sending.limit_rate == Some(0) {
            return Err(RequestProblem::Rate);
        }
        if !(1..=MAX_METHOD).contains(&method.len()) || !method.bytes().all(is_token) {
            return Err(RequestProblem::Method(start(method)));
        }
        if matches!(method.as_str(), "CONNECT" | "TRACE") {
            return Err(RequestProblem::NotSent(method.clone()));
        }
        let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
        if !path.starts_with('/') || path.len() > MAX_PATH || !path.bytes().all(in_path) {
            return Err(RequestProblem::Path(start(path)));
        }
        let length = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if headers.len() > MAX_FIELDS || length > MAX_FIELDS_LENGTH {
            return Err(RequestProblem::Fields { count: headers.len(), length });
        }
        headers.iter().try_for_each(|(name, value)| field(name, value))?;
        match body {
            Payload::Text(text) if text.len() > MAX_TEXT => Err(RequestProblem::Text(text.len())),
            Payload::Bytes(length) if *length > MAX_BODY => Err(RequestProblem::Body(*length)),
            Payload::Empty | Payload::Text(_) | Payload::Bytes(_) => Ok(()),
        }
    }
}

/// Returns whether a byte may occur in a token (RFC 9110 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Returns whether a header field may have this name.
pub(crate) fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

fn field(name: &str, value: &str) -> Result<(), RequestProblem> {
    let sane = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if !is_field_name(name) || !value.bytes().all(sane) {
        return Err(RequestProblem::Field(start(name)));
    }
    match OWN_FIELDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
        Some(&(_, why)) => Err(RequestProblem::OwnField { name: name.to_owned(), why }),
        None => Ok(()),
    }
}

/// Returns the start of a text that may be very long.
fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Returns the other fields that only the client itself sets, for the message.
fn others(name: &str) -> String {
    let others = OWN_FIELDS.iter().map(|(own, _)| *own).filter(|own| !own.eq_ignore_ascii_case(name));
    others.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), RequestProblem> {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        RequestSpec { headers, ..RequestSpec::new("alice".into(), method, path) }.check()
    }

    #[test]
    fn what_user_agents_send_passes() {
        for method in [
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "DELETE",
            "OPTIONS",
            "PROPFIND",
            "RPC_IN_DATA",
            "VERSION-CONTROL",
            "M-SEARCH",
            "get",
        ] {
            assert_eq!(request(method, "/", &[]), Ok(()));
        }
        for path in ["/", "//x/../y", "/a%20b?c=%5B1%5D&d=(e)!$'*+,;=:@", "/?"] {
            assert_eq!(request("GET", path, &[]), Ok(()));
        }
        let fields = [("Cookie", "a=1"), ("X-User", "CORP\\alice"), ("Via", "1.0 x"), ("X", ""), ("Accept", "a\tb")];
        assert_eq!(request("GET", "/", &fields), Ok(()));
    }

    #[test]
    fn methods_and_paths_that_no_user_agent_sends_are_refused() {
        for method in ["", "G T", "G/T", "G\n", "ü", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"] {
            assert_eq!(request(method, "/", &[]), Err(RequestProblem::Method(method.into())));
        }
        for method in ["CONNECT", "TRACE"] {
            assert_eq!(request(method, "/", &[]), Err(RequestProblem::NotSent(method.into())));
        }
        for path in
            ["", "x", "*", "http://x/", "/a b", "/#", "/\"", "/<", "/>", "/`", "/[", "/{", "/|", "/^", "/\\", "/ü"]
        {
            assert_eq!(request("GET", path, &[]), Err(RequestProblem::Path(path.into())));
        }
    }

    #[test]
    fn fields_that_are_the_clients_own_are_refused_in_any_case_of_letters() {
        for (name, why) in OWN_FIELDS {
            for name in [name.to_owned(), name.to_uppercase()] {
                let refused = request("GET", "/", &[("X", "y"), (&name, "close")]);
                assert_eq!(refused, Err(RequestProblem::OwnField { name, why }));
            }
        }
        let told = request("GET", "/", &[("Connection", "close")]).unwrap_err().to_string();
        assert!(
            told.contains("cannot set the field `Connection`")
                && told.contains("The same holds for authorization, content-length")
        );
    }

    #[test]
    fn the_number_and_the_length_of_fields_are_bounded() {
        assert_eq!(request("GET", "/", &vec![("X", "y"); MAX_FIELDS]), Ok(()));
        let many = request("GET", "/", &vec![("X", "y"); 30_000]);
        assert_eq!(many, Err(RequestProblem::Fields { count: 30_000, length: 60_000 }));
        assert_eq!(request("GET", "/", &[("X", &"y".repeat(MAX_FIELDS_LENGTH - 1))]), Ok(()));
        let long = request("GET", "/", &[("X", &"y".repeat(MAX_FIELDS_LENGTH))]);
        assert_eq!(long, Err(RequestProblem::Fields { count: 1, length: MAX_FIELDS_LENGTH + 1 }));
    }

    #[test]
    fn fields_that_cannot_stand_in_a_head_are_refused() {
        for (name, value) in [("", "x"), ("a b", "x"), ("a:b", "x"), ("X", "a\r\nb"), ("X", "\0"), ("X", "ü")] {
            assert_eq!(request("GET", "/", &[(name, value)]), Err(RequestProblem::Field(name.into())));
        }
    }
}
