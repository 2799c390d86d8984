//! The party at fault, in scripts that were once judged incorrectly. Each now has its right verdict. Where a similar
//! script needs a different verdict, that one is tested too.

mod wrong_parties;

use std::sync::Arc;

use stickler_model::{BalancerSpec, Event, What};
use stickler_oracle::{Cited, Failure, Grade, Party, Requirement, Verdict};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

use Grade::{NotExercised, Ok, Violated};
use Party::{Balancer, Client, InjectedFault, Script, Server, SiteSetUp, Undetermined};
use Requirement::{Fo5, Fo8, Hs1, Hs5, Hs7, Id1, Id2, Id4, St3};

pub(crate) fn play(script: &str, balancer: &str) -> Run {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    // A run in which nothing is put to the test, because every failure is excused, would count as skipped.
    let script = &format!("{script}\nexpect(True)\n");
    let scenario = Scenario::new("test", "test.star", script).unwrap();
    let run = run(&scenario, &BalancerSpec::named(balancer), 1, &arm);
    assert_eq!(run.end, End::Complete, "{script}\nover {balancer}");
    run
}

pub(crate) fn verdict(script: &str, balancer: &str, requirement: Requirement) -> Verdict {
    let run = play(script, balancer);
    run.verdicts.into_iter().find(|verdict| verdict.requirement == requirement).unwrap()
}

/// Returns the grade, and the party at fault for each piece of evidence, in order.
pub(crate) fn blame(script: &str, balancer: &str, requirement: Requirement) -> (Grade, Vec<Party>) {
    let verdict = verdict(script, balancer, requirement);
    (verdict.grade, verdict.evidence.iter().map(|evidence| evidence.fault).collect())
}

pub(crate) fn grade(script: &str, balancer: &str, requirement: Requirement) -> Grade {
    verdict(script, balancer, requirement).grade
}

/// Checks that nothing counts against the balancer.
#[track_caller]
pub(crate) fn assert_clean(script: &str, balancer: &str) {
    let run = play(script, balancer);
    let violated: Vec<_> = run.graded(Violated).map(|verdict| (verdict.requirement, &verdict.evidence)).collect();
    assert!(violated.is_empty(), "{script}\nover {balancer}: {violated:#?}");
}

/// alice sends five requests, a day after a reset between the balancer and the only backend.
const RESET_A_DAY_AGO: &str = r#"
site(backends = 1, tls = "own")
reset("lb", "iis1")
advance(86400)
alice = browser("alice")
for number in range(5):
    alice.get("/")
"#;

#[test]
fn a_fault_of_yesterday_explains_no_failure_of_today() {
    let verdict = verdict(RESET_A_DAY_AGO, "pin-on-authorization+B19", Hs1);
    assert_eq!((verdict.grade, verdict.exercised, verdict.against_balancer().count()), (Violated, 5, 5));
    assert_clean(RESET_A_DAY_AGO, "pin-on-authorization");
}

#[test]
fn a_fault_that_strikes_a_request_or_stands_is_to_blame() {
    let crash = "site(backends = 1)\nalice = browser('alice')\nalice.get('/')\ncrash('iis1')\nalice.get('/')\n";
    for balancer in ["l4-nat", "pin-on-401", "shared-pool"] {
        let (grade, faults) = blame(crash, balancer, Hs1);
        assert_eq!((grade, faults), (Ok, vec![InjectedFault]), "{balancer}");
    }
    let cut = "site(backends = 1)\nhold('lb', 'iis1')\nnobody = browser('nobody', user = None)\nnobody.get('/')\n";
    assert_eq!(blame(cut, "pin-on-401", Hs7), (NotExercised, vec![InjectedFault]));
}

