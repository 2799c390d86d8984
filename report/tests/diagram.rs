//! Tests the content of sequence diagrams in every format, and the events that they fold.

use std::time::Duration;

use stickler_model::event::{Closed, Credentials, Decided, Leg};
use stickler_model::payload::Digest;
use stickler_model::trace::Promises;
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Event, Fault, Header, Identity, Name, Principal, Profile, RequestId, Time,
    Topology, Trace, What, standard,
};
use stickler_oracle::{Grade, judge};
use stickler_report::diagram::{Diagram, Focus, Kind, Step};

/// A recorder of the observations of all actors, at intervals of half a millisecond.
struct Scribe(Vec<Event>);

impl Scribe {
    fn sees(&mut self, by: &str, what: What) -> &mut Self {
        let at = Time::default() + Duration::from_micros(500 * self.0.len() as u64);
        self.0.push(Event { at, by: Name::from(by), what });
        self
    }

    fn client(&mut self, name: &str, user: Option<&str>) -> &mut Self {
        let identity = user.map(|user| Identity { principal: Principal::new("CORP", user), password: "secret".into() });
        self.sees("world", What::Action(Action::AddClient(ClientSpec::new(name.into(), Profile::CURL, identity))));
        self.sees(name, What::ClientConnected { connection: 1, local: ([10, 1, 0, 1], 49_152).into() })
    }

    fn starts(&mut self, client: &str, user: Option<&str>, id: u32, path: &str) -> &mut Self {
        let what = What::RequestStarted {
            request: RequestId(id),
            identity: user.map(|user| Principal::new("CORP", user)),
            credentials: if user.is_some() { Credentials::Valid } else { Credentials::None },
            preemptive: true,
            method: "GET".into(),
            path: path.into(),
            length: 0,
            digest: Digest::EMPTY,
        };
        self.sees(client, what)
    }

    /// Records one HTTP request to a server, and its answer.
    fn exchange(&mut self, client: &str, id: u32, leg: Leg, (status, user): (u16, Option<&str>)) -> &mut Self {
        let request = RequestId(id);
        let user = user.map(|user| Principal::new("CORP", user));
        self.sees(client, What::ClientSent { connection: 1, request, leg, length: 0 });
        self.decides(id, if id == 1 && leg == Leg::Negotiate { Decided::Open } else { Decided::Reuse });
        if id == 1 && leg == Leg::Negotiate {
            self.sees("iis1", What::ServerAccepted { connection: 1, peer: ([10, 0, 0, 80], 49_152).into() });
        }
        let number = self.0.len() as u32;
        self.sees("iis1", What::ServerReceived { connection: 1, number, request: Some(request), leg });
        if leg == Leg::Authenticate {
            let account = Principal::new("CORP", "alice");
            let server = Name::from("iis1");
            self.sees("dc", What::DcLogon { server, logon: 1, account: account.clone(), status: 0, bad_count: 0 });
            self.sees(
                "iis1",
                What::ServerLogon { connection: 1, request: Some(request), logon: 1, account, status: 0 },
            );
        }
        let answered = What::ServerAnswered {
            connection: 1,
            number,
            request: Some(request),
            leg,
            status,
            substatus: 0,
            win32: 0,
            user: user.clone(),
            processed: status == 200,
            length: 0,
            digest: Digest::EMPTY,
        };
        self.sees("iis1", answered);
        self.decides(id, Decided::Pool);
        let challenge = leg == Leg::Negotiate;
        self.sees(
            client,
            What::ClientReceived { connection: 1, request, echoed: Some(request), status, challenge, user },
        )
    }

    fn decides(&mut self, id: u32, decision: Decided) -> &mut Self {
        let request = Some(RequestId(id));
        let backend = Some(Name::from("iis1"));
        self.sees("lb", What::Decision { downstream: 1, upstream: Some(1), backend, request, decision })
    }

    fn ends(&mut self, client: &str, id: u32, status: u16) -> &mut Self {
        self.sees(client, What::RequestEnded { request: RequestId(id), status: Some(status), error: None })
    }

    fn logs_on(&mut self) -> &mut Self {
        self.client("alice", Some("alice")).starts("alice", Some("alice"), 1, "/inbox");
        self.exchange("alice", 1, Leg::Negotiate, (401, None));
        self.exchange("alice", 1, Leg::Authenticate, (200, Some("alice"))).ends("alice", 1, 200)
    }

    fn asks(&mut self, client: &str, user: Option<&str>, id: u32, path: &str, served: &str) -> &mut Self {
        self.starts(client, user, id, path)
            .exchange(client, id, Leg::Anonymous, (200, Some(served)))
            .ends(client, id, 200)
    }

    fn trace(&mut self) -> Trace {
        let servers = vec![standard::server("iis1".into())];
        let topology = Topology { domain: standard::domain(), servers, ..Topology::default() };
        let balancer = BalancerSpec::named("shared-pool");
        let header = Header { seed: 7, balancer, topology, promises: Promises::default() };
        Trace { header, events: std::mem::take(&mut self.0) }
    }
}

fn draw(trace: &Trace) -> Diagram {
    Diagram::of("a test", trace, &judge(trace), Focus::Findings)
}

