//! Tests of pinning, and of the connections that close with one another.

use std::time::Duration;

use tokio::time::sleep;

use crate::peers::{Bed, Reply, Seen, Server, challenge, ok};

/// Challenges a request without `Authorization`, and answers others with the connection that they came by.
fn protected(seen: &Seen) -> Reply {
    if seen.head.contains("/close") {
        Reply::Last(ok("bye"))
    } else if seen.head.to_ascii_lowercase().contains("authorization:") || seen.number > 1 {
        Reply::Bytes(ok(&format!("{}.{}", seen.connection, seen.number)))
    } else {
        Reply::Bytes(challenge("NTLM"))
    }
}

#[tokio::test]
async fn a_401_for_ntlm_pins_backend_and_connection() {
    let (first, second) = (Server::start(protected).await, Server::start(protected).await);
    let bed = Bed::start("pin-on-401", &[&first, &second]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert!(alice.get("/").await.0.starts_with("HTTP/1.1 401"));
    assert!(bob.get("/").await.0.starts_with("HTTP/1.1 401"));
    for number in 2..5 {
        assert_eq!(alice.get("/").await.1, format!("1.{number}"));
        assert_eq!(bob.get("/").await.1, format!("1.{number}"));
    }
    assert_eq!((first.seen().len(), second.seen().len()), (4, 4));
    assert_eq!(bed.decisions()[..5], ["open", "pin", "open", "pin", "pinned"]);
}

#[tokio::test]
async fn without_a_challenge_the_connection_is_shared() {
    let server = Server::telling().await;
    let bed = Bed::start("pin-on-401", &[&server]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert_eq!(alice.get("/").await.1, "1.1");
    assert_eq!(bob.get("/").await.1, "1.2");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_pinned_connection_with_it() {
    let server = Server::start(protected).await;
    let bed = Bed::start("pin-on-401", &[&server]).await;
    let mut alice = bed.client().await;
    alice.get("/").await;
    alice.get("/").await;
    drop(alice);
    server.until_closed(1).await;
    let mut bob = bed.client().await;
    assert!(bob.get("/").await.0.starts_with("HTTP/1.1 401"), "nobody is served on alice's connection");
    assert_eq!(server.seen().last().unwrap().connection, 2);
}

#[tokio::test]
async fn a_backend_that_closes_a_pinned_connection_closes_the_idle_client() {
    let server = Server::start(protected).await;
    let bed = Bed::start("pin-on-401", &[&server]).await;
    let mut client = bed.client().await;
    client.get("/").await;
    let (head, body) = client.get("/close").await;
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(body, "bye", "the answer under way is delivered first");
    assert!(client.until_closed().await.is_empty());
    assert_eq!(bed.decisions(), ["open", "pin", "pinned", "upstream closed", "close downstream"]);
}

#[tokio::test]
async fn an_announced_close_of_a_pinned_connection_is_announced_to_the_client() {
    let server = Server::start(|_| {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        Reply::Last(head.into())
    })
    .await;
    let bed = Bed::start("pin-on-401", &[&server]).await;
    let mut client = bed.client().await;
    let (head, _) = client.get("/").await;
    assert!(head.to_ascii_lowercase().contains("connection: close\r\n"), "{head}");
    client.until_closed().await;
}

#[tokio::test]
async fn a_pinned_connection_lost_in_mid_request_closes_the_client_without_an_answer() {
    let server =
        Server::start(|seen| if seen.number == 1 { Reply::Bytes(challenge("NTLM")) } else { Reply::Last(vec![]) })
            .await;
    let bed = Bed::start("pin-on-401", &[&server]).await;
    let mut client = bed.client().await;
    client.get("/").await;
    client.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    assert!(client.until_closed().await.is_empty());
    assert_eq!(server.seen().len(), 2, "what authenticates a connection is not tried elsewhere");
}

#[tokio::test]
async fn a_client_that_leaves_an_unpinned_connection_leaves_it_to_the_pool() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut alice = bed.client().await;
    alice.get("/").await;
    drop(alice);
    sleep(Duration::from_millis(50)).await;
    assert!(!server.has_closed(1));
    assert_eq!(bed.client().await.get("/").await.1, "1.2");
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_request_closes_the_connection_in_use() {
    let server = Server::start(|_| Reply::Silence).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    while server.seen().is_empty() {
        sleep(Duration::from_millis(2)).await;
    }
    drop(client);
    server.until_closed(1).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_answer_closes_the_connection_in_use() {
    let server = Server::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_vec();
        Reply::Late(head, Duration::from_mins(1), vec![])
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    client.message(true).await.unwrap();
    bed.decisions();
    drop(client);
    while bed.decisions().is_empty() {
        sleep(Duration::from_millis(2)).await;
    }
    let mut next = bed.client().await;
    next.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    next.message(true).await.unwrap();
    assert_eq!(server.seen().last().unwrap().connection, 2, "a half-read answer is never in another's way");
}
