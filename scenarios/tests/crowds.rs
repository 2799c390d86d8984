//! Crowds: the requests of a script, their performance by a world, and the failures that only a crowd shows.

mod double;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stickler_model::{Action, BalancerSpec, Name, RequestId, Time, Trace, What};
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, End, Run, play};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

fn over(source: &str, balancer: &str, seed: u64, arm: &Arc<dyn Arm>) -> Run {
    let scenario = Scenario::new("crowd", "crowd.star", source).unwrap();
    let run = run(&scenario, &BalancerSpec::named(balancer), seed, arm);
    assert_eq!(run.end, End::Complete);
    run
}

fn simulated(source: &str, balancer: &str, seed: u64) -> Run {
    over(source, balancer, seed, &(Arc::new(SimArm) as Arc<dyn Arm>))
}

fn actions(run: &Run) -> Vec<Action> {
    run.trace.as_ref().unwrap().actions().cloned().collect()
}

/// Returns the time at which each request began, by client.
fn starts(trace: &Trace) -> BTreeMap<Name, Vec<(RequestId, Time)>> {
    let mut starts: BTreeMap<Name, Vec<_>> = BTreeMap::new();
    for event in &trace.events {
        if let What::RequestStarted { request, .. } = event.what {
            starts.entry(event.by.clone()).or_default().push((request, event.at));
        }
    }
    starts
}

