//! Tests of servers that differ from one another and get new settings, in the simulated world.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::event::{Closed, Credentials};
use stickler_model::topology::{CertificateSpec, Provider, ServerSpec, TlsSpec, UserSpec};
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Fault, Identity, Outcome, Principal, Profile, RequestId, RequestSpec,
    Topology, What, World, WorldError, standard,
};
use stickler_sim::SimWorld;

/// A world, and the number of its last request.
struct Stage(SimWorld, u32);

impl Stage {
    fn new(balancer: &str, topology: Topology) -> Self {
        Self(SimWorld::new(topology, &BalancerSpec::named(balancer), 7).expect("the topology is sound"), 0)
    }

    fn client(&mut self, name: &str, identity: Option<Identity>, change: impl FnOnce(ClientSpec) -> ClientSpec) {
        self.act(Action::AddClient(change(ClientSpec::new(name.into(), Profile::CURL, identity))));
    }

    fn get(&mut self, client: &str) -> Answer {
        self.1 += 1;
        let id = RequestId(self.1);
        self.act(Action::Start { id, request: RequestSpec::new(client.into(), "GET", "/") });
        let Outcome::Answered(answer) = self.act(Action::Await(id)) else { panic!("a request is answered") };
        *answer
    }

    fn act(&mut self, action: Action) -> Outcome {
        self.0.perform(action).expect("the action makes sense")
    }

    fn events(self) -> Vec<What> {
        Box::new(self.0).finish().events.into_iter().map(|event| event.what).collect()
    }
}

fn local(name: &str, password: &str) -> Identity {
    Identity { principal: Principal::new(".", name), password: password.into() }
}

fn user(answer: &Answer) -> Option<&str> {
    answer.application.as_ref().and_then(|application| application.user.as_ref()).map(Principal::as_str)
}

#[test]
fn a_server_that_is_set_up_anew_ends_its_connections_and_has_the_new_settings() {
    let mut stage = Stage::new("l4-nat", standard::site(1));
    stage.client("alice", Some(standard::identity("alice")), |spec| spec);
    assert_eq!(user(&stage.get("alice")), Some("CORP\\alice"));
    let mut without_ntlm = standard::server("iis1".into());
    without_ntlm.providers = vec![Provider::Negotiate];
    stage.act(Action::Configure(Box::new(without_ntlm)));
    assert_eq!(stage.get("alice").status, Some(401), "curl --ntlm has nothing to answer Negotiate with");
    stage.act(Action::Configure(Box::new(standard::server("iis1".into()))));
    assert_eq!(user(&stage.get("alice")), Some("CORP\\alice"));
    let events = stage.events();
    let closed =
        events.iter().filter(|what| matches!(what, What::ClientClosed { how: Closed::ByPeer | Closed::Broken, .. }));
    assert!(closed.count() >= 2, "the connections of before were closed");
    let numbers: Vec<u32> = (events.iter())
        .filter_map(|what| if let What::ServerAccepted { connection, .. } = what { Some(*connection) } else { None })
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "connections are numbered on: {numbers:?}");
}

#[test]
fn a_host_that_is_down_has_its_settings_when_it_starts_and_one_that_hangs_is_started_anew() {
    let mut stage = Stage::new("l4-nat", standard::site(1));
    stage.client("alice", Some(standard::identity("alice")), |spec| spec);
    let mut changed = standard::server("iis1".into());
    changed.providers = vec![Provider::Negotiate];
    stage.act(Action::Fault(Fault::Crash("iis1".into())));
    stage.act(Action::Configure(Box::new(changed)));
    assert_eq!(stage.get("alice").status, None, "it is down still");
    stage.act(Action::Fault(Fault::Restart("iis1".into())));
    assert_eq!(stage.get("alice").status, Some(401));
    stage.act(Action::Fault(Fault::Hang("iis1".into())));
    stage.act(Action::Configure(Box::new(standard::server("iis1".into()))));
    assert_eq!(user(&stage.get("alice")), Some("CORP\\alice"));
}

#[test]
fn what_no_server_can_be_set_up_as_is_refused_and_changes_nothing() {
    let mut stage = Stage::new("l4-nat", standard::site(2));
    let nobody = stage.0.perform(Action::Configure(Box::new(standard::server("iis3".into())))).unwrap_err();
    assert_eq!(
        nobody,
        WorldError::Unknown { kind: "server", name: "iis3".into(), known: vec!["iis1".into(), "iis2".into()] }
    );
    let mut endless = standard::server("iis1".into());
    endless.site.connection_timeout = Duration::ZERO;
    let error = stage.0.perform(Action::Configure(Box::new(endless))).unwrap_err().to_string();
    assert_eq!(error, "`connection_timeout` is 0ns; it must be at least 1ms");
    let mut pool = standard::server("iis1".into());
    pool.providers = vec![Provider::Negotiate];
    pool.site.kernel_mode = false;
    pool.site.pool = stickler_model::topology::AppPool::Service("svc-none".into());
    let error = stage.0.perform(Action::Configure(Box::new(pool))).unwrap_err().to_string();
    assert_eq!(error, "`iis1` cannot run as `svc-none`: the domain has no such account");
    stage.client("alice", Some(standard::identity("alice")), |spec| spec);
    assert_eq!(user(&stage.get("alice")), Some("CORP\\alice"));
}

