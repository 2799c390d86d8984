//! The part of cookies that a balancer's persistence requires (a subset of RFC 6265). The module is pure.
//!
//! A client has one site. Therefore the attributes that restrict a cookie to a site or to a time are ignored: `Domain`,
//! `Path`, `Secure`, `Expires` and `Max-Age`. A cookie is kept until another one with its name, or too many others,
//! have arrived.

use http::HeaderValue;
use indexmap::IndexMap;

/// The number of cookies that are kept; the oldest is removed first (RFC 6265 6.1: at least 50 for a site).
const MAX_COOKIES: usize = 50;

/// The maximum length of a name and its value together, in bytes. Browsers drop longer cookies (RFC 6265 6.1).
const MAX_BYTES: usize = 4096;

/// The cookies of a client.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    /// The names and values, in the order in which the names first arrived.
    cookies: IndexMap<Vec<u8>, Vec<u8>>,
}

impl Jar {
    /// Keeps the cookie of a `Set-Cookie` header, if the header is valid.
    pub(crate) fn keep(&mut self, set_cookie: &[u8]) {
        let Some((name, value)) = read(set_cookie).filter(|(name, value)| name.len() + value.len() <= MAX_BYTES) else {
            return;
        };
        self.cookies.insert(name.to_vec(), value.to_vec());
        if self.cookies.len() > MAX_COOKIES {
            self.cookies.shift_remove_index(0);
        }
    }

    /// Returns the `Cookie` header of a request; `None` if there are no cookies.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<Vec<u8>> = self.cookies.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect();
        // Bytes that arrived in the value of a header are allowed in another value.
        HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
    }
}

/// Returns the name and the value in a `Set-Cookie` header (RFC 6265 5.2).
pub(crate) fn read(set_cookie: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = set_cookie.split(|&byte| byte == b';').next()?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
    (!name.is_empty()).then_some((name, value))
}

/// Returns the value of the cookie with this name in a `Cookie` header.
pub(crate) fn find<'a>(cookie: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookie.split(|&byte| byte == b';').filter_map(read).find(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jar(lines: &[&str]) -> String {
        let mut jar = Jar::default();
        for line in lines {
            jar.keep(line.as_bytes());
        }
        jar.header().map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_is_a_name_and_a_value_and_the_latest_of_a_name_counts() {
        assert_eq!(jar(&[]), "");
        assert_eq!(jar(&["SRV=iis1; Path=/; Max-Age=0; HttpOnly"]), "SRV=iis1");
        assert_eq!(jar(&["a=1", "b = 2 ", "a=3=x"]), "a=3=x; b=2");
        assert_eq!(jar(&["nameless", "=1", "", ";a=1", "empty="]), "empty=");
    }

    #[test]
    fn the_jar_is_bounded_in_number_and_length() {
        let long = format!("long={}", "x".repeat(4093));
        assert_eq!(jar(&[&long]), "");
        assert_eq!(jar(&[&long[..long.len() - 1]]).len(), 4097);
        let many: Vec<String> = (0..60).map(|n| format!("n{n}={n}")).collect();
        let kept = jar(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(kept.starts_with("n10=10; n11=11") && kept.ends_with("; n59=59"), "{kept}");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(find(b"xSRV=1; SRV=iis2;SRV=iis3", "SRV"), Some(&b"iis2"[..]));
        assert_eq!(find(b"xSRV=1; SRV", "SRV"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_kept_is_found_again(name in "[A-Za-z0-9]{1,9}", value in "[!-:<-~]{0,20}", junk in ".*") {
            let mut jar = Jar::default();
            jar.keep(junk.as_bytes());
            jar.keep(format!("{name}={value}; Path=/").as_bytes());
            let header = jar.header();
            if let Some(header) = header {
                prop_assert_eq!(find(header.as_bytes(), &name), Some(value.as_bytes()));
            }
        }
    }
}
