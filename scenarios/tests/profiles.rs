//! The possibilities of a profile beyond the shipped mechanisms, as a user sees them: each key is compared with the
//! same balancer without it.

use std::sync::Arc;

use stickler_catalogue::Profile;
use stickler_model::BalancerSpec;
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

use Requirement::{Fo4, Hs1, Hs2, Id2, Id6};

/// Returns a profile that equals this mechanism except for these keys.
fn profile(base: &str, keys: &str) -> BalancerSpec {
    let toml = format!("[[profile]]\nname = \"mine\"\nextends = \"{base}\"\nsource = \"this test\"\n{keys}\n");
    BalancerSpec::Profile { name: "mine".into(), toml, defects: Vec::new() }
}

fn play(base: &str, keys: &str, script: &str) -> Run {
    let scenario = Scenario::new("profile", "profile.star", script).unwrap();
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = run(&scenario, &profile(base, keys), 0, &arm);
    assert_eq!(run.end, End::Complete, "{base} with {keys}: {script}");
    run
}

/// Returns the requirements that a run violates.
fn violated(run: &Run) -> Vec<Requirement> {
    let musts = run.graded(Grade::Violated).map(|verdict| verdict.requirement);
    musts.filter(|requirement| requirement.severity() == Severity::Must).collect()
}

/// Checks that the script's expectations hold, and that nothing is violated.
#[track_caller]
fn check_clean(base: &str, keys: &str, script: &str) -> Run {
    let run = play(base, keys, script);
    let failures: Vec<_> = run.failures.iter().map(ToString::to_string).collect();
    assert_eq!((violated(&run), failures), (vec![], vec![]), "{base} with {keys}: {:?}", run.verdicts);
    run
}

/// The description of a site that accepts tickets and remembers the connections on which they came.
const KERBEROS: &str = r#"
site(backends = 1, providers = ["Negotiate"], services = {"svc-web": ["HTTP/www.corp.example"]},
     authentication = windows_authentication(pool = "svc-web", kernel_mode = False))
"#;

/// A user logs on by NTLM, and comes back later.
const NTLM: &str = r#"
site(backends = 1)
alice = browser("alice")
alice.get("/").expect(status = 200, user = "CORP\\alice")
alice.get("/").expect(status = 200, user = "CORP\\alice")
"#;

#[test]
fn an_exchange_with_credentials_that_is_never_pooled_serves_nobody_else_and_breaks_ntlm() {
    let tickets = format!(
        r#"{KERBEROS}
alice = curl_negotiate("alice")
mallory = curl("mallory", user = None)
for _ in range(2):
    alice.get("/").expect(status = 200, user = "CORP\\alice")
    mallory.get("/").expect(status = 401, user = None)
"#
    );
    let keys = "credentials = \"never-pooled\"";
    assert_eq!(check_clean("shared-pool", keys, &tickets).grade(Id2), Grade::Ok);
    assert!(violated(&play("shared-pool", "", &tickets)).contains(&Id2));
    let broken = violated(&play("shared-pool", keys, NTLM));
    assert!(broken.contains(&Hs1) && broken.contains(&Hs2), "{broken:?}");
    // A connection without a logon is pooled nevertheless.
    let public = r#"
site(backends = 1, anonymous = ["/public"])
one = curl("one", user = None).get("/public/a")
other = curl("other", user = None).get("/public/b")
expect(one.connection == other.connection, "one connection for both")
"#;
    check_clean("shared-pool", keys, public);
}

#[test]
fn credentials_that_are_not_passed_on_log_nobody_on_and_hurt_nobody_else() {
    let script = r#"
site(backends = 1, anonymous = ["/public"])
alice = browser("alice")
alice.get("/").expect(status = 401, user = None)
expect(logon_log() == [], "no server hears of a logon")
alice.get("/public/news").expect(status = 200)
"#;
    let run = play("pin-on-401", "credentials = \"not-passed-on\"", script);
    assert_eq!((violated(&run), run.failures.len()), (vec![Hs1], 0), "{:?}", run.verdicts);
    assert_ne!(play("pin-on-401", "", script).failures.len(), 0);
}

