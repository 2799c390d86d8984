//! Tests of the whole of `Negotiate`: SPNEGO, tickets, and the time for which they authenticate.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::ntlm::initiator::{Credentials, InitiatorConfig as NtlmConfig};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::spnego::{Initiator, InitiatorConfig, InitiatorError, InitiatorStep, Mechanism, Package};
use stickler_auth::status::SecStatus;
use stickler_mock_iis::WebSite;
use stickler_model::topology::{
    AppPool, Checking, FileSpec, KeepAlive, ProtectionSpec, Provider, ServerSpec, SiteSpec,
};
use stickler_model::{Leg, Principal, What};

use crate::bench::{Bench, Http, NOW, Response, authorization, domain, token as challenge};
use crate::realm::{FARM, MACHINE, Realm, Use, fresh, initiator, token};

/// Starts a server with these settings, and with the keys of the account that they require.
async fn bench(providers: &[Provider], site: SiteSpec) -> Bench {
    bench_with(providers, site, |site| site).await
}

async fn bench_with(providers: &[Provider], site: SiteSpec, change: impl FnOnce(WebSite) -> WebSite) -> Bench {
    let providers = providers.to_vec();
    Bench::with_spec(domain(None), |spec| ServerSpec { providers, site, ..spec }, |site| change(with_keys(site))).await
}

fn with_keys(site: WebSite) -> WebSite {
    let keys = match site.ticket_account() {
        AppPool::Machine => Realm::new().keys("IIS1$"),
        AppPool::Service(account) => Realm::new().keys(account),
    };
    site.with_kerberos(keys)
}

fn farm() -> SiteSpec {
    SiteSpec { pool: AppPool::Service("svc-web".into()), app_pool_credentials: true, ..SiteSpec::default() }
}

const BOTH: &[Provider] = &[Provider::Negotiate, Provider::Ntlm];

/// Returns a header line with a fresh ticket of alice's for the machine.
fn ticket(round: u8) -> String {
    authorization("Negotiate", &token(Realm::new().ticket("alice", MACHINE), Use::default(), round, NOW))
}

/// Returns every `ServerTicket` event, and each answer.
fn story(bench: &Bench) -> Vec<String> {
    bench.take(|what| match what {
        What::ServerTicket { client, service, error, .. } => {
            Some(format!("ticket of {} for {service}: {error}", client.map_or("?".into(), |client| client.to_string())))
        }
        What::ServerAnswered { leg, status, substatus, win32, user, .. } => {
            let user = user.map_or(String::new(), |user| format!(" {user}"));
            Some(format!("{leg:?} {status} {substatus} {win32}{user}"))
        }
        _ => None,
    })
}

#[tokio::test]
async fn a_ticket_takes_one_leg_asks_no_dc_and_the_server_proves_itself() {
    for raw in [false, true] {
        let bench = bench(BOTH, SiteSpec::default()).await;
        let mut http = bench.connect().await;
        let mut initiator = initiator(Realm::new().ticket("alice", MACHINE), Use { raw, ..Use::default() });
        let first = initiator.start(fresh(1), NOW).unwrap();
        let answer = http.get(&authorization("Negotiate", &first)).await;
        assert_eq!((answer.status, answer.user().as_deref()), (200, Some("CORP\\alice")));
        assert_eq!(answer.header("persistent-auth"), "true");
        let InitiatorStep::Done(done) = initiator.step(&challenge(&answer, "Negotiate"), fresh(2), NOW).unwrap() else {
            panic!("an end is due")
        };
        assert_eq!((done.package, done.server_proved), (Package::Kerberos, true));
        // The connection now belongs to alice.
        let next = http.get("").await;
        assert_eq!((next.user().as_deref(), next.header("persistent-auth")), (Some("CORP\\alice"), ""));
        assert_eq!(
            story(&bench),
            [
                "ticket of CORP\\alice for HTTP/iis1.corp.example: 0",
                "Ticket 200 0 0 CORP\\alice",
                "Anonymous 200 0 0 CORP\\alice"
            ]
        );
    }
}

