//! ST-1, ST-3 and ST-5.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::trace::{Checks, Service};
use stickler_model::{Action, Fault, Leg, RawSpec, RequestId, What, standard};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{St1, St3, St5};

use crate::trace_builder::{IIS1, IIS2, Route, TraceBuilder};

/// alice was served by iis1. Persistence of a minute is declared.
fn at_iis1() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.persistence = Some(Duration::from_mins(1));
    trace.whole("alice", IIS1);
    trace
}

#[test]
fn st1_is_kept_when_the_client_comes_back_to_its_backend() {
    let mut trace = at_iis1();
    trace.pass(50);
    trace.whole("alice", Route { client_connection: 2, server_connection: 2, ..IIS1 });
    let verdict = trace.verdict(St1);
    // The second and third leg of the first request, and three of the second.
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 5));
}

#[test]
fn st1_is_violated_once_by_one_move_from_a_backend_that_is_up() {
    let mut trace = at_iis1();
    trace.whole("alice", Route { client_connection: 2, ..IIS2 });
    assert_eq!(trace.summary(St1), "iis2 received alice's request r2, but the client's backend is iis1, which is up");
}

#[test]
fn st1_allows_a_move_when_the_time_has_passed_or_the_backend_is_away_or_drained() {
    let mut late = at_iis1();
    late.pass(60);
    let mut crashed = at_iis1();
    crashed.fault(Fault::Crash("iis1".into()));
    let mut drained = at_iis1();
    drained.act(Action::Drain("iis1".into()));
    let mut started_anew = at_iis1();
    started_anew.act(Action::Configure(Box::new(standard::server("iis1".into()))));
    for mut trace in [late, crashed, drained, started_anew] {
        trace.whole("alice", Route { client_connection: 2, ..IIS2 });
        assert_eq!(trace.grade(St1), Ok);
    }
}

#[test]
fn st1_lets_a_client_go_as_soon_as_its_time_has_passed() {
    // Six events of a microsecond each lie between the last receipt at iis1 and the receipt at iis2.
    for (micros, expected) in [(59_999_993, Violated), (59_999_994, Ok)] {
        let mut trace = at_iis1();
        trace.pass_micros(micros);
        trace.whole("alice", Route { client_connection: 2, ..IIS2 });
        assert_eq!(trace.grade(St1), expected, "{micros}");
    }
}

#[test]
fn st1_is_not_put_to_the_test_by_first_requests_that_go_out_together() {
    let mut trace = TraceBuilder::default();
    trace.promises.persistence = Some(Duration::from_mins(1));
    let (one, other) = (trace.start("alice"), trace.start("alice"));
    trace.send(one, 1, Leg::Anonymous);
    trace.send(other, 2, Leg::Anonymous);
    trace.reach(one, IIS1, Leg::Anonymous);
    trace.reach(other, Route { client_connection: 2, ..IIS2 }, Leg::Anonymous);
    assert_eq!(trace.grade(St1), NotExercised);
    trace.promises.persistence = None;
    assert_eq!(trace.grade(St1), NotApplicable);
}

/// alice's first answer, which comes from iis1, sets a cookie.
fn cookie_of_iis1() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.cookie = Some("SRV".into());
    trace.promises.checks = Some(Checks {
        after_end: false,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        user: None,
    });
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Anonymous);
    trace.serve(id, IIS1, Leg::Anonymous, 401, None);
    trace.see("alice", What::CookieReceived { connection: 1, request: id, value: "one".into() });
    trace.receive(id, 1, 401, Some(id), None);
    trace.end(id, 401);
    trace
}

/// Starts a request of alice that carries a cookie.
fn ask(trace: &mut TraceBuilder, value: &str) -> RequestId {
    let id = trace.start("alice");
    trace.see("alice", What::CookieSent { connection: 2, request: id, value: value.into() });
    id
}

