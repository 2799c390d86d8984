//! Tests of whole requests as the server receives them and as the client records them.

use stickler_auth::http::Scheme;
use stickler_model::Payload;
use stickler_model::agent::Agent;

use crate::peer::Reply::{Last, Send};
use crate::peer::{Bench, answer, bare, challenged, ok};

#[tokio::test]
async fn curl_posts_a_probe_and_then_the_body_and_keeps_silent_afterwards() {
    let script = vec![Send(challenged(Scheme::Ntlm)), Send(ok()), Send(ok())];
    let bench = Bench::new(Agent::Curl, false, vec![script]).await;
    let first = bench.ask(1, "POST", Payload::Text("name=value".into())).await;
    assert_eq!((first.status, first.requests, first.body_length), (Some(200), 2, 5));
    let second = bench.get(2).await;
    assert_eq!((second.status, second.requests), (Some(200), 1));
    insta::assert_snapshot!(bench.received(), @r#"
    --- on 1
    POST /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: NTLM <Negotiate>
    User-Agent: curl/7.88.1
    Accept: */*
    X-Stickler-Request: r1
    Content-Length: 0
    --- on 1
    POST /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: NTLM <Authenticate>
    User-Agent: curl/7.88.1
    Accept: */*
    X-Stickler-Request: r1
    Content-Length: 10

    name=value
    --- on 1
    GET /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    User-Agent: curl/7.88.1
    Accept: */*
    X-Stickler-Request: r2
    "#);
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: POST, 10 bytes, Valid, preemptive true
    connection 1 opens
    r1 sent on 1: Negotiate, 0 bytes
    r1 received on 1: 401, echoes r1, challenge
    r1 sent on 1: Authenticate, 10 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    r2 starts: GET, 0 bytes, Valid, preemptive true
    r2 sent on 1: Anonymous, 0 bytes
    r2 received on 1: 200, echoes r2
    r2 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn a_browser_asks_anonymously_and_sends_its_body_on_every_leg() {
    let script = vec![Send(bare()), Send(challenged(Scheme::Negotiate)), Send(ok())];
    let bench = Bench::new(Agent::Browser, false, vec![script]).await;
    let answer = bench.ask(1, "PUT", Payload::Text("name=value".into())).await;
    assert_eq!((answer.status, answer.requests), (Some(200), 3));
    insta::assert_snapshot!(bench.received(), @r#"
    --- on 1
    PUT /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    X-Stickler-Request: r1
    Content-Length: 10

    name=value
    --- on 1
    PUT /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: Negotiate <Negotiate>
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    X-Stickler-Request: r1
    Content-Length: 10

    name=value
    --- on 1
    PUT /a?b=c HTTP/1.1
    Host: app.corp.example:8080
    Authorization: Negotiate <Authenticate>
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium
    Accept: */*
    X-Stickler-Request: r1
    Content-Length: 10

    name=value
    "#);
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: PUT, 10 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 10 bytes
    r1 received on 1: 401, echoes r1
    r1 sent on 1: Negotiate, 10 bytes
    r1 received on 1: 401, echoes r1, challenge
    r1 sent on 1: Authenticate, 10 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn an_old_browser_starts_the_handshake_on_a_new_connection() {
    let scripts = vec![vec![Send(bare())], vec![Send(challenged(Scheme::Negotiate)), Send(ok())]];
    let bench = Bench::new(Agent::Browser, true, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 received on 1: 401, echoes r1
    connection 1 closes: Here
    connection 2 opens
    r1 sent on 2: Negotiate, 0 bytes
    r1 received on 2: 401, echoes r1, challenge
    r1 sent on 2: Authenticate, 0 bytes
    r1 received on 2: 200, echoes r1
    r1 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn a_browser_starts_over_where_curl_gives_up_when_the_challenge_leg_closes_the_connection() {
    let closing = |scheme| Last(challenged(scheme).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    let scripts =
        vec![vec![Send(bare()), closing(Scheme::Negotiate)], vec![Send(challenged(Scheme::Negotiate)), Send(ok())]];
    let bench = Bench::new(Agent::Browser, false, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.settle().await;
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 received on 1: 401, echoes r1
    r1 sent on 1: Negotiate, 0 bytes
    r1 received on 1: 401, echoes r1, challenge
    connection 1 closes: ByPeer
    connection 2 opens
    r1 sent on 2: Negotiate, 0 bytes
    r1 received on 2: 401, echoes r1, challenge
    r1 sent on 2: Authenticate, 0 bytes
    r1 received on 2: 200, echoes r1
    r1 ends: Some(200) None
    "#);

    let bench = Bench::new(Agent::Curl, false, vec![vec![closing(Scheme::Ntlm)]]).await;
    assert_eq!(bench.get(1).await.status, Some(401));
    bench.settle().await;
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive true
    connection 1 opens
    r1 sent on 1: Negotiate, 0 bytes
    r1 received on 1: 401, echoes r1, challenge
    connection 1 closes: ByPeer
    r1 ends: Some(401) None
    "#);
}

#[tokio::test]
async fn a_refused_password_ends_in_401_and_the_next_request_begins_again() {
    let refused = vec![Send(challenged(Scheme::Ntlm)), Send(bare())];
    let bench = Bench::new(Agent::Curl, false, vec![[refused.clone(), refused].concat()]).await;
    for number in [1, 2] {
        let answer = bench.get(number).await;
        assert_eq!((answer.status, answer.requests, answer.error), (Some(401), 2, None));
    }
}

#[tokio::test]
async fn what_the_application_says_is_read_and_noted_if_it_is_short_json() {
    let json = r#"{"server":"iis1","connection":1,"number":2,"user":"CORP\\bob","method":"GET","path":"/","length":0,"digest":"e3b0c44298fc1c14"}"#;
    let long = format!("{json}{}", " ".repeat(70_000));
    let reply = |body: &str| Send(answer("200 OK", &["Content-Type: application/json; charset=utf-8"], body));
    let script = vec![reply(json), reply(&long), reply("{"), Send(answer("200 OK", &[], json))];
    let bench = Bench::new(Agent::Browser, false, vec![script]).await;
    let application = bench.get(1).await.application.unwrap();
    assert_eq!(application.user.unwrap().as_str(), r"CORP\bob");
    assert!(bench.events().contains(r"received on 1: 200, echoes r1, user CORP\bob"));
    let answer = bench.get(2).await;
    assert_eq!((answer.application, answer.body_length), (None, long.len() as u64));
    assert_eq!(bench.get(3).await.application, None, "no JSON");
    assert_eq!(bench.get(4).await.application, None, "no content type");
}