/// dave's Negotiate leg fails over B19 whatever the fault: none of these touches anything that he needs.
#[test]
fn a_fault_is_no_excuse_for_what_happens_without_it_as_well() {
    for fault in [
        "reset('dave', 'lb')",
        "crash('dc'); restart('dc')",
        "hold('iis2', 'dc')",
        "hang('iis2'); resume('iis2')",
        "hold('lb', 'iis2'); release('lb', 'iis2')",
        "configure('iis2', server(clock_skew = 1))",
    ] {
        let script = format!("site(backends = 2, tls = 'own')\ndave = browser('dave')\n{fault}\ndave.get('/')\n");
        assert_eq!(blame(&script, "pin-on-authorization+B19", Hs1), (Violated, vec![Balancer]), "{fault}");
        assert_clean(&script, "pin-on-authorization");
    }
    let crash = "site(backends = 1, tls = 'own')\ndave = browser('dave')\ncrash('iis1')\ndave.get('/')\n";
    let verdict = verdict(crash, "pin-on-authorization+B19", Hs1);
    let summary = &verdict.evidence[0].summary;
    assert!(summary.ends_with("and the same happens without the injected faults"), "{summary}");
}

#[test]
fn another_user_at_a_client_logs_on_even_after_a_page_that_needs_no_logon() {
    let script = r#"
site(backends = 1, anonymous = ["/public"])
carol = browser("carol")
carol.get("/")
carol.switch_user("alice")
carol.get("/public/x")
carol.get("/").expect(user = "CORP\\alice")
"#;
    for balancer in ["l4-nat", "pin-on-authorization"] {
        assert_clean(script, balancer);
        assert!(play(script, balancer).failures.is_empty(), "{balancer}");
    }
}

/// The balancer splits the handshake that it began at iis1, and sends its second half to the dead iis2.
#[test]
fn a_handshake_that_is_split_is_not_lost_by_the_backend_that_it_did_not_begin_at() {
    let script = r#"
site(backends = 3)
dave, mallory = curl("dave"), browser("mallory", user = None)
crash("iis2")
advance(600)
for number in range(3):
    dave.get("/")
    mallory.get("/")
"#;
    let (grade, faults) = blame(script, "pin-next-request", Hs1);
    assert_eq!((grade, faults), (Violated, vec![Balancer; 3]));
    assert_clean(script, "pin-on-authorization");
}

/// An anonymous client sends raw bytes while alice's connection is in the pool.
const RAW_BEHIND_ALICE: &str = r#"
site(backends = 1)
alice = browser("alice")
alice.get("/")
mallory = browser("mallory", user = None)
mallory.send_raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
"#;

#[test]
fn bytes_of_a_client_are_the_clients() {
    let leak = verdict(RAW_BEHIND_ALICE, "shared-pool", Id2);
    assert_eq!((leak.grade, leak.evidence.len()), (Violated, 1));
    let evidence = &leak.evidence[0];
    assert_eq!((evidence.fault, evidence.failure), (Balancer, Failure::WrongUser));
    assert!(matches!(&evidence.about[..], [Cited::Raw { client, .. }] if client.as_str() == "mallory"), "{evidence:?}");
    assert_eq!(grade(RAW_BEHIND_ALICE, "pin-on-401", Id2), Ok);
    assert_eq!(grade(RAW_BEHIND_ALICE, "l4-nat", Id2), Ok);
}

#[test]
fn bytes_of_a_user_are_judged_as_that_users() {
    let script = RAW_BEHIND_ALICE.replace(", user = None", "").replace("mallory", "bob");
    assert_eq!(grade(&script, "shared-pool", Id1), Violated);
    assert_eq!(grade(&script, "pin-on-401", Id1), Ok);
}

#[test]
fn a_forged_id_is_believed_by_nobody() {
    // The first request of alice has the id r1.
    let script = r#"
site(backends = 1)
alice = browser("alice")
alice.get("/")
mallory = browser("mallory", user = None)
mallory.send_raw("GET / HTTP/1.1\r\nHost: x\r\nX-Stickler-Request: r1\r\nAuthorization: NTLM TlRMTVNTUAADAAAA\r\n\r\n")
"#;
    for balancer in ["l4-nat", "pin-on-401", "close-per-request"] {
        let run = play(script, balancer);
        for requirement in [Requirement::Fo2, Requirement::Hs6, Id1] {
            assert_ne!(run.grade(requirement), Violated, "{requirement} over {balancer}");
        }
    }
    let leak = RAW_BEHIND_ALICE.replace("Connection: close", "x-stickler-request: r1");
    assert_eq!(grade(&leak, "shared-pool", Id2), Violated, "mallory is served as alice all the same");
}

