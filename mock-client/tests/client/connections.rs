//! Tests of connections that are reused, lost, silent or closed.

use std::time::Duration;

use stickler_auth::http::Scheme;
use stickler_mock_client::RequestLimits;
use stickler_model::agent::Agent;
use stickler_model::event::Credentials;
use stickler_model::{Payload, RequestId, RequestSpec};
use tokio::join;

use crate::peer::Reply::{Close, Last, Send, Silence};
use crate::peer::{Bench, answer, bare, challenged, ok};

#[tokio::test]
async fn a_second_request_in_flight_opens_a_second_connection_and_both_are_used_again() {
    let scripts = vec![vec![Send(ok()), Send(ok())], vec![Send(ok()), Send(ok())]];
    let bench = Bench::new(Agent::Browser, false, scripts).await;
    let (first, second) = join!(bench.get(1), bench.get(2));
    assert_eq!((first.status, second.status), (Some(200), Some(200)));
    let (third, fourth) = join!(bench.get(3), bench.get(4));
    assert_eq!((third.status, fourth.status), (Some(200), Some(200)));
    assert_eq!(bench.events().matches("opens").count(), 2);
}

#[tokio::test]
async fn wininet_holds_a_body_back_where_it_expects_a_challenge_and_takes_what_comes_for_the_answer() {
    // The folder `/` has challenged the client. The second connection begins with the Negotiate leg, without the body.
    for (then, requests, processed) in
        [(vec![Send(challenged(Scheme::Ntlm)), Send(ok())], 2, "Authenticate, 7 bytes"), (vec![Send(ok())], 1, "")]
    {
        let first = vec![Send(bare_ntlm()), Send(challenged(Scheme::Ntlm)), Last(ok())];
        let bench = Bench::new(Agent::Wininet, false, vec![first, then]).await;
        assert_eq!(bench.get(1).await.status, Some(200));
        bench.settle().await;
        bench.events();
        let answer = bench.ask(2, "POST", Payload::Text("a=1&b=2".into())).await;
        assert_eq!((answer.status, answer.requests), (Some(200), requests));
        let events = bench.events();
        assert!(events.contains("r2 sent on 2: Negotiate, 0 bytes") && events.contains(processed), "{events}");
    }
    // A client that was never challenged sends the body at once, and so does a browser that was challenged.
    let whole = "r2 sent on 2: Anonymous, 7 bytes";
    for (agent, first) in [
        (Agent::Wininet, vec![Last(ok())]),
        (Agent::Browser, vec![Send(bare_ntlm()), Send(challenged(Scheme::Ntlm)), Last(ok())]),
    ] {
        let bench = Bench::new(agent, false, vec![first, vec![Send(ok())]]).await;
        bench.get(1).await;
        bench.settle().await;
        bench.ask(2, "POST", Payload::Text("a=1&b=2".into())).await;
        let events = bench.events();
        assert!(events.contains(whole), "{agent:?}: {events}");
    }
}

/// Returns a 401 that offers only NTLM.
fn bare_ntlm() -> String {
    answer("401 Unauthorized", &["WWW-Authenticate: NTLM"], "<h1>401</h1>")
}

