//! Servers that differ from each other: what goes wrong at one is the set-up's fault there, and nowhere else.

use stickler_model::event::{Closed, Credentials};
use stickler_model::site::AnonymousSpec;
use stickler_model::topology::{CertificateSpec, KeepAlive, Provider, TlsSpec, UserSpec};
use stickler_model::{Action, ClientSpec, Identity, Leg, Payload, Principal, Profile, What, standard};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Fo3, Hs1, Hs2, Hs4, Hs5, Id1, Id2, Id5};

use crate::trace_builder::{Answer, IIS1, IIS2, Route, Start, TraceBuilder, servers, user};

const SITE: (stickler_oracle::Grade, Option<Party>) = (NotExercised, Some(Party::SiteSetUp));
const BALANCER: (stickler_oracle::Grade, Option<Party>) = (Violated, Some(Party::Balancer));

/// KRB_AP_ERR_SKEW.
const SKEW: u32 = 37;

fn account(name: &str, password: &str) -> UserSpec {
    UserSpec::new(name, password)
}

/// A farm without a domain, in which `passwords` are alice's passwords on iis1 and on iis2. bob has the same password
/// on both.
fn workgroup(passwords: [&str; 2]) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.servers = standard::servers(2);
    for (server, password) in trace.servers.iter_mut().zip(passwords) {
        server.workgroup = true;
        server.accounts = vec![account("alice", password), account("bob", "B")];
    }
    trace
}

/// Adds a client with this user, whose name is given as it was typed.
fn seat(trace: &mut TraceBuilder, client: &str, user: &str, password: &str) {
    let identity = Identity { principal: Principal::parse(user).unwrap(), password: password.into() };
    trace.act(Action::AddClient(ClientSpec::new(client.into(), Profile::CURL, Some(identity))));
}

/// Starts a request of this client by the user with this name.
fn start(trace: &mut TraceBuilder, client: &str, user: &str) -> stickler_model::RequestId {
    trace.start_with(Start { identity: Principal::parse(user), ..Start::by(client) })
}

fn on(server: &'static str, client_connection: u32, server_connection: u32) -> Route<'static> {
    Route { client_connection, server, server_connection }
}

#[test]
fn an_account_of_one_name_and_password_on_two_servers_is_one_user() {
    for typed in [r".\alice", r"IIS2\alice", r"PC1\Alice"] {
        let mut trace = workgroup(["A", "A"]);
        seat(&mut trace, "alice", typed, "A");
        for (server, connection) in [("iis1", 1), ("iis2", 2)] {
            let id = start(&mut trace, "alice", typed);
            let served = Principal::new(&server.to_uppercase(), "alice");
            trace.exchange_as(id, on(server, connection, 1), Leg::Authenticate, 200, Some(served));
            trace.end(id, 200);
        }
        let verdict = trace.verdict(Id1);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 2), "{typed}");
        assert_eq!(trace.grade(Id5), NotExercised, "nobody else has taken the seat");
    }
}

#[test]
fn another_users_account_is_another_users_on_whichever_server() {
    let mut trace = workgroup(["A", "A"]);
    seat(&mut trace, "alice", r".\alice", "A");
    seat(&mut trace, "bob", r".\bob", "B");
    let id = start(&mut trace, "bob", r".\bob");
    trace.exchange_as(id, IIS2, Leg::Anonymous, 200, Some(Principal::new("IIS2", "alice")));
    assert_eq!(trace.grade(Id1), Violated);
    let id = trace.start_anonymous("mallory");
    trace.exchange_as(id, IIS2, Leg::Anonymous, 200, Some(Principal::new("IIS2", "alice")));
    assert_eq!(trace.grade(Id2), Violated);
}

