//! Tests of the data plane, checks and raw peers on the simulated network: events occur at exact milliseconds, and in
//! the same way twice.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_catalogue::find;
use stickler_lb_core::health::{CheckRule, Expect, Probe};
use stickler_lb_core::{Attached, Backend, BackendState, Change, Control, Farm};
use stickler_lb_proxy::health;
use stickler_lb_proxy::{HttpProxyConfig, serve_l7};
use stickler_model::{Clock, Entropy, Env, Journal, Name, Time};
use stickler_net::{Listener as _, Net as _};
use stickler_sim::engine::{Engine, HostId, Settings, SimNet, SimStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PATIENCE: Duration = Duration::from_mins(5);
const HTTP: CheckRule = CheckRule {
    probe: Probe::Http { uri: stickler_lb_core::Text::Borrowed("/"), expect: Expect::ALIVE },
    timeout: Duration::from_secs(1),
    ..CheckRule::TCP
};

fn address(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 80)
}

struct EngineClock(stickler_sim::engine::Clock);

impl Clock for EngineClock {
    fn now(&self) -> Time {
        Time(self.0.nanos())
    }

    fn epoch(&self) -> u64 {
        0
    }
}

type Told = Arc<Mutex<Vec<(Time, usize, Change)>>>;

/// Backends on 10.0.0.1, .2 and so on, and a balancer on 10.0.0.100.
struct World {
    engine: Engine,
    backends: Vec<HostId>,
    balancer: SimNet,
    told: Told,
    _attached: Attached,
}

impl World {
    /// Returns a pool over backends that answer each request with these bytes, with health checks if there is a rule.
    fn new(backends: &[&'static [u8]], rule: Option<CheckRule>) -> Self {
        let mut engine = Engine::new(&Settings::default()).unwrap();
        let mut farm = Farm::default();
        let mut hosts = Vec::new();
        for (answer, last) in backends.iter().copied().zip(1..) {
            let host = engine.add_host(address(last).ip()).unwrap();
            answering(&engine.net(host), address(last), answer);
            farm.backends.push(Backend { name: Name::from(format!("iis{last}")), address: address(last) });
            hosts.push(host);
        }
        let host = engine.add_host(address(100).ip()).unwrap();
        let balancer = engine.net(host);
        let clock: Arc<dyn Clock> = Arc::new(EngineClock(engine.clock()));
        let journal = Journal::new(Arc::clone(&clock));
        let env = Env { name: Name::from("lb"), clock: Arc::clone(&clock), entropy: Entropy::new(1, "lb"), journal };
        let policy = find("shared-pool").unwrap().l7(&farm, Entropy::new(0, "test")).unwrap().unwrap();
        let service = HttpProxyConfig::new(farm.clone(), policy);
        let told = Told::default();
        let own = Arc::clone(&told);
        let attached = service.control.attach(move |backend, change| {
            own.lock().unwrap().push((clock.now(), backend, change));
        });
        if let Some(rule) = rule {
            let control: Control = service.control.clone();
            balancer.spawn(health::run(balancer.clone(), env.clone(), farm, rule, (None, None), control));
        }
        let net = balancer.clone();
        balancer.spawn(async move {
            let listener = net.bind(address(100)).await.unwrap();
            serve_l7(net, listener, env, service).await;
        });
        Self { engine, backends: hosts, balancer, told, _attached: attached }
    }

    /// Sends a request from the balancer's own host on a new connection, and returns everything that comes back.
    fn ask(&mut self, request: &'static str) -> String {
        let net = self.balancer.clone();
        let asking = async move {
            let mut stream = net.connect(address(100)).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        self.engine.run_until(asking, PATIENCE).unwrap()
    }

    fn get(&mut self) -> String {
        self.ask("GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
    }

    fn now(&self) -> Time {
        Time(self.engine.clock().nanos())
    }

    fn seconds(&mut self, seconds: u64) {
        self.engine.advance(Duration::from_secs(seconds)).unwrap();
    }

    fn told(&self) -> Vec<(Time, usize, Change)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Answers each request with these bytes, or not at all if they are empty.
fn answering(net: &SimNet, at: SocketAddr, answer: &'static [u8]) {
    let host = net.clone();
    net.spawn(async move {
        let listener = host.bind(at).await.unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            host.spawn(serve(stream, answer));
        }
    });
}

async fn serve(mut stream: SimStream, answer: &'static [u8]) {
    let mut request = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut request).await {
        if request.windows(4).any(|window| window == b"\r\n\r\n") {
            request.clear();
            let _ = stream.write_all(answer).await;
        }
    }
}

const FIRST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";
const OTHER: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 5\r\n\r\nother";

/// Runs two backends, the first of which loses its power and comes back. Returns the times to notice both events.
fn power_loss(rule: CheckRule) -> (Duration, Duration) {
    let mut world = World::new(&[FIRST, OTHER], Some(rule));
    world.seconds(7);
    assert!(world.told().is_empty(), "a 401 is alive");
    let died = world.now();
    world.engine.power_off(world.backends[0]).unwrap();
    world.seconds(20);
    let told = world.told();
    let [(down, 0, Change::State(BackendState::Down))] = told[..] else { panic!("{told:?}") };
    for _ in 0..4 {
        assert!(world.get().ends_with("other"));
    }
    let returned = world.now();
    let net = world.engine.restart(world.backends[0]).unwrap();
    answering(&net, address(1), FIRST);
    world.seconds(20);
    let told = world.told();
    let [(up, 0, Change::State(BackendState::Up))] = told[..] else { panic!("{told:?}") };
    assert!([world.get(), world.get()].iter().any(|answer| answer.ends_with("first")));
    (down - died, up - returned)
}

#[test]
fn a_loss_of_power_and_a_return_are_noticed_within_what_is_promised() {
    for probe in [Probe::Tcp, HTTP.probe] {
        let rule = CheckRule { probe, jitter: 10, ..HTTP };
        let (down, up) = power_loss(rule.clone());
        let promise = rule.promise();
        assert!(down <= promise.notice_down() && down > promise.timeout, "{down:?}");
        assert!(up <= promise.notice_up(), "{up:?}");
        assert_eq!(power_loss(rule.clone()), (down, up), "a run repeats itself");
    }
}

#[test]
fn a_backend_that_accepts_and_never_answers_is_seen_by_an_http_check_alone() {
    for (rule, seen) in [(CheckRule::TCP, false), (HTTP, true)] {
        let mut world = World::new(&[b"", OTHER], Some(rule));
        world.seconds(10);
        assert_eq!(!world.told().is_empty(), seen);
    }
}

#[test]
fn with_no_backend_left_the_answer_is_503_at_once() {
    let mut world = World::new(&[FIRST, OTHER], Some(HTTP));
    for host in world.backends.clone() {
        world.engine.crash(host).unwrap();
    }
    world.seconds(10);
    let before = world.now();
    assert!(world.get().starts_with("HTTP/1.1 503"));
    assert!(world.now() - before < Duration::from_millis(10));
}

#[test]
fn bad_answers_are_not_passed_on_and_their_connections_not_used_again() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    for (answer, status) in [
        (&b"garbage\r\n\r\n"[..], "HTTP/1.1 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx", "HTTP/1.1 502"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200",
        ),
        (b"", "HTTP/1.1 504"),
    ] {
        let mut world = World::new(&[answer], None);
        for _ in 0..2 {
            // The second request would be lost, or would get the rest of the first answer, on the same connection.
            let got = world.ask(POST);
            assert!(got.starts_with(status) && !got.contains("evil"), "{got}");
        }
    }
}
