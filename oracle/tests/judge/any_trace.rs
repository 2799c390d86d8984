//! Events in any order are judged, in linear time.

use std::time::Duration;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stickler_model::agent::Agent;
use stickler_model::event::{Closed, Credentials, Served};
use stickler_model::site::{Checking, ProtectionSpec, SiteSpec};
use stickler_model::topology::{Provider, ServerSpec, TlsSpec, UpstreamTls};
use stickler_model::trace::{Checks, Promises, Service, Spread, SpreadUnit};
use stickler_model::{
    Action, ClientSpec, Event, Fault, Leg, Name, Payload, Principal, Profile, RawSpec, RequestId, Time, What,
};
use stickler_oracle::{Effort, Grade, Requirement, judge};

use crate::trace_builder::{ClientTls, IIS1, Route, TraceBuilder, digest, servers, trace_of, user};

fn name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["alice", "bob", "iis1", "iis2", "dc", "world"]).prop_map(Name::from)
}

fn principal() -> impl Strategy<Value = Option<Principal>> {
    prop::sample::select(vec![None, Some(user("alice")), Some(user("bob"))])
}

fn leg() -> impl Strategy<Value = Leg> {
    prop::sample::select(vec![Leg::Anonymous, Leg::Negotiate, Leg::Authenticate, Leg::Ticket, Leg::Malformed])
}

fn id() -> impl Strategy<Value = RequestId> {
    (0..4u32).prop_map(RequestId)
}

fn status() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![200, 401, 403, 407, 502, 503])
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        name().prop_map(Action::Disconnect),
        name().prop_map(|host| Action::Fault(Fault::Crash(host))),
        name().prop_map(|host| Action::Fault(Fault::PowerLoss(host))),
        name().prop_map(|host| Action::Fault(Fault::Hang(host))),
        name().prop_map(|host| Action::Fault(Fault::Resume(host))),
        name().prop_map(|host| Action::Fault(Fault::Restart(host))),
        (name(), id()).prop_map(|(client, id)| {
            let text = format!(
                "GET / HTTP/1.1\r\nX-Stickler-Request: {id}\r\nAuthorization: NTLM x\r\n\r\nGET / HTTP/1.1\r\n\r\n"
            );
            Action::SendRaw(RawSpec::new(client, text, Duration::from_secs(1)))
        }),
        name().prop_map(Action::Drain),
        name().prop_map(Action::Undrain),
        (name(), name()).prop_map(|(a, b)| Action::Fault(Fault::Reset(a, b))),
        (name(), name()).prop_map(|(a, b)| Action::Fault(Fault::Hold(a, b))),
        (name(), name()).prop_map(|(a, b)| Action::Fault(Fault::Release(a, b))),
        (name(), agent(), any::<bool>()).prop_map(|(name, agent, no_kerberos)| {
            let profile = Profile { agent, ..Profile::BROWSER };
            Action::AddClient(ClientSpec { no_kerberos, ..ClientSpec::new(name, profile, None) })
        }),
    ]
}

fn agent() -> impl Strategy<Value = Agent> {
    prop::sample::select(vec![Agent::Curl, Agent::CurlNegotiate, Agent::Browser])
}

/// An event about tickets, or about TLS with either certificate.
fn secured() -> impl Strategy<Value = What> {
    let certificate = || prop::sample::select(vec![digest("lb"), digest("iis1")]);
    let service = || "HTTP/www".to_owned();
    let error = || prop::sample::select(vec![0, 18, 24, 34, 37, 41, 0x8009_0346]);
    prop_oneof![
        (0..3u32, certificate(), any::<bool>()).prop_map(|(connection, certificate, http2)| What::ClientSecured {
            connection,
            certificate,
            http2
        }),
        (0..3u32, certificate()).prop_map(|(connection, certificate)| What::ServerSecured { connection, certificate }),
        (0..3u32, prop::option::of(id()), principal(), error()).prop_map(
            move |(connection, request, client, error)| {
                What::ServerTicket { connection, request, client, service: service(), error }
            }
        ),
        (principal(), error()).prop_map(move |(client, error)| What::DcTicket {
            client,
            service: service(),
            etype: 0,
            error
        }),
    ]
}

/// A site with any settings, with or without TLS in front.
fn site() -> impl Strategy<Value = (Vec<ServerSpec>, Option<TlsSpec>)> {
    let provider = prop::sample::select(vec![Provider::Ntlm, Provider::Negotiate, Provider::NegotiateKerberos]);
    let upstream = prop::sample::select(vec![UpstreamTls::Own, UpstreamTls::Same, UpstreamTls::Plain]);
    let tls = prop::option::of(upstream.prop_map(|upstream| TlsSpec { upstream, http2: true, ..TlsSpec::default() }));
    (provider, any::<(bool, bool, bool)>(), tls).prop_map(
        |(provider, (persist_non_ntlm, single_request, require), tls)| {
            let checking = if require { Checking::Require } else { Checking::Allow };
            let protection = ProtectionSpec { checking, ..ProtectionSpec::default() };
            let site = SiteSpec { persist_non_ntlm, single_request, protection, ..SiteSpec::default() };
            (servers(&[provider], &site), tls)
        },
    )
}