#[test]
fn a_client_that_is_closed_after_each_answer_cannot_log_on_by_ntlm_and_needs_a_ticket_each_time() {
    let keys = "client_requests = 1";
    let broken = violated(&play("pin-on-401", keys, NTLM));
    assert_eq!(broken, [Hs1], "the client itself begins anew on each connection");
    check_clean("pin-on-401", "", NTLM);
    let tickets = |checks: u32| {
        format!(
            r#"{KERBEROS}
alice = curl_negotiate("alice")
for _ in range(3):
    alice.get("/").expect(status = 200, user = "CORP\\alice")
expect(counts().ticket_checks == {checks}, "%d tickets were checked" % counts().ticket_checks)
"#
        )
    };
    check_clean("pin-on-authorization", keys, &tickets(3));
    check_clean("pin-on-authorization", "", &tickets(1));
}

#[test]
fn a_limit_of_requests_that_ends_in_the_middle_of_a_handshake_costs_another_or_breaks_it() {
    // The handshake has three legs. If the client sees that its connection closes, it begins again.
    let script =
        |requests: u32| NTLM.replace(r#""CORP\\alice")"#, &format!(r#""CORP\\alice", requests = {requests})"#));
    check_clean("pin-on-401", "client_requests = 2", &script(4));
    check_clean("pin-on-401", "client_requests = 3", &script(3));
    // If the balancer closes the upstream connection without telling the client, the last leg goes over another one.
    let keys = "[profile.pool]\nrequests =";
    let broken = violated(&play("shared-pool", &format!("{keys} 2"), NTLM));
    assert!(broken.contains(&Hs1) && broken.contains(&Hs2), "{broken:?}");
    check_clean("shared-pool", &format!("{keys} 3"), NTLM);
}

#[test]
fn a_pin_that_covers_credentials_alone_leaves_other_requests_of_the_client_to_the_pool() {
    let script = |again: u32| {
        format!(
            r#"
site(backends = 1)
alice = browser("alice")
alice.get("/").expect(status = 200, user = "CORP\\alice", requests = 3)
alice.get("/again").expect(status = 200, user = "CORP\\alice", requests = {again})
mallory = curl("mallory", user = None)
mallory.get("/").expect(status = 401, user = None)
"#
        )
    };
    // The request of a client that has logged on carries no credentials, and therefore does not get the pinned
    // connection.
    check_clean("pin-on-authorization", "[profile.pin]\ncovers = \"with-credentials\"", &script(3));
    check_clean("pin-on-authorization", "", &script(1));
}

#[test]
fn bound_requests_count_as_turns_where_the_rules_say_so() {
    let script = |other: &str| {
        format!(
            r#"
site(backends = 2, anonymous = ["/public"])
one = curl("one", user = None)
for _ in range(2):
    one.get("/public/a").expect(status = 200, backend = "iis1")
curl("other", user = None).get("/public/b").expect(status = 200, backend = "{other}")
"#
        )
    };
    let keys = "[profile.select]\nbound_take_turns = true";
    check_clean("pool-source", keys, &script("iis1"));
    check_clean("pool-source", "", &script("iis2"));
    // At L4, each connection is one turn.
    let connections = |other| script(other).replace("one.get", "one.disconnect()\n    one.get");
    check_clean("l4-source", keys, &connections("iis1"));
    check_clean("l4-source", "", &connections("iis2"));
}

#[test]
fn an_upgrade_is_passed_dropped_or_broken() {
    let script = |says: &str| {
        format!(
            r#"
site(backends = 1, anonymous = ["/socket"])
reply = curl("one", user = None).send_raw(
    "GET /socket HTTP/1.1\r\nHost: www.corp.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
expect({says}, reply)
curl("other", user = None).get("/socket").expect(status = 200)
"#
        )
    };
    for base in ["shared-pool", "pin-on-401", "close-per-request"] {
        let passed = script("reply.startswith('HTTP/1.1 101') and '/socket' in reply");
        assert_eq!(check_clean(base, "upgrades = \"passed\"", &passed).grade(Id6), Grade::Ok);
        let dropped = script("reply.startswith('HTTP/1.1 200') and '/socket' in reply");
        assert_eq!(check_clean(base, "upgrades = \"dropped\"", &dropped).grade(Id6), Grade::NotExercised);
        let broken = script("reply.startswith('HTTP/1.1 502')");
        assert_eq!(violated(&play(base, "upgrades = \"broken\"", &broken)), []);
        assert_eq!(play(base, "upgrades = \"broken\"", &broken).failures, []);
    }
}

#[test]
fn a_balancer_waits_for_a_slow_page_as_long_as_it_says() {
    let script = |status: u16| {
        format!(
            r#"
site(backends = 1)
alice = browser("alice", patience = 600)
alice.get("/").expect(status = 200)
alice.get("/slow/100").expect(status = {status})
"#
        )
    };
    check_clean("pin-on-401", "answer = \"101s\"", &script(200));
    check_clean("pin-on-401", "answer = \"99s\"", &script(504));
}

/// Returns a script in which a user comes back after a pause, for a page or with a form.
fn after_a_pause(ask: &str, expected: &str) -> String {
    format!(
        r#"
site(backends = 1, connection_timeout = 900)
alice = browser("alice")
alice.get("/").expect(status = 200, user = "CORP\\alice")
advance(100)
alice.{ask}.expect({expected})
"#
    )
}

const GET: &str = r#"get("/again")"#;
const POST: &str = r#"post("/inbox", bytes_of(4096))"#;

#[test]
fn a_client_that_is_idle_for_longer_than_the_balancer_keeps_it_logs_on_again_and_loses_nothing() {
    for ask in [GET, POST] {
        let anew = after_a_pause(ask, "status = 200, user = \"CORP\\\\alice\", requests = 3");
        check_clean("pin-on-401", "client_idle = \"99s\"", &anew);
        let kept = after_a_pause(ask, "status = 200, user = \"CORP\\\\alice\", requests = 1");
        check_clean("pin-on-401", "client_idle = \"101s\"", &kept);
        check_clean("pin-on-401", "", &kept);
    }
}

#[test]
fn a_flow_that_is_idle_for_too_long_is_lost_aloud_or_in_silence() {
    let keys = |after: u32, then: &str| format!("idle = \"{after}s\"\non_idle = \"{then}\"");
    for base in ["l4-nat", "l4-dnat", "l4-splice"] {
        for ask in [GET, POST] {
            let served = after_a_pause(ask, "status = 200, user = \"CORP\\\\alice\"");
            // Both ends notice the close at once, or it does not happen.
            check_clean(base, &keys(99, "closed"), &served);
            check_clean(base, &keys(101, "silent"), &served);
            let lost = after_a_pause(ask, "status = None");
            let silent = play(base, &keys(99, "silent"), &lost);
            assert_eq!(
                (violated(&silent), silent.failures.len()),
                (vec![Hs1], 0),
                "{base}, {ask}: {:?}",
                silent.verdicts
            );
            assert_eq!(silent.grade(Fo4), Grade::NotExercised, "nothing was pinned");
        }
        // A request that meets a reset is sent again if that is safe.
        let again = after_a_pause(GET, "status = 200, user = \"CORP\\\\alice\"");
        assert_eq!(play(base, &keys(99, "reset-on-next"), &again).failures, [], "{base}");
        let run = play(base, &keys(99, "reset-on-next"), &after_a_pause(POST, "status = None"));
        assert_eq!((violated(&run), run.failures.len()), (vec![Hs1], 0), "{base}: {:?}", run.verdicts);
    }
}

/// Returns the description of a site whose servers offer HTTP/2, and of which a part needs no logon.
fn offering_http2(tls: &str, rest: &str) -> String {
    format!("site(backends = 1{tls}, anonymous = [\"/public\"])\nalice = browser(\"alice\")\n{rest}")
}

const TLS: &str = r#", tls = "own", http2 = True"#;

#[test]
fn http2_towards_servers_serves_what_needs_no_logon_and_502_for_the_rest_unless_it_falls_back() {
    let works = offering_http2(
        TLS,
        r#"
alice.get("/public/news").expect(status = 200)
alice.post("/public/form", bytes_of(100000)).expect(status = 200, length = 100000)
for _ in range(3):
    alice.get("/").expect(status = 200, user = "CORP\\alice")
"#,
    );
    let fails = works.replace(r#"status = 200, user = "CORP\\alice""#, "status = 502");
    for upstream in ["alpn", "http2"] {
        let keys = format!("upstream_http = \"{upstream}\"");
        let run = play("pin-on-401", &keys, &fails);
        assert_eq!((violated(&run), run.failures.len()), (vec![Hs1], 0), "{upstream}: {:?}", run.failures);
        check_clean("pin-on-401", &format!("{keys}\nfalls_back = true"), &works);
    }
    check_clean("pin-on-401", "", &works);
    // Servers that do not offer HTTP/2 are accessed by HTTP/1.1.
    for tls in ["", r#", tls = "own""#] {
        let plain = works.replace(TLS, tls);
        check_clean("pin-on-401", "upstream_http = \"alpn\"", &plain);
    }
}

#[test]
fn http2_to_servers_that_do_not_speak_it_is_an_error_for_everybody() {
    for tls in ["", r#", tls = "own""#] {
        let script = offering_http2(tls, r#"alice.get("/public/news").expect(status = 502)"#);
        assert_eq!(play("pin-on-401", "upstream_http = \"http2\"", &script).failures, [], "{tls}");
    }
}

#[test]
fn a_request_with_a_body_does_not_fall_back() {
    let script = offering_http2(TLS, r#"alice.post("/inbox", bytes_of(100)).expect(status = 502)"#);
    assert_eq!(play("pin-on-401", "upstream_http = \"alpn\"\nfalls_back = true", &script).failures, []);
}

#[test]
fn tls_goes_through_two_balancers_whatever_either_does_with_it() {
    let script = |front: &str, site: &str| {
        format!(
            r#"
site(backends = 2, front = "{front}", {site})
alice = browser("alice")
bob = browser("bob")
for _ in range(2):
    alice.get("/").expect(status = 200, user = "CORP\\alice")
    bob.get("/").expect(status = 200, user = "CORP\\bob")
"#
        )
    };
    for front in ["l4-nat", "l4-splice", "pin-on-401"] {
        for base in ["l4-nat", "l4-splice", "pin-on-401", "tunnel"] {
            for site in [
                r#"tls = "own""#,
                r#"tls = "same""#,
                r#"tls = "plain""#,
                r#"tls = "own", between = "plain""#,
                r#"tls = "plain", between = "plain""#,
            ] {
                check_clean(base, "", &script(front, site));
            }
        }
    }
}

#[test]
fn no_timer_is_zero_or_less_than_a_millisecond() {
    for key in ["client_idle", "answer", "own_idle"] {
        for time in ["0s", "0ms", "500us", "0.5ms", "-1s"] {
            let BalancerSpec::Profile { toml, .. } = profile("pin-on-401", &format!("{key} = \"{time}\"")) else {
                return;
            };
            let told = Profile::parse(&toml, "mine.toml").unwrap_err().to_string();
            assert!(told.contains("other than zero"), "{told}");
        }
        let BalancerSpec::Profile { toml, .. } = profile("pin-on-401", &format!("{key} = \"1ms\"")) else { return };
        assert!(Profile::parse(&toml, "mine.toml").is_ok());
    }
    for (keys, wrong) in [("idle = \"4m\"", "belong together"), ("on_idle = \"silent\"", "belong together")] {
        let BalancerSpec::Profile { toml, .. } = profile("l4-nat", keys) else { return };
        assert!(Profile::parse(&toml, "mine.toml").unwrap_err().to_string().contains(wrong));
    }
}
