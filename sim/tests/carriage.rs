//! Tests of the three address modes under a whole site: what the server sees, and what happens to flows to a dead
//! server.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_mock_client::{Check, Client, check};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::{Accounts, WebSite};
use stickler_model::event::{Closed, Credentials};
use stickler_model::{
    Answer, ClientSpec, Clock, Entropy, Env, Identity, Journal, Name, Profile, RequestId, RequestSpec, Time, What,
    standard,
};
use stickler_net::Net as _;
use stickler_sim::engine::{
    Clock as EngineClock, Engine, Fate, HostId, Nat, NatDecision, NatMode, NatPolicy, Settings, SimNet,
};

const FRONT_END: ([u8; 4], u16) = ([10, 0, 0, 80], 80);
const DC: ([u8; 4], u16) = ([10, 0, 0, 1], 445);
const MODES: [NatMode; 3] =
    [NatMode::Source(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 80))), NatMode::Destination, NatMode::DirectReturn];

struct WorldClock(EngineClock);

impl Clock for WorldClock {
    fn now(&self) -> Time {
        Time(self.0.nanos())
    }

    fn epoch(&self) -> u64 {
        1_767_225_600
    }
}

/// The reports of a health check: the backends that are up, and the flows that are to end.
#[derive(Default)]
struct Health {
    up: Vec<SocketAddr>,
    flows: Vec<(SocketAddr, SocketAddr)>,
}

/// A policy that chooses the first backend that is up.
#[derive(Clone)]
struct FirstUp(Arc<Mutex<Health>>);

impl NatPolicy for FirstUp {
    fn connect(&mut self, client: SocketAddr, _: SocketAddr, _: Duration) -> NatDecision {
        let mut health = self.0.lock().unwrap();
        let Some(&backend) = health.up.first() else { return NatDecision::Refuse };
        health.flows.push((client, backend));
        NatDecision::Backend(backend)
    }

    fn poll(&mut self, _: Duration) -> Option<(SocketAddr, Fate)> {
        let Health { up, flows } = &mut *self.0.lock().unwrap();
        let doomed = flows.iter().position(|(_, backend)| !up.contains(backend))?;
        Some((flows.remove(doomed).0, Fate::Reset))
    }
}

struct Stage {
    client: Client<SimNet>,
    net: SimNet,
    prober: Env,
    journal: Arc<Journal>,
    servers: Vec<HostId>,
    health: Arc<Mutex<Health>>,
    requests: u32,
    engine: Engine,
}

