//! Tests of handshakes, and of the user who is authenticated on the connection afterwards.

use std::collections::BTreeMap;

use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::status::{NtStatus, SecStatus};
use stickler_model::event::Closed;
use stickler_model::{Leg, RequestId, What};
use tokio::task::JoinSet;

use crate::bench::{Bench, Http, authenticate, authorization, domain, initiator, token};

/// Returns the status, the substatus and the code of each answer.
fn answers(bench: &Bench) -> Vec<(u16, u16, u32)> {
    bench.take(|what| match what {
        What::ServerAnswered { status, substatus, win32, .. } => Some((status, substatus, win32)),
        _ => None,
    })
}

#[tokio::test]
async fn every_client_profile_authenticates_under_either_scheme() {
    let bench = Bench::start().await;
    for scheme in ["NTLM", "Negotiate"] {
        for profile in [
            NtlmProfile::curl(),
            NtlmProfile::browser(),
            NtlmProfile::windows(),
            NtlmProfile::ntlm2_session(),
            NtlmProfile::ntlm_v1(),
        ] {
            let mut http = bench.connect().await;
            let answer = http.login_as(scheme, "CORP", "alice", "alice-pw", profile).await;
            assert_eq!((answer.status, answer.user().as_deref()), (200, Some("CORP\\alice")));
            assert_eq!(answer.header("persistent-auth"), "true");
            let next = http.get("").await;
            assert_eq!((next.user().as_deref(), next.header("persistent-auth")), (Some("CORP\\alice"), ""));
            assert_eq!(next.app().number, 3);
        }
    }
}

#[tokio::test]
async fn an_anonymous_request_is_offered_every_provider_in_order() {
    let bench = Bench::start().await;
    let answer = bench.connect().await.get("").await;
    assert_eq!((answer.status, answer.all("www-authenticate")), (401, vec!["Negotiate", "NTLM"]));
    assert_eq!(answer.header("server"), "Microsoft-IIS/10.0");
    assert_eq!(answer.header("x-powered-by"), "ASP.NET");
}

#[tokio::test]
async fn a_wrong_password_ends_in_a_bare_401_and_nobody_is_on_the_connection() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let refused = http.login("alice", "guess").await;
    assert_eq!((refused.status, refused.all("www-authenticate")), (401, vec!["Negotiate", "NTLM"]));
    assert_eq!(http.get("").await.status, 401);
    // The connection remains usable.
    assert_eq!(http.login("alice", "alice-pw").await.status, 200);
}

#[tokio::test]
async fn an_authenticate_on_another_connection_has_no_context() {
    let bench = Bench::start().await;
    let (mut one, mut other) = (bench.connect().await, bench.connect().await);
    let (negotiate, initiator) = initiator("CORP", "alice", "alice-pw", NtlmProfile::curl());
    let challenge = one.get(&authorization("NTLM", &negotiate)).await;
    let leg = authorization("NTLM", &authenticate(initiator, &token(&challenge, "NTLM")));
    assert_eq!(other.get(&leg).await.status, 401);
    assert_eq!(answers(&bench)[1], (401, 1, SecStatus::INVALID_TOKEN.0));
    assert!(bench.take(|what| matches!(what, What::DcLogon { .. }).then_some(())).is_empty());
    // On the connection that it belongs to, the leg is still valid once.
    assert_eq!(one.get(&leg).await.status, 200);
    assert_eq!(one.get(&leg).await.status, 401);
}

#[tokio::test]
async fn a_bare_request_in_the_middle_of_a_handshake_drops_it() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let (negotiate, initiator) = initiator("CORP", "alice", "alice-pw", NtlmProfile::curl());
    let challenge = http.get(&authorization("NTLM", &negotiate)).await;
    assert_eq!(http.get("").await.status, 401);
    let leg = authorization("NTLM", &authenticate(initiator, &token(&challenge, "NTLM")));
    assert_eq!(http.get(&leg).await.status, 401);
}

#[tokio::test]
async fn a_new_handshake_replaces_the_user() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    http.login("alice", "alice-pw").await;
    assert_eq!(http.login("bob", "bob-pw").await.user().as_deref(), Some("CORP\\bob"));
    // The first leg alone clears the old identity.
    let (negotiate, _) = initiator("CORP", "alice", "alice-pw", NtlmProfile::curl());
    http.get(&authorization("NTLM", &negotiate)).await;
    assert_eq!(http.get("").await.status, 401);
}

