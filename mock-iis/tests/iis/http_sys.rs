//! Tests of the answers of the kernel driver, and of the fields that every answer has.

use std::sync::Arc;

use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_iis::log::Entry;
use stickler_model::What;
use stickler_model::topology::{IisVersion, ServerSpec};

use crate::bench::{Bench, Lines, Response, authorization, domain, initiator, token};

/// Starts a server with other settings.
async fn with(change: impl FnOnce(&mut ServerSpec)) -> Bench {
    let spec = |mut spec| {
        change(&mut spec);
        spec
    };
    Bench::with_spec(domain(None), spec, |site| site).await
}

/// Returns the answer to these bytes, after which the connection must be closed.
async fn refusal(bench: &Bench, bytes: &[u8]) -> Response {
    let mut http = bench.connect().await;
    http.write(bytes).await;
    let answer = http.response(false).await.expect("an answer");
    assert!(http.is_closed().await);
    answer
}

#[tokio::test]
async fn requests_are_refused_before_anybody_authenticates_and_are_in_no_log_of_the_site() {
    let lines = Lines::default();
    let sink = lines.clone();
    let log = Arc::new(move |entry: &Entry| sink.push(entry.to_string()));
    let bench = Bench::with(domain(None), |site| site.with_log(log)).await;
    for (request, status, text) in [
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411, "The request must be chunked or have a content length."),
        ("PUT / HTTP/1.1\r\nHost: x\r\n\r\n", 411, "The request must be chunked or have a content length."),
        ("GET / HTTP/1.1\r\n\r\n", 400, "The request hostname is invalid."),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 400, "The request URL is invalid."),
    ] {
        let answer = refusal(&bench, request.as_bytes()).await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{request}");
        assert_eq!(answer.header("server"), "Microsoft-HTTPAPI/2.0");
        assert_eq!((answer.header("www-authenticate"), answer.header("x-powered-by")), ("", ""));
        assert!(String::from_utf8_lossy(&answer.body).contains(text), "{request}");
    }
    assert_eq!(lines.text(), "");
    let answered = bench.take(|what| if let What::ServerAnswered { status, .. } = what { Some(status) } else { None });
    assert_eq!(answered, [411, 411, 400, 400]);
    // Valid requests are passed on: HTTP/1.0 without `Host`, and a POST that declares an empty body.
    for request in ["GET / HTTP/1.0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"] {
        let mut http = bench.connect().await;
        http.write(request).await;
        assert_eq!(http.response(false).await.unwrap().status, 401, "{request}");
    }
}

#[tokio::test]
async fn each_server_has_its_own_limits_for_a_field_and_for_the_head() {
    let head =
        |length: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: NTLM {}\r\n\r\n", "A".repeat(length));
    for (field, request, length, text) in [
        (16_384, 16_384, 17_000, "The size of the request headers is too long."),
        (16_384, 65_534, 17_000, "A request header field is too long."),
        (65_534, 32_768, 40_000, "The size of the request headers is too long."),
        // This head is longer than the part that the server reads of a head that it refuses.
        (65_534, 65_534, 200_000, "The size of the request headers is too long."),
    ] {
        let bench = with(|spec| (spec.site.max_field_length, spec.site.max_request_bytes) = (field, request)).await;
        let answer = refusal(&bench, head(length).as_bytes()).await;
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8_lossy(&answer.body).contains(text), "{field} {request} {length}");
    }
    let bench = with(|spec| (spec.site.max_field_length, spec.site.max_request_bytes) = (65_534, 131_072)).await;
    let mut http = bench.connect().await;
    http.write(head(60_000)).await;
    assert_eq!(http.response(false).await.unwrap().status, 401, "a token that fits is only malformed");
}

#[tokio::test]
async fn in_kernel_mode_the_challenge_comes_from_http_sys_and_the_rest_from_iis() {
    for (kernel_mode, version, iis, challenger) in [
        (true, IisVersion::Iis10, "Microsoft-IIS/10.0", "Microsoft-HTTPAPI/2.0"),
        (false, IisVersion::Iis10, "Microsoft-IIS/10.0", "Microsoft-IIS/10.0"),
        // IIS has kernel mode only since version 7.
        (true, IisVersion::Iis6, "Microsoft-IIS/6.0", "Microsoft-IIS/6.0"),
    ] {
        let bench = with(|spec| (spec.site.kernel_mode, spec.version) = (kernel_mode, version)).await;
        for scheme in ["NTLM", "Negotiate"] {
            let mut http = bench.connect().await;
            let first = http.get("").await;
            let (negotiate, _) = initiator("CORP", "alice", "alice-pw", NtlmProfile::curl());
            let challenge = http.get(&authorization(scheme, &negotiate)).await;
            assert_eq!((first.header("server"), challenge.header("server")), (iis, challenger));
            assert_eq!((challenge.status, challenge.header("connection")), (401, ""));
            let served = http.login_as(scheme, "CORP", "alice", "alice-pw", NtlmProfile::curl()).await;
            let persists = if version == IisVersion::Iis6 { "" } else { "true" };
            assert_eq!((served.header("server"), served.header("persistent-auth")), (iis, persists));
            // If the password is refused, the page is the site's own.
            let refused = http.login_as(scheme, "CORP", "alice", "guess", NtlmProfile::curl()).await;
            assert_eq!((refused.status, refused.header("server")), (401, iis));
        }
    }
}

#[tokio::test]
async fn a_challenge_has_the_version_of_windows_though_nobody_asked() {
    for (version, windows) in [(IisVersion::Iis6, "5.2.3790 r15"), (IisVersion::Iis10, "10.0.20348 r15")] {
        let bench = with(|spec| spec.version = version).await;
        let (negotiate, _) = initiator("CORP", "alice", "alice-pw", NtlmProfile::curl());
        let answer = bench.connect().await.get(&authorization("NTLM", &negotiate)).await;
        let challenge = token(&answer, "NTLM");
        let challenge = Challenge::decode(&challenge).unwrap();
        assert!(challenge.flags.contains(NegotiateFlags::VERSION));
        assert_eq!(format!("{:?}", challenge.version.unwrap()), windows);
    }
}

#[tokio::test]
async fn every_answer_has_the_date_of_the_servers_clock() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let refused = refusal(&bench, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let garbage = refusal(&bench, b"no request\r\n\r\n").await;
    for answer in [http.get("").await, http.login("alice", "alice-pw").await, refused, garbage] {
        assert_eq!(answer.header("date"), "Tue, 14 Nov 2023 22:13:20 GMT", "{}", answer.status);
    }
}
