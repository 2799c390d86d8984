//! What a fault excuses: only what it touched, and only until the repair has been noticed.

use std::time::Duration;

use stickler_model::site::SiteSpec;
use stickler_model::topology::{ControllerSpec, KeepAlive};
use stickler_model::trace::{Checks, Promises};
use stickler_model::{Action, Fault, Leg, Name, Payload, RequestId, What, standard};
use stickler_oracle::Grade::{self, NotExercised, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Hs1, Hs4, Hs7};

use crate::trace_builder::{IIS1, IIS2, Route, Start, TraceBuilder};

/// Seconds in which the declared checks notice a return.
const RISE: u64 = 5;

pub(crate) const EXCUSED: (Grade, Option<Party>) = (NotExercised, Some(Party::InjectedFault));
pub(crate) const VIOLATED: (Grade, Option<Party>) = (Violated, Some(Party::Balancer));

/// A site with `iis1` and `iis2`, and the clients alice and bob.
pub(crate) fn site() -> TraceBuilder {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    for client in ["alice", "bob"] {
        trace.add_client(client, stickler_model::agent::Agent::Browser, false);
    }
    trace
}

fn link(a: &str, b: &str) -> (Name, Name) {
    (a.into(), b.into())
}

/// A request of alice on a connection that she opens for it: it reaches no server, and the balancer answers this.
pub(crate) fn answered(trace: &mut TraceBuilder, connection: u32, status: u16) -> RequestId {
    trace.connect("alice", connection);
    trace.turned_away("alice", connection, status)
}

/// Declares checks that notice a return within [`RISE`] seconds.
fn checked(trace: &mut TraceBuilder) {
    let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(1));
    trace.promises.checks = Some(Checks { interval, after_end: false, timeout, rise: 2, fall: 3, user: None });
}

