//! Tests of authentication headers: several challenges, any case, malformed and oversized ones.

use stickler_auth::http::{
    AuthToken, DEFAULT_TOKEN_LIMIT, HeaderError, Scheme, format_token, parse_authorization, parse_challenges,
};

fn challenges(values: &[&str]) -> Result<Vec<(Scheme, String)>, HeaderError> {
    let values = values.iter().map(|value| value.as_bytes());
    let found = parse_challenges(values, DEFAULT_TOKEN_LIMIT)?;
    Ok(found.into_iter().map(|AuthToken { scheme, token }| (scheme, String::from_utf8(token).unwrap())).collect())
}

#[test]
fn challenges_are_found_in_one_header_or_in_many() {
    let (ntlm, negotiate) = ((Scheme::Ntlm, String::new()), (Scheme::Negotiate, String::new()));
    for values in [
        &["Negotiate", "NTLM"][..],
        &["Negotiate, NTLM"],
        &["negotiate,ntlm"],
        &[" , NEGOTIATE ,, NTLM,"],
        &["Basic realm=\"a, NTLM \\\" b\", Negotiate", "Digest qop = \"auth\", nonce=x", "NTLM"],
    ] {
        assert_eq!(challenges(values), Ok(vec![negotiate.clone(), ntlm.clone()]), "{values:?}");
    }
    let with_tokens = challenges(&["NTLM Zm9v, Negotiate  YmFyIQ=="]).unwrap();
    assert_eq!(with_tokens, [(Scheme::Ntlm, "foo".into()), (Scheme::Negotiate, "bar!".into())]);
    assert_eq!(challenges(&[]), Ok(vec![]));
    assert_eq!(challenges(&["", "Basic realm=x"]), Ok(vec![]));
}

#[test]
fn what_is_formatted_parses_to_the_same() {
    for (token, text) in [(&b""[..], "NTLM"), (b"foo", "NTLM Zm9v"), (b"ba", "NTLM YmE=")] {
        assert_eq!(format_token(Scheme::Ntlm, token), text);
        let parsed = parse_authorization(text.as_bytes(), 8).unwrap();
        assert_eq!(parsed, AuthToken { scheme: Scheme::Ntlm, token: token.to_vec() });
    }
    let unpadded = parse_authorization(b"  negotiate YmE  ", 8).unwrap();
    assert_eq!(unpadded, AuthToken { scheme: Scheme::Negotiate, token: b"ba".to_vec() });
}

#[test]
fn malformed_credentials_are_refused_with_the_reason() {
    let parse = |value: &str| parse_authorization(value.as_bytes(), 8).unwrap_err();
    assert_eq!(parse(""), HeaderError::NoScheme { at: 0 });
    assert_eq!(parse("\"NTLM\""), HeaderError::NoScheme { at: 0 });
    assert_eq!(parse("Basic eDp5"), HeaderError::OtherScheme("Basic".into()));
    assert_eq!(parse("NTLM Zm9v YmFy"), HeaderError::NotBase64(Scheme::Ntlm));
    assert_eq!(parse("Negotiate ????"), HeaderError::NotBase64(Scheme::Negotiate));
    assert_eq!(parse("NTLM=Zm9v"), HeaderError::NotBase64(Scheme::Ntlm));
    assert_eq!(parse("NTLM AAAAAAAAAAAAA"), HeaderError::TooLong { len: 13, limit: 12 });
    assert_eq!(parse(&"x".repeat(100)), HeaderError::OtherScheme("x".repeat(32)));
    assert_eq!(challenges(&["NTLM, @"]), Err(HeaderError::NoScheme { at: 5 }));
    assert_eq!(challenges(&["NTLM @"]), Err(HeaderError::NotBase64(Scheme::Ntlm)));
}
