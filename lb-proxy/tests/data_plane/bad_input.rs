//! Tests of invalid input: it is answered or refused, or its connection is closed. The bytes that remain on the
//! connection never reach anybody.

use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::HeadRule;
use stickler_lb_proxy::{HttpProxyConfig, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::peers::{Bed, PATIENCE, Reply, Server, ok, service};

const POST: &str = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx";

/// Returns a server that answers the first connection with these bytes and keeps it open, and answers all others
/// properly.
async fn once(bytes: &[u8]) -> Server {
    let bytes = bytes.to_vec();
    Server::start(move |seen| Reply::Bytes(if seen.connection == 1 { bytes.clone() } else { ok("fine") })).await
}

#[tokio::test]
async fn a_cookie_of_64_kib_is_431_and_one_that_fits_passes_whole() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let with_cookie = |length| format!("GET / HTTP/1.1\r\nHost: s\r\nCookie: c={}\r\n\r\n", "x".repeat(length));
    let mut client = bed.client().await;
    assert!(client.ask(&with_cookie(64 * 1024)).await.0.starts_with("HTTP/1.1 431"));
    client.until_closed().await;
    let mut client = bed.client().await;
    assert_eq!(client.ask(&with_cookie(60 * 1024)).await.1, "1.1");
    assert!(server.seen()[0].head.len() > 60 * 1024);
}

#[tokio::test]
async fn a_rule_for_heads_has_limits_and_an_answer_of_its_own() {
    let field = HeadRule { field: Some(8_190), status: StatusCode::BAD_REQUEST, ..HeadRule::NONE };
    let whole = HeadRule { whole: Some(100_000), status: StatusCode::PAYLOAD_TOO_LARGE, ..HeadRule::NONE };
    let few = HeadRule { fields: Some(150), ..HeadRule::NONE };
    let cookie = |length| format!("GET / HTTP/1.1\r\nHost: s\r\nCookie: c={}\r\n\r\n", "x".repeat(length));
    let fields = |count| format!("GET / HTTP/1.1\r\nHost: s\r\n{}\r\n", "X: 1\r\n".repeat(count));
    // `Cookie: c=` has 10 bytes, and the head without the cookie's value has 39.
    for (rule, taken, refused, status) in [
        (field, cookie(8_180), cookie(8_181), "HTTP/1.1 400"),
        (whole, cookie(99_961), cookie(99_962), "HTTP/1.1 413"),
        // A head that exceeds the data plane's own limit also gets the answer of the rule.
        (field, cookie(8_180), cookie(200_000), "HTTP/1.1 400"),
        (few, fields(149), fields(150), "HTTP/1.1 431"),
    ] {
        let server = Server::telling().await;
        let limits = Limits::default().reading(Some(rule));
        let service = HttpProxyConfig { head: Some(rule), limits, ..service("shared-pool", &[&server]) };
        let bed = Bed::with_service(service).await;
        let mut client = bed.client().await;
        assert_eq!(client.ask(&taken).await.1, "1.1");
        let (head, _) = client.ask(&refused).await;
        assert!(head.starts_with(status) && head.contains("connection: close"), "{head}");
        client.until_closed().await;
        assert_eq!(server.seen().len(), 1, "no backend has seen it");
    }
}

#[tokio::test]
async fn a_backends_cookie_of_64_kib_is_502() {
    let head = format!("HTTP/1.1 200 OK\r\nSet-Cookie: c={}\r\nContent-Length: 0\r\n\r\n", "x".repeat(64 * 1024));
    let server = once(head.as_bytes()).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 502"));
    assert_eq!(client.get("/").await.1, "fine");
}

#[tokio::test]
async fn a_backend_with_more_fields_than_the_limit_is_502() {
    let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: 1\r\n".repeat(200));
    let server = once(head.as_bytes()).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 502"));
    assert_eq!(client.get("/").await.1, "fine");
    assert_eq!(bed.decisions(), ["open", "reject", "open", "pool"]);
}

#[tokio::test]
async fn garbage_on_a_connection_that_stays_open_is_502_even_to_a_post_and_the_pool_never_gets_it() {
    for bytes in
        [&b"garbage without end of line"[..], b"\0\0\0\0\0\0\0\0", b"HTTP/9.9 200 OK\r\n\r\n", b"\r\n\r\n\r\n\r\n"]
    {
        let server = once(bytes).await;
        let limits = Limits { answer: Duration::from_millis(60), ..Limits::default() };
        let bed = Bed::with("shared-pool", &[&server], limits).await;
        let mut client = bed.client().await;
        let (head, _) = client.ask(POST).await;
        // If the bytes could be the start of a line, the balancer waits for the end of that line.
        assert!(head.starts_with("HTTP/1.1 502") || head.starts_with("HTTP/1.1 504"), "{bytes:?}: {head}");
        assert_eq!(client.ask(POST).await.1, "fine");
        server.until_closed(1).await;
        assert_eq!(server.seen().len(), 2, "a POST is sent once");
    }
}