impl Stage {
    fn new(mode: NatMode) -> Self {
        let mut engine = Engine::new(&Settings::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(WorldClock(engine.clock()));
        let journal = Journal::new(Arc::clone(&clock));
        let env = |name: &str| Env {
            name: name.into(),
            clock: Arc::clone(&clock),
            entropy: Entropy::new(1, name),
            journal: Arc::clone(&journal),
        };
        let domain = standard::domain();
        let controller = Arc::new(DomainController::new(Directory::new(&domain)));
        let mut servers = Vec::new();
        let health = Arc::new(Mutex::new(Health::default()));
        for n in 1..=2_u8 {
            let name = Name::from(format!("iis{n}"));
            controller.join(&name, b"secret");
            let site =
                Arc::new(WebSite::new(&standard::server(name.clone()), &domain, Accounts::dc(DC.into(), b"secret")));
            let address = SocketAddr::from(([10, 0, 1, n], 80));
            let (net, env) = (host(&mut engine, address), env(name.as_str()));
            servers.push(net.host());
            health.lock().unwrap().up.push(address);
            let own = net.clone();
            net.spawn(async move {
                let listener = own.bind(address).await.unwrap();
                stickler_mock_iis::serve(own, listener, env, site).await;
            });
        }
        let (net, dc) = (host(&mut engine, DC.into()), env("dc"));
        let own = net.clone();
        net.spawn(async move {
            let listener = own.bind(DC.into()).await.unwrap();
            stickler_mock_dc::serve(own, listener, dc, controller).await;
        });
        let nat = Nat::new(FRONT_END.into(), mode, 100, FirstUp(Arc::clone(&health)));
        engine.add_router(&[IpAddr::from(FRONT_END.0)], Box::new(nat)).unwrap();
        let net = host(&mut engine, ([10, 1, 0, 1], 0).into());
        let spec = ClientSpec::new("alice".into(), Profile::CURL, Some(standard::identity("alice")));
        let client = Client::new(net.clone(), env("alice"), &spec, FRONT_END.into(), "www.corp.example".into());
        engine.settle(Duration::from_secs(1)).unwrap();
        let prober = env("lb");
        Self { client, net, prober, journal, servers, health, requests: 0, engine }
    }

    fn get(&mut self) -> Answer {
        self.requests += 1;
        let (client, id) = (self.client.clone(), RequestId(self.requests));
        let (answers, answer) = tokio::sync::oneshot::channel();
        self.net.spawn(async move {
            let spec = RequestSpec::new("alice".into(), "GET", "/");
            answers.send(client.request(id, &spec, Credentials::Valid).await).unwrap();
        });
        self.engine.run_until(answer, Duration::from_mins(1)).unwrap().unwrap()
    }

    fn take<T>(&self, pick: impl Fn(What) -> Option<T>) -> Vec<T> {
        self.journal.take().into_iter().filter_map(|event| pick(event.what)).collect()
    }
}

/// Returns what a check that logs on reports about a backend.
fn probe(stage: &mut Stage, identity: Identity) -> Result<(u16, bool), String> {
    let (net, env) = (stage.net.clone(), stage.prober.clone());
    let checked = stage.engine.run_until(
        async move {
            let ask = Check { host: "www.corp.example", uri: "/", identity: Some(&identity), keep: 10 };
            check(&net, &env, ([10, 0, 1, 1], 80).into(), &ask).await
        },
        Duration::from_secs(5),
    );
    let checked = checked.expect("in time").map_err(|error| error.to_string())?;
    Ok((checked.status, checked.logged_on))
}

#[test]
fn a_check_tells_a_good_logon_from_a_bad_one_even_for_a_user_without_permission() {
    let mut stage = Stage::new(MODES[0]);
    let (alice, monitor) = (standard::identity("alice"), standard::identity(standard::MONITOR));
    let wrong = Identity { password: "wrong".into(), ..monitor.clone() };
    assert_eq!(probe(&mut stage, alice.clone()), Ok((200, true)));
    assert_eq!(probe(&mut stage, monitor), Ok((401, true)), "401.3");
    assert_eq!(probe(&mut stage, wrong), Ok((401, false)), "401.1");
    let of_clients = stage.take(|what| match what {
        What::ClientConnected { .. } | What::ClientSent { .. } | What::RequestStarted { .. } => Some(what),
        What::ServerReceived { request, .. } => request.map(|_| what),
        _ => None,
    });
    assert!(of_clients.is_empty(), "{of_clients:?}");
    stage.engine.crash(stage.servers[0]).unwrap();
    assert!(probe(&mut stage, alice).unwrap_err().starts_with("no connection to 10.0.1.1:80"));
}

fn host(engine: &mut Engine, address: SocketAddr) -> SimNet {
    let host = engine.add_host(address.ip()).unwrap();
    engine.net(host)
}

fn server(answer: &Answer) -> &str {
    answer.application.as_ref().map_or("nobody", |application| application.server.as_str())
}

#[test]
fn a_user_logs_on_in_each_mode_and_the_server_sees_the_balancer_or_the_client() {
    for (mode, seen) in MODES.into_iter().zip(["10.0.0.80", "10.1.0.1", "10.1.0.1"]) {
        let mut stage = Stage::new(mode);
        let answer = stage.get();
        assert_eq!((answer.status, answer.requests, server(&answer)), (Some(200), 2, "iis1"), "{mode:?}");
        assert_eq!(stage.get().requests, 1, "{mode:?}: the connection stays");
        let ends = stage.take(|what| match what {
            What::ServerAccepted { peer, .. } => Some(("server", peer)),
            What::ClientConnected { local, .. } => Some(("client", local)),
            _ => None,
        });
        let [("client", local), ("server", peer)] = ends[..] else { panic!("{ends:?}") };
        assert_eq!(peer.ip().to_string(), seen, "{mode:?}");
        assert_eq!(peer == local, mode != MODES[0], "{mode:?}: with the client's own port");
    }
}

#[test]
fn flows_to_a_backend_that_hangs_are_reset_when_the_check_sees_it_and_the_client_goes_on_elsewhere() {
    for mode in MODES {
        let mut stage = Stage::new(mode);
        assert_eq!(server(&stage.get()), "iis1");
        stage.engine.freeze(stage.servers[0]);
        stage.health.lock().unwrap().up.remove(0);
        stage.engine.kick().kick();
        stage.engine.settle(Duration::from_secs(1)).unwrap();
        let closed = stage.take(|what| match what {
            What::ClientClosed { how, .. } => Some(how),
            _ => None,
        });
        assert_eq!(closed, [Closed::Broken], "{mode:?}: a RST at once");
        let answer = stage.get();
        assert_eq!((answer.status, answer.requests, server(&answer)), (Some(200), 2, "iis2"), "{mode:?}");
        // The other end has received its RST, too: it is the first packet that the server finds.
        stage.engine.thaw(stage.servers[0]);
        stage.engine.settle(Duration::from_secs(1)).unwrap();
        let closed = stage.take(|what| match what {
            What::ServerClosed { how, .. } => Some(how),
            _ => None,
        });
        assert_eq!(closed, [Closed::Broken], "{mode:?}");
    }
}
