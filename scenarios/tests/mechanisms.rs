//! The behaviour of mechanisms, clients and data planes at moments that no shipped scenario hits.

use std::sync::Arc;

use stickler_catalogue::mechanisms;
use stickler_model::BalancerSpec;
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

fn play(source: &str, balancer: &str, seed: u64) -> Run {
    let scenario = Scenario::new("moment", "moment.star", source).unwrap();
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = run(&scenario, &BalancerSpec::named(balancer), seed, &arm);
    assert_eq!(run.end, End::Complete, "over {balancer}, seed {seed}");
    run
}

/// Returns the failures of a run: the requirements that it violates, and the script's expectations that do not hold.
fn wrongs(run: &Run) -> Vec<String> {
    let violated = run.verdicts.iter().filter(|verdict| verdict.grade == Grade::Violated);
    let musts = violated.filter(|verdict| verdict.requirement.severity() == Severity::Must);
    let musts = musts.map(|verdict| verdict.requirement.to_string());
    musts.chain(run.failures.iter().map(ToString::to_string)).collect()
}

fn check_clean(source: &str, balancer: &str, seed: u64) -> Run {
    let run = play(source, balancer, seed);
    assert_eq!(wrongs(&run), [""; 0], "over {balancer}, seed {seed}: {:?}", run.verdicts);
    run
}

#[test]
fn a_server_that_hangs_again_as_soon_as_it_goes_on_serves_when_it_goes_on_for_good() {
    let source = r#"
site(backends = 1)
alice = curl("alice")
hang("iis1")
p = alice.start("GET", "/")
advance(ms = 10)
resume("iis1")
hang("iis1")
advance(ms = 10)
resume("iis1")
p.wait().expect(status = 200, user = "CORP\\alice")
"#;
    check_clean(source, "l4-nat", 0);
}

/// The mechanisms that close a client's connection together with the upstream connection to which it is pinned.
const COUPLED: [&str; 5] = ["pin-coupled", "pin-on-authorization", "pin-on-401", "pin-by-address", "squid"];

/// Returns a script in which the pinned connection ends while the Authenticate leg is on its way to the balancer, which
/// receives both at the same time.
fn crash_between_legs(alice: &str, jitter: u32) -> String {
    format!(
        r#"
site(backends = 1, jitter_us = {jitter})
alice = {alice}("alice")
mallory = curl("mallory", user = None)
p = alice.start("GET", "/")
mallory.get("/")
crash("iis1")
restart("iis1")
alice.get("/").expect(status = 200, user = "CORP\\alice")
p.wait().expect(status = 200, user = "CORP\\alice")
"#
    )
}

#[test]
fn a_connection_that_is_about_to_close_brings_no_further_leg() {
    for balancer in COUPLED {
        let run = check_clean(&crash_between_legs("curl", 0), balancer, 0);
        assert_eq!(run.grade(Requirement::Hs2), Grade::Ok, "put to the test over {balancer}");
    }
}

#[test]
fn whatever_the_moment_at_which_it_is_decided() {
    for balancer in COUPLED {
        for seed in 0..30 {
            check_clean(&crash_between_legs("curl", 100), balancer, seed);
            check_clean(&crash_between_legs("browser", 100), balancer, seed);
        }
    }
}

#[test]
fn a_request_has_the_identity_and_the_credentials_of_the_user_who_started_it() {
    let source = r#"
site(backends = 1)
for seat in [curl("one", user = "alice"), browser("two", user = "alice")]:
    p = seat.start("GET", "/")
    seat.switch_user("dave")
    q = seat.start("GET", "/")
    seat.switch_user("bob", password = "wrong")
    p.wait().expect(status = 200, user = "CORP\\alice")
    q.wait().expect(status = 200, user = "CORP\\dave")
    seat.get("/").expect(status = 401)
"#;
    for balancer in ["l4-nat", "pin-on-401"] {
        let run = check_clean(source, balancer, 0);
        for requirement in [Requirement::Hs1, Requirement::Hs5, Requirement::Id1] {
            assert_eq!(run.grade(requirement), Grade::Ok, "{requirement} is put to the test over {balancer}");
        }
    }
}

