//! Tests of peers that begin and do not continue, and of peers that do nothing.

use std::time::Duration;

use stickler_lb_proxy::Limits;
use tokio::time::{Instant, sleep};

use crate::peers::{Bed, Reply, Server, ok};

const QUICK: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_backend_that_stalls_in_mid_body_ends_both_connections() {
    let server = Server::start(|seen| {
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf".to_vec();
        if seen.connection == 1 { Reply::Late(half, 100 * QUICK, Vec::new()) } else { Reply::Bytes(ok("fine")) }
    })
    .await;
    let bed = Bed::with("shared-pool", &[&server], Limits { body: QUICK, ..Limits::default() }).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    client.message(true).await.unwrap();
    assert_eq!(client.until_closed().await, b"half", "the client sees that it is not whole");
    assert_eq!(bed.decisions(), ["open", "close upstream"]);
    assert_eq!(bed.client().await.get("/").await.1, "fine");
}

#[tokio::test]
async fn a_backend_that_is_slow_but_goes_on_is_waited_for() {
    let server = Server::start(|_| {
        Reply::Late(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf".to_vec(), QUICK / 3, b"rest".to_vec())
    })
    .await;
    let bed = Bed::with("shared-pool", &[&server], Limits { body: QUICK, ..Limits::default() }).await;
    let mut client = bed.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.1, "halfrest");
    }
    assert_eq!(server.seen().last().unwrap().connection, 1);
}

#[tokio::test]
async fn a_client_that_stalls_in_mid_body_gets_408_and_the_backend_is_not_blamed() {
    let server = Server::telling().await;
    let bed = Bed::with("shared-pool", &[&server], Limits { answer: QUICK, ..Limits::default() }).await;
    let mut client = bed.client().await;
    let (head, body) = client.ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(body.starts_with("408: "), "{body}");
    client.until_closed().await;
    server.until_closed(1).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_only_where_a_limit_says_so() {
    let server = Server::telling().await;
    let bed = Bed::with("shared-pool", &[&server], Limits { idle: Some(QUICK), ..Limits::default() }).await;
    let start = Instant::now();
    bed.client().await.until_closed().await;
    assert!(start.elapsed() >= QUICK, "before its first request, too");
    let mut client = bed.client().await;
    for number in 1..=4 {
        assert_eq!(client.get("/").await.1, format!("1.{number}"));
        sleep(QUICK / 2).await; // each idle time counts separately
    }
    client.until_closed().await;
}
