//! Tests that reports of an operator and of health checks reach the policy, at both layers.

use std::time::Duration;

use stickler_lb_core::policy::per_connection::{FlowRules, FlowsOnDown, PerConnection};
use stickler_lb_proxy::SpliceConfig;
use stickler_model::Entropy;
use tokio::time::{sleep, timeout};

use crate::peers::{Bed, Server, challenge, farm, flows, service};

/// Returns a backend that states its name in each answer.
async fn named(name: &'static str) -> Server {
    Server::start(move |_| crate::peers::Reply::Bytes(crate::peers::ok(name))).await
}

#[tokio::test]
async fn what_was_set_before_serving_counts_from_the_first_request() {
    let (first, second) = (named("1").await, named("2").await);
    let service = service("shared-pool", &[&first, &second]);
    let control = service.control.clone();
    control.drain(0);
    let bed = Bed::with_service(service).await;
    let mut client = bed.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.1, "2");
    }
    control.undrain(0);
    let answers = [client.get("/").await.1, client.get("/").await.1];
    assert!(answers.contains(&"1".into()), "{answers:?}");
}

#[tokio::test]
async fn a_backend_that_is_down_gets_nothing_and_with_none_left_the_answer_is_503() {
    let (first, second) = (named("1").await, named("2").await);
    let service = service("shared-pool", &[&first, &second]);
    let control = service.control.clone();
    let bed = Bed::with_service(service).await;
    let mut client = bed.client().await;
    client.get("/").await;
    control.set_health(0, false);
    assert_eq!((client.get("/").await.1, client.get("/").await.1), ("2".into(), "2".into()));
    first.until_closed(1).await; // idle connections to a dead backend are closed
    control.set_health(1, false);
    assert!(client.get("/").await.0.starts_with("HTTP/1.1 503"));
    control.set_health(0, true);
    assert_eq!(client.get("/").await.1, "1");
}

#[tokio::test]
async fn a_draining_backend_keeps_its_pinned_client() {
    let server = Server::start(|_| crate::peers::Reply::Bytes(challenge("NTLM"))).await;
    let other = named("other").await;
    let service = service("pin-on-401", &[&server, &other]);
    let control = service.control.clone();
    let bed = Bed::with_service(service).await;
    let mut pinned = bed.client().await;
    assert!(pinned.get("/").await.0.starts_with("HTTP/1.1 401"));
    control.drain(0);
    assert!(pinned.get("/").await.0.starts_with("HTTP/1.1 401"));
    assert_eq!(bed.client().await.get("/").await.1, "other");
}

#[tokio::test]
async fn the_splice_obeys_too_and_ends_flows_where_its_rules_say_so() {
    let (first, second) = (named("1").await, named("2").await);
    let rules = FlowRules { on_down: FlowsOnDown::Closed, ..FlowRules::ROUND_ROBIN };
    let farm = farm(&[&first, &second]);
    let policy = PerConnection::new(rules, &farm, Entropy::new(0, "test")).unwrap();
    let service = SpliceConfig::new(farm, Box::new(policy));
    let control = service.control.clone();
    control.drain(1);
    let bed = Bed::with_flows(service).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert_eq!((alice.get("/").await.1, bob.get("/").await.1), ("1".into(), "1".into()));
    control.undrain(1);
    control.set_health(0, false);
    alice.until_closed().await;
    bob.until_closed().await;
    assert_eq!(bed.client().await.get("/").await.1, "2");
}

#[tokio::test]
async fn the_splice_falls_silent_and_closes_what_would_have_to_move() {
    for (on_down, silent) in [(FlowsOnDown::Silent, true), (FlowsOnDown::Moved, false)] {
        let (first, second) = (named("1").await, named("2").await);
        let rules = FlowRules { on_down, ..FlowRules::ROUND_ROBIN };
        let farm = farm(&[&first, &second]);
        let policy = PerConnection::new(rules, &farm, Entropy::new(0, "test")).unwrap();
        let service = SpliceConfig::new(farm, Box::new(policy));
        let control = service.control.clone();
        let bed = Bed::with_flows(service).await;
        let mut alice = bed.client().await;
        assert_eq!(alice.get("/").await.1, "1");
        control.set_health(0, false);
        if silent {
            sleep(Duration::from_millis(20)).await;
            alice.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
            assert!(timeout(Duration::from_millis(50), alice.message(false)).await.is_err(), "nobody answers");
        } else {
            alice.until_closed().await;
        }
        assert_eq!(first.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_data_plane_that_is_gone_is_told_nothing_and_its_successor_everything() {
    let server = named("1").await;
    let first = flows("l4-nat", &[&server]);
    let control = first.control.clone();
    let bed = Bed::with_flows(first).await;
    bed.client().await.get("/").await;
    drop(bed);
    sleep(Duration::from_millis(5)).await;
    control.set_health(0, false);
    let bed = Bed::with_flows(SpliceConfig { control, ..flows("l4-nat", &[&server]) }).await;
    assert!(bed.client().await.until_closed().await.is_empty());
}
