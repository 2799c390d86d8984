//! Tests of the answers that a client gets when a backend fails.

use std::time::Duration;

use stickler_catalogue::find;
use stickler_lb_core::Farm;
use stickler_lb_proxy::Limits;

use crate::peers::{Bed, PATIENCE, Reply, Server, challenge, ok};

fn quick() -> Limits {
    Limits { connect: Duration::from_millis(100), answer: Duration::from_millis(100), ..Limits::default() }
}

#[tokio::test]
async fn a_farm_whose_backends_all_refuse_gives_502() {
    let (first, second) = (Server::refusing().await, Server::refusing().await);
    let bed = Bed::start("shared-pool", &[&first, &second]).await;
    let (head, body) = bed.client().await.get("/").await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert!(body.starts_with("502: "), "{body}");
    assert_eq!(bed.decisions(), ["open", "retry", "open", "reject"]);
}

#[tokio::test]
async fn a_backend_that_refuses_is_replaced_by_another_body_and_all() {
    let (dead, alive) =
        (Server::refusing().await, Server::start(|seen| Reply::Bytes(ok(&seen.body.len().to_string()))).await);
    for mechanism in ["close-per-request", "shared-pool", "pin-on-401"] {
        let bed = Bed::start(mechanism, &[&dead, &alive]).await;
        let answer = bed.client().await.ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody").await;
        assert_eq!(answer.1, "4", "{mechanism}");
    }
}

#[tokio::test]
async fn an_empty_farm_gives_503() {
    let farm = Farm::default();
    let policy = find("pin-on-401").unwrap().l7(&farm, stickler_model::Entropy::new(0, "test")).unwrap().unwrap();
    let bed = Bed::with_policy(policy, farm, Limits::default()).await;
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn a_backend_that_never_answers_gives_504_and_its_connection_is_closed() {
    let server = Server::start(|_| Reply::Silence).await;
    let bed = Bed::with("shared-pool", &[&server], quick()).await;
    let mut client = bed.client().await;
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 504"));
    server.until_closed(1).await;
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 504"), "the client's connection goes on");
}

#[tokio::test]
async fn a_slow_request_is_not_a_silent_backend() {
    let server = Server::start(|seen| Reply::Bytes(ok(&seen.body.len().to_string()))).await;
    let bed = Bed::with("shared-pool", &[&server], quick()).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 6\r\n\r\n").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(b"x").await;
    }
    assert_eq!(client.answer().await.1, "6");
}

#[tokio::test]
async fn garbage_from_a_backend_gives_502_and_its_connection_is_never_used_again() {
    let garbage: [&[u8]; 6] = [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
    ];
    for bytes in garbage {
        let server =
            Server::start(
                move |seen| {
                    if seen.connection == 1 { Reply::Last(bytes.to_vec()) } else { Reply::Bytes(ok("fine")) }
                },
            )
            .await;
        let bed = Bed::start("shared-pool", &[&server]).await;
        let mut client = bed.client().await;
        let (head, _) = client.get("/").await;
        assert!(head.starts_with("HTTP/1.1 502"), "{bytes:?}: {head}");
        assert_eq!(client.get("/").await.1, "fine");
        assert_eq!(bed.decisions(), ["open", "reject", "open", "pool"]);
    }
}

#[tokio::test]
async fn a_head_without_end_from_a_backend_gives_502() {
    let flood = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Line: 1\r\n".repeat(20_000)].concat();
    let server = Server::start(move |_| Reply::Last(flood.clone())).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 502"));
}

#[tokio::test]
async fn bytes_beyond_an_answer_end_the_pooled_connection() {
    let server = Server::start(|seen| {
        let more = if seen.connection == 1 { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" } else { "" };
        Reply::Bytes([ok("fine"), more.into()].concat())
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert_eq!(alice.get("/").await.1, "fine");
    assert_eq!(bob.get("/").await.1, "fine", "nobody gets an answer that was not asked for");
    assert_eq!(server.seen().last().unwrap().connection, 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    let server = Server::start(|_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec())).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    client.message(true).await.unwrap();
    assert_eq!(client.until_closed().await, b"half");
}

/// Returns a server that answers the first request on each connection, and closes at the second: an idle-close race
/// that is always lost.
async fn racing() -> Server {
    Server::start(
        |seen| if seen.number == 1 { Reply::Bytes(ok(&seen.connection.to_string())) } else { Reply::Last(vec![]) },
    )
    .await
}

#[tokio::test]
async fn the_idle_close_race_is_hidden_from_an_idempotent_request() {
    let server = racing().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/").await.1, "1");
    assert_eq!(client.get("/").await.1, "2");
    assert_eq!(bed.decisions(), ["open", "pool", "reuse", "retry", "open", "pool"]);
}

#[tokio::test]
async fn the_idle_close_race_is_not_hidden_from_a_post() {
    let server = racing().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.get("/").await;
    let (head, _) = client.ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx").await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert_eq!(server.seen().len(), 2, "it may have been processed: it is not sent twice");
}

#[tokio::test]
async fn a_new_connection_that_is_lost_is_not_tried_again() {
    let server = Server::start(|_| Reply::Last(vec![])).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 502"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_silent_pinned_backend_gives_504_and_closes_the_client() {
    let server =
        Server::start(|seen| if seen.number == 1 { Reply::Bytes(challenge("NTLM")) } else { Reply::Silence }).await;
    let bed = Bed::with("pin-on-401", &[&server], quick()).await;
    let mut client = bed.client().await;
    client.get("/").await;
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 504"));
    client.until_closed().await;
}

#[tokio::test]
async fn a_body_that_is_not_one_gives_400_and_harms_nobody_else() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n").await;
    let rest = tokio::time::timeout(PATIENCE, client.message(false)).await.unwrap();
    assert!(rest.is_none_or(|(head, _)| head.starts_with("HTTP/1.1 400")));
    assert_eq!(bed.client().await.get("/").await.1, "2.1");
    assert!(server.seen().len() == 1, "half a request was never complete for the backend");
}