#[test]
fn nobody_knows_how_long_an_unknown_balancer_needs_to_notice() {
    for (promises, expected) in [(Promises::unknown(), EXCUSED), (Promises::default(), VIOLATED)] {
        let mut trace = site();
        trace.promises = promises;
        trace.fault(Fault::Crash("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        trace.pass(3_600);
        answered(&mut trace, 1, 502);
        let verdict = trace.verdict(Hs1);
        assert_eq!((verdict.grade, verdict.evidence.first().map(|evidence| evidence.fault)), expected);
    }
}

/// While iis2 works, a 503 is the balancer's refusal to use it. But a balancer that sent the request to iis1, which crashed
/// before it answered, cannot send it again in every case, and any status may say so.
#[test]
fn a_503_refuses_only_a_request_that_no_server_received() {
    for (status, received, expected) in
        [(503, false, VIOLATED), (503, true, EXCUSED), (502, true, EXCUSED), (504, true, EXCUSED)]
    {
        let mut trace = site();
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        if received {
            trace.reach(id, IIS1, Leg::Anonymous);
        }
        trace.fault(Fault::Crash("iis1".into()));
        trace.receive(id, 1, status, None, None);
        trace.end(id, status);
        assert_eq!(trace.blame(Hs1), expected, "{status}, received: {received}");
    }
}

#[test]
fn a_retry_that_comes_too_late_does_not_show_where_the_request_was() {
    for (late, expected) in [(true, EXCUSED), (false, VIOLATED)] {
        let mut trace = site();
        trace.fault(Fault::PowerLoss("iis1".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        if !late {
            trace.reach(id, IIS2, Leg::Anonymous);
        }
        trace.fail(id);
        if late {
            trace.reach(id, IIS2, Leg::Anonymous);
        }
        assert_eq!(trace.blame(Hs1), expected, "{late}");
    }
}

#[test]
fn a_reset_a_day_ago_explains_nothing() {
    let mut trace = site();
    let (a, b) = link("lb", "iis1");
    trace.fault(Fault::Reset(a, b));
    trace.pass(86_400);
    for connection in 1..=5 {
        answered(&mut trace, connection, 502);
    }
    let verdict = trace.verdict(Hs1);
    assert_eq!((verdict.grade, verdict.exercised, verdict.evidence.len()), (Violated, 5, 5));
}

#[test]
fn a_mended_fault_explains_until_the_declared_time_to_notice_has_passed() {
    for (declared, seconds, expected) in
        [(false, 0, EXCUSED), (false, 1, VIOLATED), (true, RISE, EXCUSED), (true, RISE + 1, VIOLATED)]
    {
        let mut trace = site();
        if declared {
            checked(&mut trace);
        }
        trace.fault(Fault::Crash("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        trace.pass(seconds);
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), expected, "{declared} {seconds}");
    }
}

#[test]
fn failures_that_take_a_backend_out_are_noticed_as_late_as_they_are_forgotten() {
    for (seconds, expected) in [(10, EXCUSED), (11, VIOLATED)] {
        let mut trace = site();
        trace.promises.out_after_failures = Some(Duration::from_secs(10));
        let (a, b) = link("iis1", "lb");
        trace.fault(Fault::Reset(a, b));
        trace.pass(seconds);
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), expected, "{seconds}");
    }
}

#[test]
fn a_fault_that_stands_explains_for_as_long_as_it_stands() {
    let faults = [
        Fault::Crash("iis1".into()),
        Fault::PowerLoss("iis1".into()),
        Fault::Hang("iis1".into()),
        Fault::Hold("lb".into(), "iis1".into()),
        Fault::Crash("lb".into()),
        Fault::Hang("lb".into()),
        Fault::Hold("alice".into(), "lb".into()),
    ];
    for fault in faults {
        let mut trace = site();
        trace.fault(fault.clone());
        trace.pass(86_400);
        answered(&mut trace, 1, 504);
        assert_eq!(trace.blame(Hs1), EXCUSED, "{fault:?}");
    }
}

#[test]
fn what_mends_a_fault_ends_it() {
    let hold = |a: &str, b: &str| Fault::Hold(a.into(), b.into());
    for (fault, cure, mended) in [
        (Fault::Crash("iis1".into()), Fault::Restart("iis1".into()), true),
        (Fault::Crash("iis1".into()), Fault::Restart("iis2".into()), false),
        (Fault::Crash("iis1".into()), Fault::Resume("iis1".into()), false),
        (Fault::PowerLoss("iis1".into()), Fault::Restart("iis1".into()), true),
        (Fault::Hang("iis1".into()), Fault::Resume("iis1".into()), true),
        (Fault::Hang("iis1".into()), Fault::Restart("iis1".into()), true),
        (hold("lb", "iis1"), Fault::Release("iis1".into(), "lb".into()), true),
        (hold("lb", "iis1"), Fault::Release("iis2".into(), "lb".into()), false),
        (hold("lb", "iis1"), Fault::Reset("lb".into(), "iis1".into()), false),
    ] {
        let mut trace = site();
        trace.fault(fault.clone());
        trace.fault(cure.clone());
        trace.pass(60);
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), if mended { VIOLATED } else { EXCUSED }, "{fault:?} {cure:?}");
    }
}

#[test]
fn iis_that_is_started_anew_hangs_no_longer_and_does_nothing_for_another_fault() {
    for (fault, server, mended) in [
        (Fault::Hang("iis1".into()), "iis1", true),
        (Fault::Hang("iis1".into()), "iis2", false),
        (Fault::Crash("iis1".into()), "iis1", false),
        (Fault::Hold("lb".into(), "iis1".into()), "iis1", false),
    ] {
        let mut trace = site();
        trace.fault(fault.clone());
        trace.act(Action::Configure(Box::new(standard::server(server.into()))));
        trace.pass(60);
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), if mended { VIOLATED } else { EXCUSED }, "{fault:?} {server}");
    }
}

