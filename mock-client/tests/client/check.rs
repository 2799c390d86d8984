//! Tests of a health check: one request on a separate connection, which belongs to no client.

use stickler_auth::http::Scheme;
use stickler_mock_client::{Check, CheckResult, NoAnswer, check};
use stickler_model::agent::Agent;
use stickler_model::{Identity, Principal};
use stickler_net::TokioNet;

use crate::peer::Reply::{self, Close, Last, Send};
use crate::peer::{Bench, answer, bare, challenged, ok};

async fn ask(script: Vec<Reply>, user: Option<&str>) -> (Result<CheckResult, NoAnswer>, Bench) {
    let bench = Bench::new(Agent::Curl, false, vec![script]).await;
    let identity = user.map(|user| Identity { principal: Principal::new("CORP", user), password: "pw".into() });
    let ask = Check { host: "www.corp.example", uri: "/health?x=1", identity: identity.as_ref(), keep: 4 };
    let checked = check(&TokioNet, &bench.env, bench.address, &ask).await;
    (checked, bench)
}

#[tokio::test]
async fn it_logs_on_over_one_connection_and_leaves_no_id_and_no_events() {
    let script = vec![Send(bare()), Send(challenged(Scheme::Negotiate)), Send(ok())];
    let (checked, bench) = ask(script, Some("probe")).await;
    assert_eq!(checked.unwrap(), CheckResult { status: 200, logged_on: true, body: b"hell".to_vec() });
    assert_eq!(bench.events(), "");
    insta::assert_snapshot!(bench.received(), @r#"
    --- on 1
    GET /health?x=1 HTTP/1.1
    Host: www.corp.example
    User-Agent: stickler-check
    Accept: */*
    --- on 1
    GET /health?x=1 HTTP/1.1
    Host: www.corp.example
    Authorization: Negotiate <Negotiate>
    User-Agent: stickler-check
    Accept: */*
    --- on 1
    GET /health?x=1 HTTP/1.1
    Host: www.corp.example
    Authorization: Negotiate <Authenticate>
    User-Agent: stickler-check
    Accept: */*
    "#);
}

#[tokio::test]
async fn an_anonymous_one_takes_the_first_answer() {
    let (checked, _bench) = ask(vec![Send(bare())], None).await;
    assert_eq!(checked.unwrap(), CheckResult { status: 401, logged_on: false, body: b"<h1>".to_vec() });
}

#[tokio::test]
async fn a_refused_logon_is_told_from_a_missing_permission_by_the_page() {
    for (page, logged_on) in [("401 - Unauthorized", false), ("<h2>401.3 - Access is denied</h2>", true)] {
        let refused = answer("401 Unauthorized", &["WWW-Authenticate: NTLM"], page);
        let (checked, _bench) =
            ask(vec![Send(bare()), Send(challenged(Scheme::Negotiate)), Send(refused)], Some("x")).await;
        let checked = checked.unwrap();
        assert_eq!((checked.status, checked.logged_on), (401, logged_on));
    }
}

#[tokio::test]
async fn a_handshake_that_wants_another_connection_is_over() {
    let closing = bare().replace("X-Stickler", "Connection: close\r\nX-Stickler");
    let (checked, _bench) = ask(vec![Last(closing)], Some("x")).await;
    let checked = checked.unwrap();
    assert_eq!((checked.status, checked.logged_on), (401, false));
}

#[tokio::test]
async fn no_answer_is_an_error() {
    for script in [vec![Close], vec![Last("SSH-2.0\r\n".into())]] {
        let error = ask(script, None).await.0.unwrap_err();
        assert!(matches!(error, NoAnswer::Lost(_)) && error.to_string().starts_with("no answer: "), "{error}");
    }
    let cut = ok().replace("Length: 5", "Length: 9").replace("hello", "hel");
    let error = ask(vec![Last(cut)], None).await.0.unwrap_err();
    assert!(matches!(error, NoAnswer::Truncated { length: 3, .. }), "{error}");
}