#[test]
fn a_server_behind_a_balancer_that_authenticates_goes_on_trusting_its_header() {
    let mut stage = Stage::new("auth-at-balancer", standard::site(1));
    stage.client("alice", Some(standard::identity("alice")), |spec| spec);
    stage.act(Action::Configure(Box::new(standard::server("iis1".into()))));
    assert_eq!(user(&stage.get("alice")), Some("CORP\\alice"));
}

#[test]
fn a_workgroup_has_no_tickets_and_accounts_of_its_own() {
    let mut topology = standard::site(2);
    for (server, password) in topology.servers.iter_mut().zip(["One", "Two"]) {
        server.workgroup = true;
        server.providers = vec![Provider::Negotiate, Provider::Ntlm];
        server.accounts = vec![UserSpec::new("alice", password)];
    }
    let mut stage = Stage::new("l4-nat", topology);
    for (client, password) in [("one", "One"), ("none", "Three")] {
        stage.client(client, Some(local("alice", password)), |mut spec| {
            spec.profile = Profile::of(Agent::Browser);
            spec
        });
    }
    let first = stage.get("one");
    assert_eq!((first.status, user(&first)), (Some(200), Some("IIS1\\alice")));
    stage.act(Action::Disconnect("one".into()));
    assert_eq!(stage.get("one").status, Some(401), "iis2 has another password");
    assert_eq!(stage.get("none").status, Some(401));
    let events = stage.events();
    let credentials: Vec<Credentials> = (events.iter())
        .filter_map(|what| if let What::RequestStarted { credentials, .. } = what { Some(*credentials) } else { None })
        .collect();
    assert_eq!(credentials, [Credentials::Valid, Credentials::Valid, Credentials::Wrong]);
    assert!(
        !events.iter().any(|what| matches!(what, What::DcLogon { .. } | What::DcTicket { .. })),
        "nobody asks a DC"
    );
}

#[test]
fn each_server_shows_the_certificate_that_its_settings_name() {
    for (certificate, works) in [
        (CertificateSpec::AsSite, true),
        (CertificateSpec::Own, true),
        (CertificateSpec::Same, true),
        (CertificateSpec::Expired, false),
        (CertificateSpec::OtherName, false),
    ] {
        let mut topology = Topology { tls: Some(TlsSpec::default()), ..standard::site(1) };
        topology.servers[0] = ServerSpec { certificate, ..standard::server("iis1".into()) };
        let mut stage = Stage::new("l4-nat", topology);
        stage.client("alice", Some(standard::identity("alice")), |spec| spec);
        let answer = stage.get("alice");
        assert_eq!(answer.status.is_some(), works, "{certificate:?}: {answer:?}");
    }
}

#[test]
fn the_clock_of_a_server_is_its_own() {
    let mut topology = standard::site(1);
    standard::accept_tickets(&mut topology, &[Provider::Negotiate]);
    for (skew, status) in [(0, 200), (299, 200), (-299, 200), (600, 401), (-600, 401)] {
        let mut topology = topology.clone();
        topology.servers[0].clock_skew = skew;
        let mut stage = Stage::new("l4-nat", topology);
        stage.client("alice", Some(standard::identity("alice")), |mut spec| {
            spec.profile = Profile::CURL_NEGOTIATE;
            spec
        });
        assert_eq!(stage.get("alice").status, Some(status), "{skew}");
    }
}

#[test]
fn a_client_closes_what_has_been_idle_for_too_long_and_waits_as_long_as_it_likes() {
    let mut stage = Stage::new("l4-nat", standard::site(1));
    let seconds = Duration::from_secs;
    stage
        .client("alice", Some(standard::identity("alice")), |spec| ClientSpec { keep_alive: Some(seconds(5)), ..spec });
    for (wait, requests) in [(0, 2), (4, 1), (4, 1), (6, 2)] {
        stage.act(Action::Advance(seconds(wait)));
        assert_eq!(stage.get("alice").requests, requests, "after {wait} s");
    }
    stage.client("bob", Some(standard::identity("bob")), |spec| ClientSpec { patience: Some(seconds(100)), ..spec });
    assert_eq!(stage.get("bob").status, Some(200));
    stage.act(Action::Fault(Fault::Hang("iis1".into())));
    let answer = stage.get("bob");
    assert_eq!((answer.error.as_deref(), answer.elapsed), (Some("the request timed out after 100 s"), seconds(100)));
}
