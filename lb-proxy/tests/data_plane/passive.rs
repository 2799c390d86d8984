//! Tests of passive checks: failures of live traffic take a backend out, and one request tries it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stickler_lb_core::BackendState;
use stickler_lb_core::health::{FailureTarget, PassiveRule};
use stickler_lb_proxy::{HttpProxyConfig, Limits, SpliceConfig};
use tokio::time::sleep;

use crate::peers::{Bed, Reply, Server, flows, ok, service};

const OUT: Duration = Duration::from_millis(80);
const RULE: PassiveRule =
    PassiveRule { fails: 2, within: Duration::from_secs(10), out_for: OUT, blame: FailureTarget::Carrier };

/// Returns a backend that closes the connection at each request until it is told to work.
async fn sick() -> (Server, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let server =
        Server::start(move |_| if told.load(Ordering::Relaxed) { Reply::Bytes(ok("1")) } else { Reply::Last(vec![]) });
    (server.await, well)
}

async fn fine() -> Server {
    Server::start(|_| Reply::Bytes(ok("2"))).await
}

#[tokio::test]
async fn a_backend_that_fails_too_often_is_out_and_a_good_trial_brings_it_back() {
    let ((first, well), second) = (sick().await, fine().await);
    let service = HttpProxyConfig { passive: Some(RULE), ..service("close-per-request", &[&first, &second]) };
    let control = service.control.clone();
    let bed = Bed::with_service(service).await;
    let mut client = bed.client().await;
    for _ in 0..4 {
        client.get("/").await;
    }
    assert_eq!((first.seen().len(), control.state(0)), (2, BackendState::Down));
    for _ in 0..4 {
        assert_eq!(client.get("/").await.1, "2");
    }
    sleep(2 * OUT).await;
    assert_eq!(control.state(0), BackendState::Up);
    // The trial fails. One failure is enough this time.
    for _ in 0..4 {
        client.get("/").await;
    }
    assert_eq!((first.seen().len(), control.state(0)), (3, BackendState::Down));
    well.store(true, Ordering::Relaxed);
    sleep(2 * OUT).await;
    let answers = [client.get("/").await.1, client.get("/").await.1, client.get("/").await.1, client.get("/").await.1];
    assert_eq!(answers.iter().filter(|answer| *answer == "1").count(), 2, "{answers:?}");
    assert_eq!(control.state(0), BackendState::Up);
}

#[tokio::test]
async fn a_lone_backend_is_never_out() {
    let (server, _) = sick().await;
    let service = HttpProxyConfig { passive: Some(RULE), ..service("close-per-request", &[&server]) };
    let bed = Bed::with_service(service).await;
    let mut client = bed.client().await;
    for _ in 0..4 {
        assert!(client.get("/").await.0.starts_with("HTTP/1.1 502"));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_counts_and_a_clients_own_does_not() {
    let server = Server::start(|seen| {
        if seen.head.starts_with("GET") {
            Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec())
        } else {
            Reply::Bytes(ok("1"))
        }
    })
    .await;
    let second = Server::refusing().await;
    let limits = Limits { answer: Duration::from_millis(40), ..Limits::default() };
    let passive = Some(PassiveRule { fails: 1, out_for: Duration::from_mins(1), ..RULE });
    let service = HttpProxyConfig { passive, limits, ..service("close-per-request", &[&server, &second]) };
    let control = service.control.clone();
    control.drain(1);
    let bed = Bed::with_service(service).await;
    let half = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nhalf";
    assert!(bed.client().await.ask(half).await.0.starts_with("HTTP/1.1 408"));
    assert_eq!(control.state(0), BackendState::Up);
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    client.until_closed().await;
    assert_eq!(control.state(0), BackendState::Down);
}

#[tokio::test]
async fn the_splice_counts_connections_that_cannot_be_opened() {
    let (first, second) = (Server::refusing().await, fine().await);
    let passive = Some(PassiveRule { out_for: Duration::from_mins(1), ..RULE });
    let service = SpliceConfig { passive, ..flows("l4-nat", &[&first, &second]) };
    let control = service.control.clone();
    let bed = Bed::with_flows(service).await;
    for _ in 0..2 {
        bed.client().await.until_closed().await;
        assert_eq!(bed.client().await.get("/").await.1, "2");
    }
    assert_eq!(control.state(0), BackendState::Down);
    assert_eq!(bed.client().await.get("/").await.1, "2");
    assert_eq!(bed.client().await.get("/").await.1, "2");
}