#[test]
fn an_account_of_the_same_name_with_another_password_is_somebody_else() {
    // Both are called admin: one has the password of iis1, one that of iis2.
    let mut trace = workgroup(["A", "A"]);
    for (server, password) in trace.servers.iter_mut().zip(["One", "Two"]) {
        server.accounts = vec![account("admin", password)];
    }
    seat(&mut trace, "one", r".\admin", "One");
    seat(&mut trace, "two", r".\admin", "Two");
    for (client, server, expected) in [("one", "iis1", Ok), ("two", "iis2", Ok), ("two", "iis1", Violated)] {
        let id = start(&mut trace, client, r".\admin");
        let served = Principal::new(&server.to_uppercase(), "admin");
        trace.exchange_as(id, on(server, 1, 1), Leg::Anonymous, 200, Some(served));
        assert_eq!(trace.grade(Id1), expected, "{client} at {server}");
    }
}

#[test]
fn each_of_many_users_with_one_name_is_somebody_else() {
    let farm = [("iis1", "One"), ("iis2", "Two"), ("iis3", "Three")];
    for (server, of_server) in farm {
        for (_, of_client) in farm {
            let mut trace = TraceBuilder::default();
            trace.servers = standard::servers(3);
            for (spec, (_, password)) in trace.servers.iter_mut().zip(farm) {
                spec.workgroup = true;
                spec.accounts = vec![account("admin", password)];
            }
            for (_, password) in farm {
                seat(&mut trace, password, r".\admin", password);
            }
            let id = start(&mut trace, of_client, r".\admin");
            let served = Principal::new(&server.to_uppercase(), "admin");
            trace.exchange_as(id, on(server, 1, 1), Leg::Anonymous, 200, Some(served));
            assert_eq!(trace.grade(Id1), if of_client == of_server { Ok } else { Violated }, "{of_client} at {server}");
        }
    }
}

#[test]
fn a_local_account_is_called_as_the_first_client_with_its_password_calls_it() {
    let mut trace = workgroup(["A", "A"]);
    seat(&mut trace, "alice", r"PC1\alice", "A");
    seat(&mut trace, "twin", r".\Alice", "A");
    seat(&mut trace, "bob", r".\bob", "B");
    let id = start(&mut trace, "bob", r".\bob");
    trace.exchange_as(id, IIS2, Leg::Anonymous, 200, Some(Principal::new("IIS2", "alice")));
    assert_eq!(
        trace.summary(Id1),
        r"bob's request r1 was processed as PC1\alice by iis2 on connection 1, but bob is .\bob"
    );
}

#[test]
fn a_user_belongs_to_a_domain_only_where_a_server_has_joined_one() {
    // Two clients with one password, whose user was typed like this; iis2 has the account.
    for (joined, typed, expected) in [
        (false, [r".\alice", r"CORP\alice"], Ok),
        (true, [r".\alice", r"CORP\alice"], Violated),
        (true, [r"PC1\alice", r".\alice"], Ok),
    ] {
        let mut trace = workgroup(["A", "A"]);
        trace.servers[0].workgroup = !joined;
        for (client, typed) in ["first", "second"].into_iter().zip(typed) {
            seat(&mut trace, client, typed, "A");
        }
        let id = start(&mut trace, "second", typed[1]);
        trace.exchange_as(id, IIS2, Leg::Anonymous, 200, Some(Principal::new("IIS2", "alice")));
        assert_eq!(trace.grade(Id1), expected, "{joined} {typed:?}");
    }
}

#[test]
fn accounts_and_users_that_come_later_have_one_name_too() {
    let mut trace = TraceBuilder::default();
    trace.servers = standard::servers(1);
    let mut renewed = trace.servers[0].clone();
    renewed.workgroup = true;
    renewed.accounts = vec![account("alice", "A"), account("bob", "B")];
    trace.act(Action::Configure(Box::new(renewed)));
    seat(&mut trace, "seat", r".\alice", "A");
    // The same user by another name.
    seat(&mut trace, "pc", r"PC1\bob", "B");
    let bob = Identity { principal: Principal::parse(r".\bob").unwrap(), password: "B".into() };
    trace.act(Action::SwitchUser("seat".into(), bob));
    let id = start(&mut trace, "seat", r".\bob");
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(Principal::new("IIS1", "bob")));
    assert_eq!(trace.grade(Id1), Ok);
}

