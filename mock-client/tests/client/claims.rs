//! Tests of cookies and of headers that a script adds: the bytes that are sent, and the events that are recorded.

use stickler_auth::http::Scheme;
use stickler_model::agent::Agent;
use stickler_model::event::Credentials;
use stickler_model::trace::Promises;
use stickler_model::{Profile, RequestId, RequestSpec};

use crate::peer::Reply::Send;
use crate::peer::{Bench, answer, bare, challenged, ok};

fn promises() -> Promises {
    Promises { cookie: Some("SRV".into()), trusted_header: Some("X-User".into()), ..Promises::default() }
}

fn setting(cookie: &str) -> String {
    let line = format!("Set-Cookie: {cookie}; Path=/; HttpOnly");
    answer("200 OK", &["Set-Cookie: other=1", &line], "hello")
}

async fn forge(bench: &Bench, number: u32, headers: &[(&str, &str)]) -> stickler_model::Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = RequestSpec { headers, ..RequestSpec::new("alice".into(), "GET", "/") };
    bench.client.request(RequestId(number), &spec, Credentials::Valid).await
}

#[tokio::test]
async fn a_cookie_is_kept_sent_on_each_leg_and_noted_by_the_promised_name() {
    let moved = bare().replace("X-Stickler", "Set-Cookie: SRV=two\r\nX-Stickler");
    let scripts = vec![vec![Send(setting("SRV=one")), Send(moved), Send(challenged(Scheme::Negotiate)), Send(ok())]];
    let bench = Bench::with(Profile::BROWSER, promises(), |spec| spec, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    assert_eq!(bench.get(2).await.requests, 3);
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 receives cookie one on 1
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    r2 starts: GET, 0 bytes, Valid, preemptive false
    r2 sends cookie one on 1
    r2 sent on 1: Anonymous, 0 bytes
    r2 receives cookie two on 1
    r2 received on 1: 401, echoes r2
    r2 sends cookie two on 1
    r2 sent on 1: Negotiate, 0 bytes
    r2 received on 1: 401, echoes r2, challenge
    r2 sends cookie two on 1
    r2 sent on 1: Authenticate, 0 bytes
    r2 received on 1: 200, echoes r2
    r2 ends: Some(200) None
    "#);
    insta::assert_snapshot!(bench.received(), @r#"
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    X-Stickler-Request: r1
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    Cookie: other=1; SRV=one
    X-Stickler-Request: r2
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: Negotiate <Negotiate>
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    Cookie: other=1; SRV=two
    X-Stickler-Request: r2
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: Negotiate <Authenticate>
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    Cookie: other=1; SRV=two
    X-Stickler-Request: r2
    "#);
}

#[tokio::test]
async fn a_client_without_a_jar_sends_none_back_and_notes_what_it_received() {
    let scripts = vec![vec![Send(setting("SRV=one")), Send(ok())]];
    let bench = Bench::with(Profile { cookies: false, ..Profile::BROWSER }, promises(), |spec| spec, scripts).await;
    bench.get(1).await;
    bench.get(2).await;
    assert!(!bench.received().contains("Cookie:"), "{}", bench.received());
    let events = bench.events();
    assert!(events.contains("r1 receives cookie one on 1") && !events.contains("sends cookie"), "{events}");
}

#[tokio::test]
async fn a_forged_cookie_takes_the_place_of_the_jars_for_one_request() {
    let scripts = vec![vec![Send(setting("SRV=one")), Send(ok()), Send(ok())]];
    let bench = Bench::with(Profile::BROWSER, promises(), |spec| spec, scripts).await;
    bench.get(1).await;
    forge(&bench, 2, &[("Cookie", "SRV=forged")]).await;
    bench.get(3).await;
    let cookies: Vec<String> =
        bench.received().lines().filter(|line| line.starts_with("Cookie")).map(str::to_owned).collect();
    assert_eq!(cookies, ["Cookie: SRV=forged", "Cookie: other=1; SRV=one"]);
    let events = bench.events();
    assert!(events.contains("r2 sends cookie forged on 1\nr2 sent on 1"), "{events}");
}

#[tokio::test]
async fn a_scripts_headers_go_out_on_each_leg_and_a_claim_is_noted_before_it() {
    let scripts = vec![vec![Send(challenged(Scheme::Ntlm)), Send(ok())]];
    let profile = Profile { agent: Agent::Curl, ..Profile::CURL };
    let bench = Bench::with(profile, promises(), |spec| spec, scripts).await;
    forge(&bench, 1, &[("x-user", "CORP\\bob"), ("X-More", "1"), ("X-More", "2"), ("User-Agent", "other")]).await;
    let received = bench.received();
    assert_eq!(received.matches("x-user: CORP\\bob\nX-More: 1\nX-More: 2\nUser-Agent: other").count(), 2, "{received}");
    assert!(!received.contains("curl"));
    let events = bench.events();
    assert_eq!(events.matches("r1 claims CORP\\bob on 1\nr1 sent on 1").count(), 2, "{events}");
}

#[tokio::test]
async fn headers_that_are_not_the_scripts_or_not_https_are_refused() {
    let bench = Bench::new(Agent::Curl, false, vec![]).await;
    for (header, expected) in [
        (("Content-Length", "7"), "the client itself sets the header `content-length`"),
        (("X-Stickler-Request", "r9"), "the client itself sets the header `x-stickler-request`"),
        (("two words", "x"), "`two words` is not the name of a header field"),
        (("X", "a\nb"), "the header `x` cannot have the value"),
    ] {
        let error = forge(&bench, 1, &[header]).await.error.unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
}