#[test]
fn st3_is_kept_when_the_cookie_leads_back() {
    let mut trace = cookie_of_iis1();
    let id = ask(&mut trace, "one");
    trace.exchange(id, Route { client_connection: 2, server_connection: 2, ..IIS1 }, Leg::Negotiate, 401);
    let verdict = trace.verdict(St3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn st3_is_violated_when_the_cookie_leads_elsewhere() {
    let mut trace = cookie_of_iis1();
    let id = ask(&mut trace, "one");
    trace.exchange(id, Route { client_connection: 2, ..IIS2 }, Leg::Negotiate, 401);
    assert_eq!(trace.summary(St3), r#"iis2 received alice's request r2 with the cookie "one" of iis1, which is up"#);
}

#[test]
fn st3_asks_that_a_forged_cookie_be_ignored() {
    let mut served = cookie_of_iis1();
    let id = ask(&mut served, "two");
    served.handshake(id, Route { client_connection: 2, ..IIS2 });
    served.end(id, 200);
    let verdict = served.verdict(St3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));

    let mut refused = cookie_of_iis1();
    let id = ask(&mut refused, "two");
    refused.send(id, 2, Leg::Anonymous);
    refused.receive(id, 2, 400, None, None);
    refused.end(id, 400);
    assert_eq!(refused.summary(St3), r#"alice's request r2 with the forged cookie "two" ended in 400"#);
}

#[test]
fn st3_asks_that_a_stale_cookie_be_ignored_once_the_checks_know() {
    let after = |seconds| {
        let mut trace = cookie_of_iis1();
        trace.whole("bob", IIS2);
        trace.fault(Fault::Crash("iis1".into()));
        trace.pass(seconds);
        let id = ask(&mut trace, "one");
        trace.send(id, 2, Leg::Anonymous);
        trace.receive(id, 2, 503, None, None);
        trace.end(id, 503);
        trace
    };
    assert_eq!(after(7).summary(St3), r#"alice's request r3 with the stale cookie "one" ended in 503"#);
    assert_eq!(after(6).grade(St3), NotExercised);
}

#[test]
fn st3_is_not_put_to_the_test_without_a_cookie_sent_and_does_not_apply_where_none_is_set() {
    let mut trace = cookie_of_iis1();
    assert_eq!(trace.grade(St3), NotExercised);
    trace.promises.cookie = None;
    assert_eq!(trace.grade(St3), NotApplicable);
}

#[test]
fn st3_lets_a_handshake_stay_on_its_connection_whatever_cookie_came_since() {
    // One request at iis1 and one at iis2, at once; the second cookie replaces the first.
    let with = |leg, second: Route<'_>, last| {
        let mut trace = cookie_of_iis1();
        let other = trace.start("alice");
        trace.send(other, 2, Leg::Anonymous);
        trace.serve(other, Route { client_connection: 2, ..IIS2 }, Leg::Anonymous, 401, None);
        trace.see("alice", What::CookieReceived { connection: 2, request: other, value: "two".into() });
        trace.receive(other, 2, 401, Some(other), None);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, leg, 401);
        trace.see("alice", What::CookieSent { connection: 1, request: id, value: "two".into() });
        trace.exchange(id, second, last, 200);
        trace.end(id, 200);
        trace.grade(St3)
    };
    assert_eq!(with(Leg::Negotiate, IIS1, Leg::Authenticate), NotExercised, "HS-2 wants it there");
    assert_eq!(
        with(Leg::Negotiate, Route { server_connection: 2, ..IIS1 }, Leg::Authenticate),
        Violated,
        "another connection"
    );
    assert_eq!(with(Leg::Negotiate, IIS2, Leg::Authenticate), Ok, "ST-3 is content");
    assert_eq!(with(Leg::Anonymous, IIS1, Leg::Authenticate), NotExercised, "a handshake begins with the challenge");
    assert_eq!(
        with(Leg::Anonymous, Route { server_connection: 2, ..IIS1 }, Leg::Authenticate),
        Violated,
        "another connection"
    );
    assert_eq!(with(Leg::Anonymous, IIS1, Leg::Anonymous), Violated, "no token was ever sent there");
}

#[test]
fn st3_knows_whose_cookie_it_is_and_since_when() {
    // Only the client that received a value holds it; a value is forged if nobody did.
    let mut borrowed = cookie_of_iis1();
    let id = borrowed.start("bob");
    borrowed.see("bob", What::CookieSent { connection: 1, request: id, value: "one".into() });
    borrowed.exchange(id, IIS2, Leg::Anonymous, 401);
    borrowed.end(id, 401);
    assert_eq!(borrowed.grade(St3), NotExercised);

    let mut expired = cookie_of_iis1();
    expired.promises.persistence = Some(Duration::from_mins(1));
    expired.pass(60);
    let id = ask(&mut expired, "one");
    expired.exchange(id, Route { client_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    assert_eq!(expired.grade(St3), NotExercised);

    let mut struck = cookie_of_iis1();
    struck.fault(Fault::Reset("lb".into(), "iis1".into()));
    let id = ask(&mut struck, "one");
    struck.exchange(id, Route { client_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    assert_eq!(struck.grade(St3), NotExercised);
}

#[test]
fn st3_blames_no_balancer_for_a_forged_cookie_where_something_else_is_in_the_way() {
    let with = |act: Option<Action>, status, echoed: bool| {
        let mut trace = cookie_of_iis1();
        trace.add_client("alice", Agent::Browser, false);
        trace.add_client("bob", Agent::Browser, false);
        let id = ask(&mut trace, "forged");
        if let Some(act) = act {
            trace.act(act);
        }
        trace.send(id, 2, Leg::Anonymous);
        trace.receive(id, 2, status, echoed.then_some(id), None);
        trace.end(id, status);
        trace.grade(St3)
    };
    let hold = |client: &str| Some(Action::Fault(Fault::Hold(client.into(), "lb".into())));
    assert_eq!(with(None, 400, false), Violated);
    assert_eq!(with(None, 400, true), Ok, "the server says so");
    assert_eq!(with(None, 503, true), Ok, "so does it here");
    assert_eq!(with(None, 302, false), Ok);
    assert_eq!(with(hold("alice"), 503, false), NotExercised);
    assert_eq!(with(hold("bob"), 503, false), Violated, "bob's link is not alice's");
    assert_eq!(with(Some(Action::Fault(Fault::Crash("iis1".into()))), 503, false), NotExercised);
    assert_eq!(with(Some(Action::Disconnect("alice".into())), 503, false), NotExercised);
}

#[test]
fn st5_is_violated_by_a_request_that_reaches_a_server_of_another_service() {
    let service = |prefix: &str, backend: &str| Service { prefix: prefix.into(), backends: vec![backend.into()] };
    let mut trace = TraceBuilder::default();
    assert_eq!(trace.grade(St5), NotApplicable);
    trace.promises.services = vec![service("", "iis1"), service("/api", "iis2")];
    assert_eq!(trace.grade(St5), NotExercised);
    let ask = |trace: &mut TraceBuilder, path: &str, route| {
        trace.path = path.into();
        let id = trace.start("alice");
        trace.exchange(id, route, Leg::Anonymous, 401);
    };
    ask(&mut trace, "/shop", IIS1);
    ask(&mut trace, "/api/orders", IIS2);
    let verdict = trace.verdict(St5);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
    ask(&mut trace, "/api/orders", IIS1);
    assert_eq!(
        trace.summary(St5),
        r#"iis1 received alice's request r3 on connection 1, but none of "/api/orders" is served there"#
    );
}

/// A request of an unknown sender may be one of the raw bytes, which the balancer sends again after their client has gone, and by
/// which it remembers the client.
#[test]
fn st1_allows_a_move_to_where_raw_bytes_may_have_gone() {
    let moved = |raw: bool, seen: bool| {
        let mut trace = at_iis1();
        if raw {
            let bytes = "GET / HTTP/1.1\r\n\r\n";
            trace.act(Action::SendRaw(RawSpec::new("alice".into(), bytes, Duration::from_secs(1))));
        }
        if seen {
            trace.check("iis2", 70, 401, None);
        }
        trace.whole("alice", Route { client_connection: 2, ..IIS2 });
        trace.grade(St1)
    };
    assert_eq!(moved(true, true), Ok);
    for (raw, seen) in [(true, false), (false, true)] {
        assert_eq!(moved(raw, seen), Violated, "{raw} {seen}");
    }
}
