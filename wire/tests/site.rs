//! Tests of a whole site on real sockets: balancers of each kind, and machines that are stopped and started again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_mock_client::{Check, CheckResult, NoAnswer, check};
use stickler_model::{BalancerSpec, Clock, Entropy, Env, Identity, Journal, Name, WorldError, standard};
use stickler_net::TokioNet;
use stickler_site::Balancer;
use stickler_wire::{Options, Site, WallClock};
use tokio::time::{Instant, sleep, timeout};

/// A time longer than anything in these tests takes on a busy machine.
const PLENTY: Duration = Duration::from_secs(30);

fn named(balancer: &str) -> Balancer {
    Balancer::of(&BalancerSpec::named(balancer)).expect("the catalogue has it")
}

fn start(balancer: &str) -> Site {
    Site::start(Options::new(standard::site(2), named(balancer))).expect("the site starts")
}

/// Sends one request by alice on a new connection, and returns the result.
async fn ask(address: SocketAddr, alice: &Identity) -> Result<CheckResult, NoAnswer> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
    let journal = Journal::handing_on(Arc::clone(&clock), drop);
    let env = Env { name: "alice".into(), clock, entropy: Entropy::new(1, "alice"), journal };
    let asked = Check { host: "localhost", uri: "/", identity: Some(alice), keep: 4096 };
    timeout(PLENTY, check(&TokioNet, &env, address, &asked)).await.expect("it ends in time")
}

/// Returns whether alice is served as herself.
async fn serves(address: SocketAddr) -> bool {
    let Ok(answer) = ask(address, &standard::identity("alice")).await else { return false };
    let page = String::from_utf8(answer.body).expect("a page is text");
    answer.status == 200 && page.contains("CORP\\\\alice")
}

async fn becomes(address: SocketAddr, served: bool) {
    let until = Instant::now() + PLENTY;
    while serves(address).await != served {
        assert!(Instant::now() < until, "not {served} within {PLENTY:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_kind_of_balancer_serves_the_same_site() {
    // Packet-level balancers are splices here. The last one authenticates clients, and names the user to its servers.
    for balancer in ["l4-nat", "l4-dsr", "l4-splice", "pin-on-401", "auth-at-balancer"] {
        let site = start(balancer);
        assert!(serves(site.front_end).await, "{balancer}");
        let wrong = Identity { password: "wrong".into(), ..standard::identity("alice") };
        let refused = ask(site.front_end, &wrong).await.expect("it answers");
        assert_eq!((refused.status, refused.logged_on), (401, false), "{balancer}");
    }
}

#[tokio::test]
async fn a_machine_that_was_stopped_serves_again_at_its_address() {
    let site = start("l4-splice");
    let iis1 = Name::from("iis1");
    let address = site.servers[0].1;
    assert!(serves(address).await);
    site.stop(&iis1).unwrap();
    becomes(address, false).await;
    assert!(serves(site.servers[1].1).await, "the other one has nothing to do with it");
    site.restart(&iis1).unwrap();
    becomes(address, true).await;
    site.restart(&iis1).unwrap();
    becomes(address, true).await;
}

#[tokio::test]
async fn without_its_dc_nobody_logs_on_until_it_is_back() {
    let site = start("l4-splice");
    let dc = Name::from("dc");
    assert!(serves(site.front_end).await);
    site.stop(&dc).unwrap();
    becomes(site.front_end, false).await;
    site.restart(&dc).unwrap();
    becomes(site.front_end, true).await;
}

#[tokio::test]
async fn a_machine_that_does_not_exist_is_refused_by_name() {
    let site = start("l4-splice");
    let error = site.stop(&"iis3".into()).unwrap_err();
    assert_eq!(error.to_string(), "there is no host called `iis3`; there are: dc, iis1, iis2, lb");
    assert!(matches!(site.restart(&"iis3".into()), Err(WorldError::Unknown { .. })));
}