#[tokio::test]
async fn ntlm_goes_through_spnego_with_its_two_legs_and_both_sign_the_list() {
    let bench = bench(BOTH, SiteSpec::default()).await;
    let mut http = bench.connect().await;
    let (answer, end) = ntlm_in_spnego(&mut http, &[Mechanism::Ntlm]).await;
    assert_eq!((answer.status, answer.user().as_deref()), (200, Some("CORP\\alice")));
    assert!(end.is_some_and(|proved| proved), "the server signs too");
    assert_eq!(http.get("").await.status, 200);
    assert_eq!(
        story(&bench),
        ["Negotiate 401 1 2148074254", "Authenticate 200 0 0 CORP\\alice", "Anonymous 200 0 0 CORP\\alice"]
    );
}

/// Sends all legs of alice's NTLM under SPNEGO with this list of mechanisms. Returns the last response, and whether the
/// server has proved its identity.
async fn ntlm_in_spnego(http: &mut Http, mechanisms: &[Mechanism]) -> (Response, Option<bool>) {
    let ntlm = NtlmConfig {
        profile: NtlmProfile::windows(),
        credentials: Credentials::new("alice", "CORP", "alice-pw"),
        target_name: Some("HTTP/iis1".into()),
        channel_binding: None,
    };
    let config =
        InitiatorConfig { mechanisms: mechanisms.to_vec(), kerberos: None, ntlm: Some(Arc::new(ntlm)), raw: false };
    let mut initiator = Initiator::new(config);
    let mut leg = initiator.start(fresh(1), NOW).unwrap();
    for round in 2..6 {
        let answer = http.get(&authorization("Negotiate", &leg)).await;
        if answer.all("www-authenticate").first().is_none_or(|value| !value.starts_with("Negotiate ")) {
            return (answer, None);
        }
        match initiator.step(&challenge(&answer, "Negotiate"), fresh(round), NOW) {
            Ok(InitiatorStep::Continue(next)) => leg = next,
            Ok(InitiatorStep::Done(done)) => return (answer, Some(done.server_proved)),
            Err(_) => return (answer, None),
        }
    }
    panic!("no end of legs")
}

#[tokio::test]
async fn a_client_whose_ticket_is_no_use_here_is_switched_to_ntlm_within_spnego() {
    // This machine has no key.
    let bench = Bench::with(domain(None), |site| site).await;
    let mut http = bench.connect().await;
    let ntlm = NtlmConfig {
        profile: NtlmProfile::windows(),
        credentials: Credentials::new("alice", "CORP", "alice-pw"),
        target_name: None,
        channel_binding: None,
    };
    let (credential, _) = Realm::new().ticket("alice", MACHINE);
    let offer = stickler_auth::spnego::KerberosOffer {
        config: stickler_auth::kerberos::ap::InitiatorConfig::default(),
        credential,
    };
    let mut initiator = Initiator::new(InitiatorConfig::windows(Some(Arc::new(offer)), Some(Arc::new(ntlm))));
    let mut leg = initiator.start(fresh(1), NOW).unwrap();
    let mut last = 0;
    for round in 2..6 {
        let answer = http.get(&authorization("Negotiate", &leg)).await;
        last = answer.status;
        let Ok(InitiatorStep::Continue(next)) = initiator.step(&challenge(&answer, "Negotiate"), fresh(round), NOW)
        else {
            break;
        };
        leg = next;
    }
    assert_eq!(last, 200);
    assert_eq!(
        story(&bench),
        ["Ticket 401 1 2148074254", "Negotiate 401 1 2148074254", "Authenticate 200 0 0 CORP\\alice"]
    );
}