fn connection_event() -> impl Strategy<Value = What> {
    let how = prop::sample::select(vec![Closed::Here, Closed::ByPeer, Closed::Broken]);
    let value = || prop::sample::select(vec!["one", "two"]).prop_map(str::to_owned);
    let local = ([10, 0, 0, 1], 50_000).into();
    prop_oneof![
        secured(),
        (0..3u32).prop_map(move |connection| What::ClientConnected { connection, local }),
        (0..3u32).prop_map(move |connection| What::ServerAccepted { connection, peer: local }),
        (0..3u32, how).prop_map(|(connection, how)| What::ServerClosed { connection, how }),
        id().prop_map(|request| What::RequestAbandoned { request }),
        (0..3u32, status(), prop::option::of((name(), 0..3u32, 0..3u32)), principal()).prop_map(
            |(number, status, served, user)| {
                let served = served.map(|(server, connection, number)| Served { server, connection, number });
                What::RawAnswered { number, status, served, user }
            }
        ),
        (id(), value()).prop_map(|(request, value)| What::CookieReceived { connection: 1, request, value }),
        (id(), value()).prop_map(|(request, value)| What::CookieSent { connection: 1, request, value }),
        (id(), value()).prop_map(|(request, value)| What::ClientClaimed { connection: 1, request, value }),
        (prop::option::of(id()), value()).prop_map(|(request, value)| What::ServerTrusted {
            connection: 1,
            number: 1,
            request,
            value
        }),
    ]
}

/// Returns promises of every kind, so that every requirement applies.
fn promises() -> Promises {
    Promises {
        none_left: stickler_model::trace::NoneLeft::Status(502),
        persistence: Some(Duration::from_secs(2)),
        spread: Some(Spread { unit: SpreadUnit::Requests, percent: 0, units: 1, weights: vec![("iis1".into(), 0)] }),
        checks: Some(Checks {
            after_end: false,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 1,
            user: Some(user("alice")),
        }),
        cookie: Some("SRV".into()),
        trusted_header: Some("X-Remote-User".into()),
        out_after_failures: Some(Duration::from_secs(1)),
        services: vec![Service { prefix: String::new(), backends: vec!["iis1".into(), "iis2".into()] }],
        unknown: false,
    }
}

fn what() -> impl Strategy<Value = What> {
    let ntstatus = prop::sample::select(vec![0, 0xC000_006A, 0xC000_0234, 0xC000_005E]);
    let how = prop::sample::select(vec![Closed::Here, Closed::ByPeer, Closed::Broken]);
    let credentials = prop::sample::select(vec![Credentials::None, Credentials::Valid, Credentials::Wrong]);
    let digest = Payload::Empty.digest();
    prop_oneof![
        action().prop_map(What::Action),
        connection_event(),
        (id(), principal(), credentials, any::<bool>(), 0..2u64).prop_map(
            move |(request, identity, credentials, preemptive, length)| {
                What::RequestStarted {
                    request,
                    identity,
                    credentials,
                    preemptive,
                    method: "POST".into(),
                    path: "/".into(),
                    length,
                    digest,
                }
            }
        ),
        (0..3u32, how).prop_map(|(connection, how)| What::ClientClosed { connection, how }),
        (0..3u32, id(), leg()).prop_map(|(connection, request, leg)| What::ClientSent {
            connection,
            request,
            leg,
            length: 0
        }),
        (0..3u32, id(), prop::option::of(id()), status(), principal()).prop_map(
            |(connection, request, echoed, status, user)| {
                What::ClientReceived { connection, request, echoed, status, challenge: false, user }
            }
        ),
        (id(), prop::option::of(status())).prop_map(|(request, status)| What::RequestEnded {
            request,
            status,
            error: None
        }),
        (0..3u32, 0..3u32, prop::option::of(id()), leg())
            .prop_map(|(connection, number, request, leg)| What::ServerReceived { connection, number, request, leg }),
        (0..3u32, 0..3u32, prop::option::of(id()), leg(), status(), principal(), any::<bool>()).prop_map(
            move |(connection, number, request, leg, status, user, processed)| What::ServerAnswered {
                connection,
                number,
                request,
                leg,
                status,
                substatus: 3,
                win32: 0,
                user,
                processed,
                length: 0,
                digest,
            }
        ),
        (0..3u64, prop::option::of(id()), ntstatus.clone()).prop_map(|(logon, request, status)| What::ServerLogon {
            connection: 1,
            request,
            logon,
            account: user("alice"),
            status,
        }),
        decision(ntstatus),
    ]
}