#[test]
fn a_claim_in_bytes_is_the_balancers_to_take_out() {
    let script = r#"
site(backends = 1, acceptor = trusted_header("X-Remote-User"))
mallory = curl("mallory", user = None)
mallory.send_raw("GET / HTTP/1.1\r\nHost: x\r\nX-Remote-User: CORP\\alice\r\n\r\n")
"#;
    assert_eq!(grade(script, "shared-pool", Id4), Violated);
    assert_eq!(grade(script, "l4-nat", Id4), Violated);
    assert_ne!(grade(script, "scrub-identity", Id4), Violated);
}

#[test]
fn an_anonymous_client_gets_an_answer_where_nothing_is_broken() {
    let script = "site(backends = 2)\nadvance(20)\nnobody = browser('nobody', user = None)\nnobody.get('/')\n";
    assert_eq!(grade(script, "pin-checked-http", Hs7), Ok);
    assert_eq!(blame(script, "pin-checked-http+B18", Hs7), (Violated, vec![Balancer]), "every backend counts as down");
    assert_eq!(grade(script, "l4-splice", Hs7), Ok);
}

#[test]
fn a_drain_is_no_close_by_the_balancer_where_a_fault_ended_the_clients_connection() {
    let drained = |fault: &str| {
        format!(
            "alice = browser('alice')\nalice.get('/')\nalice.get('/')\ndrain('iis1')\ndrain('iis2')\n{fault}\nadvance(1)\n"
        )
    };
    for balancer in ["l4-nat", "l4-splice", "l4-dnat", "l4-source", "pin-on-401", "pin-source", "haproxy-safe"] {
        assert_ne!(grade(&drained("reset('alice', 'lb')"), balancer, Fo5), Violated, "{balancer}");
    }
    // A balancer that only translates addresses has no process.
    for balancer in ["l4-splice", "pin-on-401", "pin-source", "haproxy-safe"] {
        for fault in ["crash('lb')", "power_loss('lb')"] {
            assert_ne!(grade(&drained(fault), balancer, Fo5), Violated, "{fault} over {balancer}");
        }
    }
}

#[test]
fn a_second_client_at_the_same_host_may_come_back_during_a_drain() {
    let script = |at: &str| {
        format!(
            "site(backends = 2)\nalice = browser('alice')\nfirst = alice.get('/').backend\n\
             bob = browser('bob'{at})\nbob.get('/')\nbob.disconnect()\n\
             drain(first)\nadvance(1)\ncarol = browser('carol', at = alice)\ncarol.get('/')\n"
        )
    };
    for balancer in ["l4-source", "pin-source"] {
        assert_ne!(grade(&script(""), balancer, Fo5), Violated, "{balancer}");
        assert_clean(&script(", at = alice"), balancer);
    }
}

#[test]
fn a_client_whose_bytes_persistence_remembers_may_come_back_during_a_drain() {
    let script = "nobody = browser('nobody', user = None)\nnobody.send_raw('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n\
                  drain('iis1')\nadvance(1)\nnobody.get('/')\n";
    for balancer in ["l4-source", "pin-source"] {
        assert_ne!(grade(script, balancer, Fo5), Violated, "{balancer}");
    }
}

#[test]
fn a_handshake_stays_on_its_connection_though_another_cookie_has_come() {
    let script = "alice = browser('alice')\np = alice.start('GET', '/')\nalice.get('/a')\np.wait()\n";
    for balancer in ["pin-cookie", "haproxy-cookie"] {
        assert_ne!(grade(script, balancer, St3), Violated, "{balancer}");
        assert_clean(script, balancer);
    }
}