#[test]
fn what_is_under_way_when_a_fault_is_mended_takes_a_round_trip_to_show_it() {
    for (seconds, expected) in [(7, EXCUSED), (9, VIOLATED)] {
        let mut trace = site();
        (trace.latency, trace.jitter) = (Some(Duration::from_millis(900)), Duration::from_millis(1_100));
        trace.fault(Fault::Crash("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        trace.pass(seconds);
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), expected, "{seconds}");
    }
}

#[test]
fn a_fault_explains_nothing_that_it_did_not_touch() {
    for fault in [
        Fault::Hold("bob".into(), "lb".into()),
        Fault::Reset("bob".into(), "lb".into()),
        Fault::Hold("bob".into(), "dc".into()),
        // No logon is tried.
        Fault::Crash("dc".into()),
        Fault::Hold("iis1".into(), "dc".into()),
    ] {
        let mut trace = site();
        trace.fault(fault.clone());
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), VIOLATED, "{fault:?}");
    }
}

#[test]
fn a_host_that_decides_on_logons_is_a_dc() {
    let account = || crate::trace_builder::user("alice");
    let ticket = What::DcTicket { client: Some(account()), service: "HTTP/www".into(), etype: 18, error: 0 };
    let logon = What::DcLogon { server: "iis1".into(), logon: 1, account: account(), status: 0, bad_count: 0 };
    for (decision, expected) in [(Some(ticket), VIOLATED), (Some(logon), VIOLATED), (None, EXCUSED)] {
        let mut trace = site();
        if let Some(decision) = decision {
            trace.see("east", decision);
        }
        trace.fault(Fault::Crash("east".into()));
        answered(&mut trace, 1, 502);
        assert_eq!(trace.blame(Hs1), expected, "no logon is tried");
    }
}

