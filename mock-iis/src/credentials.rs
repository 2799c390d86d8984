//! The credentials that a request presents in `Authorization`, before they are verified.

use stickler_auth::http::{AuthToken, HeaderError, TokenKind, parse_authorization, token_kind};
use stickler_auth::spnego::token::Token;
use stickler_http1::Lookup;
use stickler_model::Leg;

/// The credentials of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// The request presents no credentials, or those of a scheme other than Windows authentication (`Basic`), which IIS
    /// ignores.
    Nothing,
    /// A token in valid base64, which may still be malformed.
    Token {
        /// The scheme and the bytes.
        token: AuthToken,
        /// The kind of token that the bytes look like.
        kind: TokenKind,
    },
    /// The request presents `NTLM` or `Negotiate` with a token that is missing or not base64.
    Malformed,
    /// The request has more than one `Authorization`, which may occur only once (RFC 9110 5.3, 11.6.2), or a token that
    /// is too long for a header line. http.sys itself answers 400.
    Unacceptable,
}

impl Presented {
    /// Reads the credentials from the headers of a request. A token has at most `limit` characters.
    pub fn read(headers: &impl Lookup, limit: usize) -> Self {
        let mut values = headers.all("Authorization");
        let Some(value) = values.next() else { return Self::Nothing };
        if values.next().is_some() {
            return Self::Unacceptable;
        }
        match parse_authorization(value, limit) {
            Ok(token) if token.token.is_empty() => Self::Malformed,
            Ok(token) => Self::Token { kind: token_kind(&token.token), token },
            Err(HeaderError::NoScheme { .. } | HeaderError::OtherScheme(_)) => Self::Nothing,
            Err(HeaderError::NotBase64(_)) => Self::Malformed,
            Err(HeaderError::TooLong { .. }) => Self::Unacceptable,
        }
    }

    /// Returns the leg of a handshake that the request is.
    pub fn leg(&self) -> Leg {
        match self {
            Self::Nothing => Leg::Anonymous,
            Self::Token { token, kind: TokenKind::Spnego } => spnego_leg(&token.token),
            Self::Token { kind, .. } => leg_of(*kind),
            Self::Malformed | Self::Unacceptable => Leg::Malformed,
        }
    }
}

fn leg_of(kind: TokenKind) -> Leg {
    match kind {
        TokenKind::NtlmNegotiate => Leg::Negotiate,
        TokenKind::NtlmAuthenticate => Leg::Authenticate,
        TokenKind::Kerberos => Leg::Ticket,
        TokenKind::NtlmChallenge | TokenKind::Spnego | TokenKind::Unknown => Leg::Malformed,
    }
}

/// Returns the leg that the token inside a SPNEGO token represents. If there is no token inside, a NegTokenInit begins
/// a handshake. A NegTokenResp then carries the MIC, and ends a handshake.
fn spnego_leg(token: &[u8]) -> Leg {
    let (inner, without) = match Token::decode(token) {
        Ok(Token::Init(init)) => (init.mech_token, Leg::Negotiate),
        Ok(Token::Resp(resp)) => (resp.response_token, Leg::Authenticate),
        Err(_) => return Leg::Malformed,
    };
    // If the first token belongs to an unknown mechanism (NEGOEX), it is treated like an offer without a token.
    match inner.map(token_kind) {
        None | Some(TokenKind::Unknown) => without,
        Some(kind) => leg_of(kind),
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn leg_of(values: &[&'static str]) -> (Presented, Leg) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let presented = Presented::read(&headers, stickler_auth::http::DEFAULT_TOKEN_LIMIT);
        let leg = presented.leg();
        (presented, leg)
    }

    #[test]
    fn each_kind_of_header_has_its_leg() {
        assert_eq!(leg_of(&[]), (Presented::Nothing, Leg::Anonymous));
        assert_eq!(leg_of(&["Basic YTpi"]), (Presented::Nothing, Leg::Anonymous));
        assert_eq!(leg_of(&["NTLM"]), (Presented::Malformed, Leg::Malformed));
        assert_eq!(leg_of(&["NTLM !!"]), (Presented::Malformed, Leg::Malformed));
        assert_eq!(leg_of(&["NTLM TlRMTVNTUAABAAAA"]).1, Leg::Negotiate);
        assert_eq!(leg_of(&["negotiate TlRMTVNTUAADAAAA"]).1, Leg::Authenticate);
        assert_eq!(leg_of(&["Negotiate TlRMTVNTUAACAAAA"]).1, Leg::Malformed);
        assert_eq!(leg_of(&["Negotiate YIIBAA=="]).1, Leg::Malformed);
    }

    #[test]
    fn a_repeated_header_is_unacceptable_even_if_both_agree() {
        assert_eq!(leg_of(&["Basic YTpi", "Basic YTpi"]).0, Presented::Unacceptable);
    }
}