#[test]
fn a_client_that_the_script_disconnects_begins_again() {
    let script = r#"
site(backends = 3, providers = ["Negotiate"], services = {"svc-web": ["HTTP/www.corp.example"]},
     authentication = windows_authentication(pool = "svc-web", kernel_mode = False))
alice = browser("alice", port = 40000)
request = alice.start("GET", "/")
advance(ms = 3)
crash("iis1")
alice.disconnect()
expect(request.wait().requests == 3)
"#;
    for balancer in ["pin-passive", "l4-nat"] {
        assert!(play(script, balancer).failures.is_empty(), "{balancer}");
        assert_eq!(grade(script, balancer, Hs1), Ok, "{balancer}");
    }
}

#[test]
fn a_user_who_may_not_have_something_tries_to_log_on_once_more() {
    let script = r#"
site(backends = 1)
alice = curl("alice")
alice.get("/one").expect(status = 200)
alice.get("/forbidden/x").expect(status = 401, requests = 3)
"#;
    assert_eq!(grade(script, "l4-nat", Hs1), Ok);
    let asked_again = script.replace("backends = 1", "backends = 2").replace("/forbidden/x", "/two");
    assert_eq!(grade(&asked_again, "pin-on-authorization+B6", Hs1), Violated);
}

#[test]
fn the_drain_of_the_last_backend_is_the_scripts_doing() {
    let script = "site(backends = 1)\ndrain('iis1')\nalice = browser('alice')\nalice.get('/')\n";
    assert_eq!(blame(script, "pin-on-401", Hs1), (NotExercised, vec![Script]));
    let again = format!("{script}undrain('iis1')\nalice.get('/')\n");
    assert_eq!(blame(&again, "pin-on-401", Hs1), (Ok, vec![Script]));
}

#[test]
fn what_the_script_does_not_wait_for_is_its_own_doing() {
    let script = "site(backends = 1)\nalice = browser('alice')\nalice.start('GET', '/')\nadvance(ms = 1)\n";
    for balancer in ["l4-nat", "pin-on-401", "shared-pool"] {
        assert_eq!(blame(script, balancer, Hs1), (NotExercised, vec![Script]), "{balancer}");
    }
    let gone = format!("{script}alice.disconnect()\nadvance(1)\n");
    assert_eq!(blame(&gone, "pin-on-401", Hs1), (NotExercised, vec![Script]));
}

#[test]
fn a_site_that_cannot_work_is_to_blame_itself() {
    let slow = "site(controllers = [controller('dc', slow_ms = 20000)])\nalice = browser('alice')\nalice.get('/')\n";
    let closing = "site(backends = 1, authentication = windows_authentication(keep_alive = 'closed-by-challenge'))\n\
                   alice = browser('alice')\nalice.get('/')\n";
    let far = "site(backends = 1, latency_us = 6000000)\nalice = browser('alice')\nalice.get('/')\n";
    for (script, name) in [(slow, "slow DC"), (closing, "closed by challenge"), (far, "latency")] {
        for balancer in ["l4-nat", "pin-on-401", "pin-on-authorization"] {
            let (grade, faults) = blame(script, balancer, Hs1);
            assert_eq!((grade, faults), (NotExercised, vec![SiteSetUp]), "{name} over {balancer}");
        }
    }
}

#[test]
fn tickets_that_no_server_can_read_are_the_sites() {
    let script = "site(backends = 2, providers = ['Negotiate'], services = {'svc-web': ['HTTP/www.corp.example']},\n\
                  authentication = windows_authentication(pool = 'svc-web', kernel_mode = True))\n\
                  alice = curl_negotiate('alice')\nalice.get('/')\n";
    for balancer in ["l4-nat", "pin-on-401", "shared-pool"] {
        assert_eq!(blame(script, balancer, Hs1), (NotExercised, vec![SiteSetUp]), "{balancer}");
    }
}

#[test]
fn a_client_that_remembers_that_its_kdc_did_not_answer_is_no_evidence() {
    let site = "site(backends = 1, providers = ['Negotiate'], services = {'svc-web': ['HTTP/www.corp.example']},\n\
                authentication = windows_authentication(pool = 'svc-web', kernel_mode = False))\n\
                alice = curl_negotiate('alice')\n";
    let script = format!("{site}crash('dc')\nalice.get('/')\nrestart('dc')\nadvance(1)\nalice.get('/')\n");
    for balancer in ["l4-nat", "pin-on-401"] {
        assert_eq!(blame(&script, balancer, Hs1), (NotExercised, vec![InjectedFault; 2]), "{balancer}");
    }
    let later = format!("{script}advance(60)\nalice.get('/')\n");
    assert_eq!(grade(&later, "l4-nat", Hs1), Ok);
}