#[test]
fn a_refusal_by_a_server_that_lacks_the_account_is_the_sites_fault() {
    for (passwords, legs, expected) in [
        (["A", "Old"], [IIS2, IIS2], SITE),
        // The right password, refused where it is right.
        (["A", "Old"], [IIS1, IIS1], BALANCER),
        (["A", "A"], [IIS2, IIS2], BALANCER),
        // Torn between one that has the account and one that has not.
        (["A", "Old"], [IIS1, IIS2], BALANCER),
    ] {
        let mut trace = workgroup(passwords);
        seat(&mut trace, "alice", r".\alice", "A");
        let id = start(&mut trace, "alice", r".\alice");
        trace.exchange(id, legs[0], Leg::Negotiate, 401);
        trace.exchange(id, legs[1], Leg::Authenticate, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{passwords:?} {legs:?}");
    }
}

#[test]
fn a_member_of_the_domain_is_refused_by_a_server_that_has_left_it() {
    for (typed, workgroup, expected) in [(r"CORP\alice", true, SITE), (r"CORP\alice", false, BALANCER)] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].workgroup = workgroup;
        seat(&mut trace, "alice", typed, "A");
        let id = start(&mut trace, "alice", typed);
        trace.exchange(id, IIS2, Leg::Negotiate, 401);
        trace.exchange(id, IIS2, Leg::Authenticate, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{workgroup}");
    }
}

#[test]
fn what_a_dc_does_explains_nothing_where_nobody_asks_it() {
    for (workgroup, expected) in [(true, BALANCER), (false, (NotExercised, Some(Party::InjectedFault)))] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(1);
        trace.servers[0].workgroup = workgroup;
        trace.servers[0].accounts = vec![account("alice", "A")];
        seat(&mut trace, "alice", r"CORP\alice", "A");
        trace.fault(stickler_model::Fault::Crash("dc".into()));
        trace.connect("alice", 1);
        let id = start(&mut trace, "alice", r"CORP\alice");
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.send(id, 1, Leg::Authenticate);
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{workgroup}");
    }
}

#[test]
fn a_client_without_a_package_of_the_server_that_it_met_is_refused_by_the_set_up() {
    for (met, expected) in [(&[IIS2][..], SITE), (&[IIS1], BALANCER), (&[IIS1, IIS2], BALANCER)] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].providers = vec![Provider::Negotiate];
        trace.act(Action::AddClient(ClientSpec::new("alice".into(), Profile::CURL, None)));
        let id = trace.start("alice");
        for &route in met {
            trace.exchange(id, route, Leg::Negotiate, 401);
        }
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{}", met.len());
    }
}

#[test]
fn a_handshake_that_one_server_asked_for_and_another_does_not_offer_is_the_set_ups_fault() {
    for (asked, begun, expected) in [(IIS1, IIS2, SITE), (IIS1, IIS1, BALANCER), (IIS2, IIS2, BALANCER)] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].providers = vec![Provider::Negotiate];
        trace.act(Action::AddClient(ClientSpec::new("alice".into(), Profile::BROWSER, None)));
        let id = trace.start("alice");
        trace.exchange(id, asked, Leg::Anonymous, 401);
        trace.exchange(id, begun, Leg::Negotiate, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{} {}", asked.server, begun.server);
    }
}

#[test]
fn a_clock_that_is_wrong_is_the_fault_of_whose_it_is() {
    for (server, client, expected) in [
        (600, 0, Some(Party::SiteSetUp)),
        (0, 900, Some(Party::Client)),
        // The further one.
        (600, -900, Some(Party::Client)),
        (-900, 600, Some(Party::SiteSetUp)),
        (600, -600, Some(Party::Client)),
    ] {
        let mut trace = TraceBuilder::default();
        trace.servers = servers(&[Provider::Negotiate], &stickler_model::topology::SiteSpec::default());
        trace.servers[1].clock_skew = server;
        let spec = ClientSpec { clock_skew: client, ..ClientSpec::new("alice".into(), Profile::CURL_NEGOTIATE, None) };
        trace.act(Action::AddClient(spec));
        let id = trace.start("alice");
        trace.present(id, IIS2, SKEW, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), (NotExercised, expected), "{server} {client}");
    }
}