#[test]
fn a_fault_of_one_backend_does_not_explain_what_another_received() {
    for (server, expected) in [(IIS1, EXCUSED), (IIS2, VIOLATED)] {
        let mut trace = site();
        trace.fault(Fault::Hang("iis1".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.reach(id, server, Leg::Anonymous);
        trace.end(id, 502);
        assert_eq!(trace.blame(Hs1), expected, "{}", server.server);
    }
}

/// The challenge came from iis1, whose connection is open, so the answer belongs there.
#[test]
fn a_fault_of_another_backend_does_not_explain_a_proof_that_is_lost() {
    for (crashed, expected) in [("iis1", EXCUSED), ("iis2", VIOLATED)] {
        let mut trace = site();
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.fault(Fault::Crash(crashed.into()));
        trace.send(id, 1, Leg::Authenticate);
        trace.receive(id, 1, 502, None, None);
        trace.end(id, 502);
        assert_eq!(trace.blame(Hs1), expected, "{crashed}");
    }
}

#[test]
fn a_dc_that_is_away_explains_a_logon_without_an_answer() {
    for (fault, server, expected) in [
        (Fault::Crash("dc".into()), IIS1, EXCUSED),
        (Fault::Hold("dc".into(), "iis1".into()), IIS1, EXCUSED),
        (Fault::Hold("dc".into(), "iis1".into()), IIS2, VIOLATED),
    ] {
        let mut trace = site();
        trace.fault(fault.clone());
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.exchange(id, server, Leg::Negotiate, 401);
        trace.send(id, 1, Leg::Authenticate);
        trace.reach(id, server, Leg::Authenticate);
        trace.end(id, 504);
        assert_eq!(trace.blame(Hs1), expected, "{fault:?}");
    }
}

#[test]
fn a_dc_that_is_away_explains_a_client_that_waited_for_a_ticket() {
    let blame = |preemptive: bool, sends: bool, asked: bool, fault: Fault| {
        let mut trace = site();
        trace.preemptive = preemptive;
        trace.fault(fault);
        trace.connect("alice", 1);
        let id = trace.start("alice");
        if sends {
            trace.send(id, 1, Leg::Anonymous);
        }
        if asked {
            trace.serve(id, IIS1, Leg::Anonymous, 401, None);
            trace.receive(id, 1, 401, Some(id), None);
        }
        trace.fail(id);
        trace.blame(Hs1)
    };
    for fault in [Fault::Crash("dc".into()), Fault::Hold("alice".into(), "dc".into())] {
        assert_eq!(blame(true, false, false, fault.clone()), EXCUSED, "she has sent nothing");
        assert_eq!(blame(true, true, false, fault.clone()), VIOLATED, "she has sent a request without a token");
        assert_eq!(blame(false, false, false, fault.clone()), VIOLATED, "she needs no ticket yet");
        assert_eq!(blame(false, true, true, fault), EXCUSED, "she was asked to log on");
    }
}

#[test]
fn a_link_to_the_kdc_is_no_reason_for_a_client_that_uses_no_ticket() {
    for (no_kerberos, expected) in [(false, EXCUSED), (true, VIOLATED)] {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.add_client("alice", stickler_model::agent::Agent::Browser, no_kerberos);
        trace.fault(Fault::Hold("alice".into(), "dc".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Negotiate);
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{no_kerberos}");
    }
}

#[test]
fn a_clients_host_mate_shares_its_link() {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    trace.add_client("bob", stickler_model::agent::Agent::Browser, false);
    let profile = stickler_model::Profile::BROWSER;
    let mut alice = stickler_model::ClientSpec::new("alice".into(), profile, None);
    alice.at = Some("bob".into());
    trace.act(Action::AddClient(alice));
    trace.fault(Fault::Hold("bob".into(), "lb".into()));
    answered(&mut trace, 1, 504);
    assert_eq!(trace.blame(Hs1), EXCUSED);
}

#[test]
fn the_first_use_of_a_connection_from_before_is_explained_and_the_second_is_not() {
    let mut trace = site();
    trace.arrive("alice", IIS1);
    trace.fault(Fault::Crash("iis1".into()));
    trace.fault(Fault::Restart("iis1".into()));
    trace.pass(3_600);
    trace.turned_away("alice", 1, 502);
    let verdict = trace.verdict(Hs1);
    assert_eq!(verdict.evidence[0].fault, Party::InjectedFault, "it may have been bound to what crashed");

    let id = trace.start("alice");
    trace.exchange(id, IIS2, Leg::Anonymous, 200);
    trace.end(id, 200);
    trace.turned_away("alice", 1, 502);
    let faults: Vec<Party> = trace.verdict(Hs1).evidence.iter().map(|evidence| evidence.fault).collect();
    assert_eq!(faults, [Party::InjectedFault, Party::Balancer]);
}

#[test]
fn a_503_of_the_balancer_is_not_explained_while_another_backend_is_up() {
    for (status, other, expected) in [(503, true, VIOLATED), (503, false, EXCUSED), (502, true, EXCUSED)] {
        let mut trace = site();
        trace.fault(Fault::Crash("iis1".into()));
        if !other {
            trace.fault(Fault::Hold("lb".into(), "iis2".into()));
        }
        trace.pass(60);
        answered(&mut trace, 1, status);
        assert_eq!(trace.blame(Hs1), expected, "{status} {other}");
    }
}

#[test]
fn an_idempotent_request_may_be_repeated_where_a_fault_touched_any_of_its_legs() {
    for (fault, expected) in [("iis1", Grade::Ok), ("iis2", Violated)] {
        let mut trace = site();
        let id = trace.start_with(Start { method: "PUT", body: Payload::Bytes(9), ..Start::by("alice") });
        trace.exchange(id, IIS1, Leg::Authenticate, 200);
        trace.fault(Fault::Crash(fault.into()));
        trace.exchange(id, Route { client_connection: 2, server_connection: 2, ..IIS1 }, Leg::Authenticate, 200);
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs4), expected, "{fault}");
    }
}

#[test]
fn a_request_that_the_script_does_not_wait_for_is_the_scripts() {
    let mut trace = site();
    let id = trace.start("alice");
    trace.see("world", What::RequestAbandoned { request: id });
    trace.fail(id);
    assert_eq!(trace.blame(Hs1), (NotExercised, Some(Party::Script)));
    let mut late = site();
    let id = late.start("alice");
    late.fail(id);
    late.see("world", What::RequestAbandoned { request: id });
    assert_eq!(late.blame(Hs1), VIOLATED, "it had ended before");
}

#[test]
fn a_site_that_is_slower_than_time_limits_is_to_blame_once_one_has_passed() {
    let slow = |name: &str, seconds| ControllerSpec {
        slow: Some(Duration::from_secs(seconds)),
        ..ControllerSpec::new(name.into())
    };
    let site_set_up = (NotExercised, Some(Party::SiteSetUp));
    for (controller, latency, jitter, took, expected) in [
        (20, 0, 0, 10, site_set_up),
        (20, 0, 0, 1, VIOLATED),
        (1, 0, 0, 10, VIOLATED),
        (0, 200, 0, 10, site_set_up),
        (0, 20, 0, 10, VIOLATED),
        (0, 0, 200, 10, site_set_up),
        (0, 70, 60, 10, site_set_up),
    ] {
        let mut trace = site();
        trace.controllers = vec![slow("dc", controller)];
        trace.latency = Some(Duration::from_millis(latency));
        trace.jitter = Duration::from_millis(jitter);
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Negotiate);
        trace.pass(took);
        trace.end(id, 504);
        assert_eq!(trace.blame(Hs1), expected, "{controller} {latency} {jitter} {took}");
    }
}

