//! Tests that the complete proxy runs in simulated time and on real sockets.

mod forward;

use std::sync::Arc;
use std::time::Duration;

use forward::Forward;
use stickler_conformance::Balancer;
use stickler_mock_client::{Check, check};
use stickler_model::{
    Action, ClientSpec, Clock, Entropy, Env, Journal, Outcome, Profile, RequestId, RequestSpec, World as _, standard,
};
use stickler_net::TokioNet;
use stickler_sim::SimWorld;
use stickler_wire::{Options, Site, WallClock};
use tokio::time::timeout;

#[test]
fn in_simulated_time() {
    let mut world =
        SimWorld::with_balancer(standard::site(2), Balancer::proxy(Forward), 1).expect("the topology is sound");
    let mut act = |action| world.perform(action).expect("the action makes sense");
    let alice = standard::identity("alice");
    act(Action::AddClient(ClientSpec::new("alice".into(), Profile::BROWSER, Some(alice.clone()))));
    let id = RequestId(1);
    act(Action::Start { id, request: RequestSpec::new("alice".into(), "GET", "/") });
    let Outcome::Answered(answer) = act(Action::Await(id)) else { panic!("a request is answered") };
    let user = answer.application.and_then(|application| application.user);
    assert_eq!((answer.status, user), (Some(200), Some(alice.principal)));
}

#[tokio::test]
async fn on_real_sockets() {
    let options = Options::new(standard::site(2), Balancer::proxy(Forward));
    let site = Site::start(options).expect("the site starts");
    let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
    let journal = Journal::handing_on(Arc::clone(&clock), drop);
    let env = Env { name: "alice".into(), clock, entropy: Entropy::new(1, "alice"), journal };
    let alice = standard::identity("alice");
    let asked = Check { host: "localhost", uri: "/", identity: Some(&alice), keep: 4096 };
    // The second backend is used too: the proxy takes them in turn.
    for server in ["iis1", "iis2"] {
        let answer = timeout(Duration::from_secs(30), check(&TokioNet, &env, site.front_end, &asked)).await;
        let answer = answer.expect("in time").expect("it is answered");
        let page = String::from_utf8(answer.body).unwrap();
        assert_eq!((answer.status, answer.logged_on), (200, true), "{page}");
        assert!(page.contains(server) && page.contains("CORP\\\\alice"), "{page}");
    }
    site.stop(&"lb".into()).expect("there is a balancer");
    let stopped = check(&TokioNet, &env, site.front_end, &asked).await;
    assert!(stopped.is_err(), "{stopped:?}");
}
