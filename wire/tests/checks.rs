//! Tests of health checks on real sockets: by command, and with and without a logon.
#![cfg(unix)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_lb_core::Backend;
use stickler_lb_core::health::{CheckRule, Expect, Probe};
use stickler_lb_proxy::health::Prober;
use stickler_mock_client::{Check, check_on};
use stickler_model::topology::{ControllerSpec, PartnerSpec, TlsSpec, UpstreamTls, UserSpec};
use stickler_model::{BalancerSpec, Clock, Entropy, Env, Identity, Journal, Principal, Topology, standard};
use stickler_net::{Net as _, TokioNet};
use stickler_site::Balancer;
use stickler_tls::{ClientTls, Secured};
use stickler_wire::{CheckCommand, CheckFailure, Options, Site, StartError, WallClock};
use tokio::time::{Instant, sleep, timeout};

/// The password of the check's user, which is not in any argument of this test either.
const PASSWORD: &str = "Probe-Pa55word";

fn named(balancer: &str) -> Balancer {
    Balancer::of(&BalancerSpec::named(balancer)).expect("the catalogue has it")
}

fn monitor() -> Identity {
    Identity { principal: Principal::new("CORP", "probe"), password: PASSWORD.into() }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands").join(name)
}

/// A check by the command, with the failures that it reported.
struct Asked {
    command: CheckCommand,
    told: Arc<Mutex<Vec<CheckFailure>>>,
}

impl Asked {
    fn of(program: PathBuf, find: &'static str, limit: Duration, user: Option<&Identity>) -> Self {
        let told = Arc::<Mutex<Vec<_>>>::default();
        let sink = Arc::clone(&told);
        let probe = Probe::Logon { uri: "/reports?q=3".into(), find: find.into(), forbidden_is_up: false };
        let rule = CheckRule { probe, timeout: limit, ..CheckRule::TCP };
        let failed = move |failure| sink.lock().unwrap().push(failure);
        Self { command: CheckCommand::new(program, &rule, user, Some(Arc::new(failed))), told }
    }