#[tokio::test]
async fn bytes_beyond_a_short_length_never_reach_the_next_request() {
    let beyond = [ok("fine"), b"beyond".to_vec()].concat();
    let split = [ok("fine"), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_vec()].concat();
    let no_body = b"HTTP/1.1 204 No Content\r\n\r\nbody all the same".to_vec();
    let zero = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\nbody all the same".to_vec();
    for (mechanism, bytes) in
        [("shared-pool", beyond), ("shared-pool", split), ("shared-pool", no_body), ("pin-on-401", zero)]
    {
        let server = once(&bytes).await;
        let bed = Bed::start(mechanism, &[&server]).await;
        let (mut alice, mut bob) = (bed.client().await, bed.client().await);
        alice.ask(POST).await;
        // A POST would not be tried again. Therefore it must not be sent on that connection at all.
        assert_eq!(bob.ask(POST).await.1, "fine");
        assert_eq!(server.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 2]);
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_an_idle_pooled_connection() {
    let server = Server::start(|seen| {
        let pause = Duration::from_millis(30);
        if seen.connection == 1 { Reply::Late(ok("fine"), pause, ok("evil")) } else { Reply::Bytes(ok("second")) }
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    assert_eq!(bed.client().await.get("/").await.1, "fine");
    server.until_closed(1).await;
    assert_eq!(bed.decisions(), ["open", "pool", "upstream closed"]);
    assert_eq!(bed.client().await.ask(POST).await.1, "second");
}

#[tokio::test]
async fn a_length_that_is_longer_than_the_body_breaks_off_and_is_not_pooled() {
    let server = Server::start(|seen| {
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour".to_vec();
        if seen.connection == 1 { Reply::Last(short) } else { Reply::Bytes(ok("fine")) }
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(POST.as_bytes()).await;
    client.message(true).await.unwrap();
    assert_eq!(client.until_closed().await, b"four");
    assert_eq!(bed.client().await.ask(POST).await.1, "fine");
    let decisions = bed.decisions();
    // The test does not depend on whether the exchange or the connection's task notices first.
    assert!(!decisions.contains(&"reuse") && decisions.ends_with(&["open", "pool"]), "{decisions:?}");
}

#[tokio::test]
async fn a_chunked_answer_that_is_none_breaks_off() {
    let server = once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nzzz\r\n").await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    client.message(true).await.unwrap();
    let rest = client.until_closed().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it must not look whole: {rest:?}");
    assert_eq!(bed.client().await.get("/").await.1, "fine");
}

#[tokio::test]
async fn a_backend_that_never_stops_its_head_is_cut_off() {
    let server = Server::raw(|mut socket| async move {
        let mut buffer = [0; 1024];
        let _ = socket.read(&mut buffer).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while socket.write_all(&b"X-Line: 1\r\n".repeat(100)).await.is_ok() {}
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (head, _) = timeout(PATIENCE, bed.client().await.get("/")).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    server.until_closed(1).await;
}

/// Sends more after the answer. Returns `None` if the connection breaks, otherwise all further bytes that arrived.
async fn sends_on(client: &mut crate::peers::Client, rest: usize) -> Option<Vec<u8>> {
    // This is enough time for a reset to arrive.
    sleep(Duration::from_millis(20)).await;
    for part in vec![b'x'; rest].chunks(16 * 1024) {
        timeout(PATIENCE, client.socket.write_all(part)).await.unwrap().ok()?;
    }
    sleep(Duration::from_millis(20)).await;
    let mut left = Vec::new();
    timeout(PATIENCE, client.socket.read_to_end(&mut left)).await.unwrap().ok()?;
    Some(left)
}

#[tokio::test]
async fn an_answer_of_the_balancers_own_is_not_taken_back_from_a_client_that_is_still_sending() {
    let nobody = Server::refusing().await;
    let limits = Limits { drain: 50_000, ..Limits::default() };
    let bed = Bed::with("pin-on-401", &[&nobody], limits).await;
    for (length, at_once, closes) in [(50_000, 100, false), (200_000, 100_000, true), (200_000, 0, true)] {
        let mut client = bed.client().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await;
        client.send(&vec![b'x'; at_once]).await;
        if !closes {
            // The rest of the request is read first, so that the connection can continue.
            client.send(&vec![b'x'; length - at_once]).await;
        }
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502") && body.starts_with("502"), "{head}");
        assert_eq!(head.contains("connection: close\r\n"), closes, "{length}: {head}");
        if closes {
            assert_eq!(sends_on(&mut client, length - at_once).await, Some(vec![]), "{length}");
        } else {
            assert!(client.get("/").await.0.starts_with("HTTP/1.1 502"));
        }
    }
}

#[tokio::test]
async fn a_backends_early_answer_is_not_taken_back_either_when_its_connection_closes() {
    let early = Server::raw(|mut socket| async move {
        let mut head = [0; 1000];
        let _ = socket.read(&mut head).await;
        let _ = socket.write_all(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig").await;
    })
    .await;
    let bed = Bed::start("pin-on-401", &[&early]).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 3000000\r\n\r\n").await;
    client.send(&vec![b'x'; 10_000]).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413") && body == "big", "{head}");
    assert_eq!(sends_on(&mut client, 500_000).await, Some(vec![]));
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_is_closed_when_the_time_for_it_is_over() {
    let nobody = Server::refusing().await;
    let limits = Limits { drain: 1, request_head: Duration::from_millis(60), ..Limits::default() };
    let bed = Bed::with("pin-on-401", &[&nobody], limits).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000000\r\n\r\n").await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 502"));
    let endless = async {
        while client.socket.write_all(&[b'x'; 1024]).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, endless).await.expect("it is reset");
}
