//! Tests of a gate before the policy, which answers, or lets requests pass with changes.

use std::sync::{Arc, Mutex};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use stickler_lb_core::{DownstreamId, Edit, RequestHead};
use stickler_lb_proxy::{Admission, BoxFuture, Gate, HttpProxyConfig, Limits};
use tokio::time::{Duration, sleep};

use crate::http2;
use crate::peers::{Bed, Server, service};

/// A gate that lets a connection pass once it has shown any credentials, and tells the backend so.
#[derive(Default)]
struct Doorman {
    known: Mutex<Vec<DownstreamId>>,
    closed: Mutex<Vec<DownstreamId>>,
    /// The connections about which the gate is being asked. It must be asked about only one request of each downstream
    /// connection at a time.
    asked: Mutex<Vec<DownstreamId>>,
}

impl Gate for Doorman {
    fn admit<'a>(&'a self, downstream: DownstreamId, head: &'a RequestHead<'a>) -> BoxFuture<'a, Admission> {
        Box::pin(async move {
            let twice = self.asked.lock().unwrap().contains(&downstream);
            assert!(!twice, "{downstream} is asked about already");
            self.asked.lock().unwrap().push(downstream);
            sleep(Duration::from_millis(1)).await; // the time for a question to a domain controller
            self.asked.lock().unwrap().retain(|other| *other != downstream);
            let mut known = self.known.lock().unwrap();
            if head.headers.contains_key(AUTHORIZATION) {
                known.push(downstream);
            }
            if known.contains(&downstream) {
                let user = HeaderName::from_static("x-remote-user");
                return Admission::Pass(vec![Edit::Set(user, HeaderValue::from_static("alice"))]);
            }
            let refusal = Response::builder().status(401).header(WWW_AUTHENTICATE, "NTLM");
            Admission::Answer(refusal.body("who are you?".into()).unwrap())
        })
    }

    fn closed(&self, downstream: DownstreamId) {
        self.closed.lock().unwrap().push(downstream);
    }
}

async fn guarded(server: &Server, limits: Limits) -> (Bed, Arc<Doorman>) {
    let doorman = Arc::new(Doorman::default());
    let gate: Arc<dyn Gate> = Arc::<Doorman>::clone(&doorman);
    let service = HttpProxyConfig { gate: Some(gate), limits, http2: true, ..service("shared-pool", &[server]) };
    (Bed::with_service(service).await, doorman)
}

#[tokio::test]
async fn a_refused_request_costs_no_backend_and_the_connection_goes_on_past_its_body() {
    let server = Server::telling().await;
    let (bed, doorman) = guarded(&server, Limits::default()).await;
    let mut client = bed.client().await;
    let (head, body) = client.ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody").await;
    assert!(head.starts_with("HTTP/1.1 401") && head.contains("www-authenticate: NTLM\r\n"), "{head}");
    assert!(!head.contains("connection: close"), "{head}");
    assert_eq!((body.as_str(), server.seen().len()), ("who are you?", 0));
    let request = "GET / HTTP/1.1\r\nHost: s\r\nX-Remote-User: mallory\r\nAuthorization: NTLM x\r\n\r\n";
    assert_eq!(client.ask(request).await.1, "1.1");
    let seen = &server.seen()[0].head;
    assert!(seen.contains("x-remote-user: alice\r\n") && !seen.contains("mallory"), "{seen}");
    assert_eq!(bed.decisions(), ["gate", "open", "pool"]);
    // A separate connection makes another client.
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 401"));
    drop(client);
    while !doorman.closed.lock().unwrap().contains(&DownstreamId(1)) {
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_body_too_long_to_drain_closes_the_connection_after_the_refusal() {
    let server = Server::telling().await;
    let (bed, _) = guarded(&server, Limits { drain: 100, ..Limits::default() }).await;
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n200\r\n{}\r\n0\r\n\r\n", "x".repeat(0x200));
    for framing in [format!("{CONTENT_LENGTH}: 101\r\n\r\n"), chunked] {
        let mut client = bed.client().await;
        let (head, _) = client.ask(&format!("POST / HTTP/1.1\r\nHost: s\r\n{framing}")).await;
        assert!(head.starts_with("HTTP/1.1 401") && head.contains("connection: close\r\n"), "{head}");
        client.until_closed().await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_refused_on_a_connection_that_goes_on() {
    let server = Server::telling().await;
    let (bed, _) = guarded(&server, Limits::default()).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert!(client.message(true).await.unwrap().0.starts_with("HTTP/1.1 100 "));
    assert!(client.ask("12345").await.0.starts_with("HTTP/1.1 401"));
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: s\r\nAuthorization: NTLM x\r\n\r\n").await.1, "1.1");
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body_and_the_connection_goes_on_after_it() {
    let server = Server::telling().await;
    let limits = Limits { request_head: Duration::from_millis(50), ..Limits::default() };
    let (bed, _) = guarded(&server, limits).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 300000\r\n\r\n").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 401") && !head.contains("connection: close"), "{head}");
    for _ in 0..3 {
        // The time for a head has passed several times before the body has ended.
        sleep(Duration::from_millis(40)).await;
        client.send(&vec![b'x'; 100_000]).await;
    }
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: s\r\nAuthorization: NTLM x\r\n\r\n").await.1, "1.1");
}

#[tokio::test]
async fn streams_are_put_to_it_one_at_a_time_and_what_it_refuses_does_not_end_the_connection() {
    let server = Server::telling().await;
    let (bed, _doorman) = guarded(&server, Limits { drain: 1, ..Limits::default() }).await;
    let (mut client, _ended) = http2::Client::to(&bed).await;
    let statuses = |answers: Vec<(StatusCode, String)>| answers.into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(statuses(http2::at_a_time(&client, 4).await), [StatusCode::UNAUTHORIZED; 4]);
    assert_eq!(client.ask(http2::post("/", "too much")).await.unwrap().0, StatusCode::UNAUTHORIZED);
    assert_eq!(client.leg("NTLM x").await, StatusCode::OK);
    assert_eq!(statuses(http2::at_a_time(&client, 4).await), [StatusCode::OK; 4]);
}

/// A gate that requires HTTP/1.1 of every client.
struct Old;

impl Gate for Old {
    fn admit<'a>(&'a self, _: DownstreamId, _: &'a RequestHead<'a>) -> BoxFuture<'a, Admission> {
        Box::pin(async { Admission::Http1Required })
    }
}

#[tokio::test]
async fn a_gate_that_is_for_http_1_1_resets_streams_and_keeps_their_connection() {
    let server = Server::telling().await;
    let service = HttpProxyConfig { gate: Some(Arc::new(Old)), http2: true, ..service("shared-pool", &[&server]) };
    let bed = Bed::with_service(service).await;
    let (mut client, _ended) = http2::Client::to(&bed).await;
    for _ in 0..2 {
        let error = client.ask(http2::post("/", "x")).await.unwrap_err();
        assert_eq!(http2::reason(&error), Some(h2::Reason::HTTP_1_1_REQUIRED), "{error:?}");
    }
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 400"), "there is no older version to go to");
    assert!(server.seen().is_empty());
    assert_eq!(bed.decisions(), ["gate", "gate", "gate"]);
}