#[test]
fn a_crowd_is_one_action_with_ids_of_its_own_and_answers_in_order() {
    let run = over(
        r#"
user02 = browser("user02")
user02.get("/")
members = crowd(3, kind = curl, requests = 2, think_ms = 40, path = "/inbox", cookies = True, patience = 5)
expect([member.client.name for member in members] == ["user01", "user03", "user04"], "user02 is there already")
for member in members:
    expect([answer.user for answer in member.answers] == [member.user] * 2)
expect([answer.id for member in members for answer in member.answers] == ["r2", "r3", "r4", "r5", "r6", "r7"])
again = start_crowd([members[0].client, user02], requests = 1)
expect([str(member.requests) for member in again] == ["[<request r8>]", "[<request r9>]"])
again[1].requests[0].wait().expect(user = "CORP\\user02")
expect(crowd([curl("mallory", user = None)])[0].user == None)
"#,
        "l4-nat",
        0,
        &double::arm(),
    );
    let said: Vec<String> = run.failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    let lines: Vec<_> = actions(&run).iter().map(|action| serde_json::to_string(action).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_large_crowd_that_comes_first_gets_accounts() {
    for (source, joined) in [("", true), ("site(workgroup = True)\n", false)] {
        let source = &format!("{source}expect(crowd(50))");
        let run = over(source, "l4-nat", 0, &double::arm());
        let topology = &run.trace.as_ref().unwrap().header.topology;
        let server = &topology.servers[1];
        let accounts = if joined { &topology.domain.users } else { &server.accounts };
        let last = accounts.last().unwrap();
        assert_eq!((&*last.name, &*last.password, accounts.len()), ("user50", "User50-Pa55word", 28 + 30), "{source}");
        assert!(server.accounts.is_empty() == joined);
    }
    let named =
        "site(users = {'user' + str(number): 'Other-1' for number in range(21, 31)})\ncurl('alice')\nexpect(crowd(30))";
    let run = over(named, "l4-nat", 0, &double::arm());
    let passwords: BTreeSet<String> = actions(&run)
        .into_iter()
        .filter_map(|action| if let Action::AddClient(spec) = action { spec.identity } else { None })
        .map(|identity| identity.password)
        .collect();
    assert!(passwords.contains("Other-1") && passwords.contains("User20-Pa55word"), "{passwords:?}");
}

#[test]
fn a_client_is_in_a_crowd_once() {
    let scenario = Scenario::new("crowd", "crowd.star", "alice = curl('alice')\ncrowd([alice, alice])\n").unwrap();
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = run(&scenario, &BalancerSpec::named("l4-nat"), 0, &arm);
    let error = run.error().unwrap().to_string();
    assert!(error.starts_with("crowd.star:2:1: `alice` is in the crowd twice"), "{error}");
}

#[test]
fn clients_pause_before_each_request_and_ask_one_thing_after_the_other() {
    let source = "site(backends = 1)\ncrowd(6, kind = 'browser', requests = 8, think_ms = 50)\n";
    let run = simulated(source, "l4-nat", 3);
    let starts = starts(run.trace.as_ref().unwrap());
    assert_eq!(starts.len(), 6);
    let mut pauses = Vec::new();
    for (index, asked) in starts.values().enumerate() {
        let first = 1 + 8 * index as u32;
        assert_eq!(asked.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), (first..first + 8).collect::<Vec<_>>());
        pauses.extend(asked.windows(2).map(|pair| pair[1].1 - pair[0].1));
    }
    // A request takes some milliseconds in addition to the pause, which is at most 100 ms.
    let longest = *pauses.iter().max().unwrap();
    assert!(longest > Duration::from_millis(60) && longest < Duration::from_millis(120), "{longest:?}");
    let average = pauses.iter().sum::<Duration>() / pauses.len() as u32;
    assert!((40..65).contains(&average.as_millis()), "{average:?}");
    let order = |trace: &Trace| {
        let of = |event: &stickler_model::Event| {
            if let What::RequestStarted { request, .. } = event.what { Some(request) } else { None }
        };
        trace.events.iter().filter_map(of).collect::<Vec<_>>()
    };
    let (one, other) =
        (order(run.trace.as_ref().unwrap()), order(simulated(source, "l4-nat", 4).trace.as_ref().unwrap()));
    assert!(one != other && one.iter().zip(&one[1..]).any(|(a, b)| b < a), "the seed draws who comes first: {one:?}");
}

#[test]
fn without_pauses_everybody_asks_at_once() {
    let run = simulated("crowd(20)\n", "l4-nat", 0);
    let trace = run.trace.as_ref().unwrap();
    let at: BTreeSet<Time> = starts(trace).values().flatten().map(|(_, at)| *at).collect();
    assert_eq!(at.len(), 1, "{at:?}");
    assert_eq!(run.grade(Requirement::Hs3), Grade::Ok);
}

#[test]
fn a_crowd_is_replayed_byte_for_byte() {
    let source = "site(backends = 2, jitter_us = 300)\n\
        members = start_crowd(30, requests = 3, think_ms = 30)\nadvance(ms = 40)\ncrash('iis1')\nrestart('iis1')\n\
        [request.wait() for member in members for request in member.requests]\n";
    for balancer in ["l4-nat", "shared-pool", "pin-on-401"] {
        let run = simulated(source, balancer, 9);
        let trace = run.trace.as_ref().unwrap();
        let plan = serde_json::from_str(&serde_json::to_string(&trace.plan()).unwrap()).unwrap();
        let again = play(&plan, &SimArm).unwrap();
        assert!(trace.to_json_lines() == again.to_json_lines(), "over {balancer}");
    }
}

#[test]
fn a_crowd_that_nobody_waits_for_ends_with_its_world() {
    let run = simulated("start_crowd(6, requests = 6, think_ms = 1000)\nadvance(seconds = 3)\n", "l4-nat", 0);
    let violated: Vec<_> = run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect();
    assert_eq!(violated, []);
    let starts = starts(run.trace.as_ref().unwrap());
    assert!(starts.values().flatten().count() < 36 && starts.len() == 6, "{starts:?}");
}

/// The description of a site at which tickets authenticate connections.
const TICKETS: &str = "site(backends = 1, providers = ['Negotiate'], services = {'svc-web': ['HTTP/www.corp.example']},\n\
     authentication = windows_authentication(pool = 'svc-web', kernel_mode = False))\n";

/// Returns the number of a crowd's answers that belonged to another user, and the number of all its answers.
fn mixed_up(count: u32, balancer: &str) -> (usize, usize) {
    let source = format!(
        "{TICKETS}def check(member):\n  [answer.expect(status = 200, user = member.user) for answer in member.answers]\n\
        [check(member) for member in crowd({count}, kind = 'curl_negotiate', requests = 6, think_ms = 20)]\n"
    );
    let run = simulated(&source, balancer, 0);
    let asked = starts(run.trace.as_ref().unwrap()).values().flatten().count();
    assert_eq!(run.grade(Requirement::Id1) == Grade::Violated, !run.failures.is_empty(), "over {balancer}");
    (run.failures.len(), asked)
}

/// Two users of a HAProxy with two threads are served by different threads, and each alone has the connections of its
/// thread. A test with two users therefore finds nothing, and only a crowd can reveal the failure.
#[test]
fn a_balancer_with_workers_keeps_two_users_apart_and_mixes_up_a_crowd() {
    for balancer in ["haproxy-threads", "pool-workers"] {
        let (wrong, asked) = mixed_up(6, balancer);
        assert!(wrong >= 10 && asked == 36, "{balancer}: {wrong} of {asked}");
    }
    assert_eq!(mixed_up(2, "haproxy-threads"), (0, 12));
    assert_eq!(mixed_up(6, "haproxy-never"), (0, 36));
    assert_eq!(mixed_up(6, "l4-splice"), (0, 36));
}