#[test]
fn a_certificate_that_nobody_accepts_explains_a_request_that_reached_no_server_meanwhile() {
    use CertificateSpec::{AsSite, Expired, OtherName};
    for (certificate, tls, during, secured, expected) in [
        (Expired, true, true, false, SITE),
        (OtherName, true, true, false, SITE),
        (AsSite, true, true, false, BALANCER),
        (Expired, true, false, false, BALANCER),
        (Expired, true, true, true, BALANCER),
        // Nobody is shown it.
        (Expired, false, true, false, BALANCER),
    ] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].certificate = certificate;
        trace.tls = tls.then(TlsSpec::default);
        let id = during.then(|| trace.start("alice"));
        let peer = ([10, 0, 0, 80], 5_000).into();
        trace.see("iis2", What::ServerAccepted { connection: 1, peer });
        if secured {
            trace.secure_server("iis2", 1, "iis2");
        }
        trace.see("iis2", What::ServerClosed { connection: 1, how: Closed::ByPeer });
        let id = id.unwrap_or_else(|| trace.start("alice"));
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{certificate:?} {tls} {during} {secured}");
    }
}

#[test]
fn a_certificate_that_nobody_accepts_explains_nothing_of_what_another_server_has_received() {
    for (received, expected) in
        [(&[][..], SITE), (&[true], BALANCER), (&[true, false], SITE), (&[true, true], BALANCER)]
    {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].certificate = CertificateSpec::Expired;
        trace.tls = Some(TlsSpec::default());
        let id = trace.start("alice");
        for &reached in received {
            trace.send(id, 1, Leg::Anonymous);
            if reached {
                trace.reach(id, IIS1, Leg::Anonymous);
            }
        }
        trace.see("iis2", What::ServerAccepted { connection: 1, peer: ([10, 0, 0, 80], 5_000).into() });
        trace.see("iis2", What::ServerClosed { connection: 1, how: Closed::ByPeer });
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{received:?}");
    }
}

#[test]
fn settings_count_from_when_a_server_has_them() {
    for (mended, expected) in [(false, SITE), (true, BALANCER)] {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.servers[1].site.keep_alive = KeepAlive::Never;
        if mended {
            trace.act(Action::Configure(Box::new(standard::server("iis2".into()))));
            trace.pass(60);
        }
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.exchange(id, IIS2, Leg::Negotiate, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{mended}");
    }
}

#[test]
fn iis_that_is_started_anew_explains_the_connections_that_it_ended_and_nothing_later() {
    for (server, wait, expected) in
        [("iis1", 0, (NotExercised, Some(Party::InjectedFault))), ("iis2", 0, BALANCER), ("iis1", 60, BALANCER)]
    {
        let mut trace = TraceBuilder::default();
        trace.servers = standard::servers(2);
        trace.connect("alice", 1);
        if wait > 0 {
            trace.act(Action::Configure(Box::new(standard::server(server.into()))));
            trace.pass(wait);
            trace.connect("alice", 1);
        }
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.reach(id, IIS1, Leg::Anonymous);
        if wait == 0 {
            trace.act(Action::Configure(Box::new(standard::server(server.into()))));
        }
        trace.fail(id);
        assert_eq!(trace.blame(Hs1), expected, "{server} {wait}");
    }
}

fn with_public_part(windows_too: bool) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.servers = standard::servers(2);
    let anonymous = AnonymousSpec { paths: vec!["/public".into()], windows_too, ..AnonymousSpec::default() };
    trace.servers.iter_mut().for_each(|server| server.site.anonymous = anonymous.clone());
    trace
}

