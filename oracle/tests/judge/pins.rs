//! FO-4 and FO-5.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::event::Closed;
use stickler_model::{Action, BalancerSpec, ClientSpec, Fault, Leg, Name, Profile, RawSpec, What, standard};
use stickler_oracle::Cited;
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo4, Fo5};

use crate::trace_builder::{IIS1, IIS2, Route, TraceBuilder, user};

/// alice's connection 1 is pinned to connection 1 of iis1.
fn pinned() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.arrive("bob", IIS2);
    trace.arrive("alice", IIS1);
    trace.again("alice", IIS1);
    trace
}

/// The server's side of alice's pinned connection broke.
fn lost() -> TraceBuilder {
    let mut trace = pinned();
    trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
    trace
}

#[test]
fn fo4_is_kept_by_a_close_and_by_a_502() {
    let mut closed = lost();
    closed.close("alice", 1, Closed::ByPeer);
    let mut told = pinned();
    told.fault(Fault::Crash("iis1".into()));
    told.turned_away("alice", 1, 502);
    let mut started_anew = pinned();
    started_anew.act(Action::Configure(Box::new(standard::server("iis1".into()))));
    started_anew.turned_away("alice", 1, 502);
    for trace in [closed, told, started_anew] {
        let verdict = trace.verdict(Fo4);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn fo4_is_violated_by_a_silent_401_from_elsewhere() {
    let mut trace = lost();
    let id = trace.start("alice");
    trace.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    assert_eq!(
        trace.summary(Fo4),
        "alice's connection 1 was pinned to connection 1 of iis1, which was lost, but its request r4 was answered with 401"
    );
    assert_eq!(trace.verdict(Fo4).evidence[0].about, [Cited::Request { client: "alice".into(), id }]);
}

#[test]
fn fo4_is_violated_when_a_retry_hides_the_loss_in_mid_request() {
    let mut trace = pinned();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Anonymous);
    trace.reach(id, IIS1, Leg::Anonymous);
    trace.fault(Fault::Crash("iis1".into()));
    trace.serve(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401, None);
    trace.receive(id, 1, 401, Some(id), None);
    assert_eq!(trace.grade(Fo4), Violated);
}

#[test]
fn fo4_is_violated_by_a_401_unless_the_server_refuses_the_clients_own_user() {
    for (refused, expected) in [("alice", Ok), ("bob", Violated)] {
        let mut trace = lost();
        let id = trace.start("alice");
        trace.forbid_as(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, Some(user(refused)));
        assert_eq!(trace.grade(Fo4), expected, "{refused}");
    }
}

#[test]
fn fo4_takes_a_connection_that_was_asked_to_log_on_again_for_not_pinned() {
    let mut trace = TraceBuilder::default();
    trace.arrive("alice", IIS1);
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
    let id = trace.start("alice");
    trace.exchange(id, IIS2, Leg::Anonymous, 401);
    assert_eq!(trace.grade(Fo4), NotExercised);
}

#[test]
fn fo4_ends_with_the_first_401_and_with_a_token_that_the_client_sends() {
    let elsewhere = Route { server_connection: 2, ..IIS2 };
    let asked = |trace: &mut TraceBuilder, leg| {
        let id = trace.start("alice");
        trace.exchange(id, elsewhere, leg, 401);
    };
    let mut twice = lost();
    asked(&mut twice, Leg::Anonymous);
    asked(&mut twice, Leg::Anonymous);
    assert_eq!(twice.verdict(Fo4).evidence.len(), 1);
    let mut token = lost();
    asked(&mut token, Leg::Negotiate);
    asked(&mut token, Leg::Anonymous);
    assert_eq!(token.grade(Fo4), NotExercised);
}

#[test]
fn fo4_is_not_put_to_the_test_where_nothing_was_pinned_or_lost_or_the_client_left() {
    let mut unpinned = TraceBuilder::default();
    unpinned.arrive("alice", IIS1);
    unpinned.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
    let id = unpinned.start("alice");
    unpinned.exchange(id, IIS2, Leg::Anonymous, 401);
    let mut left = lost();
    left.close("alice", 1, Closed::Here);
    let mut idle = pinned();
    idle.close("alice", 1, Closed::ByPeer);
    for trace in [unpinned, pinned(), left, idle] {
        assert_eq!(trace.grade(Fo4), NotExercised);
    }
}

/// iis1 is being drained.
fn draining() -> TraceBuilder {
    let mut trace = pinned();
    trace.act(Action::Drain("iis1".into()));
    trace
}

#[test]
fn fo5_is_kept_when_the_old_stay_and_the_new_go_elsewhere() {
    let mut trace = draining();
    trace.again("alice", IIS1);
    trace.arrive("carol", Route { server_connection: 2, ..IIS2 });
    let verdict = trace.verdict(Fo5);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn fo5_is_violated_by_a_new_connection_to_the_draining_backend() {
    let mut trace = draining();
    trace.arrive("carol", Route { server_connection: 2, ..IIS1 });
    assert_eq!(trace.summary(Fo5), "iis1 drains, and received carol's request r4 on the client's new connection 1");
}

#[test]
fn fo5_is_violated_by_an_authenticated_connection_that_is_moved_or_closed() {
    let mut moved = draining();
    let id = moved.start("alice");
    moved.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    assert_eq!(
        moved.summary(Fo5),
        "alice's connection 1 was authenticated at iis1, which drains, but its request r4 went to iis2 on connection 2"
    );
    let mut closed = draining();
    closed.see("iis1", What::ServerClosed { connection: 1, how: Closed::ByPeer });
    closed.close("alice", 1, Closed::ByPeer);
    assert_eq!(closed.summary(Fo5), "alice's connection 1 was authenticated at iis1, which drains, and was closed");
}

#[test]
fn fo5_lets_a_client_come_back_where_persistence_is_promised_and_the_server_close_for_itself() {
    let mut trace = draining();
    trace.arrive("alice", Route { client_connection: 2, server_connection: 2, ..IIS1 });
    assert_eq!(trace.grade(Fo5), Violated);
    trace.promises.persistence = Some(Duration::from_mins(1));
    assert_eq!(trace.grade(Fo5), Ok);

    let mut trace = draining();
    trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Here });
    trace.close("alice", 1, Closed::ByPeer);
    assert_eq!(trace.grade(Fo5), NotExercised);
}