#[test]
fn the_source_table_remembers_a_client_as_long_as_it_is_connected_and_its_time_after_that() {
    // The connection is used for a hundred minutes, and is never idle for as long as 30 minutes.
    let source = r#"
site(backends = 2)
alice, bob = browser("alice"), browser("bob")
home = alice.get("/").backend
bob.get("/")
for _ in range(100):
    advance(60)
    alice.get("/").expect(backend = home)
alice.disconnect()
advance(29 * 60)
alice.get("/").expect(backend = home)
"#;
    let run = check_clean(source, "l4-source", 0);
    assert_eq!(run.grade(Requirement::St1), Grade::Ok);
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let source = r#"
site(backends = 2)
alice = curl("alice", user = None)
for backend in ["iis1", "iis2"]:
    power_loss(backend)
advance(60)
for size in [100, 9000, 50000, 300000, 2000000]:
    alice.post("/", bytes_of(size)).expect(status = 503)
alice.get("/").expect(status = 503)
"#;
    for balancer in mechanisms().iter().filter(|mechanism| mechanism.name.starts_with("pin-checked")) {
        let run = play(source, &balancer.name, 0);
        assert_eq!(run.failures.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{}", balancer.name);
    }
}

/// Returns a script in which packets between a client and the site are held for longer than the client waits: either
/// from the beginning, or from the moment at which the client's SYN is on its way.
fn held_while_connecting(milliseconds: u32) -> String {
    format!(
        r#"
site(backends = 2, latency_us = 2000)
alice = curl("alice", port = 5000)
p = alice.start("GET", "/")
advance(ms = {milliseconds})
for host in ["lb", "iis1", "iis2"]:
    hold("alice", host)
p.wait().expect(status = None)
for host in ["lb", "iis1", "iis2"]:
    release("alice", host)
for _ in range(5):
    alice.get("/").expect(status = 200, user = "CORP\\alice")
    alice.disconnect()
"#
    )
}

#[test]
fn a_clients_port_is_usable_again_after_a_hold_that_was_longer_than_its_patience() {
    for balancer in ["l4-nat", "l4-dnat", "l4-dsr", "l4-splice", "l4-source", "pin-on-401"] {
        for milliseconds in [0, 1, 3] {
            let run = play(&held_while_connecting(milliseconds), balancer, 0);
            assert_eq!(wrongs(&run), [""; 0], "{milliseconds} ms over {balancer}");
        }
    }
}

#[test]
fn a_clients_port_is_usable_again_after_its_backend_lost_its_power() {
    let source = |meanwhile: &str| {
        format!(
            r#"
site(backends = 2)
alice = curl("alice", port = 5000)
home = alice.get("/").expect(status = 200).backend
power_loss(home)
{meanwhile}
advance(100)
alice.get("/").expect(status = 200)
"#
        )
    };
    let asks = source("alice.get('/').expect(status = None)\nalice.get('/').expect(status = None)");
    let leaves = source("alice.disconnect()");
    for balancer in ["l4-nat", "l4-dnat", "l4-dsr", "l4-splice"] {
        for source in [&asks, &leaves, &leaves.replace("advance(100)", "restart(home)\nadvance(100)")] {
            let run = play(source, balancer, 0);
            assert_eq!(run.failures, [], "{source} over {balancer}");
        }
    }
}

#[test]
fn a_script_reads_all_that_a_balancer_promises() {
    let expect = |balancer: &str, expectation: &str| {
        let source = format!("p = promises()\nprint(p)\nexpect({expectation})\ncurl('alice').get('/')\n");
        let run = play(&source, balancer, 0);
        assert_eq!(run.failures, [], "{balancer}: {:?}", run.printed);
    };
    expect("l4-nat", "p.services == [] and p.out_after_failures == None and p.checks == None");
    expect("pin-services", "[s.backends for s in p.services if s.prefix == ''] == [['iis1']]");
    expect("pin-passive", "p.out_after_failures == 10.0");
    expect("pool-weighted", "p.spread.unit == 'requests' and p.spread.weights == {'iis1': 3}");
    expect("pin-source", "p.persistence == 1800.0");
}
