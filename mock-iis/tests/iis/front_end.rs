//! Tests of the authenticator of a balancer that terminates authentication.

use std::num::NonZeroUsize;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use stickler_auth::http::{Scheme, format_token, parse_challenges};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_iis::{AuthOutcome, FrontEndAuthenticator, ServerLimits};
use stickler_model::{Principal, REQUEST_ID_HEADER, What};

use crate::bench::{Bench, authenticate, initiator};

fn headers(token: Option<&[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID_HEADER, HeaderValue::from_static("r5"));
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format_token(Scheme::Ntlm, token)).unwrap());
    }
    headers
}

async fn login(authenticator: &FrontEndAuthenticator, connection: u64, user: &str, password: &str) -> AuthOutcome {
    let (negotiate, initiator) = initiator("CORP", user, password, NtlmProfile::windows());
    let AuthOutcome::Refused { status, challenges } =
        authenticator.authenticate(connection, &headers(Some(&negotiate))).await
    else {
        panic!("a challenge is due")
    };
    assert_eq!((status, challenges.len()), (StatusCode::UNAUTHORIZED, 1));
    let challenge = parse_challenges([challenges[0].as_bytes()], 4096).unwrap().remove(0).token;
    authenticator.authenticate(connection, &headers(Some(&authenticate(initiator, &challenge)))).await
}

fn bare() -> AuthOutcome {
    let challenges = ["Negotiate", "NTLM"].map(HeaderValue::from_static).to_vec();
    AuthOutcome::Refused { status: StatusCode::UNAUTHORIZED, challenges }
}

fn authenticated(user: &str) -> AuthOutcome {
    AuthOutcome::Authenticated(Principal::new("CORP", user))
}

#[tokio::test]
async fn it_authenticates_a_user_on_the_connection_that_it_authenticated_and_until_that_closes() {
    let bench = Bench::start().await;
    let authenticator = bench.front_end(|site| site);
    assert_eq!(authenticator.authenticate(1, &headers(None)).await, bare());
    assert_eq!(login(&authenticator, 1, "alice", "alice-pw").await, authenticated("alice"));
    assert_eq!(authenticator.authenticate(1, &headers(None)).await, authenticated("alice"));
    assert_eq!(authenticator.authenticate(2, &headers(None)).await, bare());
    assert_eq!(login(&authenticator, 2, "bob", "bob-pw").await, authenticated("bob"));
    assert_eq!(authenticator.authenticate(1, &headers(None)).await, authenticated("alice"));
    authenticator.closed(1);
    assert_eq!(authenticator.authenticate(1, &headers(None)).await, bare());
    assert_eq!(authenticator.authenticate(2, &headers(None)).await, authenticated("bob"));
}

#[tokio::test]
async fn a_wrong_password_and_a_leg_without_its_challenge_are_refused() {
    let bench = Bench::start().await;
    let authenticator = bench.front_end(|site| site);
    assert_eq!(login(&authenticator, 1, "alice", "wrong").await, bare());
    let (negotiate, alices) = initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
    let AuthOutcome::Refused { challenges, .. } = authenticator.authenticate(1, &headers(Some(&negotiate))).await
    else {
        panic!()
    };
    let challenge = parse_challenges([challenges[0].as_bytes()], 4096).unwrap().remove(0).token;
    let leg = authenticate(alices, &challenge);
    assert_eq!(authenticator.authenticate(2, &headers(Some(&leg))).await, bare(), "another connection");
    assert_eq!(authenticator.authenticate(1, &headers(Some(&leg))).await, authenticated("alice"));
    let mut twice = headers(Some(&negotiate));
    twice.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
    let refused = AuthOutcome::Refused { status: StatusCode::BAD_REQUEST, challenges: Vec::new() };
    assert_eq!(authenticator.authenticate(1, &twice).await, refused);
}

#[tokio::test]
async fn its_logons_are_noted_under_its_name_and_tied_to_the_dcs() {
    let bench = Bench::start().await;
    let authenticator = bench.front_end(|site| site);
    login(&authenticator, 9, "alice", "alice-pw").await;
    let noted: Vec<String> = bench
        .journal
        .take()
        .into_iter()
        .map(|event| match event.what {
            What::DcLogon { server, logon, account, status, .. } => {
                format!("{}: {server} {logon} {account} {status}", event.by)
            }
            What::ServerLogon { connection, request, logon, account, status } => {
                format!("{}: {connection} {request:?} {logon} {account} {status}", event.by)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(noted, ["dc: lb 1 CORP\\alice 0", "lb: 9 Some(RequestId(5)) 1 CORP\\alice 0"]);
}

#[tokio::test]
async fn it_remembers_a_bounded_number_of_connections() {
    let bench = Bench::start().await;
    let limits = ServerLimits { sessions: NonZeroUsize::new(2).unwrap(), ..ServerLimits::default() };
    let authenticator = bench.front_end(|site| site.with_limits(limits));
    for connection in 1..=3 {
        assert_eq!(login(&authenticator, connection, "alice", "alice-pw").await, authenticated("alice"));
    }
    assert_eq!(authenticator.authenticate(3, &headers(None)).await, authenticated("alice"));
    assert_eq!(authenticator.authenticate(1, &headers(None)).await, bare());
}