#[test]
fn hs5_wants_no_401_where_the_site_wants_no_logon() {
    for (path, served, expected) in
        [("/public/x?y", None, NotExercised), ("/", None, Violated), ("/public/x", Some(user("bob")), Violated)]
    {
        let mut trace = with_public_part(true);
        trace.path = path.into();
        let id = trace.start_wrong("bob");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, served);
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs5), expected, "{path}");
    }
}

/// A POST of 10 bytes. Its Negotiate leg carries `sent` bytes and is answered as if nobody had to log on. If `again` is set,
/// the client then sends the whole request once more.
fn posted(sent: u64, received: &Payload, again: bool) -> TraceBuilder {
    let mut trace = with_public_part(false);
    let body = Payload::Bytes(10);
    let id = trace.start_post("alice", &body);
    trace.see("alice", What::ClientSent { connection: 1, request: id, leg: Leg::Negotiate, length: sent });
    let number = trace.reach(id, IIS1, Leg::Negotiate);
    let (leg, status) = (Leg::Negotiate, 200);
    trace.answer(Answer { request: Some(id), route: IIS1, number, leg, status, user: None, body: received.clone() });
    trace.receive(id, 1, 200, Some(id), None);
    if again {
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, None);
    }
    trace.end(id, 200);
    trace
}

#[test]
fn a_body_that_the_client_held_back_is_the_clients_own_loss() {
    let whole = Payload::Bytes(10);
    let lost = posted(0, &Payload::Empty, false);
    assert_eq!(lost.blame(Hs4), (NotExercised, Some(Party::Client)));
    let twice = posted(0, &Payload::Empty, true);
    assert_eq!((twice.blame(Hs4), twice.grade(Fo3)), ((Ok, Some(Party::Client)), Ok));
    // Sent whole, and lost on the way; or sent once, and there twice.
    let lost_on_the_way = posted(10, &Payload::Empty, false);
    assert_eq!(lost_on_the_way.blame(Hs4), BALANCER);
    let repeated = posted(10, &whole, true);
    assert_eq!((repeated.grade(Hs4), repeated.grade(Fo3)), (Violated, Violated));
}

#[test]
fn a_request_without_a_body_has_none_to_hold_back() {
    let mut trace = with_public_part(false);
    let id = trace.start_post("alice", &Payload::Empty);
    trace.exchange_as(id, IIS1, Leg::Negotiate, 200, None);
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, None);
    trace.end(id, 200);
    assert_eq!(trace.grade(Fo3), Violated);
}

#[test]
fn a_users_account_is_looked_for_where_the_request_went_and_of_the_user_who_started_it() {
    let carol = || Identity { principal: Principal::parse(r".\carol").unwrap(), password: "C".into() };
    for (switched_before, expected) in [(true, SITE), (false, BALANCER)] {
        let mut trace = workgroup(["A", "A"]);
        seat(&mut trace, "seat", r".\alice", "A");
        if switched_before {
            trace.act(Action::SwitchUser("seat".into(), carol()));
        }
        let id = start(&mut trace, "seat", if switched_before { r".\carol" } else { r".\alice" });
        if !switched_before {
            trace.act(Action::SwitchUser("seat".into(), carol()));
        }
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.exchange(id, IIS1, Leg::Authenticate, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "nobody has an account for carol: {switched_before}");
    }
}

#[test]
fn credentials_that_are_good_on_no_server_are_wrong() {
    let mut trace = workgroup(["A", "A"]);
    seat(&mut trace, "alice", r".\alice", "wrong");
    let id = trace.start_with(Start {
        identity: Principal::parse(r".\alice"),
        credentials: Credentials::Wrong,
        ..Start::by("alice")
    });
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.exchange(id, IIS1, Leg::Authenticate, 401);
    trace.end(id, 401);
    assert_eq!((trace.grade(Hs5), trace.grade(Hs1), trace.grade(Hs2)), (Ok, NotExercised, Ok));
}
