//! Tests of behaviour that only a policy of the test's own asks for: waiting, unsolicited closes, edits, and mistakes
//! of a policy.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use stickler_lb_core::{
    BackendAware, Bond, Decision, DownstreamId, Edit, Exchange, Failure, Finish, L7Policy, RequestHead, ResponseHead,
    Route, UpstreamId, Work,
};
use stickler_lb_proxy::{HttpProxyConfig, Limits};
use stickler_model::Time;

use crate::http2;
use crate::peers::{Bed, Server, farm};

const DELAY: Duration = Duration::from_millis(30);

/// A policy that does what the request's path says.
#[derive(Default)]
struct Obedient {
    work: Option<(Time, Work)>,
    resumed: bool,
}

impl L7Policy for Obedient {
    fn request(&mut self, now: Time, id: DownstreamId, _fresh: UpstreamId, head: &RequestHead<'_>) -> Decision<Route> {
        let edit = |value| Edit::Set(HeaderName::from_static("x-edit"), HeaderValue::from_static(value));
        match head.uri.path() {
            "/wait" if !self.resumed => {
                self.work = Some((now + DELAY, Work::Resume(id)));
                self.resumed = true;
                Route::Wait.into()
            }
            "/forever" => Route::Wait.into(),
            "/told" => {
                self.work = Some((now + DELAY, Work::CloseDownstream(id)));
                Route::Wait.into()
            }
            "/later" => {
                self.work = Some((now + DELAY, Work::CloseDownstream(id)));
                Route::Open(0).into()
            }
            "/reuse" => Route::Reuse(UpstreamId(99)).into(),
            "/nowhere" => Route::Open(99).into(),
            "/close" => Route::CloseDownstream.into(),
            "/teapot" => Decision { verdict: Route::Reject(StatusCode::IM_A_TEAPOT), edits: vec![edit("reject")] },
            _ => Decision { verdict: Route::Open(0), edits: vec![edit("request")] },
        }
    }

    fn response(&mut self, _now: Time, _at: Exchange, _head: &ResponseHead<'_>) -> Decision<Bond> {
        let cookie = Edit::Append(http::header::SET_COOKIE, HeaderValue::from_static("lb=1"));
        Decision { verdict: Bond::Unpin, edits: vec![cookie, Edit::Remove(http::header::SERVER)] }
    }

    fn finished(&mut self, _now: Time, _at: Exchange) -> Finish {
        Finish::Close
    }

    fn failed(&mut self, _now: Time, _at: Exchange, _fresh: UpstreamId, _failure: &Failure<'_>) -> Decision<Route> {
        // The policy asks for this without end, so the data plane must stop it.
        Route::Open(99).into()
    }

    fn downstream_closed(&mut self, _now: Time, _downstream: DownstreamId) -> Vec<UpstreamId> {
        vec![UpstreamId(99)]
    }

    fn upstream_closed(&mut self, _now: Time, _upstream: UpstreamId) -> Option<DownstreamId> {
        None
    }
}

impl BackendAware for Obedient {
    type Work = Work;

    fn poll(&mut self, now: Time) -> Option<Work> {
        self.work.take_if(|(at, _)| *at <= now).map(|(_, work)| work)
    }

    fn next_deadline(&self) -> Option<Time> {
        self.work.map(|(at, _)| at)
    }
}

async fn bed(server: &Server) -> Bed {
    let limits = Limits { wait: Duration::from_millis(100), ..Limits::default() };
    let policy = Box::new(Obedient::default());
    let service = HttpProxyConfig { limits, http2: true, ..HttpProxyConfig::new(farm(&[server]), policy) };
    Bed::with_service(service).await
}

#[tokio::test]
async fn a_request_waits_until_the_policy_resumes_it_and_no_longer_than_the_limit() {
    let server = Server::telling().await;
    let bed = bed(&server).await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/wait").await.1, "1.1");
    assert_eq!(bed.decisions(), ["wait", "open", "unpin", "close upstream"]);
    assert!(client.get("/forever").await.0.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn unsolicited_work_closes_an_idle_client() {
    let server = Server::telling().await;
    let bed = bed(&server).await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/later").await.1, "1.1");
    client.until_closed().await;
}

#[tokio::test]
async fn a_request_that_waits_when_its_connection_is_told_to_close_is_not_taken_any_more() {
    let server = Server::telling().await;
    let bed = bed(&server).await;
    let mut client = bed.client().await;
    client.send(b"GET /told HTTP/1.1\r\nHost: s\r\n\r\n").await;
    assert!(client.until_closed().await.is_empty(), "neither an answer nor a 503 when the wait is over");
    assert_eq!(bed.decisions(), ["wait", "close downstream", "close downstream"]);

    let (mut client, _ended) = http2::Client::to(&bed).await;
    let error = client.ask(http2::post("/told", "x")).await.unwrap_err();
    assert!(http2::is_refused(&error), "it can be sent again elsewhere: {error:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn edits_reach_the_backend_and_the_client() {
    let server = Server::telling().await;
    let bed = bed(&server).await;
    let mut client = bed.client().await;
    let (head, _) = client.get("/").await;
    assert!(head.contains("set-cookie: lb=1\r\n"), "{head}");
    assert!(server.seen()[0].head.contains("x-edit: request\r\n"));
    let (head, _) = client.get("/teapot").await;
    assert!(head.starts_with("HTTP/1.1 418") && head.contains("x-edit: reject\r\n"), "{head}");
}

#[tokio::test]
async fn a_policys_mistakes_end_in_502_or_a_close_and_never_in_a_loop() {
    let server = Server::telling().await;
    let bed = bed(&server).await;
    for path in ["/reuse", "/nowhere"] {
        let (head, _) = bed.client().await.get(path).await;
        assert!(head.starts_with("HTTP/1.1 502"), "{path}: {head}");
    }
    let mut client = bed.client().await;
    client.send(b"GET /close HTTP/1.1\r\nHost: s\r\n\r\n").await;
    assert!(client.until_closed().await.is_empty());
    assert!(server.seen().is_empty());
}