#[tokio::test]
async fn a_forbidden_user_is_authenticated_and_refused() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    let refused = http.login_as("Negotiate", "CORP", "eve", "eve-pw", NtlmProfile::curl()).await;
    assert_eq!((refused.status, refused.header("persistent-auth")), (401, ""));
    let mut other = bench.connect().await;
    other.login("alice", "alice-pw").await;
    assert_eq!(other.request("GET", "/forbidden/x", "", b"").await.status, 401);
    assert_eq!(other.get("").await.user().as_deref(), Some("CORP\\alice"));
    let refusals = bench.take(|what| match what {
        What::ServerAnswered { status: 401, substatus: 3, win32, user, processed, .. } => {
            Some((win32, user.unwrap().to_string(), processed))
        }
        _ => None,
    });
    assert_eq!(refusals, [(5, "CORP\\eve".to_owned(), false), (5, "CORP\\alice".to_owned(), false)]);
}

#[tokio::test]
async fn an_account_that_was_locked_out_says_so_in_the_log_alone() {
    let bench = Bench::with(domain(Some(1)), |site| site).await;
    let mut http = bench.connect().await;
    let wrong = http.login("alice", "guess").await;
    let locked = http.login("alice", "alice-pw").await;
    assert_eq!((wrong.status, &wrong.headers, wrong.body), (locked.status, &locked.headers, locked.body));
    assert_eq!(answers(&bench)[3], (401, 1, 1909));
}

#[tokio::test]
async fn the_servers_logons_carry_the_numbers_of_the_dcs() {
    let bench = Bench::start().await;
    let web = bench.web;
    let mut logins = JoinSet::new();
    for index in 0..40_u32 {
        let password = if index.is_multiple_of(3) { "guess" } else { "alice-pw" };
        logins.spawn(async move { Http::connect(web).await.login("alice", password).await.status });
    }
    let statuses = logins.join_all().await;
    let (mut of_dc, mut of_server) = (BTreeMap::new(), BTreeMap::new());
    for event in bench.journal.take() {
        match event.what {
            What::DcLogon { logon, status, .. } => _ = of_dc.insert(logon, status),
            What::ServerLogon { logon, status, .. } => _ = of_server.insert(logon, status),
            _ => (),
        }
    }
    assert_eq!(of_dc, of_server);
    assert!(of_dc.keys().copied().eq(1..=40));
    let good = of_dc.values().filter(|status| **status == NtStatus::SUCCESS.0).count();
    assert_eq!((good, statuses.iter().filter(|status| **status == 200).count()), (26, 26));
}

#[tokio::test]
async fn the_trace_tells_each_leg_with_its_request() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    http.get("X-Stickler-Request: r7\r\n").await;
    http.login("alice", "alice-pw").await;
    let echoed = http.get("X-Stickler-Request: r9\r\n").await;
    assert_eq!(echoed.header("x-stickler-request"), "r9");
    drop(http);
    let mut closed = Vec::new();
    let mut legs = Vec::new();
    while closed.is_empty() {
        tokio::task::yield_now().await;
        for event in bench.journal.take() {
            match event.what {
                What::ServerReceived { connection: 1, number, request, leg } => legs.push((number, request, leg)),
                What::ServerClosed { connection: 1, how } => closed.push(how),
                _ => (),
            }
        }
    }
    assert_eq!(
        legs,
        [
            (1, Some(RequestId(7)), Leg::Anonymous),
            (2, None, Leg::Negotiate),
            (3, None, Leg::Authenticate),
            (4, Some(RequestId(9)), Leg::Anonymous)
        ]
    );
    assert_eq!(closed, [Closed::ByPeer]);
}

#[tokio::test]
async fn a_server_that_is_started_again_goes_on_numbering_its_connections() {
    let mut bench = Bench::start().await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.app().connection, 1);
    bench.restart_web().await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.app().connection, 2);
    let logons = bench.take(|what| if let What::DcLogon { logon, .. } = what { Some(logon) } else { None });
    assert_eq!(logons, [1, 2]);
}
