//! Tests of bodies, methods, and the answers of the application.

use std::time::Duration;

use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_iis::ServerLimits;
use stickler_model::event::Closed;
use stickler_model::site::AnonymousSpec;
use stickler_model::{Payload, What};
use tokio::time::{sleep, timeout};

use crate::bench::{Bench, Http, authorization, domain};

/// Returns the lengths of the bodies that the server records with its answers, and whether the application ran.
fn bodies(bench: &Bench) -> Vec<(u16, u64, bool)> {
    bench.take(|what| match what {
        What::ServerAnswered { status, length, processed, .. } => Some((status, length, processed)),
        _ => None,
    })
}

fn small_limits() -> ServerLimits {
    ServerLimits { drain: 1_000, body: Duration::from_millis(80), ..ServerLimits::default() }
}

#[tokio::test]
async fn the_401_comes_before_the_body_which_is_dropped_and_the_handshake_goes_on() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let body = Payload::Bytes(300_000);
    let bytes = body.chunk(0, usize::MAX);
    http.write("POST /upload HTTP/1.1\r\nHost: iis1\r\nContent-Length: 300000\r\n\r\n").await;
    let refused = http.response(false).await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (401, ""));
    http.write(&bytes).await;
    http.login("alice", "alice-pw").await;
    let answer = http.request("POST", "/upload?x=1", "", &bytes).await.app();
    assert_eq!((answer.method.as_str(), answer.path.as_str()), ("POST", "/upload?x=1"));
    assert_eq!((answer.length, answer.digest), (300_000, body.digest()));
    // All requests used one connection, and the application received one body.
    assert_eq!((answer.connection, answer.number), (1, 4));
    assert_eq!(bodies(&bench), [(401, 0, false), (401, 0, false), (200, 0, true), (200, 300_000, true)]);
}

#[tokio::test]
async fn a_chunked_body_is_dropped_and_processed_in_the_same_way() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let head = "POST /upload HTTP/1.1\r\nHost: iis1\r\nTransfer-Encoding: chunked\r\n\r\n";
    http.write(head).await;
    assert_eq!(http.response(false).await.unwrap().status, 401);
    http.write("5\r\nhello\r\n0\r\n\r\n").await;
    http.login("alice", "alice-pw").await;
    http.write([head, "5;x=y\r\nhel"].concat()).await;
    http.write("lo\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n").await;
    let answer = http.response(false).await.unwrap().app();
    assert_eq!((answer.length, answer.digest), (6, Payload::Text("hello!".into()).digest()));
    http.write([head, "not a length\r\n"].concat()).await;
    assert_eq!(http.response(false).await.unwrap().status, 400);
    assert!(http.is_closed().await);
}

#[tokio::test]
async fn a_body_beyond_the_limit_costs_the_connection() {
    let bench = Bench::with(domain(None), |site| site.with_limits(small_limits())).await;
    let mut http = bench.connect().await;
    assert_eq!(http.request("PUT", "/", "", &[b'x'; 1_000]).await.status, 401);
    let refused = http.request("PUT", "/", "", &[b'x'; 1_001]).await;
    assert_eq!((refused.status, refused.header("connection")), (401, "close"));
    assert!(http.is_closed().await);
    // Without a declared length, the excess is noticed only when the bytes arrive.
    let mut chunked = bench.connect().await;
    chunked.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..3 {
        chunked.write([b"200\r\n".as_slice(), &[b'x'; 512], b"\r\n"].concat()).await;
    }
    assert_eq!(chunked.response(false).await.unwrap().header("connection"), "");
    assert!(chunked.is_closed().await);
}

#[tokio::test]
async fn a_body_that_stalls_does_not_delay_the_401_and_ends_the_connection() {
    let bench = Bench::with(domain(None), |site| site.with_limits(small_limits())).await;
    let mut http = bench.connect().await;
    http.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(http.response(false).await.unwrap().status, 401);
    assert!(http.is_closed().await);
    assert_eq!(bodies(&bench), [(401, 0, false)]);
}

#[tokio::test]
async fn only_a_client_whose_body_is_read_is_told_to_continue() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let waits = "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    http.write(waits).await;
    assert_eq!(http.response(false).await.unwrap().status, 401);
    // The client keeps the connection by sending the body nevertheless (RFC 9110 10.1.1).
    http.write("abc").await;
    http.login("alice", "alice-pw").await;
    http.write(waits).await;
    assert_eq!(http.response(false).await.unwrap().status, 100);
    http.write("abc").await;
    let answer = http.response(false).await.unwrap().app();
    assert_eq!((answer.length, answer.digest), (3, Payload::Text("abc".into()).digest()));
    // A client that does not wait gets no `100 Continue`.
    http.write([waits, "abc"].concat()).await;
    assert_eq!(http.response(false).await.unwrap().app().length, 3);
    http.write("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(http.response(false).await.unwrap().app().length, 0);
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    http.write(
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n\
         HEAD /bytes/7 HTTP/1.1\r\nHost: x\r\n\r\nGET /d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
         GET http://x/e?f HTTP/1.0\r\n\r\n",
    )
    .await;
    assert_eq!(http.response(false).await.unwrap().app().path, "/a");
    assert_eq!(http.response(false).await.unwrap().body.len(), 5);
    assert_eq!(http.response(true).await.unwrap().header("content-length"), "7");
    let kept = http.response(false).await.unwrap();
    assert_eq!((kept.header("connection"), kept.app().path.as_str()), ("keep-alive", "/d"));
    let last = http.response(false).await.unwrap();
    assert_eq!((last.header("connection"), last.app().path.as_str()), ("close", "/e?f"));
    assert!(http.is_closed().await);
}

