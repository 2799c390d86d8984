//! Tests of pipelined requests on a pinned connection: the correct data plane keeps their order, and the defective one
//! separates them.

use std::time::Duration;

use stickler_lb_core::Pipelining;
use stickler_lb_proxy::HttpProxyConfig;
use tokio::time::timeout;

use crate::peers::{Bed, PATIENCE, Reply, Seen, Server, service};

/// Returns a server that pins with its first answer, reports the connection of each request, and answers slowly.
async fn server() -> Server {
    Server::start(|seen: &Seen| {
        let body = format!("{}.{}", seen.connection, seen.number);
        let head = if seen.number == 1 && seen.head.starts_with("GET /first") {
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\n"
        } else {
            "HTTP/1.1 200 OK\r\n"
        };
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        Reply::Late(head.into(), Duration::from_millis(20), body.into())
    })
    .await
}

async fn bed(pipelining: Pipelining, server: &Server) -> Bed {
    Bed::with_service(HttpProxyConfig { pipelining, ..service("pin-on-401", &[server]) }).await
}

/// Pins, and then sends three requests at once. Returns the answers to the three.
async fn pipelined(bed: &Bed) -> [String; 3] {
    let mut client = bed.client().await;
    let (head, body) = client.get("/first").await;
    assert!(head.starts_with("HTTP/1.1 401") && body == "1.1", "{head}");
    let bodies = ["one", "two", "three"]
        .map(|body| format!("POST /{body} HTTP/1.1\r\nHost: s\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    client.send(bodies.concat().as_bytes()).await;
    let mut answers = [const { String::new() }; 3];
    for answer in &mut answers {
        let (head, body) = client.answer().await;
        assert!(!head.to_ascii_lowercase().contains("connection: close"), "{head}");
        *answer = body;
    }
    // The pin is still in place.
    assert!(client.get("/after").await.1.starts_with("1."));
    answers
}

#[tokio::test]
async fn the_sound_plane_answers_in_order_over_the_pinned_connection() {
    let server = server().await;
    let bed = bed(Pipelining::InOrder, &server).await;
    assert_eq!(pipelined(&bed).await, ["1.2", "1.3", "1.4"]);
}

#[tokio::test]
async fn the_faulty_plane_answers_in_order_but_splits_the_requests() {
    let server = server().await;
    let bed = bed(Pipelining::Overtakes, &server).await;
    let [first, second, third] = pipelined(&bed).await;
    assert_eq!(first, "1.2", "the pinned connection was free for it");
    let connections: Vec<usize> = ["/one", "/two", "/three"].map(|path| of(&server, path).connection).into();
    assert!(connections[0] == 1 && connections[1] > 1 && connections[2] > 1, "{connections:?}");
    assert!(second.starts_with(&format!("{}.", connections[1])) && third.starts_with(&format!("{}.", connections[2])));
    assert_eq!(["/one", "/two", "/three"].map(|path| of(&server, path).body), [&b"one"[..], b"two", b"three"]);
}

fn of(server: &Server, path: &str) -> Seen {
    server.seen().into_iter().find(|seen| seen.head.starts_with(&format!("POST {path} "))).unwrap()
}

#[tokio::test]
async fn without_pipelining_the_faulty_plane_is_as_good_as_the_sound_one() {
    let server = Server::telling().await;
    let bed = bed(Pipelining::Overtakes, &server).await;
    let mut client = bed.client().await;
    for number in 1..=3 {
        assert_eq!(client.get("/").await.1, format!("1.{number}"));
    }
    let mut waits = bed.client().await;
    waits.send(b"POST / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert!(waits.message(true).await.unwrap().0.starts_with("HTTP/1.1 100 "));
    assert_eq!(waits.ask("xy").await.1, "1.4");
    let (head, _) = client.ask("GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n").await;
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    client.until_closed().await;
}

#[tokio::test]
async fn the_faulty_plane_closes_on_what_it_cannot_frame_and_on_answers_that_break_off() {
    let server = Server::start(|_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec())).await;
    let bed = bed(Pipelining::Overtakes, &server).await;
    for request in [
        "garbage\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = bed.client().await;
        client.send(request.as_bytes()).await;
        assert!(client.until_closed().await.is_empty(), "{request:?}");
    }
    assert!(server.seen().is_empty());
    let mut flood = bed.client().await;
    flood.send(&b"GET / HTTP/1.1\r\n".iter().copied().chain(b"X: 1\r\n".repeat(20_000)).collect::<Vec<u8>>()).await;
    timeout(PATIENCE, flood.until_closed()).await.unwrap();
    let mut client = bed.client().await;
    client.send(&b"GET / HTTP/1.1\r\nHost: s\r\n\r\n".repeat(2)).await;
    client.message(true).await.unwrap();
    assert_eq!(client.until_closed().await, b"half", "and not another answer after it");
}
