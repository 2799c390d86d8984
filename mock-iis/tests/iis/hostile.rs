//! Tests of peers that send invalid input.

use std::time::Duration;

use stickler_mock_iis::ServerLimits;
use stickler_model::What;
use stickler_model::event::Closed;

use crate::bench::{Bench, authorization, domain};

/// Returns the status of the answer to these bytes, after which the server must end its side of the connection.
async fn refused(bench: &Bench, bytes: &[u8]) -> u16 {
    let mut http = bench.connect().await;
    http.write(bytes).await;
    let status = http.response(false).await.expect("an answer").status;
    assert!(http.is_closed().await);
    status
}

#[tokio::test]
async fn two_authorizations_are_a_bad_request() {
    let bench = Bench::start().await;
    let twice = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: NTLM AAAA\r\nAuthorization: NTLM AAAA\r\n\r\n";
    assert_eq!(refused(&bench, twice).await, 400);
    let closed = bench.take(|what| if let What::ServerClosed { how, .. } = what { Some(how) } else { None });
    assert_eq!(closed, [Closed::Here]);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_a_bad_request() {
    let bench = Bench::start().await;
    let head =
        |length: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: NTLM {}\r\n\r\n", "A".repeat(length));
    // A token that has the largest possible length is only malformed.
    let mut http = bench.connect().await;
    http.write(head(16_000)).await;
    assert_eq!(http.response(false).await.unwrap().status, 401);
    assert_eq!(refused(&bench, head(17_000).as_bytes()).await, 400);
    assert_eq!(refused(&bench, head(70_000).as_bytes()).await, 400);
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(refused(&bench, many.as_bytes()).await, 400);
}

#[tokio::test]
async fn garbage_is_a_bad_request() {
    let bench = Bench::start().await;
    assert_eq!(refused(&bench, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await, 400);
    assert_eq!(refused(&bench, b"GET / HTTP/1.1\r\nno colon here\r\n\r\n").await, 400);
    assert_eq!(refused(&bench, b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").await, 400);
    let both = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(refused(&bench, both).await, 400);
    assert_eq!(refused(&bench, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").await, 501);
    let received = bench.take(|what| matches!(what, What::ServerReceived { .. }).then_some(()));
    assert!(received.is_empty(), "what is no request is not received");
}

#[tokio::test]
async fn a_header_line_without_end_is_not_waited_for() {
    let limits = ServerLimits { idle: Duration::from_millis(50), ..ServerLimits::default() };
    let bench = Bench::with(domain(None), |site| site.with_limits(limits)).await;
    let mut http = bench.connect().await;
    http.write("GET / HTTP/1.1\r\nAuthorization: NTLM TlRM").await;
    assert!(http.is_closed().await);
}

#[tokio::test]
async fn a_body_that_stalls_under_the_application_ends_its_connection() {
    let limits = ServerLimits { body: Duration::from_millis(50), ..ServerLimits::default() };
    let open = |auth: &mut stickler_mock_iis::authn::AuthConfig| auth.anonymous = true;
    let bench = Bench::with(domain(None), |site| site.with_limits(limits).with_auth(open)).await;
    let mut http = bench.connect().await;
    http.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert!(http.is_closed().await);
    assert!(bench.take(|what| matches!(what, What::ServerAnswered { .. }).then_some(())).is_empty());
}

#[tokio::test]
async fn every_truncation_of_a_token_is_a_401_and_the_connection_lives() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let (negotiate, _) =
        crate::bench::initiator("CORP", "alice", "alice-pw", stickler_auth::ntlm::profile::NtlmProfile::windows());
    for length in 0..negotiate.len() {
        assert_eq!(http.get(&authorization("NTLM", &negotiate[..length])).await.status, 401);
    }
    assert_eq!(http.login("alice", "alice-pw").await.status, 200);
}
