//! The party at fault, as the control determines it: the control shows what would have happened without the balancer.

use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_oracle::{Cited, Evidence, Grade, Party, Requirement};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

fn play(source: &str, balancer: &str) -> Run {
    let scenario = Scenario::new("blame", "blame.star", source).unwrap();
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    run(&scenario, &BalancerSpec::named(balancer), 0, &arm)
}

fn evidence(run: &Run, requirement: Requirement) -> &[Evidence] {
    run.verdicts.iter().find(|verdict| verdict.requirement == requirement).map_or(&[], |verdict| &verdict.evidence)
}

/// Returns the party at fault for each piece of evidence: the name of the client and the party, in order.
fn parties(run: &Run, requirement: Requirement) -> Vec<(String, Party)> {
    let named =
        |evidence: &Evidence| evidence.about.first().map(|cited| cited.client().to_string()).unwrap_or_default();
    evidence(run, requirement).iter().map(|evidence| (named(evidence), evidence.fault)).collect()
}

/// Checks that no requirement is violated, and that there is evidence, all of it with `party` at fault.
fn check_balancer_is_cleared(source: &str, requirement: Requirement, party: Party, balancers: &[&str]) {
    for balancer in balancers {
        let run = play(source, balancer);
        let violated: Vec<_> = run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect();
        assert_eq!(violated, [], "over {balancer}");
        let found = parties(&run, requirement);
        assert!(found.iter().all(|(_, fault)| *fault == party), "over {balancer}: {found:?}");
        assert!(!found.is_empty(), "over {balancer}, something has to be wrong");
    }
}

const SOUND: [&str; 4] = ["l4-nat", "pin-on-401", "pin-on-authorization", "haproxy-cookie"];

#[test]
fn a_dc_that_is_too_slow_is_the_sites_set_up() {
    let slow = "site(backends = 1, controllers = [controller('dc', slow_ms = 20000)])\nalice = curl('alice')\nalice.get('/')\n";
    check_balancer_is_cleared(slow, Requirement::Hs1, Party::SiteSetUp, &SOUND);
}

#[test]
fn a_server_that_closes_with_its_challenge_is_the_sites_set_up() {
    let closes = "site(backends = 1, authentication = windows_authentication(keep_alive = 'closed-by-challenge'))\n\
                  alice = curl('alice')\nalice.get('/')\n";
    // HAProxy keeps its client's connection when the server's has ended, and sends the next leg to another server. That
    // counts as HS-2, and is measured.
    check_balancer_is_cleared(closes, Requirement::Hs1, Party::SiteSetUp, &SOUND[..3]);
}

#[test]
fn what_the_balancer_breaks_at_a_sound_site_is_its_own_fault() {
    let plain = "site(backends = 1)\nalice = curl('alice')\nalice.get('/')\n";
    let run = play(plain, "close-per-request");
    assert_eq!(run.grade(Requirement::Hs1), Grade::Violated);
    assert_eq!(parties(&run, Requirement::Hs1), [("alice".into(), Party::Balancer)]);
}

/// A failure of bob's counts although alice's failure also happens without the balancer.
#[test]
fn failures_are_compared_one_by_one() {
    let source = "site(backends = 2)\nalice = curl('alice')\nbob = curl('bob')\nbob.get('/')\n\
                  hold('alice', 'lb')\nalice.get('/')\nrelease('alice', 'lb')\nadvance(120)\nbob.disconnect()\nbob.get('/again')\n";
    let run = play(source, "close-per-request");
    let of_balancer: Vec<_> = evidence(&run, Requirement::Hs1)
        .iter()
        .filter(|evidence| evidence.fault == Party::Balancer)
        .flat_map(|evidence| evidence.about.iter().map(Cited::client))
        .map(ToString::to_string)
        .collect();
    assert!(of_balancer.contains(&"bob".to_owned()) && !of_balancer.contains(&"alice".to_owned()), "{of_balancer:?}");
}

#[test]
fn a_forged_identity_header_stays_the_balancers_fault() {
    let forged = "site(backends = 1, acceptor = trusted_header('X-Remote-User'))\n\
                  mallory = curl('mallory', user = None)\nmallory.get('/', headers = {'X-Remote-User': 'CORP\\\\alice'})\n";
    assert_eq!(play(forged, "shared-pool").grade(Requirement::Id4), Grade::Violated);
}

#[test]
fn a_leak_through_the_balancer_is_its_own_fault() {
    let plain = "site(backends = 1)\nalice = browser('alice')\nalice.get('/')\nalice.disconnect()\nadvance(ms = 50)\n\
                 mallory = browser('mallory', user = None)\nmallory.get('/')\n";
    let run = play(plain, "shared-pool");
    assert_eq!((run.grade(Requirement::Id2), &run.end), (Grade::Violated, &End::Complete));
    assert_eq!(parties(&run, Requirement::Id2), [("mallory".into(), Party::Balancer)]);
}

/// Every server treats somebody who holds another user's token as that user. No balancer can detect it, and none is
/// blamed.
#[test]
fn a_stolen_token_accuses_nobody() {
    let stolen = r#"
site(backends = 1, providers = ["Negotiate"], services = {"svc-web": ["HTTP/www.corp.example"]},
     authentication = windows_authentication(pool = "svc-web", kernel_mode = False, persist_non_ntlm = False))
token = browser("alice").make_token()
mallory = browser("mallory", user = None)
text = mallory.send_raw("GET / HTTP/1.1\r\nHost: www.corp.example\r\nConnection: close\r\nAuthorization: %s\r\n\r\n" % token)
expect("alice" in text, "the server takes the token")
mallory.get("/").expect(status = 401)
"#;
    for balancer in SOUND {
        let run = play(stolen, balancer);
        let violated: Vec<_> = run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect();
        assert_eq!((violated, &run.failures, &run.end), (vec![], &vec![], &End::Complete), "over {balancer}");
    }
}