#[tokio::test]
async fn an_authenticated_connection_is_preferred_to_another() {
    let scripts = vec![
        vec![Send(challenged(Scheme::Ntlm)), Send(ok()), Send(ok())],
        vec![Send(challenged(Scheme::Ntlm)), Send(bare())],
    ];
    let bench = Bench::new(Agent::Curl, false, scripts).await;
    let (first, second) = join!(bench.get(1), bench.get(2));
    assert_eq!((first.status, second.status), (Some(200), Some(401)));
    assert_eq!(bench.get(3).await.requests, 1, "no new handshake on connection 1");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used_again() {
    let scripts = vec![vec![Last(ok())], vec![Send(ok())]];
    let bench = Bench::new(Agent::Browser, false, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.settle().await;
    assert_eq!(bench.get(2).await.requests, 1);
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    connection 1 closes: ByPeer
    r2 starts: GET, 0 bytes, Valid, preemptive false
    connection 2 opens
    r2 sent on 2: Anonymous, 0 bytes
    r2 received on 2: 200, echoes r2
    r2 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn a_connection_that_closes_under_a_request_is_replaced_once_for_a_get_and_never_for_a_post() {
    let scripts = vec![vec![Send(ok()), Close], vec![Send(ok()), Close], vec![Send(ok())]];
    let bench = Bench::new(Agent::Browser, false, scripts).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    let again = bench.get(2).await;
    assert_eq!((again.status, again.requests), (Some(200), 2));
    let lost = bench.ask(3, "POST", Payload::Text("x".into())).await;
    assert_eq!((lost.status, lost.requests), (None, 1));
    assert_eq!(bench.get(4).await.status, Some(200));
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    r2 starts: GET, 0 bytes, Valid, preemptive false
    r2 sent on 1: Anonymous, 0 bytes
    connection 1 closes: ByPeer
    connection 2 opens
    r2 sent on 2: Anonymous, 0 bytes
    r2 received on 2: 200, echoes r2
    r2 ends: Some(200) None
    r3 starts: POST, 1 bytes, Valid, preemptive false
    r3 sent on 2: Anonymous, 1 bytes
    connection 2 closes: ByPeer
    r3 ends: None Some("no answer: the connection closed before the message was complete")
    r4 starts: GET, 0 bytes, Valid, preemptive false
    connection 3 opens
    r4 sent on 3: Anonymous, 0 bytes
    r4 received on 3: 200, echoes r4
    r4 ends: Some(200) None
    "#);
}

#[tokio::test]
async fn a_server_that_closes_new_connections_is_not_asked_twice() {
    let bench = Bench::new(Agent::Browser, false, vec![vec![Close]]).await;
    let answer = bench.get(1).await;
    assert_eq!(answer.error.as_deref(), Some("no answer: the connection closed before the message was complete"));
    assert_eq!(answer.requests, 1);
}

#[tokio::test]
async fn a_silent_server_runs_out_of_time_and_the_connection_closes() {
    let mut bench = Bench::new(Agent::Browser, false, vec![vec![Silence]]).await;
    bench.client =
        bench.client.with_limits(RequestLimits { time: Duration::from_millis(50), ..RequestLimits::default() });
    assert_eq!(bench.get(1).await.error.as_deref(), Some("the request timed out after 0.05 s"));
    bench.settle().await;
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    connection 1 closes: Here
    r1 ends: None Some("the request timed out after 0.05 s")
    "#);
}

#[tokio::test]
async fn disconnecting_closes_idle_connections_and_ends_requests_in_flight() {
    let scripts = vec![vec![Send(ok()), Silence], vec![Send(ok()), Silence], vec![Send(ok())]];
    let bench = Bench::new(Agent::Browser, false, scripts).await;
    let (first, second) = join!(bench.get(1), bench.get(2));
    assert_eq!((first.status, second.status), (Some(200), Some(200)));
    // One of the two connections is idle. The other waits for an answer that never comes.
    let leave = async {
        bench.settle().await;
        bench.client.disconnect();
        bench.client.disconnect();
    };
    let spec = RequestSpec::new("alice".into(), "GET", "/");
    let (waiting, ()) = join!(bench.client.request(RequestId(3), &spec, Credentials::Valid), leave);
    assert_eq!(waiting.error.as_deref(), Some("the client closed its connections"));
    bench.settle().await;
    let events = bench.events();
    assert_eq!(events.matches("closes: Here").count(), 2, "{events}");
    assert_eq!(bench.get(4).await.status, Some(200));
}

#[tokio::test]
async fn what_is_not_http_and_what_breaks_off_is_an_error() {
    let cases = [
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "the answer is not valid HTTP"),
        (
            answer("200 OK", &[], "hello").replace("Length: 5", "Length: 9"),
            "the answer broke off after 5 bytes of its body",
        ),
        (format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000)), "the answer is not valid HTTP"),
    ];
    for (text, expected) in cases {
        let bench = Bench::new(Agent::Browser, false, vec![vec![Last(text)]]).await;
        let error = bench.get(1).await.error.unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_http_cannot_carry_is_refused_before_anything_is_sent() {
    let bench = Bench::new(Agent::Browser, false, vec![]).await;
    for (method, path, expected) in
        [("G E T", "/", "`G E T` is not an HTTP method"), ("GET", "no slash", "`no slash` is not a path")]
    {
        let spec = RequestSpec::new("alice".into(), method, path);
        let answer = bench.client.request(RequestId(1), &spec, Credentials::Valid).await;
        assert!(answer.error.unwrap().starts_with(expected));
        assert_eq!(answer.requests, 0);
    }
}

#[tokio::test]
async fn a_big_body_goes_out_whole_and_is_hashed_on_its_way_in() {
    let big = Payload::Bytes(300_000);
    let bytes = String::from_utf8(vec![b'a'; 300_000]).unwrap();
    let bench = Bench::new(Agent::Browser, false, vec![vec![Send(answer("200 OK", &[], &bytes))]]).await;
    let answer = bench.ask(1, "POST", big).await;
    assert_eq!((answer.status, answer.body_length), (Some(200), 300_000));
    assert_eq!(answer.body_digest, Payload::Text(bytes).digest());
    assert!(bench.received().contains("Content-Length: 300000\n\n<"), "{}", bench.received());
}

#[tokio::test]
async fn a_client_gives_up_after_as_many_http_requests_as_it_may_send() {
    let script = vec![Send(bare()), Send(challenged(Scheme::Negotiate))];
    let mut bench = Bench::new(Agent::Browser, false, vec![script]).await;
    bench.client = bench.client.with_limits(RequestLimits { requests: 2, ..RequestLimits::default() });
    let answer = bench.get(1).await;
    assert_eq!((answer.error.as_deref(), answer.requests), (Some("the client gave up after 2 HTTP requests"), 2));
}

#[tokio::test]
async fn nobody_listens_is_an_error_that_names_the_address() {
    let bench = Bench::new(Agent::Browser, false, vec![]).await;
    bench.settle().await;
    let error = bench.get(1).await.error.unwrap();
    assert!(error.starts_with("no connection to 127.0.0.1:"), "{error}");
}