#[test]
fn an_anonymous_client_that_gets_no_answer_without_a_reason_is_the_balancers() {
    let mut trace = site();
    let id = trace.start_anonymous("mallory");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.end(id, 401);
    let kept = trace.verdict(Hs7);
    assert_eq!((kept.grade, kept.exercised), (Grade::Ok, 1));
    let id = trace.start_anonymous("mallory");
    trace.send(id, 1, Leg::Anonymous);
    trace.end(id, 502);
    assert_eq!(
        trace.summary(Hs7),
        "mallory's request r2 of nobody ended in 502 after 1 HTTP request, and no fault explains it"
    );
    let mut excused = site();
    excused.fault(Fault::Crash("iis1".into()));
    let id = excused.start_anonymous("mallory");
    excused.send(id, 1, Leg::Anonymous);
    excused.end(id, 502);
    assert_eq!(excused.blame(Hs7), EXCUSED);
}

#[test]
fn an_anonymous_client_that_gets_two_answers_to_one_request_is_the_balancers() {
    let mut trace = site();
    let id = trace.start_anonymous("mallory");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.receive(id, 1, 401, Some(id), None);
    trace.end(id, 401);
    assert_eq!(trace.summary(Hs7), "mallory's request r1 has 2 answers to 1");
    let mut valid = site();
    valid.whole("alice", IIS1);
    assert_eq!(valid.grade(Hs7), NotExercised, "HS-1 judges her");
}

#[test]
fn a_link_to_the_dc_is_no_reason_for_the_only_backend_not_to_answer_nobody() {
    let with = |fault: Option<Fault>| {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.servers.truncate(1);
        trace.add_client("mallory", stickler_model::agent::Agent::Browser, false);
        if let Some(fault) = fault {
            trace.fault(fault);
        }
        trace.connect("mallory", 1);
        let id = trace.start_anonymous("mallory");
        trace.send(id, 1, Leg::Anonymous);
        trace.receive(id, 1, 502, None, None);
        trace.end(id, 502);
        trace.blame(Hs7)
    };
    assert_eq!(with(None), VIOLATED);
    assert_eq!(with(Some(Fault::Hold("dc".into(), "iis1".into()))), VIOLATED);
    assert_eq!(with(Some(Fault::Hold("lb".into(), "iis1".into()))), EXCUSED);
}

