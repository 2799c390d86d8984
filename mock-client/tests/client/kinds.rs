//! Tests of all kinds of clients except curl and the browser on Windows.

use stickler_auth::http::{Scheme, TokenKind, parse_authorization, token_kind};
use stickler_mock_iis::WebSite;
use stickler_model::agent::Agent;
use stickler_model::topology::{Checking, ProtectionSpec, Provider, SiteSpec};
use stickler_model::{Payload, Profile};

use crate::peer::Reply::Send;
use crate::peer::{Bench, answer, bare, challenged, ok};
use crate::secure::{Meets, ends};
use crate::tickets::Setup;

#[tokio::test]
async fn curl_with_anyauth_asks_with_the_whole_body_and_then_as_it_does_with_ntlm() {
    let offer = answer("401 Unauthorized", &["WWW-Authenticate: NTLM"], "");
    let script = vec![Send(offer), Send(challenged(Scheme::Ntlm)), Send(ok()), Send(ok())];
    let bench = Bench::new(Agent::CurlAnyauth, false, vec![script]).await;
    let first = bench.ask(1, "POST", Payload::Text("name=value".into())).await;
    assert_eq!((first.status, first.requests), (Some(200), 3));
    assert_eq!(bench.get(2).await.requests, 1, "the connection is authenticated");
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: POST, 10 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 10 bytes
    r1 received on 1: 401, echoes r1
    r1 sent on 1: Negotiate, 0 bytes
    r1 received on 1: 401, echoes r1, challenge
    r1 sent on 1: Authenticate, 10 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    r2 starts: GET, 0 bytes, Valid, preemptive false
    r2 sent on 1: Anonymous, 0 bytes
    r2 received on 1: 200, echoes r2
    r2 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn wget_asks_first_and_says_who_it_is_on_the_same_connection() {
    let script = vec![Send(bare()), Send(challenged(Scheme::Ntlm)), Send(ok())];
    let bench = Bench::new(Agent::Wget, false, vec![script]).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    insta::assert_snapshot!(bench.received(), @r#"
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    User-Agent: Wget/1.21.3
    Accept: */*
    X-Stickler-Request: r1
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: NTLM <Negotiate>
    User-Agent: Wget/1.21.3
    Accept: */*
    X-Stickler-Request: r1
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: NTLM <Authenticate>
    User-Agent: Wget/1.21.3
    Accept: */*
    X-Stickler-Request: r1
    "#);
}

#[tokio::test]
async fn chromium_on_linux_opens_a_second_connection_that_a_request_can_use() {
    let scripts = || vec![vec![Send(ok()), Send(ok())], vec![Send(ok())]];
    let bench = Bench::new(Agent::ChromiumLinux, false, scripts()).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.settle().await;
    let (second, third) = tokio::join!(bench.get(2), bench.get(3));
    assert_eq!((second.status, third.status), (Some(200), Some(200)));
    let events = bench.events();
    assert_eq!(events.matches("opens").count(), 2, "{events}");
    assert!(
        events.contains("r1 sent on 1") && events.contains("r2 sent on 1") && events.contains("r3 sent on 2"),
        "{events}"
    );

    let profile = Profile { preconnects: false, ..Profile::of(Agent::ChromiumLinux) };
    let bench = Bench::with(profile, stickler_model::trace::Promises::default(), |spec| spec, scripts()).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.settle().await;
    assert_eq!(bench.events().matches("opens").count(), 1, "it can be told not to");
}

#[tokio::test]
async fn a_client_that_wants_one_page_closes_with_the_proof_of_who_it_is() {
    let scripts =
        vec![vec![Send(challenged(Scheme::Ntlm)), Send(ok())], vec![Send(challenged(Scheme::Ntlm)), Send(ok())]];
    let profile = Profile { closes_with_proof: true, ..Profile::CURL };
    let bench = Bench::with(profile, stickler_model::trace::Promises::default(), |spec| spec, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.settle().await;
    assert_eq!(bench.get(2).await.status, Some(200));
    let received = bench.received();
    assert_eq!(received.matches("Connection: close").count(), 2, "{received}");
    let legs: Vec<&str> = received.split("--- on").filter(|leg| leg.contains("Connection: close")).collect();
    assert!(legs.iter().all(|leg| leg.contains("<Authenticate>")), "{received}");
    let events = bench.events();
    assert!(events.contains("connection 1 closes: Here") && events.contains("r2 sent on 2: Negotiate"), "{events}");
}

#[tokio::test]
async fn a_ticket_of_requests_kerberos_goes_as_it_is_and_others_in_spnego() {
    for (agent, kind) in [
        (Agent::RequestsKerberos, TokenKind::Kerberos),
        (Agent::CurlNegotiate, TokenKind::Spnego),
        (Agent::ChromiumLinux, TokenKind::Spnego),
    ] {
        let bench = Setup::of(Profile::of(agent)).start().await;
        let token = bench.client.first_token().await.unwrap();
        let token = parse_authorization(token.as_bytes(), 64 * 1024).unwrap();
        assert_eq!((token.scheme, token_kind(&token.token)), (Scheme::Negotiate, kind), "{agent:?}");
        let answer = bench.get(1).await;
        assert_eq!(answer.application.unwrap().user.unwrap().as_str(), "CORP\\alice", "{agent:?}");
        let story = bench.story();
        assert!(story.contains("ticket of CORP\\alice") && !story.contains("Authenticate"), "{agent:?}: {story}");
    }
}

/// Returns the length of the token with which the server answered the ticket.
async fn answered_token(agent: Agent, delegates: bool) -> usize {
    let client = if delegates { |spec| stickler_model::ClientSpec { delegates: true, ..spec } } else { |spec| spec };
    let bench = Setup { client, ..Setup::of(Profile::of(agent)) }.start().await;
    let answer = bench.get(1).await;
    assert_eq!(answer.status, Some(200), "{agent:?}");
    let field = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"));
    field.map_or(0, |(_, value)| value.len())
}

#[tokio::test]
async fn a_server_proves_itself_to_those_who_ask_it_to() {
    // A token with an AP-REP is longer than a SPNEGO token without one.
    assert!(answered_token(Agent::CurlNegotiate, false).await > 100);
    for agent in [Agent::Browser, Agent::ChromiumLinux, Agent::FirefoxLinux] {
        let length = answered_token(agent, false).await;
        assert!(length < 60, "{agent:?}: {length}");
    }
}

#[tokio::test]
async fn extended_protection_lets_in_what_binds_to_the_certificate() {
    for (agent, kerberos, expected) in [
        (Agent::Browser, true, 200),
        (Agent::Browser, false, 200),
        (Agent::ChromiumLinux, true, 401),
        (Agent::ChromiumLinux, false, 200),
        (Agent::FirefoxLinux, true, 401),
        (Agent::FirefoxLinux, false, 401),
        (Agent::RequestsKerberos, true, 200),
    ] {
        let client =
            if kerberos { |spec| spec } else { |spec| stickler_model::ClientSpec { no_kerberos: true, ..spec } };
        let protection = ProtectionSpec { checking: Checking::Require, ..ProtectionSpec::default() };
        let site = SiteSpec { protection, ..SiteSpec::default() };
        let change: fn(WebSite) -> WebSite = |site| site;
        let providers = vec![Provider::Negotiate, Provider::Ntlm];
        let tls = Some(ends(Meets::Servers, false));
        let bench = Setup { providers, site, change, tls, client, ..Setup::of(Profile::of(agent)) }.start().await;
        assert_eq!(bench.get(1).await.status, Some(expected), "{agent:?}, tickets: {kerberos}");
    }
}
