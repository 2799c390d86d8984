//! Everything that the oracle returns can be written as JSON and read back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stickler_model::{Leg, RequestId};
use stickler_oracle::{Cited, Cost, Effort, Evidence, Failure, Grade, Party, Requirement, Severity, Verdict};

use crate::trace_builder::{IIS1, Logon, TraceBuilder, user};

/// Writes a value, compares the JSON, reads it back and compares the value.
#[track_caller]
fn assert_round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, expected: &Value) {
    assert_eq!(serde_json::to_value(value).unwrap(), *expected);
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value);
}

#[test]
fn requirements_are_written_as_their_ids() {
    for requirement in Requirement::all() {
        assert_round_trip(&requirement, &json!(requirement.id()));
    }
    for unknown in ["HS-0", "Hs1", "hs-1", ""] {
        assert!(serde_json::from_value::<Requirement>(json!(unknown)).is_err(), "{unknown}");
    }
}

#[test]
fn grades_and_severities_are_written_as_words() {
    for (grade, word, said) in [
        (Grade::NotExercised, "not-exercised", "not exercised"),
        (Grade::NotApplicable, "not-applicable", "not applicable"),
        (Grade::Ok, "ok", "ok"),
        (Grade::NonStrict, "non-strict", "non-strict"),
        (Grade::Violated, "violated", "violated"),
    ] {
        assert_round_trip(&grade, &json!(word));
        assert_eq!(grade.to_string(), said);
    }
    assert_round_trip(&Severity::Must, &json!("MUST"));
    assert_round_trip(&Severity::Should, &json!("SHOULD"));
}

#[test]
fn who_is_at_fault_is_written_and_said_in_words() {
    for (party, word, said) in [
        (Party::Balancer, "balancer", "the balancer"),
        (Party::Server, "server", "a server"),
        (Party::SiteSetUp, "site-set-up", "the site's set-up"),
        (Party::Client, "client", "the client"),
        (Party::Script, "script", "the script"),
        (Party::InjectedFault, "injected-fault", "an injected fault"),
        (Party::Undetermined, "undetermined", "undetermined"),
    ] {
        assert_round_trip(&party, &json!(word));
        assert_eq!(party.to_string(), said);
    }
}

#[test]
fn somebody_elses_fault_is_no_violation_and_no_test() {
    let mut trace = TraceBuilder::default();
    for client in ["alice", "bob"] {
        let id = trace.start(client);
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.end(id, 401);
    }
    let mut verdict = trace.verdict(Requirement::Hs1);
    assert_eq!((verdict.grade, verdict.exercised, verdict.against_balancer().count()), (Grade::Violated, 2, 2));
    let of_alice = |evidence: &Evidence| evidence.about.iter().all(|cited| cited.client().as_str() == "alice");
    verdict.reattribute(|evidence| if of_alice(evidence) { Party::Server } else { Party::Balancer });
    assert_eq!((verdict.grade, verdict.exercised, verdict.against_others().count()), (Grade::Violated, 1, 1));
    verdict.reattribute(|_| Party::SiteSetUp);
    assert_eq!((verdict.grade, verdict.exercised, verdict.evidence.len()), (Grade::NotExercised, 0, 2));
    assert_eq!((verdict.against_balancer().count(), verdict.against_others().count()), (0, 2));
}

#[test]
fn evidence_of_two_runs_is_compared_by_request_and_kind() {
    let mut one = TraceBuilder::default();
    let id = one.start("alice");
    one.exchange(id, IIS1, Leg::Anonymous, 401);
    one.end(id, 401);
    let mut other = TraceBuilder::default();
    other.start("alice");
    other.end(id, 401);
    let mut unanswered = TraceBuilder::default();
    unanswered.start("alice");
    unanswered.fail(id);
    let [one, other, unanswered] =
        [one, other, unanswered].map(|trace| trace.verdict(Requirement::Hs1).evidence[0].clone());
    assert!(one.is_like(&other) && !one.is_like(&unanswered));
}

#[test]
fn a_verdict_is_written_with_its_evidence() {
    let verdict = Verdict {
        requirement: Requirement::Id1,
        grade: Grade::Violated,
        exercised: 3,
        evidence: vec![Evidence {
            fault: Party::Balancer,
            failure: Failure::WrongUser,
            about: vec![
                Cited::Request { client: "bob".into(), id: RequestId(2) },
                Cited::Raw { client: "mallory".into(), step: 7 },
            ],
            summary: r"bob is CORP\bob".into(),
            events: vec![1, 4],
        }],
    };
    let evidence = json!([{
        "fault": "balancer",
        "failure": "wrong-user",
        "about": [{ "request": { "client": "bob", "id": 2 } }, { "raw": { "client": "mallory", "step": 7 } }],
        "summary": r"bob is CORP\bob",
        "events": [1, 4],
    }]);
    let expected = json!({ "requirement": "ID-1", "grade": "violated", "exercised": 3, "evidence": evidence });
    assert_round_trip(&verdict, &expected);
}

#[test]
fn the_verdicts_on_a_trace_are_read_back_as_they_were() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("bob");
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    let verdicts = trace.judge();
    assert!(verdicts.iter().any(|verdict| !verdict.evidence.is_empty()));
    let text = serde_json::to_string(&verdicts).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Verdict>>(&text).unwrap(), verdicts);
}

#[test]
fn an_effort_is_written_with_the_cost_of_each_request() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Authenticate);
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0 });
    let effort = Effort::of(&trace.build());
    let cost = json!({ "http_requests": 1, "ticket_checks": 0, "logons": 1, "dc_tickets": 0 });
    assert_round_trip(&effort, &json!({ "total": cost, "by_request": { "1": cost } }));
    assert_round_trip(
        &Cost { dc_tickets: 2, ..effort.total },
        &json!({
            "http_requests": 1, "ticket_checks": 0, "logons": 1, "dc_tickets": 2
        }),
    );
}
