//! The header fields `WWW-Authenticate` and `Authorization`, and the kinds of their tokens (RFC 9110 11, RFC 4559,
//! MS-N2HT).

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::ntlm::wire::message_type;

/// The maximum length of a token that is accepted by default, in bytes of base64: 16 KiB, the limit of IIS for a header
/// line.
pub const DEFAULT_TOKEN_LIMIT: usize = 16 * 1024;

/// An authentication scheme that carries tokens of a Windows security package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// The scheme `NTLM` (MS-NTHT).
    Ntlm,
    /// The scheme `Negotiate` (RFC 4559), which carries SPNEGO, raw Kerberos or raw NTLM.
    Negotiate,
    /// The scheme `Nego2` (MS-N2HT), which is `Negotiate` under a name that few balancers recognise.
    Nego2,
}

impl Scheme {
    /// Returns the scheme's name in its usual spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ntlm => "NTLM",
            Self::Negotiate => "Negotiate",
            Self::Nego2 => "Nego2",
        }
    }

    /// Returns the scheme with this name. The case of the name does not matter (RFC 9110 11.1).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Ntlm, Self::Negotiate, Self::Nego2]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A challenge of a 401 response, or the credentials of a request: a scheme and its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthToken {
    /// The authentication scheme.
    pub scheme: Scheme,
    /// The token, decoded from base64. It is empty for a bare scheme.
    pub token: Vec<u8>,
}

/// The reason why an authentication header was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The value has no scheme where one is expected.
    #[error("the header has no authentication scheme at byte {at}")]
    NoScheme {
        /// The position in the value.
        at: usize,
    },
    /// The credentials of a request have a scheme that [`Scheme`] does not name.
    #[error("authentication scheme {0:?} is not NTLM, Negotiate or Nego2")]
    OtherScheme(String),
    /// The token is not base64.
    #[error("the token of scheme {0} is not valid base64")]
    NotBase64(Scheme),
    /// The token is longer than the limit.
    #[error("the token has {len} bytes of base64, more than the limit of {limit}")]
    TooLong {
        /// The length of the token in base64, in bytes.
        len: usize,
        /// The limit in bytes of base64.
        limit: usize,
    },
}

/// Reads the value of an `Authorization` or `Proxy-Authorization` field. `limit` bounds the token; see
/// [`DEFAULT_TOKEN_LIMIT`].
///
/// # Errors
/// The scheme is absent or unknown, or the token is not base64 or is too long.
pub fn parse_authorization(value: &[u8], limit: usize) -> Result<AuthToken, HeaderError> {
    let (name, token) = split_scheme(value.trim_ascii()).ok_or(HeaderError::NoScheme { at: 0 })?;
    let scheme = Scheme::from_name(name).ok_or_else(|| {
        let shown = &name[..name.len().min(MAX_SHOWN)];
        HeaderError::OtherScheme(String::from_utf8_lossy(shown).into_owned())
    })?;
    Ok(AuthToken { scheme, token: decode_token(scheme, token, limit)? })
}

/// Reads all `WWW-Authenticate` values of a response in order. One value may hold several challenges (RFC 9110 11.6.1).
/// Schemes that [`Scheme`] does not name are skipped with their parameters.
///
/// # Errors
/// This function returns the same errors as [`parse_authorization`].
pub fn parse_challenges<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Vec<AuthToken>, HeaderError> {
    let mut found = Vec::new();
    for value in values {
        for (at, element) in split_list(value) {
            let element = element.trim_ascii();
            if element.is_empty() {
                continue;
            }
            let (name, rest) = split_scheme(element).ok_or(HeaderError::NoScheme { at })?;
            // `name=value` is a parameter of the challenge before it. In a scheme with a token, a `=` comes only later.
            if rest.starts_with(b"=") {
                continue;
            }
            if let Some(scheme) = Scheme::from_name(name) {
                found.push(AuthToken { scheme, token: decode_token(scheme, rest, limit)? });
            }
        }
    }
    Ok(found)
}

