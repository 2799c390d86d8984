//! Tests of the requests that share an upstream connection, for each mechanism.

use std::time::Duration;

use stickler_lb_core::policy::composed::{Composed, RetryRule, Rules};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_proxy::Limits;
use stickler_model::Entropy;

use crate::peers::{Bed, Reply, Server, farm, ok};

#[tokio::test]
async fn close_per_request_opens_a_connection_for_each_request_and_says_so() {
    let server = Server::telling().await;
    let bed = Bed::start("close-per-request", &[&server]).await;
    let mut client = bed.client().await;
    for answer in ["1.1", "2.1", "3.1"] {
        assert_eq!(client.get("/").await.1, answer);
    }
    assert!(server.seen().iter().all(|seen| seen.head.contains("connection: close\r\n")));
    server.until_closed(3).await;
    let one = ["open", "upstream closed"];
    assert_eq!(bed.decisions(), [one, one, one].concat());
}

#[tokio::test]
async fn close_per_request_takes_the_backends_in_turn() {
    let (first, second) = (Server::telling().await, Server::telling().await);
    let bed = Bed::start("close-per-request", &[&first, &second]).await;
    let mut client = bed.client().await;
    for _ in 0..4 {
        client.get("/").await;
    }
    assert_eq!((first.seen().len(), second.seen().len()), (2, 2));
}

#[tokio::test]
async fn the_shared_pool_gives_one_clients_connection_to_the_next() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert_eq!(alice.get("/").await.1, "1.1");
    assert_eq!(bob.get("/").await.1, "1.2");
    assert_eq!(alice.get("/").await.1, "1.3");
    drop(alice);
    assert_eq!(bob.get("/").await.1, "1.4");
    assert_eq!(bed.decisions(), ["open", "pool", "reuse", "pool", "reuse", "pool", "reuse", "pool"]);
}

#[tokio::test]
async fn the_shared_pool_keeps_a_connection_for_each_backend() {
    let (first, second) = (Server::telling().await, Server::telling().await);
    let bed = Bed::start("shared-pool", &[&first, &second]).await;
    let mut client = bed.client().await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.get("/").await.1);
    }
    assert_eq!(answers, ["1.1", "1.1", "1.2", "1.2"]);
}

#[tokio::test]
async fn requests_at_one_time_need_a_connection_each() {
    let server =
        Server::start(|seen| Reply::Late(vec![], Duration::from_millis(50), ok(&seen.connection.to_string()))).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    let (first, second) = tokio::join!(alice.get("/"), bob.get("/"));
    assert_ne!(first.1, second.1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_time_is_over() {
    let server = Server::telling().await;
    let pool = Some(PoolRule::shared(Duration::from_millis(40)));
    let rules = Rules { pool, retry: RetryRule::SOUND, ..Rules::PLAIN };
    let farm = farm(&[&server]);
    let bed = Bed::with_policy(
        Box::new(Composed::new(rules, &farm, Entropy::new(0, "test")).unwrap()),
        farm,
        Limits::default(),
    )
    .await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/").await.1, "1.1");
    server.until_closed(1).await;
    assert_eq!(client.get("/").await.1, "2.1");
    assert_eq!(bed.decisions(), ["open", "pool", "expire", "open", "pool"]);
}

#[tokio::test]
async fn a_backend_that_announces_its_close_is_not_asked_again_on_that_connection() {
    let server = Server::start(|seen| {
        let body = seen.connection;
        Reply::Last(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{body}").into_bytes())
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    let (head, body) = client.get("/").await;
    assert_eq!(body, "1");
    assert!(!head.to_ascii_lowercase().contains("connection:"), "the close is the backend's own affair: {head}");
    assert_eq!(client.get("/").await.1, "2");
}