#[test]
fn fo5_allows_a_close_for_which_the_client_asked_with_its_proof() {
    for (closes_with_proof, expected) in [(true, NotExercised), (false, Violated)] {
        let mut trace = TraceBuilder::default();
        let profile = Profile { closes_with_proof, ..Profile::BROWSER };
        trace.act(Action::AddClient(ClientSpec::new("dave".into(), profile, None)));
        trace.arrive("dave", IIS1);
        trace.act(Action::Drain("iis1".into()));
        trace.close("dave", 1, Closed::ByPeer);
        assert_eq!(trace.grade(Fo5), expected, "{closes_with_proof}");
    }
}

#[test]
fn fo5_is_not_put_to_the_test_without_a_drain_or_when_it_is_over_or_no_other_backend_is_up() {
    let mut over = draining();
    over.act(Action::Undrain("iis1".into()));
    over.arrive("carol", Route { server_connection: 2, ..IIS1 });
    let mut alone = draining();
    alone.fault(Fault::Crash("iis2".into()));
    alone.arrive("carol", Route { server_connection: 2, ..IIS1 });
    for trace in [pinned(), over, alone] {
        assert_eq!(trace.grade(Fo5), NotExercised);
    }
}

#[test]
fn fo5_ends_with_whatever_else_affects_the_backend() {
    let link = |fault: fn(Name, Name) -> Fault| fault("lb".into(), "iis1".into());
    let host = |fault: fn(Name) -> Fault| fault("iis1".into());
    for fault in [
        host(Fault::Crash),
        host(Fault::PowerLoss),
        host(Fault::Hang),
        host(Fault::Resume),
        host(Fault::Restart),
        link(Fault::Hold),
        link(Fault::Release),
        link(Fault::Reset),
        Fault::Reset("iis1".into(), "lb".into()),
    ] {
        let mut trace = draining();
        trace.fault(fault.clone());
        let id = trace.start("alice");
        trace.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
        assert_eq!(trace.grade(Fo5), NotExercised, "{fault:?}");
    }
}

#[test]
fn fo5_begins_with_the_first_drain_of_a_backend_that_is_not_away() {
    let drain = || Action::Drain("iis1".into());
    let mut twice = draining();
    twice.connect("carol", 1);
    twice.act(drain());
    twice.whole("carol", Route { server_connection: 2, ..IIS1 });
    assert_eq!(twice.grade(Fo5), Violated, "her connection is newer than the first drain");
    let mut away = pinned();
    away.fault(Fault::Hold("dc".into(), "iis1".into()));
    away.act(drain());
    away.arrive("carol", Route { server_connection: 2, ..IIS1 });
    assert_eq!(away.grade(Fo5), NotExercised);
}

