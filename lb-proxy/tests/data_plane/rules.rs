//! Tests of parameters whose effect is visible on the sockets: the inserted cookie, private slots, the pool's size,
//! dedicated connections.

use std::time::Duration;

use stickler_lb_core::policy::composed::{Composed, Rules};
use stickler_lb_core::policy::persist::{CookieRule, PersistRule};
use stickler_lb_core::policy::pin::{Applied, PinRule, Schemes, Trigger};
use stickler_lb_core::policy::pool::{PoolRule, Share};
use stickler_lb_proxy::Limits;
use stickler_model::Entropy;

use crate::peers::{Bed, Reply, Seen, Server, challenge, farm};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));

async fn bed(rules: Rules, backends: &[&Server]) -> Bed {
    let farm = farm(backends);
    let policy = Composed::new(rules, &farm, Entropy::new(0, "test")).unwrap();
    Bed::with_policy(Box::new(policy), farm, Limits::default()).await
}

#[tokio::test]
async fn a_cookie_set_on_the_401_brings_another_connection_to_the_same_backend() {
    let reply = |_: &Seen| Reply::Bytes(challenge("NTLM"));
    let (first, second) = (Server::start(reply).await, Server::start(reply).await);
    let rule = CookieRule { name: "SRV".into(), on_401: true, life: None, indirect: false };
    let bed = bed(Rules { persist: Some(PersistRule::Cookie(rule)), ..Rules::PLAIN }, &[&first, &second]).await;
    let (head, _) = bed.client().await.get("/").await;
    let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie").to_owned();
    let cookie = set.split(';').next().unwrap();
    for _ in 0..3 {
        let request = format!("GET / HTTP/1.1\r\nhost: site\r\ncookie: {cookie}\r\n\r\n");
        let (head, _) = bed.client().await.ask(&request).await;
        assert!(!head.contains("set-cookie"), "{head}");
    }
    assert_eq!((first.seen().len(), second.seen().len()), (4, 0));
}

#[tokio::test]
async fn a_private_connection_serves_its_client_alone_and_closes_with_it() {
    let server = Server::telling().await;
    let pool = Some(PoolRule { share: Share::Never { slots: 1 }, ..POOL });
    let bed = bed(Rules { pool, ..Rules::PLAIN }, &[&server]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    assert_eq!(
        (alice.get("/").await.1, bob.get("/").await.1, alice.get("/").await.1),
        ("1.1".into(), "2.1".into(), "1.2".into())
    );
    drop(alice);
    server.until_closed(1).await;
    assert!(!server.has_closed(2));
}

#[tokio::test]
async fn a_private_slot_that_is_lost_to_another_backend_is_closed_at_once() {
    let (first, second) = (Server::telling().await, Server::telling().await);
    let pool = Some(PoolRule { share: Share::Never { slots: 1 }, ..POOL });
    let bed = bed(Rules { pool, ..Rules::PLAIN }, &[&first, &second]).await;
    let mut client = bed.client().await;
    client.get("/").await;
    client.get("/").await;
    first.until_closed(1).await;
    assert!(!second.has_closed(1));
}

#[tokio::test]
async fn a_dedicated_connection_is_not_the_idle_one() {
    let server = Server::telling().await;
    let pin = Some(PinRule { trigger: Trigger::Request, applied: Applied::Dedicated, ..PinRule::ON_401 });
    let bed = bed(Rules { pool: Some(POOL), pin, ..Rules::PLAIN }, &[&server]).await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/").await.1, "1.1");
    let request = "GET / HTTP/1.1\r\nhost: site\r\nauthorization: NTLM TlRM\r\n\r\n";
    assert_eq!(client.ask(request).await.1, "2.1");
    assert_eq!(client.get("/").await.1, "2.2");
    drop(client);
    server.until_closed(2).await;
    assert!(!server.has_closed(1));
}

#[tokio::test]
async fn a_stripped_challenge_does_not_reach_the_client() {
    let server = Server::start(|_| Reply::Bytes(challenge("NTLM"))).await;
    let bed = bed(Rules { strip: Some(Schemes::HAPROXY), ..Rules::PLAIN }, &[&server]).await;
    let (head, _) = bed.client().await.get("/").await;
    assert!(head.starts_with("HTTP/1.1 401") && !head.contains("www-authenticate"), "{head}");
}
