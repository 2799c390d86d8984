//! Bytes that a client sends as they are: who their sender is, and which ids are not believed.

use std::time::Duration;

use stickler_model::action::TokenId;
use stickler_model::agent::Agent;
use stickler_model::event::Served;
use stickler_model::site::SiteSpec;
use stickler_model::{Action, ClientSpec, Identity, Leg, Payload, Piece, Principal, Profile, RawSpec, RequestId, What};
use stickler_oracle::Cited;
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo2, Hs1, Hs4, Hs6, Hs8, Id1, Id2, Id4};

use crate::trace_builder::{Answer, IIS1, IIS2, Logon, Route, TraceBuilder, user};

/// alice is logged on at iis1. `mallory`, who is nobody, and `bob` are clients as well.
fn logged_on() -> TraceBuilder {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    for (name, is_user) in [("alice", true), ("bob", true), ("mallory", false)] {
        let identity = is_user.then(|| Identity { principal: user(name), password: "x".into() });
        let profile = Profile { agent: Agent::Browser, ..Profile::BROWSER };
        trace.act(Action::AddClient(ClientSpec::new(name.into(), profile, identity)));
    }
    trace.arrive("alice", IIS1);
    trace
}

fn send(trace: &mut TraceBuilder, client: &str, text: &str) {
    trace.act(Action::SendRaw(RawSpec::new(client.into(), text, Duration::from_secs(1))));
}

/// A server receives and answers a request without an id, or with one that it believes.
fn serve(
    trace: &mut TraceBuilder,
    id: Option<RequestId>,
    route: Route<'_>,
    number: u32,
    leg: Leg,
    as_user: Option<Principal>,
) {
    let connection = route.server_connection;
    trace.see(route.server, What::ServerReceived { connection, number, request: id, leg });
    let status = if as_user.is_some() { 200 } else { 401 };
    trace.answer(Answer { request: id, route, number, leg, status, user: as_user, body: Payload::Empty });
}