#[test]
fn a_backend_could_have_been_used_if_nothing_but_its_way_to_a_dc_was_cut_meanwhile() {
    for (fault, expected) in [
        (None, Violated),
        (Some(Fault::Hold("dc".into(), "iis2".into())), Violated),
        (Some(Fault::Reset("lb".into(), "iis2".into())), NotExercised),
        (Some(Fault::Hold("lb".into(), "iis2".into())), NotExercised),
    ] {
        let mut trace = site();
        trace.act(Action::Drain("iis1".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.reach(id, IIS1, Leg::Anonymous);
        if let Some(fault) = fault.clone() {
            trace.fault(fault);
        }
        trace.end(id, 502);
        assert_eq!(trace.grade(Hs1), expected, "{fault:?}");
    }
}

#[test]
fn a_dc_that_is_away_keeps_every_backend_out_of_use_where_checks_log_on() {
    for (user, expected) in [(true, EXCUSED), (false, VIOLATED)] {
        let mut trace = site();
        checked(&mut trace);
        if let Some(checks) = trace.promises.checks.as_mut().filter(|_| user) {
            checks.user = Some(crate::trace_builder::user("probe"));
        }
        trace.fault(Fault::Crash("dc".into()));
        trace.pass(60);
        answered(&mut trace, 1, 503);
        assert_eq!(trace.blame(Hs1), expected, "{user}");
    }
}

#[test]
fn a_503_that_a_server_gave_is_the_servers() {
    let server = (NotExercised, Some(Party::Server));
    for (served, echoed, expected) in [(503, true, server), (401, true, VIOLATED), (0, false, VIOLATED)] {
        let mut trace = site();
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        if served > 0 {
            trace.serve(id, IIS1, Leg::Anonymous, served, None);
        }
        trace.receive(id, 1, 503, echoed.then_some(id), None);
        trace.end(id, 503);
        assert_eq!(trace.blame(Hs1), expected, "{served}");
    }
    let mut again = site();
    again.connect("alice", 1);
    let id = again.start("alice");
    again.exchange(id, IIS1, Leg::Anonymous, 503);
    again.send(id, 1, Leg::Anonymous);
    again.reach(id, IIS1, Leg::Anonymous);
    again.receive(id, 1, 503, None, None);
    again.end(id, 503);
    assert_eq!(again.blame(Hs1), VIOLATED, "the server has answered the first HTTP request alone");
}

#[test]
fn a_request_that_a_server_received_after_a_503_was_not_turned_away_in_the_end() {
    for (reached, expected) in [(true, EXCUSED), (false, VIOLATED)] {
        let mut trace = site();
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.fault(Fault::Crash("iis1".into()));
        trace.send(id, 1, Leg::Anonymous);
        trace.receive(id, 1, 503, None, None);
        trace.send(id, 1, Leg::Anonymous);
        if reached {
            trace.reach(id, IIS1, Leg::Anonymous);
        }
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{reached}: iis2 is up");
    }
}

#[test]
fn a_server_that_closes_with_its_challenge_is_set_up_so_that_no_handshake_ends() {
    for (keep_alive, leg, expected) in [
        (KeepAlive::ClosedByChallenge, Leg::Negotiate, (NotExercised, Some(Party::SiteSetUp))),
        (KeepAlive::ClosedByChallenge, Leg::Anonymous, VIOLATED),
        (KeepAlive::ClosedByFailure, Leg::Negotiate, VIOLATED),
    ] {
        let mut trace = TraceBuilder::at(&SiteSpec { keep_alive, ..SiteSpec::default() });
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, leg, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{keep_alive:?} {leg:?}");
    }
}