/// An event of a DC.
fn decision(ntstatus: impl Strategy<Value = u32> + Clone) -> impl Strategy<Value = What> {
    prop_oneof![
        (name(), 0..3u64, 0..3u64, ntstatus.clone()).prop_map(|(server, logon, passed, status)| What::DcPassedOn {
            server,
            logon,
            account: user("alice"),
            to: "PARTNER".into(),
            passed,
            status,
        }),
        (name(), 0..3u64, ntstatus).prop_map(|(server, logon, status)| What::DcLogon {
            server,
            logon,
            account: user("alice"),
            status,
            bad_count: 0
        }),
    ]
}

/// Writes a value as JSON and reads it back.
fn read_back<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_events_in_any_order_are_judged_with_evidence_that_holds_together(seen in prop::collection::vec((name(), what()), 0..120), promised: bool, site in prop::option::of(site())) {
        let events: Vec<Event> =
            seen.into_iter().zip(0..).map(|((by, what), at)| Event { at: Time(at * 500_000_000), by, what }).collect();
        let mut trace = trace_of(events);
        if promised {
            trace.header.promises = promises();
        }
        if let Some((servers, tls)) = site {
            (trace.header.topology.servers, trace.header.topology.tls) = (servers, tls);
        }
        let counted = Effort::of(&trace);
        prop_assert!(counted.by_request.values().map(|cost| cost.http_requests).sum::<u32>() == counted.total.http_requests);
        prop_assert_eq!(&read_back(&counted), &counted);
        let verdicts = judge(&trace);
        prop_assert_eq!(&read_back(&verdicts), &verdicts);
        prop_assert!(verdicts.iter().map(|verdict| verdict.requirement).eq(Requirement::all()));
        for verdict in verdicts {
            let violations = verdict.against_balancer().count();
            prop_assert_eq!(violations == 0, !matches!(verdict.grade, Grade::Violated | Grade::NonStrict));
            prop_assert!(verdict.exercised >= violations);
            for evidence in verdict.evidence {
                prop_assert!(!evidence.events.is_empty() && evidence.events.is_sorted());
                prop_assert!(evidence.events.iter().all(|&event| event < trace.events.len()));
            }
        }
    }
}

#[test]
fn events_of_the_balancer_alone_prove_nothing() {
    let mut trace = TraceBuilder::default();
    let decision = What::Decision {
        downstream: 1,
        upstream: Some(1),
        backend: None,
        request: Some(RequestId(1)),
        decision: stickler_model::event::Decided::Reuse,
    };
    trace.see("lb", decision);
    let silent = |grade| matches!(grade, Grade::NotExercised | Grade::NotApplicable);
    assert!(trace.judge().iter().all(|verdict| silent(verdict.grade)));
}

#[test]
fn a_hundred_thousand_events_of_interleaved_handshakes_are_judged() {
    // Quadratic work over 5,000 open handshakes would take minutes here.
    let mut trace = TraceBuilder::default();
    trace.promises = promises();
    let ids: Vec<RequestId> = (0..5_000).map(|client| trace.start(&format!("client{client}"))).collect();
    for leg in [Leg::Anonymous, Leg::Negotiate, Leg::Authenticate] {
        for (&id, connection) in ids.iter().zip(1..) {
            trace.exchange(
                id,
                Route { server_connection: connection, ..IIS1 },
                leg,
                if leg == Leg::Authenticate { 200 } else { 401 },
            );
        }
    }
    for &id in &ids {
        trace.end(id, 200);
    }
    let grades: Vec<Grade> = trace.judge().iter().map(|verdict| verdict.grade).collect();
    assert_eq!(grades[..3], [Grade::Ok, Grade::Ok, Grade::Ok]);
}

#[test]
fn a_hundred_thousand_events_of_streams_and_tickets_are_judged() {
    // Of 5,000 clients half come over HTTP/2, all to one server's connection.
    let site = SiteSpec {
        protection: ProtectionSpec { checking: Checking::Require, ..ProtectionSpec::default() },
        ..SiteSpec::default()
    };
    let mut trace = TraceBuilder::at(&site);
    trace.promises = promises();
    trace.tls = Some(TlsSpec::default());
    trace.secure_server("iis1", 1, "iis1");
    for number in 0..5_000 {
        let client = format!("client{number}");
        trace.secure(ClientTls { client: &client, connection: 1, certificate: "iis1", http2: number % 2 == 0 });
        trace.whole_ticket(&client, IIS1);
        trace.again(&client, IIS1);
    }
    let verdicts = trace.judge();
    let verdict = |wanted| verdicts.iter().find(|verdict| verdict.requirement == wanted).unwrap();
    assert_eq!((verdict(Requirement::Tl1).grade, verdict(Requirement::Tl1).exercised), (Grade::Ok, 5_000));
    assert_eq!(verdict(Requirement::Tl2).evidence.len(), 4_999);
    assert_eq!(Effort::of(&trace.build()).total.ticket_checks, 5_000);
}