#[tokio::test]
async fn bytes_come_by_recipe() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    let length = 1_000_003;
    let answer = http.request("GET", &format!("/bytes/{length}"), "", b"").await;
    assert!(answer.body == Payload::Bytes(length).chunk(0, usize::MAX));
    let head = http.request("HEAD", "/bytes/77", "", b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, "77"));
    assert_eq!(http.request("GET", "/bytes/many", "", b"").await.status, 404);
    assert_eq!(http.request("DELETE", "/x", "", b"").await.app().method, "DELETE");
}

#[tokio::test]
async fn a_site_that_allows_it_serves_anonymous_requests_and_still_authenticates() {
    let bench = Bench::with(domain(None), |site| site.with_auth(|auth| auth.anonymous = true)).await;
    let mut http = bench.connect().await;
    assert_eq!(http.get("").await.user(), None);
    assert_eq!(http.login("alice", "alice-pw").await.user().as_deref(), Some("CORP\\alice"));
}

/// Starts a site on which `/public` needs no logon, and OPTIONS needs none on any path.
async fn with_public_part(windows_too: bool) -> Bench {
    let anonymous = AnonymousSpec { paths: vec!["/public".into()], methods: vec!["OPTIONS".into()], windows_too };
    Bench::with_spec(
        domain(None),
        |mut spec| {
            spec.site.anonymous = anonymous;
            spec
        },
        |site| site,
    )
    .await
}

#[tokio::test]
async fn an_anonymous_part_takes_no_token_and_leaves_the_connection_to_its_user() {
    let bench = with_public_part(false).await;
    let mut http = bench.connect().await;
    let public = async |http: &mut Http, lines: &str| http.request("GET", "/Public/x", lines, b"").await;
    assert_eq!((http.get("").await.status, public(&mut http, "").await.user()), (401, None));
    assert_eq!(http.request("OPTIONS", "/", "", b"").await.user(), None);
    let (negotiate, _) = crate::bench::initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
    let answer = public(&mut http, &authorization("NTLM", &negotiate)).await;
    assert_eq!((answer.status, answer.user()), (200, None), "a token is ignored there");
    http.login("alice", "alice-pw").await;
    assert_eq!(public(&mut http, "").await.user(), None);
    assert_eq!(http.get("").await.user().as_deref(), Some("CORP\\alice"));
}

#[tokio::test]
async fn a_part_that_is_both_knows_who_has_logged_on_and_asks_nobody() {
    let bench = with_public_part(true).await;
    let mut http = bench.connect().await;
    let public = async |http: &mut Http, lines: &str| http.request("GET", "/public", lines, b"").await;
    assert_eq!(public(&mut http, "").await.user(), None);
    let failed = public(&mut http, &authorization("NTLM", b"NTLMSSP\0\x03\0\0\0")).await;
    assert_eq!(failed.status, 401, "a token that is there is looked at");
    http.login("alice", "alice-pw").await;
    assert_eq!(public(&mut http, "").await.user().as_deref(), Some("CORP\\alice"));
}

#[tokio::test]
async fn a_page_takes_the_time_that_its_path_names_and_one_that_is_not_there_is_404() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    let started = tokio::time::Instant::now();
    assert_eq!(http.request("GET", "/slow/0.2", "", b"").await.app().path, "/slow/0.2");
    assert!(started.elapsed() >= Duration::from_millis(200));
    for path in ["/slow/", "/slow/x", "/slow/3601", "/byte/10", "/inbox/1"] {
        assert_eq!(http.request("GET", path, "", b"").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_the_sites_timeout_is_over() {
    let timeout = Duration::from_millis(80);
    let bench = Bench::with_spec(
        domain(None),
        |mut spec| {
            spec.site.connection_timeout = timeout;
            spec
        },
        |site| site,
    );
    let bench = bench.await;
    let mut http = bench.connect().await;
    assert_eq!(http.get("").await.status, 401);
    let started = tokio::time::Instant::now();
    assert!(http.is_closed().await && started.elapsed() >= timeout / 2);
}

#[tokio::test]
async fn the_identity_can_be_for_one_request() {
    let bench = Bench::with(domain(None), |site| site.with_auth(|auth| auth.rules.single_request = true)).await;
    let mut http = bench.connect().await;
    let profile = stickler_auth::ntlm::profile::NtlmProfile::curl();
    let answer = http.login_as("Negotiate", "CORP", "alice", "alice-pw", profile).await;
    assert_eq!((answer.status, answer.header("persistent-auth")), (200, "false"));
    assert_eq!(http.get("").await.status, 401);
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_obeyed() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    assert_eq!(http.get("Connection: close\r\n").await.status, 401);
    assert!(http.is_closed().await);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_closed_when_the_time_for_that_is_over() {
    let limits = ServerLimits { send: Duration::from_millis(80), ..ServerLimits::default() };
    let bench = Bench::with(domain(None), |site| site.with_limits(limits)).await;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    http.write("GET /bytes/200000000 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let closed = |what| if let What::ServerClosed { how, .. } = what { Some(how) } else { None };
    let end = async {
        loop {
            if let Some(how) = bench.take(closed).pop() {
                return how;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(timeout(Duration::from_secs(10), end).await, Ok(Closed::Here));
    // A client that reads slowly is not disconnected.
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    http.write("GET /bytes/3000000 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..4 {
        sleep(Duration::from_millis(40)).await;
        http.more().await;
    }
    assert_eq!(bench.take(closed), []);
}