    async fn is_up(&self) -> bool {
        let backend = Backend { name: "iis1".into(), address: SocketAddr::from(([127, 0, 0, 1], 8080)) };
        self.command.probe(0, &backend).await
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

const PLENTY: Duration = Duration::from_secs(30);

/// Returns a file name that no other test uses, as long as the process lives.
fn marker(test: &str) -> &'static str {
    let path = std::env::temp_dir().join(format!("stickler-check-{test}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path.to_str().expect("the temporary directory has a plain name").to_owned().leak()
}

#[tokio::test]
async fn exit_0_means_up_and_any_other_end_is_told_with_what_the_command_said() {
    let user = monitor();
    let up = Asked::of(script("up.sh"), "", PLENTY, Some(&user));
    assert!(up.is_up().await);
    assert_eq!(up.told(), "");
    let down = Asked::of(script("tells.sh"), "Sales report", PLENTY, Some(&user));
    assert!(!down.is_up().await);
    let said = "the check of iis1 failed: the command ended with exit status: 3; it said: \
                5 arguments: 127.0.0.1 8080 /reports?q=3 CORP\\probe Sales report\\npassword: Probe-Pa55word";
    assert_eq!(down.told(), said);
    let nobody = Asked::of(script("tells.sh"), "", PLENTY, None);
    assert!(!nobody.is_up().await);
    assert!(
        nobody.told().ends_with("5 arguments: 127.0.0.1 8080 /reports?q=3  \\npassword: none"),
        "{}",
        nobody.told()
    );
}

#[tokio::test]
async fn the_password_is_in_the_environment_and_in_no_arguments() {
    let user = monitor();
    let secret = Asked::of(script("secret.sh"), "", PLENTY, Some(&user));
    assert!(secret.is_up().await, "{}", secret.told());
    let betrayed = Asked::of(script("secret.sh"), PASSWORD, PLENTY, Some(&user));
    assert!(!betrayed.is_up().await, "the script would see it");
    assert!(betrayed.told().contains("exit status: 2"), "{}", betrayed.told());
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_at_its_limit_with_all_that_it_started() {
    let marker = marker("hangs");
    let hangs = Asked::of(script("hangs.sh"), marker, Duration::from_millis(300), None);
    let began = Instant::now();
    assert!(!hangs.is_up().await);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(
        hangs.told(),
        "the check of iis1 failed: the command did not end within 300ms and was killed; it said: began"
    );
    sleep(Duration::from_millis(1300)).await;
    assert!(!Path::new(marker).exists(), "its child has survived");
}

#[tokio::test]
async fn a_check_that_is_dropped_kills_its_command_and_one_that_is_not_does_not() {
    let (dropped, left) = (marker("dropped"), marker("left"));
    let (first, second) =
        (Asked::of(script("hangs.sh"), dropped, PLENTY, None), { Asked::of(script("hangs.sh"), left, PLENTY, None) });
    assert!(timeout(Duration::from_millis(300), first.is_up()).await.is_err());
    assert!(second.is_up().await);
    sleep(Duration::from_millis(300)).await;
    assert!(!Path::new(dropped).exists(), "its child has survived");
    assert!(Path::new(left).exists(), "the file shows who has survived");
    std::fs::remove_file(left).unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_and_not_waited_for() {
    let marker = marker("leaves");
    let leaves = Asked::of(script("leaves.sh"), marker, PLENTY, None);
    let began = Instant::now();
    assert!(!leaves.is_up().await);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(leaves.told(), "the check of iis1 failed: the command ended with exit status: 1; it said: gone");
    sleep(Duration::from_millis(1300)).await;
    assert!(!Path::new(marker).exists(), "its child has survived");
}

#[tokio::test]
async fn a_flood_of_output_holds_nobody_up_and_its_start_alone_is_told() {
    let floods = Asked::of(script("floods.sh"), "", PLENTY, None);
    assert!(!floods.is_up().await);
    let said = format!("it said: {}\\u{{1b}}[2Jthe end", "x".repeat(2048));
    assert!(floods.told().ends_with(&said), "{} bytes", floods.told().len());
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let missing = Asked::of("/nonexistent/check".into(), "", PLENTY, None);
    assert!(!missing.is_up().await);
    assert!(
        missing
            .told()
            .starts_with("the check of iis1 failed: the command `/nonexistent/check` cannot be run: No such file")
    );
}

/// Returns a topology with two servers that offer NTLM.
fn topology() -> Topology {
    let mut topology = Topology { monitor: Some(monitor()), ..standard::site(2) };
    topology.domain.users.push(UserSpec::new("probe", PASSWORD));
    topology
}

/// Returns a rule that is quick enough to wait for, and slow enough for a busy machine.
fn quick(probe: Probe) -> CheckRule {
    let pace = Duration::from_secs(1);
    CheckRule { probe, interval: pace, timeout: pace, rise: 1, fall: 2, ..CheckRule::TCP }
}

/// Starts a site with or without TLS.
fn secured(tls: Option<UpstreamTls>, balancer: &str, probe: Probe) -> Site {
    let mut options = Options::new(topology(), named(balancer));
    options.topology.tls = tls.map(|upstream| TlsSpec { upstream, ..TlsSpec::default() });
    options.check = Some(quick(probe));
    Site::start(options).expect("the site starts")
}

fn site(rule: CheckRule, command: Option<PathBuf>, told: &Arc<Mutex<Vec<String>>>) -> Site {
    let sink = Arc::clone(told);
    let mut options = Options::new(topology(), named("pin-on-401"));
    options.check = Some(rule);
    options.check_command = command;
    options.check_failed = Some(Arc::new(move |failure| sink.lock().unwrap().push(failure.to_string())));
    Site::start(options).expect("the site starts")
}

/// Returns the status of an anonymous request through the balancer.
async fn status(site: &Site) -> u16 {
    let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
    let journal = Journal::handing_on(Arc::clone(&clock), drop);
    let env = Env { name: "client".into(), clock, entropy: Entropy::new(1, "client"), journal };
    let asked = Check { host: "localhost", uri: "/", identity: None, keep: 0 };
    let stream = TokioNet.connect(site.front_end).await.expect("the balancer accepts");
    let stream = match &site.tls {
        None => Secured::Plain(stream),
        Some(tls) => {
            let entropy = env.entropy.clone();
            let client = ClientTls::new(&tls.authority, false, Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes)));
            client.connect("127.0.0.1", stream).await.expect("the certificate is good")
        }
    };
    check_on(stream, &env, &asked).await.expect("the balancer answers").status
}

/// Waits for this status.
async fn becomes(site: &Site, wanted: u16) {
    let until = Instant::now() + PLENTY;
    while status(site).await != wanted {
        assert!(Instant::now() < until, "no {wanted} within {PLENTY:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_site_obeys_a_command_in_place_of_its_mechanism() {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let (down, up) = (site(quick(Probe::Tcp), Some(script("tells.sh")), &told), {
        site(quick(Probe::Tcp), Some(script("up.sh")), &told)
    });
    assert_eq!(status(&up).await, 401);
    becomes(&down, 503).await;
    assert_eq!(status(&up).await, 401);
    let told = told.lock().unwrap();
    let expected = format!("5 arguments: 127.0.0.1 {} / CORP\\probe", down.servers[0].1.port());
    assert!(
        told.iter().any(|line| line.starts_with("the check of iis1 failed: ") && line.contains(&expected)),
        "{told:?}"
    );
    assert!(told.iter().any(|line| line.starts_with("the check of iis2 failed: ")), "{told:?}");
}

#[tokio::test]
async fn a_rule_that_cannot_be_kept_is_refused() {
    let mut options = Options::new(topology(), named("pin-on-401"));
    options.check = Some(CheckRule { fall: 0, ..CheckRule::TCP });
    let error = Site::start(options).expect_err("nobody is ever down");
    assert!(matches!(error, StartError::Checks(_)), "{error}");
}

/// Tests HC-1: the port and the 401 of a server are unchanged, but nobody can log on any more.
#[tokio::test]
async fn without_its_dc_a_backend_stays_up_for_a_plain_check_and_goes_down_for_one_that_logs_on() {
    tokio::join!(
        hc_1(None),
        hc_1(Some(UpstreamTls::Own)),
        hc_1(Some(UpstreamTls::Same)),
        hc_1(Some(UpstreamTls::Plain))
    );
}

/// Performs the test with or without TLS in front of the servers.
async fn hc_1(tls: Option<UpstreamTls>) {
    let plain = secured(tls, "pin-on-401", Probe::Http { uri: "/".into(), expect: Expect::ALIVE });
    let logon = Probe::Logon { uri: "/".into(), find: "CORP\\\\probe".into(), forbidden_is_up: true };
    let logs_on = secured(tls, "pin-on-401", logon);
    // This is longer than fall x interval: each check has had results, and none of them against a backend.
    for _ in 0..30 {
        sleep(Duration::from_millis(100)).await;
        assert_eq!((status(&plain).await, status(&logs_on).await), (401, 401), "{tls:?}");
    }
    plain.stop(&"dc".into()).unwrap();
    logs_on.stop(&"dc".into()).unwrap();
    becomes(&logs_on, 503).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((status(&plain).await, status(&logs_on).await), (401, 503), "{tls:?}");
}

#[tokio::test]
async fn what_there_is_in_the_simulated_world_alone_is_refused() {
    let refused = |change: fn(&mut Topology)| {
        let mut options = Options::new(topology(), named("l4-nat"));
        change(&mut options.topology);
        Site::start(options).expect_err("it is not there").to_string()
    };
    let of = |has: &str, field: &str| {
        format!("a site on real sockets has {has}: remove `{field}` from the topology, or run it in the simulation")
    };
    let controllers = refused(|it| it.controllers.push(ControllerSpec::new("dc2".into())));
    assert_eq!(controllers, of("one DC, `dc`, which is in order", "controllers"));
    assert_eq!(refused(|it| it.partner = Some(PartnerSpec::default())), of("one domain", "partner"));
    assert_eq!(refused(|it| it.front = Some(BalancerSpec::named("l4-nat"))), of("one balancer", "front"));
}

#[tokio::test]
async fn tls_is_served_on_loopback_alone_and_its_keys_are_not_the_seeds() {
    let mut options = Options::new(topology(), named("l4-nat"));
    options.topology.tls = Some(TlsSpec::default());
    options.address = [0, 0, 0, 0].into();
    let error = Site::start(options).expect_err("anybody could connect");
    assert!(matches!(error, StartError::NotLoopback(_)), "{error}");
    let (one, other) = (secured(Some(UpstreamTls::Own), "l4-nat", Probe::Tcp), {
        secured(Some(UpstreamTls::Own), "l4-nat", Probe::Tcp)
    });
    let pem = |site: &Site| site.tls.as_ref().expect("it has TLS").authority.pem();
    assert_ne!(pem(&one), pem(&other), "both have seed 0");
    assert_eq!((status(&one).await, status(&other).await), (401, 401), "by the server's certificate");
}