/// Returns the header value that carries `token` under `scheme`, in either direction. An empty token gives a bare
/// scheme.
pub fn format_token(scheme: Scheme, token: &[u8]) -> String {
    let mut value = String::with_capacity(10 + token.len().div_ceil(3) * 4);
    value.push_str(scheme.as_str());
    if !token.is_empty() {
        value.push(' ');
        BASE64.encode_string(token, &mut value);
    }
    value
}

/// Base64 in the form that Windows reads: padding may be missing (token68 of RFC 9110 11.2 does not require it).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The number of bytes of an unknown scheme that an error repeats.
const MAX_SHOWN: usize = 32;

/// Splits a leading token (RFC 9110 5.6.2) from the text after the spaces that follow it. Returns `None` if there is no
/// token.
fn split_scheme(element: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = element.iter().position(|byte| !is_token(byte)).unwrap_or(element.len());
    let (name, rest) = element.split_at(end);
    (end > 0).then(|| (name, rest.trim_ascii_start()))
}

/// Returns the elements of a comma-separated list with their positions. A comma within quotes does not separate
/// elements.
fn split_list(value: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let (mut quoted, mut escaped) = (false, false);
        let end = value[start..].iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        next = end.map(|end| start + end + 1);
        Some((start, &value[start..end.map_or(value.len(), |end| start + end)]))
    })
}

/// Decodes the token after a scheme. Its length is checked before memory is allocated for it.
fn decode_token(scheme: Scheme, base64: &[u8], limit: usize) -> Result<Vec<u8>, HeaderError> {
    let limit = limit.div_ceil(3).saturating_mul(4);
    if base64.len() > limit {
        return Err(HeaderError::TooLong { len: base64.len(), limit });
    }
    BASE64.decode(base64).map_err(|_| HeaderError::NotBase64(scheme))
}

/// The kind of a token, according to its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An NTLM Negotiate message (type 1).
    NtlmNegotiate,
    /// An NTLM Challenge message (type 2).
    NtlmChallenge,
    /// An NTLM Authenticate message (type 3).
    NtlmAuthenticate,
    /// A SPNEGO token: NegTokenInit or NegTokenResp (RFC 4178 4.2).
    Spnego,
    /// A raw Kerberos token under the krb5 OID (RFC 4121 4.1).
    Kerberos,
    /// The token is of no known kind.
    Unknown,
}

/// The object identifiers 1.3.6.1.5.5.2 (SPNEGO) and 1.2.840.113554.1.2.2 (Kerberos) in DER.
const SPNEGO_OID: &[u8] = b"\x06\x06\x2b\x06\x01\x05\x05\x02";
const KRB5_OID: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";

/// Returns the kind of `token`, judged by its first bytes alone. The token may still be malformed.
pub fn token_kind(token: &[u8]) -> TokenKind {
    match (message_type(token), token) {
        (Some(1), _) => TokenKind::NtlmNegotiate,
        (Some(2), _) => TokenKind::NtlmChallenge,
        (Some(3), _) => TokenKind::NtlmAuthenticate,
        // A bare NegTokenInit or NegTokenResp has the context tag 0 or 1.
        (None, [0xA0 | 0xA1, ..]) => TokenKind::Spnego,
        // A token with the OID of its mechanism begins with the application tag 0, a DER length and the OID (RFC 2743
        // 3.1).
        (None, [0x60, length, rest @ ..]) => {
            let long = if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7F) };
            let body = rest.get(long..).unwrap_or_default();
            if body.starts_with(SPNEGO_OID) {
                TokenKind::Spnego
            } else if body.starts_with(KRB5_OID) {
                TokenKind::Kerberos
            } else {
                TokenKind::Unknown
            }
        }
        _ => TokenKind::Unknown,
    }
}
