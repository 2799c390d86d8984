//! Pinning: when a downstream connection gets an upstream connection of its own.

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use crate::ResponseHead;

/// Which answers pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRule {
    /// The answer's status.
    pub status: StatusCode,
    /// One of these begins a `WWW-Authenticate` value, in any case. HAProxy: `NTLM` and `Nego`, so that
    /// `NTLM TlRM...`, `Negotiate` and `Nego2` match alike.
    pub schemes: &'static [&'static str],
}

impl PinRule {
    /// Whether this answer pins.
    pub fn matches(&self, head: &ResponseHead<'_>) -> bool {
        head.status == self.status
            && head.headers.get_all(WWW_AUTHENTICATE).iter().any(|value| {
                let value = value.as_bytes();
                self.schemes.iter().any(|scheme| {
                    value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const RULE: PinRule = PinRule { status: StatusCode::UNAUTHORIZED, schemes: &["NTLM", "Nego"] };

    fn pins(status: StatusCode, values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        RULE.matches(&ResponseHead { status, headers: &headers, closes: false })
    }

    #[test]
    fn a_401_with_a_windows_scheme_pins_in_any_case() {
        for value in ["NTLM", "ntlm TlRMTVNTUAACAAAA", "Negotiate", "nEGOtiate oYH", "Nego2"] {
            assert!(pins(StatusCode::UNAUTHORIZED, &[value]), "{value}");
        }
        assert!(pins(StatusCode::UNAUTHORIZED, &["Basic realm=\"x\"", "NTLM"]));
    }

    #[test]
    fn another_scheme_or_status_does_not_pin() {
        assert!(!pins(StatusCode::UNAUTHORIZED, &["Basic realm=\"NTLM\""]));
        assert!(!pins(StatusCode::UNAUTHORIZED, &["NTL"]));
        assert!(!pins(StatusCode::UNAUTHORIZED, &[]));
        assert!(!pins(StatusCode::OK, &["NTLM"]));
        assert!(!pins(StatusCode::FORBIDDEN, &["Negotiate"]));
    }
}