/// Returns a trace in which alice logs on, and mallory is served as alice.
fn leak() -> Trace {
    let mut scribe = Scribe(Vec::new());
    scribe.logs_on().client("mallory", None).asks("mallory", None, 2, "/inbox?item=1", "alice");
    scribe.sees("alice", What::ClientClosed { connection: 1, how: Closed::Here }).trace()
}

#[test]
fn a_leak_as_text() {
    insta::assert_snapshot!(draw(&leak()).text(80));
}

#[test]
fn a_leak_as_text_without_room_for_lanes() {
    insta::assert_snapshot!(draw(&leak()).text(44));
}

#[test]
fn a_leak_as_mermaid() {
    insta::assert_snapshot!(draw(&leak()).mermaid());
}

#[test]
fn a_leak_as_svg() {
    let diagram = draw(&leak());
    insta::assert_snapshot!(diagram.svg_without_style().replace('>', ">\n"));
    let alone = diagram.svg();
    assert!(alone.contains("<style>") && alone.contains("prefers-color-scheme: dark"), "{alone}");
    assert!(!alone.contains("style=") && !alone.contains("href"), "a strict page shows it, and nothing is loaded");
}

#[test]
fn a_connection_is_whose_the_server_takes_it_for() {
    let diagram = draw(&leak());
    let server = diagram.participants.iter().position(|one| one.kind == Kind::Server).unwrap();
    let upstream: Vec<_> = diagram.connections.iter().filter(|connection| connection.at == server).collect();
    let [connection] = &upstream[..] else { panic!("{upstream:?}") };
    let [(from, Some(user))] = connection.users[..] else { panic!("{connection:?}") };
    assert_eq!(diagram.users[user], "CORP\\alice");
    let Step::Arrow(arrow) = &diagram.rows[from].step else { panic!("{:?}", diagram.rows[from]) };
    assert_eq!(arrow.text, "r1: 200 as CORP\\alice");
    assert_eq!(arrow.aside, "lb puts the connection into its pool");
    // mallory has no user, and neither has her connection. The answer that she gets is for alice.
    let mallory = diagram.participants.iter().position(|one| one.name == "mallory").unwrap();
    assert_eq!(diagram.participants[mallory].user, None);
    let hers = diagram.connections.iter().find(|connection| connection.at == mallory).unwrap();
    assert!(hers.users.iter().all(|(_, user)| user.is_none()), "{hers:?}");
    let back = diagram.rows.iter().rev().find_map(|row| match &row.step {
        Step::Arrow(arrow) if arrow.to == mallory => arrow.user,
        _ => None,
    });
    assert_eq!(back, Some(user));
}

#[test]
fn what_does_not_matter_to_the_finding_is_folded_and_faults_are_not() {
    let mut scribe = Scribe(Vec::new());
    scribe.logs_on().client("mallory", None).asks("mallory", None, 2, "/", "alice");
    let before = draw(&scribe.trace());
    let mut scribe = Scribe(Vec::new());
    scribe.logs_on();
    // carol is a client on another server.
    scribe.client("carol", Some("carol"));
    for id in 10..40 {
        scribe.starts("carol", Some("carol"), id, "/").ends("carol", id, 200);
    }
    scribe.sees("world", What::Action(Action::Fault(Fault::Hang("iis2".into()))));
    let after = draw(&scribe.client("mallory", None).asks("mallory", None, 2, "/", "alice").trace());
    let folded = |diagram: &Diagram| {
        diagram.rows.iter().map(|row| if let Step::Folded { events } = row.step { events } else { 0 }).sum::<usize>()
    };
    assert_eq!(folded(&before), 0);
    assert!(!after.participants.iter().any(|one| one.name == "carol"), "{:?}", after.participants);
    assert!(folded(&after) > 0, "{:?}", after.rows);
    assert!(after.text(120).contains("iis2 hangs"), "{}", after.text(120));
    assert_eq!(after.findings, before.findings);
}

#[test]
fn without_a_finding_repetition_is_folded() {
    let mut scribe = Scribe(Vec::new());
    scribe.logs_on();
    for id in 2..50 {
        scribe.asks("alice", Some("alice"), id, "/inbox", "alice");
    }
    let trace = scribe.trace();
    assert!(judge(&trace).iter().all(|verdict| verdict.grade != Grade::Violated));
    let diagram = draw(&trace);
    let requests: std::collections::BTreeSet<&str> = diagram
        .rows
        .iter()
        .filter_map(|row| match &row.step {
            Step::Arrow(arrow) => arrow.text.split_once(':').map(|(id, _)| id),
            _ => None,
        })
        .collect();
    assert_eq!(requests.into_iter().collect::<Vec<_>>(), ["r1", "r2"], "{}", diagram.text(120));
    assert!(diagram.text(120).contains("events folded"));
}

#[test]
fn words_are_whole_at_every_width() {
    let diagram = draw(&leak());
    let all: std::collections::BTreeSet<String> =
        diagram.text(1_000).split_whitespace().map(ToOwned::to_owned).collect();
    for width in [44, 80, 120, 200] {
        let text = diagram.text(width);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        // Lanes depend on the width, and words do not.
        let lanes = |word: &str| word.contains(['│', '─', '·', '┼']);
        for word in text.split_whitespace().filter(|word| !lanes(word)) {
            assert!(all.contains(word) || all.contains(word.trim_end_matches(':')), "{width}: {word:?}");
        }
    }
}