#[test]
fn a_backend_that_returned_may_take_the_declared_checks() {
    let script = "site(backends = 1)\ncrash('iis1')\nadvance(30)\nrestart('iis1')\nadvance(ms = 100)\n\
                  alice = browser('alice')\nalice.get('/')\n";
    for balancer in ["pin-checked-http", "pin-checked-tcp", "pin-checked-logon"] {
        assert_eq!(blame(script, balancer, Hs1), (NotExercised, vec![InjectedFault]), "{balancer}");
        assert_eq!(grade(&script.replace("ms = 100", "30"), balancer, Hs1), Ok, "{balancer}");
    }
}

#[test]
fn a_clients_own_mistakes_are_the_clients() {
    let locked = "site(backends = 1, lockout = 2)\nmallory = curl('mallory', user = 'alice', password = 'no')\n\
                  mallory.get('/1')\nmallory.get('/2')\nalice = browser('alice')\nalice.get('/')\n";
    for balancer in ["l4-nat", "pin-on-401"] {
        assert_eq!(blame(locked, balancer, Hs1), (NotExercised, vec![Client]), "{balancer}");
        assert_eq!(grade(locked, balancer, Hs5), Ok, "{balancer}");
    }
    let without = "site(backends = 1, providers = ['Negotiate:Kerberos'], services = {'svc-web': ['HTTP/www.corp.example']},\n\
                   authentication = windows_authentication(pool = 'svc-web', kernel_mode = False))\n\
                   alice = browser('alice', kerberos = False)\nalice.get('/')\n";
    assert_eq!(blame(without, "l4-nat", Hs1), (NotExercised, vec![Client]));
}

#[test]
fn a_server_that_speaks_no_http_is_to_blame() {
    for rogue in ["garbage", "half-body", "closes"] {
        let script = format!(
            "site(backends = 1, servers = {{'iis1': rogue('{rogue}')}})\n\
             nobody = curl('nobody', user = None)\nnobody.get('/')\nalice = browser('alice')\nalice.get('/')\n"
        );
        for balancer in ["l4-nat", "pin-on-401"] {
            assert_eq!(blame(&script, balancer, Hs7), (NotExercised, vec![Server]), "{rogue} over {balancer}");
            assert_eq!(blame(&script, balancer, Hs1), (NotExercised, vec![Server]), "{rogue} over {balancer}");
        }
    }
}

/// Returns a script in which an anonymous request is sent around the moment at which the server ends the connection in
/// the pool.
fn idle_race(method: &str) -> String {
    format!(
        "site(backends = 1)\nfor step in range(10):\n    seed = browser('seed' + str(step), user = None)\n    \
         seed.get('/')\n    seed.disconnect()\n    advance(119.998 + step * 0.0002)\n    \
         probe = browser('probe' + str(step), user = None)\n    probe.request('{method}', '/', 'x' if '{method}' == 'POST' else None)\n    \
         probe.disconnect()\n    advance(130)\n"
    )
}

#[test]
fn a_lost_race_with_an_idle_close_is_run_again_where_that_is_safe() {
    assert_eq!(grade(&idle_race("GET"), "shared-pool+B16", Fo8), Violated);
    assert_eq!(grade(&idle_race("GET"), "shared-pool", Fo8), Ok);
    let (grade, faults) = blame(&idle_race("POST"), "shared-pool+B16", Hs7);
    assert_eq!(grade, Ok, "a POST may not be sent twice: {faults:?}");
    assert!(!faults.is_empty() && faults.iter().all(|&fault| fault == Undetermined), "{faults:?}");
}