#[tokio::test]
async fn providers_say_what_is_offered_and_what_is_taken() {
    use Provider::{Negotiate, NegotiateKerberos, Ntlm};
    for (providers, offered, raw_ntlm, spnego_ntlm, kerberos) in [
        (&[Ntlm][..], &["NTLM"][..], false, false, false),
        (&[Negotiate], &["Negotiate"], true, true, true),
        (&[NegotiateKerberos], &["Negotiate"], false, false, true),
        (&[NegotiateKerberos, Ntlm], &["Negotiate", "NTLM"], false, false, true),
        (&[Ntlm, Negotiate], &["NTLM", "Negotiate"], true, true, true),
    ] {
        let bench = bench(providers, SiteSpec::default()).await;
        let bare = bench.connect().await.get("").await;
        assert_eq!(bare.all("www-authenticate"), offered, "{providers:?}");
        let mut http = bench.connect().await;
        assert_eq!(ntlm_in_spnego(&mut http, &[Mechanism::Ntlm]).await.0.status == 200, spnego_ntlm, "{providers:?}");
        assert_eq!(bench.connect().await.get(&ticket(1)).await.status == 200, kerberos, "{providers:?}");
        let (negotiate, _) = crate::bench::initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
        let answer = bench.connect().await.get(&authorization("Negotiate", &negotiate)).await;
        let challenged = answer.all("www-authenticate").first().is_some_and(|value| value.len() > 20);
        assert_eq!(challenged, raw_ntlm, "{providers:?}");
        if !raw_ntlm && offered.contains(&"Negotiate") {
            assert_eq!(answer.all("www-authenticate"), offered, "a refusal offers all again, bare");
        }
    }
}

#[tokio::test]
async fn without_persistence_every_request_brings_a_ticket_and_ntlm_stays_with_its_connection() {
    let bench = bench(BOTH, SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() }).await;
    let mut http = bench.connect().await;
    for round in 1..4 {
        let answer = http.get(&ticket(round)).await;
        assert_eq!((answer.user().as_deref(), answer.header("persistent-auth")), (Some("CORP\\alice"), "false"));
        assert_eq!(http.get("").await.status, 401);
    }
    // A ticket on an NTLM connection replaces the user for one request. Afterwards nobody is authenticated on the
    // connection.
    http.login("bob", "bob-pw").await;
    assert_eq!(http.get("").await.user().as_deref(), Some("CORP\\bob"));
    assert_eq!(http.get(&ticket(9)).await.user().as_deref(), Some("CORP\\alice"));
    assert_eq!(http.get("").await.status, 401);
}

#[tokio::test]
async fn a_single_request_is_all_that_either_package_is_good_for_where_the_site_says_so() {
    let bench = bench(BOTH, SiteSpec { single_request: true, ..SiteSpec::default() }).await;
    let mut http = bench.connect().await;
    assert_eq!(http.get(&ticket(1)).await.header("persistent-auth"), "false");
    assert_eq!(http.get("").await.status, 401);
    assert_eq!(http.login("bob", "bob-pw").await.status, 200);
    assert_eq!(http.get("").await.status, 401);
}

#[tokio::test]
async fn via_ends_persistence_where_the_switch_is_on() {
    const VIA: &str = "Via: 1.1 proxy\r\n";
    for on in [false, true] {
        let bench = bench(BOTH, SiteSpec { via_ends_persistence: on, ..SiteSpec::default() }).await;
        let mut http = bench.connect().await;
        assert_eq!(http.get(&(ticket(1) + VIA)).await.header("persistent-auth"), if on { "false" } else { "true" });
        assert_eq!(http.get(VIA).await.status, if on { 401 } else { 200 });
        http.login("bob", "bob-pw").await;
        assert_eq!(http.get(VIA).await.user().as_deref(), Some("CORP\\bob"), "its last request, if the switch is on");
        assert_eq!(http.get("").await.status, if on { 401 } else { 200 });
    }
}

