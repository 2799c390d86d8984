//! The verdict while events arrive is the same as that on the whole trace: a client that names its user in
//! `x-stickler-user` is identified from the servers alone as well as by the ids of its requests.

use std::sync::Arc;

use stickler_catalogue::{Mechanism, mechanisms};
use stickler_model::Trace;
use stickler_oracle::{Live, Noticed, Requirement};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, run};
use stickler_sim::SimArm;

/// Users come and go with both protocols, and an anonymous client sends requests. Each names itself, in one of the
/// possible ways.
const VISITS: &str = r#"
site(backends = 1, providers = ["Negotiate", "NTLM"], services = {"svc-web": ["HTTP/www.corp.example"]},
     authentication = windows_authentication(pool = "svc-web", kernel_mode = False, persist_non_ntlm = True))
people = [(curl("alice"), "alice"), (browser("bob"), "CORP\\bob"), (curl_negotiate("carol"), "carol@corp.example"),
          (browser("dave"), "DAVE"), (curl("mallory", user = None), "-")]
for turn in range(2):
    for person, name in people:
        person.get("/inbox?turn=%d" % turn, headers = {"x-stickler-user": name})
    people[turn][0].disconnect()
    advance(ms = 10)
    for person, name in people:
        person.get("/again", headers = {"x-stickler-user": name})
    people = people[1:] + people[:1]
"#;

fn play(mechanism: &Mechanism) -> Run {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let scenario = Scenario::new("visits", "visits.star", VISITS).unwrap();
    let run = run(&scenario, &mechanism.spec(), 1, &arm);
    assert_eq!(run.end, End::Complete, "{}", mechanism.name);
    run
}

/// Returns the number of requests that servers processed as another user, as the whole trace proves.
fn judged(run: &Run) -> usize {
    let of_identity = |requirement| matches!(requirement, Requirement::Id1 | Requirement::Id2);
    let verdicts = run.verdicts.iter().filter(|verdict| of_identity(verdict.requirement));
    let taken = |summary: &str| summary.contains("was processed as");
    verdicts.flat_map(|verdict| &verdict.evidence).filter(|evidence| taken(&evidence.summary)).count()
}

/// Counts the same requests, but from the servers' observations alone.
fn noticed(trace: &Trace) -> usize {
    let mut live = Live::new(&trace.header.topology);
    let noticed: Vec<Noticed> = trace.events.iter().filter_map(|event| live.see(event)).collect();
    assert!(!noticed.iter().any(|noticed| matches!(noticed, Noticed::Misnamed { .. })), "nobody lies: {noticed:?}");
    let leaks = noticed.iter().filter(|noticed| matches!(noticed, Noticed::Leak(_))).count();
    assert_eq!(live.seen().leaked, leaks as u64);
    assert_eq!(live.seen().leaks.values().sum::<u64>(), leaks as u64);
    leaks
}

#[test]
fn whoever_says_who_it_is_is_judged_as_the_whole_trace_is() {
    let (mut leaking, mut clean) = (0, 0);
    for mechanism in mechanisms() {
        let run = play(mechanism);
        let (by_trace, by_servers) = (judged(&run), noticed(run.trace.as_ref().unwrap()));
        assert_eq!(by_servers, by_trace, "{}", mechanism.name);
        if by_trace > 0 { leaking += 1 } else { clean += 1 }
    }
    assert!(leaking > 5 && clean > 5, "{leaking} leak, {clean} do not");
}