#[test]
fn fo5_calls_a_connection_new_if_it_and_its_first_request_are_newer_than_the_drain() {
    for (connected, started) in [(true, false), (false, true)] {
        let mut trace = pinned();
        if connected {
            trace.connect("carol", 1);
        }
        let early = started.then(|| trace.start("carol"));
        trace.act(Action::Drain("iis1".into()));
        if !connected {
            trace.connect("carol", 1);
        }
        let id = early.unwrap_or_else(|| trace.start("carol"));
        trace.handshake(id, Route { server_connection: 2, ..IIS1 });
        assert_eq!(trace.grade(Fo5), NotExercised, "{connected} {started}");
    }
}

#[test]
fn fo5_asks_a_backend_to_keep_what_was_bound_to_it_before_the_drain_and_asked_since() {
    let mut asked_before = pinned();
    let id = asked_before.start("alice");
    asked_before.send(id, 1, Leg::Anonymous);
    asked_before.act(Action::Drain("iis1".into()));
    asked_before.receive(id, 1, 503, None, None);
    let mut bound_since = all_draining();
    let own = Route { client_connection: 2, server_connection: 2, ..IIS1 };
    bound_since.arrive("alice", own);
    bound_since.turned_away("alice", 2, 503);
    let mut lost_before = lost();
    lost_before.act(Action::Drain("iis1".into()));
    let id = lost_before.start("alice");
    lost_before.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    for trace in [asked_before, bound_since, lost_before] {
        assert_eq!(trace.grade(Fo5), NotExercised);
    }
}

/// iis1 and iis2 are being drained, and alice and bob keep what they have.
fn all_draining() -> TraceBuilder {
    let mut trace = draining();
    trace.act(Action::Drain("iis2".into()));
    trace
}

#[test]
fn fo5_does_not_take_for_a_close_what_a_fault_ended_on_the_clients_side() {
    let reset = |client: &str| Fault::Reset(client.into(), "lb".into());
    for (fault, expected) in [
        (reset("alice"), NotExercised),
        (reset("bob"), Violated),
        (Fault::Crash("lb".into()), NotExercised),
        (Fault::PowerLoss("lb".into()), NotExercised),
        (Fault::Hold("lb".into(), "alice".into()), NotExercised),
        (Fault::Crash("dc".into()), Violated),
        (Fault::Hold("alice".into(), "dc".into()), Violated),
    ] {
        let mut trace = all_draining();
        trace.fault(fault.clone());
        trace.close("alice", 1, Closed::Broken);
        assert_eq!(trace.grade(Fo5), expected, "{fault:?}");
    }
}

#[test]
fn fo5_counts_a_close_long_after_the_fault_was_mended_unless_the_connection_is_unused_since() {
    for (used, expected) in [(true, Violated), (false, NotExercised)] {
        let mut trace = draining();
        trace.fault(Fault::Hold("alice".into(), "lb".into()));
        trace.fault(Fault::Release("alice".into(), "lb".into()));
        trace.pass(60);
        if used {
            trace.again("alice", IIS1);
        }
        trace.close("alice", 1, Closed::Broken);
        assert_eq!(trace.grade(Fo5), expected, "{used}");
    }
}

#[test]
fn fo5_does_not_take_for_a_close_by_the_drain_what_was_idle_for_as_long_as_products_keep_such_connections() {
    for (seconds, expected) in [(4, Violated), (5, NotExercised), (60, NotExercised)] {
        let mut trace = draining();
        trace.pass(seconds);
        trace.close("alice", 1, Closed::ByPeer);
        assert_eq!(trace.grade(Fo5), expected, "{seconds} s");
    }
    let mut used = draining();
    used.pass(60);
    used.again("alice", IIS1);
    used.pass(1);
    used.close("alice", 1, Closed::ByPeer);
    assert_eq!(used.grade(Fo5), Violated, "it was in use");
}

#[test]
fn fo5_knows_who_closed_the_drained_connection() {
    // The client itself; the server, before and after the drain; the balancer, which closes both sides.
    let close = |prepare: &dyn Fn(&mut TraceBuilder), how| {
        let mut trace = pinned();
        prepare(&mut trace);
        trace.close("alice", 1, how);
        trace.grade(Fo5)
    };
    let drain = |trace: &mut TraceBuilder| trace.act(Action::Drain("iis1".into()));
    let lose = |trace: &mut TraceBuilder, how| trace.see("iis1", What::ServerClosed { connection: 1, how });
    assert_eq!(close(&drain, Closed::Here), NotExercised);
    assert_eq!(
        close(
            &|trace| {
                drain(trace);
                lose(trace, Closed::Here);
            },
            Closed::ByPeer
        ),
        NotExercised
    );
    assert_eq!(
        close(
            &|trace| {
                lose(trace, Closed::ByPeer);
                drain(trace);
            },
            Closed::ByPeer
        ),
        NotExercised
    );
    assert_eq!(
        close(
            &|trace| {
                drain(trace);
                lose(trace, Closed::ByPeer);
            },
            Closed::ByPeer
        ),
        Violated
    );
    assert_eq!(close(&drain, Closed::ByPeer), Violated);
    assert_eq!(close(&drain, Closed::Broken), Violated);
    assert_eq!(close(&|_| (), Closed::ByPeer), NotExercised, "nothing drains");
}