#[tokio::test]
async fn a_replay_is_seen_at_its_host_on_any_connection_until_that_restarts_and_not_at_another() {
    let same = ticket(1);
    let mut bench = bench(BOTH, farm()).await;
    let other = self::bench(BOTH, farm()).await;
    let farm_ticket = authorization("Negotiate", &token(Realm::new().ticket("alice", FARM), Use::default(), 1, NOW));
    assert_ne!(same, farm_ticket);
    assert_eq!(bench.connect().await.get(&farm_ticket).await.status, 200);
    let replay = bench.connect().await.get(&farm_ticket).await;
    assert_eq!(replay.status, 401);
    assert_eq!(refusal(&replay), KrbErrorCode::REPEAT);
    assert_eq!(
        story(&bench)[2..],
        ["ticket of ? for HTTP/www.corp.example: 34".to_owned(), format!("Ticket 401 1 {}", SecStatus::LOGON_DENIED.0)]
    );
    assert_eq!(other.connect().await.get(&farm_ticket).await.status, 200, "nobody told the other host");
    bench.restart_web().await;
    assert_eq!(bench.connect().await.get(&farm_ticket).await.status, 200, "the cache went with the process");
}

/// Returns the code of the KRB-ERROR in a 401, which must offer the site's other schemes as well.
fn refusal(answer: &Response) -> KrbErrorCode {
    let offers = answer.all("www-authenticate");
    assert_eq!(offers[1..], ["NTLM"]);
    let token = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        offers[0].strip_prefix("Negotiate ").expect("a token is due"),
    );
    let mut client = initiator(Realm::new().ticket("alice", MACHINE), Use::default());
    client.start(fresh(1), NOW).unwrap();
    match client.step(&token.unwrap(), fresh(2), NOW) {
        Err(InitiatorError::Kerberos(stickler_auth::kerberos::ap::InitiatorError::Refused { code, .. })) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_identity_whose_key_decrypts_is_the_machines_or_the_pools_as_the_settings_say() {
    let pool = || AppPool::Service("svc-web".into());
    let machine = SiteSpec::default();
    let kernel = SiteSpec { pool: pool(), ..SiteSpec::default() };
    let user_mode = SiteSpec { pool: pool(), kernel_mode: false, ..SiteSpec::default() };
    for (site, service, good) in [
        (machine.clone(), MACHINE, true),
        (machine, FARM, false),
        (kernel.clone(), MACHINE, true),
        (kernel, FARM, false),
        (farm(), FARM, true),
        (farm(), MACHINE, false),
        (user_mode, FARM, true),
    ] {
        let bench = bench(BOTH, site.clone()).await;
        let line = authorization("Negotiate", &token(Realm::new().ticket("alice", service), Use::default(), 1, NOW));
        let answer = bench.connect().await.get(&line).await;
        assert_eq!(answer.status == 200, good, "{site:?} {service}");
        if !good {
            assert_eq!(refusal(&answer), KrbErrorCode::MODIFIED);
            assert_eq!(story(&bench)[0], format!("ticket of ? for {service}: 41"));
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_the_servers_and_may_go_on_with_it() {
    let bench = bench(BOTH, SiteSpec::default()).await;
    let mut http = bench.connect().await;
    let late = FileTime(NOW.0 + 600 * FileTime::TICKS_PER_SECOND);
    let with = Use::default();
    let mut client = initiator(Realm::new().ticket("alice", MACHINE), with);
    let first = client.start(fresh(1), late).unwrap();
    let refused = http.get(&authorization("Negotiate", &first)).await;
    assert_eq!((refused.status, refused.all("www-authenticate").len()), (401, 1));
    let error = client.step(&challenge(&refused, "Negotiate"), fresh(2), late);
    let Err(InitiatorError::Kerberos(stickler_auth::kerberos::ap::InitiatorError::Refused { code, server_time })) =
        error
    else {
        panic!("{error:?}")
    };
    assert_eq!((code, server_time), (KrbErrorCode::SKEW, NOW));
    let again = token(Realm::new().ticket("alice", MACHINE), with, 3, server_time);
    assert_eq!(http.get(&authorization("Negotiate", &again)).await.status, 200);
    assert_eq!(
        story(&bench)[..2],
        ["ticket of ? for HTTP/iis1.corp.example: 37".to_owned(), format!("Ticket 401 1 {}", SecStatus::TIME_SKEW.0)]
    );
}

#[tokio::test]
async fn extended_protection_compares_the_binding_of_tls_and_behind_a_proxy_the_service_name() {
    let (ours, proxys) = (ChannelBinding([1; 16]), ChannelBinding([2; 16]));
    let bad = SecStatus::BAD_BINDINGS.0;
    let name = SecStatus::WRONG_PRINCIPAL.0;
    for (checking, flags, tls, sent, win32) in [
        (Checking::None, 0, true, Some(proxys), 0),
        (Checking::Allow, 0, true, None, 0),
        (Checking::Allow, 0, true, Some(ours), 0),
        (Checking::Allow, 0, true, Some(proxys), bad),
        (Checking::Require, 0, true, None, bad),
        (Checking::Require, 0, true, Some(ours), 0),
        (Checking::Require, 0, true, Some(proxys), bad),
        // TLS ends at the proxy, and the farm's name is not the machine's name.
        (Checking::Require, ProtectionSpec::PROXY, true, Some(proxys), name),
        (Checking::Require, 0, false, Some(proxys), name),
        (Checking::Require, ProtectionSpec::NO_SERVICE_NAME_CHECK, false, None, 0),
    ] {
        let protection = ProtectionSpec { checking, flags, service_names: Vec::new() };
        let bind = |site: WebSite| if tls { site.with_binding(ours) } else { site };
        let bench = bench_with(BOTH, SiteSpec { protection, ..farm() }, bind).await;
        let with = Use { binding: sent, ..Use::default() };
        let line = authorization("Negotiate", &token(Realm::new().ticket("alice", FARM), with, 1, NOW));
        let status = bench.connect().await.get(&line).await.status;
        let case = format!("{checking:?} {flags} {tls} {sent:?}");
        assert_eq!(status, if win32 == 0 { 200 } else { 401 }, "{case}");
        let last = story(&bench).pop().unwrap();
        assert!(win32 == 0 || last == format!("Ticket 401 1 {win32}"), "{case}: {last}");
    }
    let service_names = vec![FARM.to_owned()];
    let listed = ProtectionSpec { checking: Checking::Require, flags: ProtectionSpec::PROXY, service_names };
    let bench = bench(BOTH, SiteSpec { protection: listed, ..farm() }).await;
    let line = authorization("Negotiate", &token(Realm::new().ticket("alice", FARM), Use::default(), 1, NOW));
    assert_eq!(bench.connect().await.get(&line).await.status, 200, "the list names the farm");
}

#[tokio::test]
async fn the_application_opens_files_as_the_user() {
    let readers = vec![Principal::new("CORP", "alice")];
    let files = vec![FileSpec { name: "plan".into(), readers }];
    let bench = bench(BOTH, SiteSpec { files, ..SiteSpec::default() }).await;
    let (mut alice, mut bob) = (bench.connect().await, bench.connect().await);
    assert_eq!(alice.get(&ticket(1)).await.status, 200);
    assert_eq!(bob.login("bob", "bob-pw").await.status, 200);
    story(&bench);
    for http in [&mut alice, &mut bob] {
        http.request("GET", "/files/plan", "", b"").await;
        http.request("GET", "/files/none", "", b"").await;
    }
    assert_eq!(
        story(&bench),
        [
            "Anonymous 200 0 0 CORP\\alice",
            "Anonymous 404 0 2 CORP\\alice",
            "Anonymous 401 3 5 CORP\\bob",
            "Anonymous 404 0 2 CORP\\bob"
        ]
    );
}

#[tokio::test]
async fn a_second_hop_is_anonymous_but_for_a_ticket_that_was_delegated() {
    let bench = bench(BOTH, SiteSpec::default()).await;
    let hop = async |http: &mut Http| http.request("GET", "/hop", "", b"").await.app().hop;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    assert_eq!(hop(&mut http).await.as_deref(), Some("anonymous"));
    http.get(&ticket(1)).await;
    assert_eq!(hop(&mut http).await.as_deref(), Some("anonymous"));
    let with = Use { delegates: true, ..Use::default() };
    let line = authorization("Negotiate", &token(Realm::new().ticket("alice", MACHINE), with, 2, NOW));
    assert_eq!(http.get(&line).await.app().hop, None, "another path asks nobody");
    assert_eq!(hop(&mut http).await.as_deref(), Some("CORP\\alice"));
}

#[tokio::test]
async fn a_401_closes_its_connection_where_the_site_keeps_none_alive_after_it() {
    for (keep_alive, after_failure, after_challenge) in [
        (KeepAlive::Always, false, false),
        (KeepAlive::ClosedByFailure, true, false),
        (KeepAlive::ClosedByChallenge, true, true),
        (KeepAlive::Never, true, true),
    ] {
        let bench = bench(BOTH, SiteSpec { keep_alive, ..SiteSpec::default() }).await;
        let mut http = bench.connect().await;
        let nobody = http.get("").await;
        assert_eq!(nobody.header("connection") == "close", keep_alive == KeepAlive::Never, "nobody tried anything");
        if keep_alive == KeepAlive::Never {
            assert!(http.is_closed().await);
            http = bench.connect().await;
        }
        let failed = http.get(&authorization("NTLM", b"NTLMSSP\0\x03\0\0\0")).await;
        assert_eq!(failed.header("connection") == "close", after_failure);
        let (negotiate, _) = crate::bench::initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
        let mut http = bench.connect().await;
        let challenged = http.get(&authorization("NTLM", &negotiate)).await;
        assert_eq!(challenged.header("connection") == "close", after_challenge);
        assert!(!after_challenge || http.is_closed().await);
    }
}

#[tokio::test]
async fn a_user_of_a_realm_that_is_not_known_is_named_by_it() {
    let bench = bench_with(BOTH, SiteSpec::default(), |site| {
        site.with_auth(|auth| auth.domains.clear()).with_domain("elsewhere.example", "ELSE")
    })
    .await;
    assert_eq!(bench.connect().await.get(&ticket(1)).await.user().as_deref(), Some("CORP.EXAMPLE\\alice"));
}

#[tokio::test]
async fn tokens_that_are_cut_or_altered_are_refused_and_the_connection_is_none_the_worse() {
    let bench = bench(BOTH, SiteSpec::default()).await;
    let mut http = bench.connect().await;
    let whole = token(Realm::new().ticket("alice", MACHINE), Use::default(), 1, NOW);
    for at in (0..whole.len()).step_by(7) {
        let cut = &whole[..at];
        let mut altered = whole.clone();
        altered[at] ^= 0x10;
        for bytes in [cut, &altered] {
            // The flipped bit may be one on which nothing depends, for example in the type of a name.
            let answer = http.get(&authorization("Negotiate", bytes)).await;
            assert!([200, 401].contains(&answer.status), "{} at {at}", answer.status);
        }
    }
    assert_eq!(http.get(&ticket(77)).await.status, 200);
    let legs = bench.take(|what| match what {
        What::ServerReceived { leg, .. } => Some(leg),
        _ => None,
    });
    assert!(legs.contains(&Leg::Malformed) && legs.contains(&Leg::Ticket));
}

#[test]
fn settings_of_iis_leave_no_mark_in_a_topology_and_others_read_back() {
    let spec = SiteSpec::default();
    assert!(spec.is_default());
    let changed = SiteSpec { persist_non_ntlm: false, keep_alive: KeepAlive::ClosedByFailure, ..farm() };
    let text = serde_json::to_string(&changed).unwrap();
    assert_eq!(serde_json::from_str::<SiteSpec>(&text).unwrap(), changed);
    assert_eq!(serde_json::from_str::<SiteSpec>("{}").unwrap(), spec);
}
