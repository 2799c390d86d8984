//! For a plan with any values that scripts can express, the written script asks for exactly that plan.

mod double;
mod recorder;

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use stickler_model::action::{CheckChange, CheckWait};
use stickler_model::agent::Agent;
use stickler_model::topology::{
    Acceptor, AnonymousSpec, AppPool, BetweenTls, CertificateSpec, Checking, ControllerSpec, DomainSpec, FileSpec,
    Http2, IisVersion, KeepAlive, LinkSpec, PartnerSpec, ProtectionSpec, Provider, Rogue, ServerSpec, ServiceSpec,
    SiteSpec, TlsSpec, Tracked, TrackedBy, TrackedCheck, UpstreamTls, UserSpec,
};
use stickler_model::{
    Action, BalancerSpec, BodySending, ClientSpec, Fault, Identity, Payload, Piece, Plan, Principal, Profile, RawSpec,
    RequestId, RequestSpec, Topology, standard,
};
use stickler_scenarios::{Scenario, Story, canonical, run, write_script};

/// Returns any text of a reasonable length, including quotes, backslashes, control characters and non-ASCII characters.
fn text() -> impl Strategy<Value = String> {
    let odd =
        select(vec!["\"", "\\", "'", "\"\"\"", "\\n", "\n", "\r\n", "\0", "\u{1b}", "\u{202e}", "ä", "𝄞", "{x}", "%s"]);
    prop_oneof![
        any::<String>().prop_map(|text| text.chars().take(40).collect()),
        vec(odd, 0..6).prop_map(|parts| parts.concat()),
        ("[a-z\r\n]{1,20}", 1..40_usize).prop_map(|(unit, count)| unit.repeat(count)),
        "[ -~]{0,300}",
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

/// Returns a time between these limits, in nanoseconds: any value, whole milliseconds, or a short time.
fn time(least: u64, most: u64) -> impl Strategy<Value = Duration> {
    let whole = (least / 1_000_000)..=(most / 1_000_000);
    prop_oneof![
        (least..=most).prop_map(Duration::from_nanos),
        whole.prop_map(move |milliseconds| Duration::from_nanos((milliseconds * 1_000_000).max(least))),
        Just(Duration::from_nanos(least.max(1_000))),
    ]
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Returns names that differ even if case is ignored.
fn plain_names(prefix: &'static str, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let numbered = move |names: Vec<String>| {
        names.iter().enumerate().map(|(number, name)| format!("{prefix}{number}{name}")).collect()
    };
    vec("[A-Za-z_-]{0,10}", count).prop_map(numbered)
}

fn accounts(prefix: &'static str) -> impl Strategy<Value = Vec<UserSpec>> {
    (plain_names(prefix, 0..4), vec(text(), 4)).prop_map(|(names, passwords)| {
        names.into_iter().zip(passwords).map(|(name, word)| UserSpec::new(name, word)).collect()
    })
}

fn acceptor() -> impl Strategy<Value = Acceptor> {
    let by = prop_oneof![Just(TrackedBy::Peer), Just(TrackedBy::Header("X-Connection".into()))];
    let check = select(vec![TrackedCheck::Nothing, TrackedCheck::ClientAddress, TrackedCheck::Token]);
    prop_oneof![
        4 => Just(Acceptor::Connection),
        1 => (by, check).prop_map(|(by, check)| Acceptor::Tracked(Tracked { by, check })),
        1 => "X-[A-Za-z_-]{1,20}".prop_map(Acceptor::TrustedHeader),
        1 => select(vec![Rogue::Garbage, Rogue::HalfHead, Rogue::HeaderFlood, Rogue::Closes]).prop_map(Acceptor::Rogue),
    ]
}

fn site() -> impl Strategy<Value = SiteSpec> {
    let flags = subsequence(vec![1_u32, 2, 4, 32], 0..=4).prop_map(|flags| flags.iter().sum());
    let protection = (select(vec![Checking::None, Checking::Allow, Checking::Require]), flags, texts());
    let pool = prop_oneof![Just(AppPool::Machine), text().prop_map(|name| AppPool::Service(format!("a{name}")))];
    let keep_alive =
        select(vec![KeepAlive::Always, KeepAlive::Never, KeepAlive::ClosedByFailure, KeepAlive::ClosedByChallenge]);
    let paths = texts().prop_map(|paths| paths.into_iter().map(|path| format!("/{path}")).collect());
    let limits = (time(1_000_000, DAY), 64..=65_534_u32, 256..=16_777_216_u32, option::of(1..=150_u16));
    let anonymous = (paths, texts(), any::<bool>());
    (pool, any::<[bool; 5]>(), keep_alive, protection, anonymous, limits).prop_map(
        |(pool, switches, keep_alive, (checking, flags, service_names), (paths, methods, windows_too), limits)| {
            SiteSpec {
                pool,
                kernel_mode: switches[0],
                app_pool_credentials: switches[1],
                persist_non_ntlm: switches[2],
                single_request: switches[3],
                via_ends_persistence: switches[4],
                keep_alive,
                connection_timeout: limits.0,
                max_field_length: limits.1,
                max_request_bytes: limits.2,
                max_concurrent_api: limits.3,
                anonymous: AnonymousSpec { paths, methods, windows_too },
                protection: ProtectionSpec { checking, flags, service_names },
                files: Vec::new(),
            }
        },
    )
}

/// Returns a server. Its name and its files are replaced by those of its position.
fn server() -> impl Strategy<Value = ServerSpec> {
    let all = vec![Provider::Ntlm, Provider::Negotiate, Provider::NegotiateKerberos, Provider::Nego2];
    let site = prop_oneof![Just(SiteSpec::default()), site()];
    let providers = prop_oneof![Just(vec![Provider::Ntlm]), subsequence(all, 0..=4)];
    let certificate = select(vec![CertificateSpec::AsSite, CertificateSpec::Own, CertificateSpec::Expired]);
    let accounts = prop_oneof![Just(Vec::new()), accounts("local")];
    let skew = prop_oneof![Just(0), -1_000_i64..1_000];
    (site, providers, certificate, accounts, skew, acceptor(), any::<[bool; 2]>()).prop_map(
        |(site, providers, certificate, accounts, clock_skew, acceptor, [old, workgroup])| ServerSpec {
            site,
            providers,
            certificate,
            accounts,
            clock_skew,
            acceptor,
            workgroup,
            version: if old { IisVersion::Iis6 } else { IisVersion::Iis10 },
            ..standard::server("iis1".into())
        },
    )
}

fn domain() -> impl Strategy<Value = DomainSpec> {
    let spread = vec((any::<bool>(), prop_oneof![3 => Just(0), 1 => 1..=1_010_u16]), 32);
    let services = vec((any::<bool>(), any::<bool>(), texts()), 0..3);
    (accounts("u"), spread, services, option::of(1..=999_u32), "[a-z]{1,9}").prop_map(
        |(added, spread, services, lockout_threshold, password)| {
            let mut domain = DomainSpec { lockout_threshold, ..standard::domain() };
            domain.users[3].password = password;
            domain.users.extend(added);
            for (user, (forbidden, groups)) in domain.users.iter_mut().zip(spread) {
                user.forbidden |= forbidden;
                user.groups = groups;
            }
            for (number, (machine, trusted_for_delegation, spns)) in services.into_iter().enumerate() {
                let account = if machine { format!("iis{number}$") } else { format!("svc-{number}") };
                if !machine {
                    domain.users.push(standard::account(account.clone()));
                }
                domain.services.push(ServiceSpec { account, spns, trusted_for_delegation });
            }
            domain
        },
    )
}

fn controllers() -> impl Strategy<Value = Vec<ControllerSpec>> {
    let one = (option::of(1..3_600_000_u64), texts(), texts(), option::of(1..=150_u16), any::<bool>());
    vec(one, 0..3).prop_map(|all| {
        let named = all.into_iter().enumerate();
        named
            .map(|(number, (slow, lacks, outdated, max_concurrent_api, requires_checksum))| ControllerSpec {
                slow: slow.map(Duration::from_millis),
                lacks,
                outdated,
                max_concurrent_api,
                requires_checksum,
                ..ControllerSpec::new(format!("dc{number}").into())
            })
            .collect()
    })
}

fn topology() -> impl Strategy<Value = Topology> {
    let upstream = select(vec![UpstreamTls::Own, UpstreamTls::Same, UpstreamTls::Plain]);
    let tls = option::of((upstream, any::<bool>()));
    let front = option::of((select(vec!["pin-on-401", "l4-nat+B6"]), any::<bool>()));
    let partner = option::of((plain_names("p", 0..3), 0..3_u8, "(T[a-z]{1,5}|Trust-Pa55word)", option::of(text())));
    let link = (0..=10_000_000_u64, 0..=10_000_000_u64);
    let readers = vec((text().prop_map(|name| format!("r{name}")), any::<bool>()), 0..3);
    let files = vec(readers, 0..3);
    let broken = option::of("[a-z\"\\\\ä]{1,40}");
    (domain(), vec(server(), 1..4), controllers(), (tls, front), partner, link, files, broken).prop_map(
        |(mut domain, mut servers, controllers, (tls, front), partner, link, files, broken)| {
            let files: Vec<FileSpec> = files.into_iter().enumerate().map(file).collect();
            for (number, server) in servers.iter_mut().enumerate() {
                server.name = format!("iis{}", number + 1).into();
                server.site.files.clone_from(&files);
                if tls.is_none() {
                    server.certificate = CertificateSpec::AsSite;
                }
            }
            let partner = partner.map(|partner| trusted(&mut domain, partner));
            let between = match front {
                Some((_, true)) => BetweenTls::Plain,
                _ => BetweenTls::Again,
            };
            Topology {
                domain,
                servers,
                controllers,
                partner,
                broken,
                front: front.map(|(name, _)| BalancerSpec::named(name)),
                tls: tls.map(|(upstream, http2)| TlsSpec { upstream, http2, between }),
                link: LinkSpec { latency: Duration::from_micros(link.0), jitter: Duration::from_micros(link.1) },
                ..standard::site(1)
            }
        },
    )
}

fn file((number, readers): (usize, Vec<(String, bool)>)) -> FileSpec {
    let reader = |(name, own): (String, bool)| Principal::new(if own { "CORP" } else { "Other" }, &name);
    FileSpec { name: format!("{number}.txt"), readers: readers.into_iter().map(reader).collect() }
}

fn trusted(
    domain: &mut DomainSpec,
    (users, trust, password, claims): (Vec<String>, u8, String, Option<String>),
) -> PartnerSpec {
    let users = users.into_iter().map(standard::account).collect();
    let own = DomainSpec { netbios: "PARTNER".into(), dns: "partner.example".into(), users, ..DomainSpec::default() };
    let mut partner = PartnerSpec::trusted(domain, own, &password);
    match trust {
        0 => {}
        1 => partner.domain.trusts[0].password = "Another-Pa55word".into(),
        _ => {
            partner.domain.trusts.clear();
            domain.trusts.clear();
        }
    }
    PartnerSpec { claims, ..partner }
}

fn identity() -> impl Strategy<Value = Identity> {
    let known = select(vec!["alice", "bob", "user01", "monitor"]).prop_map(standard::identity);
    let any = ("[A-Za-z.ä\"-]{1,9}", text(), text()).prop_map(|(domain, user, password)| Identity {
        principal: Principal::new(&domain, &format!("x{user}")),
        password,
    });
    prop_oneof![known, any]
}

/// Returns a client. Its name and its position are replaced by those of its number.
fn client() -> impl Strategy<Value = ClientSpec> {
    let agent = select(Agent::ALL.iter().map(|(_, agent)| *agent).collect::<Vec<_>>());
    let http2 = select(vec![Http2::Never, Http2::UntilChallenged, Http2::Always]);
    let host = option::of("[a-z.-]{1,20}");
    let timers = (option::of(time(1_000_000, 3_600 * SECOND)), option::of(time(1_000_000, DAY)));
    let port = option::of(1_024..=65_535_u16);
    (agent, any::<[bool; 6]>(), option::of(identity()), port, -99_999..99_999_i64, http2, (host, timers)).prop_map(
        |(agent, switches, identity, port, clock_skew, http2, (host, (patience, keep_alive)))| {
            let [cookies, preconnects, close_after_first_401, closes_with_proof, no_kerberos, delegates] = switches;
            let profile = Profile { agent, cookies, preconnects, close_after_first_401, closes_with_proof };
            ClientSpec {
                port,
                no_kerberos,
                delegates,
                clock_skew,
                host,
                http2,
                patience,
                keep_alive,
                ..ClientSpec::new("client".into(), profile, identity)
            }
        },
    )
}

fn request() -> impl Strategy<Value = RequestSpec> {
    let method = prop_oneof![
        select(vec!["GET", "POST", "PUT", "HEAD"]).prop_map(str::to_owned),
        "[A-Za-z!#$%&'*+.^_`|~-]{1,9}",
    ];
    let path = "/[-A-Za-z0-9._~!$&'()*+,;=:@/?%]{0,60}";
    let body =
        prop_oneof![Just(Payload::Empty), text().prop_map(Payload::Text), (0..9_999_u64).prop_map(Payload::Bytes)];
    let value =
        prop_oneof!["[\t -~]{0,300}", ("[ -~]{1,5}", 1..100_usize).prop_map(|(unit, count)| unit.repeat(count))];
    let headers = vec(value, 0..3);
    let sending = (any::<bool>(), option::of(any::<bool>()), option::of(1..=i64::MAX as u64))
        .prop_map(|(chunked, expect, limit_rate)| BodySending { chunked, expect, limit_rate });
    let sending = prop_oneof![Just(BodySending::default()), sending];
    (method, path, body, headers, sending).prop_map(|(method, path, body, headers, sending)| {
        let headers = headers.into_iter().enumerate().map(|(number, value)| (format!("X-{number}"), value)).collect();
        RequestSpec { method, path, body, headers, sending, client: "client".into() }
    })
}

/// A step that was drawn. Its numbers select requests and clients.
#[derive(Debug, Clone)]
enum Drawn {
    Client(Box<ClientSpec>, bool),
    /// A request by one of the clients; the last number says whether it is awaited at once, later, or not at all.
    Request(Box<RequestSpec>, usize, u8),
    Raw(Vec<String>, usize, u64),
    Switch(Identity, usize),
    Configure(Box<ServerSpec>, usize),
    Other(Action),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let change = select(vec![CheckChange::Up, CheckChange::Down]);
    let checks = (change, time(0, DAY), time(0, DAY))
        .prop_map(|(change, extra, otherwise)| Action::AwaitChecks(CheckWait { change, extra, otherwise }));
    let host = || select(vec!["iis1", "dc", "some-host"]).prop_map(stickler_model::Name::from);
    let fault = (host(), host(), 0..8_u8).prop_map(|(one, other, kind)| {
        Action::Fault(match kind {
            0 => Fault::Crash("iis1".into()),
            1 => Fault::PowerLoss(one),
            2 => Fault::Restart("iis1".into()),
            3 => Fault::Hang(one),
            4 => Fault::Resume(one),
            5 => Fault::Hold(one, other),
            6 => Fault::Release(one, other),
            _ => Fault::Reset(one, other),
        })
    });
    let drain =
        (host(), any::<bool>()).prop_map(|(host, on)| if on { Action::Drain(host) } else { Action::Undrain(host) });
    prop_oneof![
        2 => (client(), any::<bool>()).prop_map(|(client, shares)| Drawn::Client(Box::new(client), shares)),
        4 => (request(), any::<usize>(), 0..3_u8).prop_map(|(it, who, wait)| Drawn::Request(Box::new(it), who, wait)),
        2 => (texts(), any::<usize>(), 0..=3_600_000_u64).prop_map(|(raw, who, patience)| Drawn::Raw(raw, who, patience)),
        1 => (identity(), any::<usize>()).prop_map(|(identity, who)| Drawn::Switch(identity, who)),
        1 => (server(), any::<usize>()).prop_map(|(server, which)| Drawn::Configure(Box::new(server), which)),
        2 => time(0, 30 * DAY).prop_map(|time| Drawn::Other(Action::Advance(time))),
        1 => prop_oneof![checks, fault, drain].prop_map(Drawn::Other),
    ]
}

/// Assembles the steps of a plan. Ids are given in descending order.
fn plan(topology: Topology, clients: Vec<ClientSpec>, drawn: Vec<Drawn>) -> Plan {
    let mut names: Vec<String> = Vec::new();
    let mut servers = topology.servers.clone();
    let (mut steps, mut later, mut id) = (Vec::new(), Vec::new(), 1_000);
    let first = clients.into_iter().map(|client| Drawn::Client(Box::new(client), false));
    for drawn in first.chain(drawn) {
        match drawn {
            Drawn::Client(client, shares) => {
                let at = names.first().filter(|_| shares).map(|name| name.as_str().into());
                names.push(format!("c-{}", names.len()));
                steps.push(Action::AddClient(ClientSpec {
                    name: names[names.len() - 1].as_str().into(),
                    at,
                    ..*client
                }));
            }
            Drawn::Request(request, who, wait) => {
                id -= 1;
                let client = names[who % names.len()].as_str().into();
                steps.push(Action::Start { id: RequestId(id), request: RequestSpec { client, ..*request } });
                match wait {
                    0 => steps.push(Action::Await(RequestId(id))),
                    1 => later.push(Action::Await(RequestId(id))),
                    _ => {}
                }
            }
            Drawn::Raw(texts, who, patience) => {
                let bytes = texts.into_iter().map(Piece::Text).collect();
                let patience = Duration::from_millis(patience);
                steps.push(Action::SendRaw(RawSpec {
                    client: names[who % names.len()].as_str().into(),
                    bytes,
                    patience,
                }));
            }
            Drawn::Switch(identity, who) => {
                steps.push(Action::SwitchUser(names[who % names.len()].as_str().into(), identity));
            }
            Drawn::Configure(mut server, which) => {
                let which = which % servers.len();
                let here = &mut servers[which];
                server.name = here.name.clone();
                server.site.files.clone_from(&here.site.files);
                // A script cannot say that a server is IIS again.
                if server.acceptor.is_connection() {
                    server.acceptor = here.acceptor.clone();
                }
                if topology.tls.is_none() {
                    server.certificate = CertificateSpec::AsSite;
                }
                *here = (*server).clone();
                steps.push(Action::Configure(server));
            }
            Drawn::Other(action) => steps.push(action),
        }
    }
    steps.extend(later);
    Plan { seed: 7, balancer: BalancerSpec::named("l4-nat"), topology, steps }
}

fn asks() -> impl Strategy<Value = Plan> {
    let asks = request().prop_map(|request| Drawn::Request(Box::new(request), 0, 1));
    (topology(), vec(client(), 1..3), asks, vec(drawn(), 0..12)).prop_map(|(topology, clients, asks, mut drawn)| {
        drawn.insert(0, asks);
        plan(topology, clients, drawn)
    })
}

/// Returns the plan that a script asks for over a world that answers everything.
fn read(scenario: &Scenario, plan: &Plan) -> Plan {
    let (arm, recorded) = recorder::over(double::arm());
    let run = run(scenario, &plan.balancer, plan.seed, &arm);
    assert!(run.error().is_none(), "{}\n{}", run.error().unwrap(), scenario.source());
    recorded.lock().unwrap().take().expect("the script asks for something")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_read(plan in asks()) {
        plan.check().unwrap();
        let script = write_script(&plan, &Story::default()).unwrap_or_else(|error| panic!("{error}"));
        let scenario = Scenario::new("any", "any.star", &script).unwrap();
        // Names of users are equal regardless of case, so their text is compared.
        let json = |plan: &Plan| serde_json::to_string_pretty(plan).unwrap();
        prop_assert_eq!(json(&read(&scenario, &plan)), json(&canonical(&plan)), "{}", script);
    }
}