/// A random plan (shrunk) found this: an anonymous connection is in the pool when the backend loses power and comes
/// back.
#[test]
fn a_connection_that_a_loss_of_power_left_in_the_pool_costs_one_request() {
    let script = |asks: &str| {
        format!(
            "site(backends = 1)\nnobody = browser('nobody', user = None)\nother = browser('other', user = None)\n\
             nobody.get('/')\npower_loss('iis1')\nrestart('iis1')\nadvance(30)\n{asks}"
        )
    };
    let twice = script("other.get('/')\nother.get('/')\n");
    for balancer in ["pin-coupled", "pin-on-401", "shared-pool", "haproxy-safe", "l4-nat"] {
        assert_clean(&twice, balancer);
    }
    // B16 sends no request again.
    assert_eq!(blame(&twice, "shared-pool+B16", Hs7), (Ok, vec![InjectedFault]));
    // A mistake of the balancer itself still counts against it: it considers every backend that asks for credentials
    // down.
    let thrice = script("other.get('/')\nother.get('/')\nother.get('/')\n");
    assert_eq!(grade(&thrice, "pin-checked-http-2xx", Hs7), Violated);
}

#[test]
fn a_dc_or_a_balancer_that_lost_power_costs_what_went_over_its_connections() {
    let script = |host: &str| {
        format!(
            "alice = browser('alice')\nalice.get('/')\nnobody = browser('nobody', user = None)\nnobody.get('/')\n\
             power_loss('{host}')\nrestart('{host}')\nadvance(600)\n\
             alice.get('/')\nnobody.get('/')\nbob = browser('bob')\nbob.get('/')\ncarol = browser('carol')\ncarol.get('/')\n"
        )
    };
    for balancer in ["l4-nat", "l4-splice", "pin-on-401", "pin-coupled", "pin-by-address", "haproxy-safe"] {
        assert_clean(&script("dc"), balancer);
    }
    // A balancer that only translates addresses has no process.
    for balancer in ["l4-splice", "pin-on-401", "pin-coupled", "pin-by-address", "haproxy-safe"] {
        assert_clean(&script("lb"), balancer);
    }
}

#[test]
fn two_clients_that_hold_one_port_at_once_are_the_scripts() {
    let script = |leaves: &str| {
        format!(
            "site(backends = 1)\nnobody = browser('nobody', user = None, port = 5000)\nbob = browser('bob', at = nobody, port = 5000)\n\
             nobody.get('/')\n{leaves}\nadvance(1)\nbob.get('/')\n"
        )
    };
    for balancer in ["l4-nat", "l4-splice", "pin-on-401", "shared-pool"] {
        assert_eq!(blame(&script(""), balancer, Hs1), (NotExercised, vec![Script]), "{balancer}");
        assert_eq!(blame(&script("nobody.disconnect()"), balancer, Hs1).1, [], "{balancer}: one after the other");
    }
}

#[test]
fn each_product_refuses_the_heads_that_are_beyond_its_limits_with_its_status() {
    let script = include_str!("../../scripts/claims/who-refuses-long-heads.star");
    // Alice is in no group, bob in 250, carol in 500, and dave in 900. The last column is dave with NTLM.
    for (balancer, expected) in [
        ("l4-nat", [200; 5]),
        ("pin-on-401", [200; 5]),
        ("nginx-ntlm-module", [200, 400, 400, 400, 200]),
        ("haproxy-safe", [200, 200, 400, 400, 200]),
        ("httpd", [200, 400, 400, 400, 200]),
        ("varnish-pipe", [200, 400, 400, 400, 200]),
        // This product opens a connection for each request, so no user can log on by NTLM.
        ("lighttpd", [200, 431, 431, 431, 401]),
        ("iis-arr", [200, 200, 400, 400, 200]),
        ("aws-alb", [200, 200, 400, 400, 200]),
        ("yarp", [200, 200, 200, 431, 200]),
        ("envoy", [200; 5]),
        ("squid", [200; 5]),
        ("caddy", [200; 5]),
    ] {
        let run = play(script, balancer);
        let ended = |event: &Event| match event.what {
            What::RequestEnded { status, .. } => status,
            _ => None,
        };
        let statuses: Vec<u16> = run.trace.unwrap().events.iter().filter_map(ended).collect();
        assert_eq!(statuses, expected, "{balancer}");
    }
}
