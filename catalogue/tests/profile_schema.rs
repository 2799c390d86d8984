//! Tests of what a profile can express: everything that a mechanism can, another profile's values, and everything that
//! the documentation lists.

use std::time::Duration;

use http::StatusCode;
use stickler_catalogue::mechanism::Kind;
use stickler_catalogue::profile::{self, Citation, Evidence};
use stickler_catalogue::{Carriage, Mechanism, Profile, defects, find, mechanisms, profiles};
use stickler_lb_core::health::rule::{CheckRule, Expect, FailureTarget, PassiveRule, Probe, Statuses};
use stickler_lb_core::policy::composed::{
    Connect, Credentials, Defects, HeaderRule, Lost, NoneLeft, OnDown, PreferLast, QueueRule, RetryRule, Rules,
};
use stickler_lb_core::policy::per_connection::{self as flows, FlowRules, FlowsOnDown};
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{
    Applied, Coupling, Covers, Extent, Host, PinKey, PinRule, Schemes, Streams, Trigger,
};
use stickler_lb_core::policy::pool::{Order, Overflow, PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{
    FlowIdle, FlowIdleEnd, HeadRule, Hops, Pipelining, ProxyProtocol, Timers, Upgrades, UpstreamHttp, texts,
};

/// Writes a mechanism as a profile and reads it back. Returns the result under the mechanism's own name.
fn read_back(mechanism: &Mechanism) -> Mechanism {
    let toml = Profile::of_mechanism(mechanism).unwrap_or_else(|error| panic!("{}: {error}", mechanism.name));
    let read = Profile::parse(toml.toml(), "written.toml").unwrap_or_else(|error| panic!("{error}\n{}", toml.toml()));
    let Mechanism { name, id, summary, defects, .. } = mechanism.clone();
    Mechanism { name, id, summary, defects, ..read[0].mechanism() }
}

#[test]
fn each_mechanism_is_a_profile_with_each_defect_that_fits() {
    let mut seen = 0;
    for mechanism in mechanisms() {
        assert_eq!(&read_back(mechanism), mechanism);
        for defect in defects() {
            if let Ok(defective) = find(&format!("{}+{}", mechanism.name, defect.id)) {
                assert_eq!(read_back(&defective), defective);
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
    for profile in profiles() {
        assert_eq!(read_back(&profile.mechanism()), profile.mechanism());
    }
}

/// Returns rules in which no field has the value that it has without a key.
fn unusual() -> Rules {
    let mask = Mask { v4: 24, v6: 56 };
    let schemes = Schemes { names: texts(&["Nego", "a \"b\""]), exact_case: true, extent: Extent::Whole };
    Rules {
        select: SelectRule {
            algorithm: Algorithm::ConsistentHash(HashKey::Source(mask)),
            weights: vec![3, 0, 256].into(),
            max_connections: Some(9),
            bound_take_turns: true,
        },
        services: texts(&["/api", "/b"]),
        queue: Some(QueueRule { length: 7 }),
        persist: Some(PersistRule::Source(SourceRule { timeout: Duration::from_millis(1500), entries: 5, mask })),
        prefer_last: PreferLast::AfterChallenge,
        pool: Some(PoolRule {
            idle: Duration::from_mins(90),
            share: Share::Aggressive,
            order: Order::Fifo,
            locations: texts(&["/x"]),
            source: Some(mask),
            per_key: Some(1),
            in_all: Some(2),
            overflow: Overflow::CloseNew,
            requests: Some(3),
            life: Some(Duration::from_hours(24)),
        }),
        pin: Some(PinRule {
            trigger: Trigger::Response(StatusCode::IM_A_TEAPOT),
            schemes: schemes.clone(),
            applied: Applied::Dedicated,
            host: Host::Repicked,
            covers: Covers::WithCredentials,
            key: PinKey::Client,
            coupling: Coupling { upstream_follows: false, downstream_follows: false, when_idle: false },
            slots: Some(4),
            picks_anyway: true,
            streams: Streams::InTurn,
        }),
        own_idle: Some(Duration::from_secs(61)),
        strip: Some(schemes),
        client_id: Some(HeaderRule { name: "X-Id".into(), overwrite: false }),
        forwarded_for: true,
        scrub: Some("X-User".into()),
        retry: RetryRule {
            connect: Connect::Same { retries: 4 },
            lost: Lost::Any,
            lost_elsewhere: true,
            carries_authenticate: false,
            pooled: true,
            unreachable: Some(StatusCode::SERVICE_UNAVAILABLE),
            broken: Some(StatusCode::GATEWAY_TIMEOUT),
        },
        credentials: Credentials::NeverPooled,
        client_requests: Some(2),
        on_down: OnDown::Moved,
        drain_moves: true,
        fails_open: true,
        none_left: NoneLeft::Closed,
        workers: Some(WorkerRule { count: 3, landing: Landing::Idle, turns: Turns::Shared }),
        defects: Defects {
            pool_steals_pinned: true,
            cleanup_drops_another: true,
            pin_crosses_services: true,
            no_pin_on_http2: true,
            streams_share_pin: true,
        },
    }
}

#[test]
fn every_field_of_the_rules_can_differ_from_its_default() {
    let expect =
        Expect { statuses: vec![Statuses::SUCCESS, Statuses { first: 401, last: 401 }].into(), find: "up".into() };
    let requests = Mechanism {
        checks: Some(CheckRule {
            probe: Probe::Http { uri: "/up".into(), expect },
            interval: Duration::from_secs(10),
            after_end: true,
            timeout: Duration::from_secs(3),
            rise: 4,
            fall: 5,
            jitter: 6,
            slow_start: Duration::from_secs(7),
        }),
        passive: Some(PassiveRule {
            fails: 8,
            within: Duration::from_secs(9),
            out_for: Duration::from_secs(11),
            blame: FailureTarget::PickedLast,
        }),
        ends_authentication: Some("X-User".into()),
        pipelining: Pipelining::Overtakes,
        hops: Hops {
            passes_connection: true,
            upgrades: Upgrades::Broken,
            tunnels: false,
            upstream: UpstreamHttp::Alpn,
            falls_back: true,
        },
        timers: Timers { client_idle: Some(Duration::from_secs(75)), answer: Duration::from_secs(30) },
        head: Some(HeadRule {
            field: Some(8_190),
            whole: Some(32_768),
            fields: Some(64),
            status: StatusCode::BAD_REQUEST,
        }),
        tls_drifts: true,
        ..Mechanism::l7_by("unusual", "", unusual())
    };
    assert_eq!(read_back(&requests), requests);
    let flows = Mechanism {
        carriage: Carriage::Splice { proxy_protocol: Some(ProxyProtocol::V2) },
        flow_idle: Some(FlowIdle { after: Duration::from_secs(350), then: FlowIdleEnd::ResetOnNext }),
        ..Mechanism::l4_by(
            "unusual",
            "",
            FlowRules {
                select: SelectRule::new(Algorithm::Hash(HashKey::FiveTuple)),
                source: Some(SourceRule { timeout: Duration::from_secs(5), entries: 6, mask: Mask { v4: 0, v6: 0 } }),
                on_down: FlowsOnDown::Silent,
                fails_open: true,
                none_left: flows::NoneLeft::Dropped,
                workers: Some(WorkerRule { count: 2, landing: Landing::RoundRobin, turns: Turns::Own }),
            },
        )
    };
    assert_eq!(read_back(&flows), flows);
    let hops = Hops { upgrades: Upgrades::Passed, tunnels: true, ..Hops::default() };
    let tunnel = Mechanism { hops, ..Mechanism::l7_by("unusual", "", Rules::PLAIN) };
    assert_eq!(read_back(&tunnel), tunnel);
    let pooled = Rules { pool: unusual().pool, ..Rules::PLAIN };
    let contradiction = Profile::of_mechanism(&Mechanism { hops, ..Mechanism::l7_by("unusual", "", pooled) });
    assert!(contradiction.unwrap_err().to_string().contains("leaves nothing to pool or to pin"));
}

#[test]
fn every_alternative_can_be_said() {
    let by = |algorithm: Algorithm| Rules { select: SelectRule::new(algorithm), ..Rules::PLAIN };
    let keys = [
        HashKey::Source(Mask::HOST),
        HashKey::SourceAndPort,
        HashKey::Uri { query: false },
        HashKey::Uri { query: true },
        HashKey::Header("X-Shard".into()),
    ];
    let hashes = keys.iter().flat_map(|key| [Algorithm::Hash(key.clone()), Algorithm::ConsistentHash(key.clone())]);
    let algorithms = [Algorithm::LeastConnections, Algorithm::Random { draws: 1 }, Algorithm::Random { draws: 2 }];
    let mut all: Vec<Rules> = hashes.chain(algorithms).map(by).collect();
    for share in [Share::Never { slots: 5 }, Share::Safe, Share::Always] {
        all.push(Rules { pool: Some(PoolRule { share, ..PoolRule::shared(Duration::from_secs(5)) }), ..Rules::PLAIN });
    }
    for trigger in [Trigger::Request, Trigger::Challenge, Trigger::AnyResponse] {
        all.push(Rules { pin: Some(PinRule { trigger, ..PinRule::ON_401 }), ..Rules::PLAIN });
    }
    for upstream in [UpstreamHttp::Alpn, UpstreamHttp::Http2] {
        let hops = Hops { upstream, ..Hops::default() };
        let mechanism = Mechanism { hops, ..Mechanism::l7_by("unusual", "", Rules::PLAIN) };
        assert_eq!(read_back(&mechanism), mechanism);
    }
    for then in [FlowIdleEnd::Closed, FlowIdleEnd::Silent] {
        let flow_idle = Some(FlowIdle { after: Duration::from_millis(1), then });
        let mechanism = Mechanism { flow_idle, ..Mechanism::l4_by("unusual", "", FlowRules::ROUND_ROBIN) };
        assert_eq!(read_back(&mechanism), mechanism);
    }
    for life in [None, Some(Duration::from_hours(1))] {
        let cookie = CookieRule { name: "SRV".into(), on_401: false, life, indirect: life.is_some() };
        all.push(Rules { persist: Some(PersistRule::Cookie(cookie)), ..Rules::PLAIN });
    }
    for landing in [Landing::Hash, Landing::Random] {
        let workers = Some(WorkerRule { count: 2, landing, turns: Turns::Own });
        all.push(Rules { workers, ..Rules::PLAIN });
    }
    for credentials in [Credentials::OwnConnection, Credentials::NotPassedOn] {
        all.push(Rules { credentials, on_down: OnDown::Closed, ..Rules::PLAIN });
    }
    all.push(Rules { none_left: NoneLeft::Status(StatusCode::GATEWAY_TIMEOUT), ..Rules::PLAIN });
    for lost in [Lost::Never, Lost::IdleRace, Lost::Idempotent] {
        all.push(Rules { retry: RetryRule { lost, ..RetryRule::SOUND }, ..Rules::PLAIN });
    }
    for rule in [
        HeadRule { field: Some(8_190), ..HeadRule::NONE },
        HeadRule { whole: Some(15_360), status: StatusCode::BAD_REQUEST, ..HeadRule::NONE },
        HeadRule { fields: Some(100), ..HeadRule::NONE },
    ] {
        let mechanism = Mechanism { head: Some(rule), ..Mechanism::l7_by("alternative", "", Rules::PLAIN) };
        assert_eq!(read_back(&mechanism), mechanism);
    }
    for rules in all {
        let mechanism = Mechanism::l7_by("alternative", "", rules);
        assert_eq!(read_back(&mechanism), mechanism);
    }
    let logon = Probe::Logon { uri: "/in".into(), find: "hello".into(), forbidden_is_up: false };
    let checked = Mechanism {
        checks: Some(CheckRule { probe: logon, ..CheckRule::TCP }),
        ..Mechanism::l4_by("alternative", "", FlowRules::ROUND_ROBIN)
    };
    assert_eq!(read_back(&checked), checked);
}

fn parse(text: &str) -> Result<Vec<Profile>, String> {
    Profile::parse(text, "mine.toml").map_err(|error| error.to_string())
}

fn rules(profile: &Profile) -> Rules {
    let Kind::Composed(rules) = profile.mechanism().kind else { panic!("it is at L7") };
    *rules
}

#[test]
fn a_profile_that_extends_another_says_what_differs_and_one_source_for_it() {
    let text = r#"
[[profile]]
name = "ours"
extends = "haproxy-safe"
config = "http-reuse never"
source = "our haproxy.cfg"

[profile.pool]
share = "never"
slots = 5

[[profile]]
name = "ours-by-port"
extends = "ours"
without = ["pin", "pool.slots", "prefer_last"]
pool.share = { is = "always", source = "the other file", evidence = "S" }
"#;
    let all = parse(text).unwrap();
    let base = rules(profiles().iter().find(|profile| profile.name == "haproxy-safe").unwrap());
    let never = Some(PoolRule { share: Share::Never { slots: 5 }, ..base.pool.clone().unwrap() });
    assert_eq!(rules(&all[0]), Rules { pool: never, ..base.clone() });
    assert_eq!((&*all[0].product, &*all[0].config), ("HAProxy", "http-reuse never"));
    let always = PoolRule { share: Share::Always, ..base.pool.clone().unwrap() };
    let expected = Rules { pool: Some(always), pin: None, prefer_last: PreferLast::Never, ..base };
    assert_eq!(rules(&all[1]), expected);
    let cited = |what: &str| all[0].facts.iter().find(|fact| fact.what == what).unwrap().citation.clone();
    let own = Citation::Known { source: "our haproxy.cfg".into(), evidence: Evidence::Remembered };
    assert_eq!(cited("pool.slots"), own);
    assert_ne!(cited("pool.idle"), own);
    // A profile that travels with a run does not depend on the catalogue.
    for profile in &all {
        assert_eq!(parse(profile.toml()).unwrap(), std::slice::from_ref(profile), "{}", profile.toml());
        assert!(!profile.toml().contains("extends"), "{}", profile.toml());
    }
}

#[test]
fn a_mechanism_can_be_extended_and_a_shipped_profile_is_read_as_it_is_printed() {
    let text = "[[profile]]\nname = \"ours\"\nextends = \"pin-on-401\"\nsource = \"a wish\"\nscrub = \"X-User\"\n";
    let ours = parse(text).unwrap();
    let Some(base) = find("pin-on-401").unwrap().rules().cloned() else { panic!("it is at L7") };
    assert_eq!(rules(&ours[0]), Rules { scrub: Some("X-User".into()), ..base });
    for profile in profiles() {
        assert_eq!(parse(profile.toml()).unwrap(), std::slice::from_ref(profile));
    }
}

#[test]
fn what_extends_nothing_or_leaves_out_what_is_not_there_is_told() {
    let told = |text: &str| parse(&format!("[[profile]]\nname = \"ours\"\n{text}")).unwrap_err();
    let unknown = told("extends = \"haproxy-saef\"\n");
    assert!(
        unknown.contains("no profile or mechanism called `haproxy-saef` to extend; did you mean `haproxy-safe`?"),
        "{unknown}"
    );
    let absent = told("extends = \"haproxy-safe\"\nwithout = [\"pins\"]\n");
    assert!(absent.contains("there is no `pins` in what this profile extends"), "{absent}");
    let layer = told("extends = \"haproxy-safe\"\nlayer = \"L4\"\n");
    assert!(layer.contains("`haproxy-safe`, which this extends, is at L7"), "{layer}");
    let bare = told("extends = \"haproxy-safe\"\npool.share = \"always\"\n");
    assert!(bare.contains("`pool.share` has no source"), "{bare}");
    let evidence = told("extends = \"haproxy-safe\"\nevidence = \"S\"\n");
    assert!(evidence.contains("`evidence` needs a `source`"), "{evidence}");
    assert!(told("product = \"p\"\n").contains("missing field `group`"));
    assert!(parse("[[profil]]\n").unwrap_err().contains("unknown field `profil`, expected `profile`"));
}

#[test]
fn the_documentation_of_the_schema_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profile-schema.md");
    let schema = profile::schema();
    if std::env::var_os("STICKLER_UPDATE").is_some() {
        std::fs::write(path, &schema).expect("the documentation can be written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == schema, "docs/profile-schema.md differs from the code; STICKLER_UPDATE=1 writes it anew");
    for key in [
        "`share`, required",
        "`carriage` (L4)",
        "`prefer_last` (L7)",
        "## `[profile.check]`\n",
        "## `[profile.pin]` (L7)",
    ] {
        assert!(schema.contains(key), "{key}");
    }
    assert!(schema.lines().all(|line| line.chars().count() <= 150));
}