/// The client receives an answer to its bytes, from the application if it names a user.
fn told(trace: &mut TraceBuilder, client: &str, number: u32, by: (Route<'_>, u32), as_user: Option<Principal>) {
    let (route, on_connection) = by;
    let served = as_user.is_some().then(|| Served {
        server: route.server.into(),
        connection: route.server_connection,
        number: on_connection,
    });
    let status = if as_user.is_some() { 200 } else { 401 };
    trace.see(client, What::RawAnswered { number, status, served, user: as_user });
}

#[test]
fn bytes_of_nobody_that_are_answered_as_somebody_are_a_leak() {
    let mut trace = logged_on();
    send(&mut trace, "mallory", "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    serve(&mut trace, None, IIS1, 9, Leg::Anonymous, Some(user("alice")));
    told(&mut trace, "mallory", 1, (IIS1, 9), Some(user("alice")));
    assert_eq!(
        trace.summary(Id2),
        r"answer 1 to the bytes of mallory is for CORP\alice, from iis1 on connection 1, but mallory has no credentials"
    );
    let evidence = &trace.verdict(Id2).evidence[0];
    // Three clients, then alice's connection and her request: the bytes are the fifth action, so step 3.
    assert_eq!(evidence.about, [Cited::Raw { client: "mallory".into(), step: 3 }]);
    assert_eq!(evidence.events.len(), 5, "alice's logon, the action, the receipt, the answer, the client's");
    assert_eq!(trace.grade(Id1), Ok);
}

#[test]
fn bytes_that_are_answered_as_their_senders_own_user_or_as_nobody_are_no_leak() {
    let mut own = logged_on();
    send(&mut own, "alice", "GET / HTTP/1.1\r\n\r\n");
    serve(&mut own, None, IIS1, 9, Leg::Anonymous, Some(user("alice")));
    told(&mut own, "alice", 1, (IIS1, 9), Some(user("alice")));
    assert_eq!((own.grade(Id1), own.grade(Id2)), (Ok, NotExercised));

    let mut nobody = logged_on();
    send(&mut nobody, "mallory", "GET / HTTP/1.1\r\n\r\n");
    serve(&mut nobody, None, IIS1, 9, Leg::Anonymous, None);
    told(&mut nobody, "mallory", 1, (IIS1, 9), None);
    assert_eq!(nobody.grade(Id2), Ok);

    let mut other = logged_on();
    send(&mut other, "bob", "GET / HTTP/1.1\r\n\r\n");
    serve(&mut other, None, IIS1, 9, Leg::Anonymous, Some(user("alice")));
    told(&mut other, "bob", 1, (IIS1, 9), Some(user("alice")));
    assert_eq!((other.grade(Id1), other.grade(Id2)), (Violated, NotExercised));

    let mut taken = logged_on();
    let carol = Identity { principal: user("carol"), password: "x".into() };
    taken.act(Action::SwitchUser("bob".into(), carol));
    send(&mut taken, "bob", "GET / HTTP/1.1\r\n\r\n");
    serve(&mut taken, None, IIS2, 9, Leg::Anonymous, Some(user("carol")));
    told(&mut taken, "bob", 1, (IIS2, 9), Some(user("carol")));
    assert_eq!(taken.grade(Id1), Ok, "the seat is carol's now");
}

#[test]
fn who_sends_anothers_token_is_that_user_by_its_own_doing_and_only_on_that_connection() {
    let with = |second: Route<'_>| {
        let mut trace = logged_on();
        trace.act(Action::MakeToken { id: TokenId(1), client: "bob".into() });
        let bytes = vec![
            Piece::Text("GET / HTTP/1.1\r\nAuthorization: ".into()),
            Piece::Token(TokenId(1)),
            Piece::Text("\r\n\r\nGET / HTTP/1.1\r\n\r\n".into()),
        ];
        trace.act(Action::SendRaw(RawSpec { client: "mallory".into(), bytes, patience: Duration::from_secs(1) }));
        serve(&mut trace, None, IIS2, 1, Leg::Ticket, Some(user("bob")));
        serve(&mut trace, None, second, 2, Leg::Anonymous, Some(user("bob")));
        told(&mut trace, "mallory", 1, (IIS2, 1), Some(user("bob")));
        told(&mut trace, "mallory", 2, (second, 2), Some(user("bob")));
        trace.grade(Id2)
    };
    assert_eq!(with(IIS2), Ok);
    assert_eq!(with(Route { server_connection: 2, ..IIS2 }), Violated);
}

#[test]
fn a_claim_in_bytes_is_a_claim() {
    let with = |value: &str, trusted: &str, taken: &str| {
        let mut trace = logged_on();
        trace.promises.trusted_header = Some("X-Remote-User".into());
        send(&mut trace, "mallory", &format!("GET / HTTP/1.1\r\nx-remote-user:  {value} \r\n\r\n"));
        trace.see("iis1", What::ServerReceived { connection: 1, number: 9, request: None, leg: Leg::Anonymous });
        let value = trusted.to_owned();
        trace.see("iis1", What::ServerTrusted { connection: 1, number: 9, request: None, value });
        let (status, leg, body) = (200, Leg::Anonymous, Payload::Empty);
        trace.answer(Answer { request: None, route: IIS1, number: 9, leg, status, user: Some(user(taken)), body });
        told(&mut trace, "mallory", 1, (IIS1, 9), Some(user(taken)));
        trace
    };
    assert_eq!(
        with(r"CORP\alice", r"CORP\alice", "alice").summary(Id4),
        r"iis1 took the bytes of mallory for CORP\alice, by the header X-Remote-User that the client itself had sent"
    );
    assert_eq!(with(r"CORP\alice", r"CORP\bob", "bob").grade(Id4), Ok, "the balancer wrote that");
    let mut silent = logged_on();
    assert_eq!(silent.grade(Id4), NotApplicable);
    silent.promises.trusted_header = Some("X-Remote-User".into());
    send(&mut silent, "mallory", "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(silent.grade(Id4), NotExercised);
}

#[test]
fn a_forged_id_is_not_believed() {
    let forged = |text: &str| {
        let mut trace = logged_on();
        send(&mut trace, "mallory", text);
        let id = Some(RequestId(1));
        let at = Route { server_connection: 2, ..IIS2 };
        serve(&mut trace, id, at, 1, Leg::Authenticate, None);
        trace.logon(RequestId(1), Logon { server: "iis2", number: 1, account: "alice", status: 0xC000_006A });
        [Fo2, Hs6].map(|requirement| trace.grade(requirement))
    };
    assert_eq!(forged("GET / HTTP/1.1\r\nX-Stickler-Request: r1\r\n\r\n"), [Ok, NotExercised]);
    assert_eq!(forged("GET / HTTP/1.1\nx-stickler-request :r1\n\n"), [Ok, NotExercised]);
    assert_eq!(forged("GET / HTTP/1.1\r\nX-Stickler-Request: r2\r\n\r\n"), [Violated, Violated], "another id");
    assert_eq!(forged("GET /r1 HTTP/1.1\r\n\r\n"), [Violated, Violated]);
}

#[test]
fn a_request_whose_id_is_forged_before_it_ends_is_not_judged_and_one_that_has_ended_is() {
    let mut trace = logged_on();
    let id = trace.start_post("alice", &Payload::Bytes(9));
    send(&mut trace, "mallory", "GET / HTTP/1.1\r\nX-Stickler-Request: r2\r\n\r\n");
    trace.exchange(id, IIS1, Leg::Anonymous, 200);
    trace.end(id, 200);
    let count = |trace: &TraceBuilder| trace.verdict(Hs1).exercised;
    assert_eq!((trace.grade(Hs4), count(&trace)), (NotExercised, 1), "only her first");

    let mut trace = logged_on();
    let id = trace.start("alice");
    trace.end(id, 401);
    send(&mut trace, "mallory", "GET / HTTP/1.1\r\nX-Stickler-Request: r2\r\n\r\n");
    assert_eq!(trace.grade(Hs1), Violated);
}

/// The events after a request that carried alice's ticket and authenticated connection 1 of iis2.
fn pipelined(site: &SiteSpec, behind: impl Fn(&mut TraceBuilder)) -> TraceBuilder {
    let mut trace = logged_on();
    trace.servers = TraceBuilder::at(site).servers;
    let text = "GET /one HTTP/1.1\r\nAuthorization: Negotiate x\r\n\r\nGET /two HTTP/1.1\r\n\r\n";
    send(&mut trace, "alice", text);
    serve(&mut trace, None, IIS2, 5, Leg::Ticket, Some(user("alice")));
    told(&mut trace, "alice", 1, (IIS2, 5), Some(user("alice")));
    behind(&mut trace);
    trace
}

#[test]
fn hs8_is_kept_by_what_follows_its_credentials_and_violated_by_what_does_not() {
    let page = |route: Route<'static>, number: u32| {
        move |trace: &mut TraceBuilder| {
            serve(trace, None, route, number, Leg::Anonymous, Some(user("alice")));
            told(trace, "alice", 2, (route, number), Some(user("alice")));
        }
    };
    let site = SiteSpec::default();
    let kept = pipelined(&site, page(IIS2, 6)).verdict(Hs8);
    assert_eq!((kept.grade, kept.exercised), (Ok, 1));
    let refused = |trace: &mut TraceBuilder| told(trace, "alice", 2, (IIS1, 1), None);
    assert_eq!(
        pipelined(&site, refused).summary(Hs8),
        "alice authenticated connection 1 of iis2 by request 1 of its bytes, but the answer to request 2 behind it was 401"
    );
    assert_eq!(
        pipelined(&site, page(IIS1, 1)).summary(Hs8),
        "alice authenticated connection 1 of iis2 by request 1 of its bytes, but the answer to request 2 behind it came \
         from iis1 on connection 1"
    );
    assert!(pipelined(&site, page(IIS2, 4)).summary(Hs8).ends_with("was out of order"));
    let unanswered = |trace: &mut TraceBuilder| {
        trace.see("alice", What::RawAnswered { number: 2, status: 502, served: None, user: None });
    };
    assert_eq!(pipelined(&site, unanswered).grade(Hs8), Ok, "that says nothing about her credentials");
}

#[test]
fn hs8_is_not_put_to_the_test_without_credentials_that_last() {
    let refused = |trace: &mut TraceBuilder| told(trace, "alice", 2, (IIS1, 1), None);
    let single = SiteSpec { single_request: true, ..SiteSpec::default() };
    assert_eq!(pipelined(&single, refused).grade(Hs8), NotExercised);
    assert_eq!(pipelined(&SiteSpec::default(), |_| ()).grade(Hs8), NotExercised);
    let mut plain = logged_on();
    send(&mut plain, "alice", "GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\n");
    serve(&mut plain, None, IIS2, 5, Leg::Anonymous, Some(user("alice")));
    told(&mut plain, "alice", 1, (IIS2, 5), Some(user("alice")));
    refused(&mut plain);
    assert_eq!(plain.grade(Hs8), NotExercised);
}