#[test]
fn fo5_is_violated_by_a_balancer_that_answers_in_place_of_the_draining_server() {
    let answered = |connection, status, echoed: bool| {
        let mut trace = all_draining();
        let id = trace.start("alice");
        trace.send(id, connection, Leg::Anonymous);
        trace.receive(id, connection, status, echoed.then_some(id), None);
        trace.end(id, status);
        trace
    };
    assert_eq!(
        answered(1, 503, false).summary(Fo5),
        "alice's connection 1 was authenticated at iis1, which drains, but its request r4 was answered with 503"
    );
    assert_eq!(answered(1, 503, true).grade(Fo5), NotExercised, "the server's own answer");
    assert_eq!(answered(1, 403, false).grade(Fo5), NotExercised);
    assert_eq!(answered(2, 503, false).grade(Fo5), NotExercised, "a new connection");
}

#[test]
fn fo5_knows_a_client_by_its_address_where_persistence_is_not_by_a_cookie() {
    let second = |mate: bool, cookie: bool, front: bool| {
        let mut trace = TraceBuilder::default();
        trace.add_client("alice", Agent::Browser, false);
        let mut carol = ClientSpec::new("carol".into(), Profile::BROWSER, None);
        carol.at = mate.then(|| "alice".into());
        trace.act(Action::AddClient(carol));
        trace.promises.persistence = Some(Duration::from_mins(30));
        trace.promises.cookie = cookie.then(|| "SRV".into());
        trace.front = front.then(|| BalancerSpec::named("l4-nat"));
        trace.arrive("bob", IIS2);
        trace.arrive("alice", IIS1);
        trace.act(Action::Drain("iis1".into()));
        trace.arrive("carol", Route { server_connection: 2, ..IIS1 });
        trace.grade(Fo5)
    };
    assert_eq!(second(true, false, false), Ok, "the table knows her address");
    assert_eq!(second(false, false, false), Violated);
    assert_eq!(second(true, true, false), Violated, "she has no cookie");
    assert_eq!(second(false, false, true), Ok, "all come from the front balancer's address");
}

#[test]
fn fo5_allows_the_server_that_persistence_chose_when_the_clients_first_connection_was_opened() {
    for (opened_before, expected) in [(true, Ok), (false, Violated)] {
        let mut trace = pinned();
        trace.promises.persistence = Some(Duration::from_mins(1));
        if opened_before {
            trace.connect("carol", 1);
        }
        let first = trace.start("carol");
        trace.act(Action::Drain("iis1".into()));
        if !opened_before {
            // The first packet of a connection that is open by now was sent after the drain.
            trace.pass(1);
            trace.connect("carol", 1);
        }
        trace.exchange(first, IIS1, Leg::Anonymous, 401);
        trace.arrive("carol", Route { client_connection: 2, server_connection: 2, ..IIS1 });
        assert_eq!(trace.grade(Fo5), expected, "{opened_before}");
    }
}

#[test]
fn fo5_does_not_know_where_persistence_by_address_has_sent_raw_bytes() {
    let with = |sender: &str, cookie: bool, before: bool| {
        let mut trace = pinned();
        trace.promises.persistence = Some(Duration::from_mins(30));
        trace.promises.cookie = cookie.then(|| "SRV".into());
        let bytes = Action::SendRaw(RawSpec::new(sender.into(), "GET / HTTP/1.1\r\n\r\n", Duration::from_secs(1)));
        let drain = Action::Drain("iis1".into());
        for action in if before { [bytes, drain] } else { [drain, bytes] } {
            trace.act(action);
        }
        trace.arrive("carol", Route { server_connection: 2, ..IIS1 });
        trace.grade(Fo5)
    };
    assert_eq!(with("carol", false, true), Ok);
    assert_eq!(with("carol", true, true), Violated, "bytes have no cookie");
    assert_eq!(with("dave", false, true), Violated);
    assert_eq!(with("carol", false, false), Violated);
}
