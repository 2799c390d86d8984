//! Tests of a front end that speaks HTTP/2: each stream is a request of its connection, and upstream it is HTTP/1.1.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, COOKIE};
use http::{Request, StatusCode};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stickler_lb_core::policy::composed::{Composed, Rules};
use stickler_lb_core::policy::pin::{PinRule, Streams};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_core::{
    BackendAware, Bond, Decision, DownstreamId, Exchange, Failure, Finish, L7Policy, RequestHead, ResponseHead, Route,
    UpstreamId, Work,
};
use stickler_lb_proxy::{HttpProxyConfig, Limits};
use stickler_model::{Entropy, Time};
use stickler_net::{Net as _, TokioNet};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::peers::{Bed, PATIENCE, Reply, Seen, Server, challenge, farm, ok, service};

/// A body that consists of one part.
pub(crate) struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// A client's connection. Clones send on the same connection.
#[derive(Clone)]
pub(crate) struct Client(SendRequest<Whole>);

impl Client {
    /// Opens a client on a stream. The second part of the result ends with the connection.
    pub(crate) async fn on(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> (Self, oneshot::Receiver<()>) {
        let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let (tell, ended) = oneshot::channel();
        TokioNet.spawn(async move {
            let _ = connection.await;
            let _ = tell.send(());
        });
        (Self(send), ended)
    }

    pub(crate) async fn to(bed: &Bed) -> (Self, oneshot::Receiver<()>) {
        Self::on(TokioNet.connect(bed.front).await.unwrap()).await
    }

    pub(crate) async fn ask(&mut self, request: Request<Whole>) -> hyper::Result<(StatusCode, String)> {
        let answer = timeout(PATIENCE, self.0.send_request(request)).await.expect("an answer")?;
        let status = answer.status();
        Ok((status, timeout(PATIENCE, text(answer.into_body())).await.expect("its body")?))
    }

    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.ask(get(path)).await.unwrap()
    }

    /// Sends a leg of a handshake, and returns the status of its answer.
    pub(crate) async fn leg(&mut self, token: &str) -> StatusCode {
        let mut request = get("/");
        request.headers_mut().insert(AUTHORIZATION, token.parse().unwrap());
        self.ask(request).await.unwrap().0
    }

    pub(crate) async fn handshake(&mut self) {
        assert_eq!(self.leg("NTLM TlRMTVNTUAAB").await, StatusCode::UNAUTHORIZED);
        assert_eq!(self.leg("NTLM TlRMTVNTUAAD").await, StatusCode::OK);
    }
}

/// Sends this number of requests at the same time, and returns their answers.
pub(crate) async fn at_a_time(client: &Client, count: usize) -> Vec<(StatusCode, String)> {
    let ask = |mut client: Client| async move { client.get("/").await };
    join_all((0..count).map(|_| ask(client.clone()))).await
}

/// Returns the reason why a stream was reset.
pub(crate) fn reason(error: &hyper::Error) -> Option<h2::Reason> {
    std::error::Error::source(error)?.downcast_ref::<h2::Error>()?.reason()
}

/// Returns whether a request was refused without being processed (RFC 9113 8.7).
pub(crate) fn is_refused(error: &hyper::Error) -> bool {
    reason(error) == Some(h2::Reason::REFUSED_STREAM)
}

async fn text(mut body: Incoming) -> hyper::Result<String> {
    let mut all = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend(frame?.into_data().unwrap_or_default());
    }
    Ok(String::from_utf8(all).unwrap())
}

fn get(path: &str) -> Request<Whole> {
    Request::get(format!("http://site.example{path}")).body(Whole(None)).unwrap()
}

/// A policy that does not know streams, and cannot decide on two requests at a time.
struct OneAtATime {
    policy: Box<dyn L7Policy>,
    busy: bool,
}

impl L7Policy for OneAtATime {
    fn request(&mut self, now: Time, id: DownstreamId, fresh: UpstreamId, head: &RequestHead<'_>) -> Decision<Route> {
        if std::mem::replace(&mut self.busy, true) {
            return Route::Reject(StatusCode::INTERNAL_SERVER_ERROR).into();
        }
        self.policy.request(now, id, fresh, head)
    }

    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        self.policy.response(now, at, head)
    }

    fn finished(&mut self, now: Time, at: Exchange) -> Finish {
        self.busy = false;
        self.policy.finished(now, at)
    }

    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        self.policy.failed(now, at, fresh, failure)
    }

    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        self.policy.downstream_closed(now, downstream)
    }

    fn upstream_closed(&mut self, now: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        self.policy.upstream_closed(now, upstream)
    }
}

impl BackendAware for OneAtATime {
    type Work = Work;
}

pub(crate) fn post(path: &str, body: &'static str) -> Request<Whole> {
    Request::post(format!("http://site.example{path}")).body(Whole(Some(Bytes::from(body)))).unwrap()
}

async fn bed(mechanism: &str, backends: &[&Server]) -> Bed {
    Bed::with_service(HttpProxyConfig { http2: true, ..service(mechanism, backends) }).await
}

/// Returns a server that authenticates connections, as IIS does, and reports which connection a request came by.
pub(crate) async fn protected() -> Server {
    let known: Mutex<BTreeSet<usize>> = Mutex::default();
    Server::start(move |seen: &Seen| {
        if seen.head.contains("TlRMTVNTUAAB") {
            known.lock().unwrap().remove(&seen.connection);
            return Reply::Bytes(challenge("NTLM TlRMTVNTUAAC"));
        }
        if seen.head.contains("TlRMTVNTUAAD") {
            known.lock().unwrap().insert(seen.connection);
        }
        let is_known = known.lock().unwrap().contains(&seen.connection);
        // The answer is slow, so that requests that are sent together are under way together.
        let answer = if is_known { ok(&seen.connection.to_string()) } else { challenge("NTLM") };
        Reply::Late(Vec::new(), Duration::from_millis(20), answer)
    })
    .await
}

#[tokio::test]
async fn a_stream_goes_upstream_as_a_request_of_http_1_1() {
    let server = Server::telling().await;
    let bed = bed("shared-pool", &[&server]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    let mut request = Request::post("http://site.example:8080/a?b").body(Whole(Some(Bytes::from("hello")))).unwrap();
    request.headers_mut().append(COOKIE, "a=1".parse().unwrap());
    request.headers_mut().append(COOKIE, "b=2".parse().unwrap());
    request.headers_mut().append("te", "trailers".parse().unwrap());
    assert_eq!(client.ask(request).await.unwrap(), (StatusCode::OK, "1.1".into()));
    assert_eq!(client.get("/").await.1, "1.2");
    let seen = server.seen();
    assert!(seen[0].head.starts_with("POST /a?b HTTP/1.1\r\n"), "{}", seen[0].head);
    assert!(seen[0].head.contains("\r\nhost: site.example:8080\r\n"), "{}", seen[0].head);
    assert!(seen[0].head.contains("\r\ncookie: a=1; b=2\r\n"), "{}", seen[0].head);
    assert!(seen[0].head.contains("\r\ntransfer-encoding: chunked\r\n") && !seen[0].head.contains("\r\nte:"));
    assert_eq!(seen[0].body, b"hello");
    assert!(seen[1].head.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_post_without_a_body_says_so_upstream_and_a_get_says_nothing() {
    let server = Server::telling().await;
    let bed = bed("shared-pool", &[&server]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    let post = Request::post("http://site.example/a").body(Whole(None)).unwrap();
    assert_eq!(client.ask(post).await.unwrap().0, StatusCode::OK);
    client.get("/").await;
    let seen = server.seen();
    assert!(seen[0].head.contains("\r\ncontent-length: 0\r\n"), "{}", seen[0].head);
    assert!(!seen[1].head.contains("content-length"), "{}", seen[1].head);
}

#[tokio::test]
async fn http_1_1_is_served_at_the_same_port() {
    let server = Server::telling().await;
    let bed = bed("shared-pool", &[&server]).await;
    assert_eq!(bed.client().await.get("/").await.1, "1.1");
    assert_eq!(Client::to(&bed).await.0.get("/").await.1, "1.2");
}

#[tokio::test]
async fn without_leave_http2_is_not_spoken() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    assert!(client.ask(get("/")).await.is_err());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn one_of_five_streams_at_a_time_finds_the_authenticated_connection() {
    let server = protected().await;
    let bed = bed("pin-on-401", &[&server]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    client.handshake().await;
    assert_eq!(client.get("/").await, (StatusCode::OK, "1".into()), "streams in turn are fine");
    let five = at_a_time(&client, 5).await;
    let mut statuses: Vec<_> = five.into_iter().map(|(status, _)| status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401]);
    assert_eq!(client.get("/").await, (StatusCode::OK, "1".into()), "the first stays the first");
}

#[tokio::test]
async fn where_streams_take_turns_all_find_it() {
    let server = protected().await;
    let farm = farm(&[&server]);
    let pin = PinRule { streams: Streams::InTurn, ..PinRule::ON_401 };
    let rules = Rules { pool: Some(PoolRule::shared(PATIENCE)), pin: Some(pin), ..Rules::PLAIN };
    let policy = Composed::new(rules, &farm, Entropy::new(0, "test")).unwrap();
    let bed = Bed::with_service(HttpProxyConfig { http2: true, ..HttpProxyConfig::new(farm, Box::new(policy)) }).await;
    let (mut client, _ended) = Client::to(&bed).await;
    client.handshake().await;
    assert_eq!(at_a_time(&client, 5).await, vec![(StatusCode::OK, "1".to_owned()); 5]);
}

#[tokio::test]
async fn two_clients_never_share_a_pinned_connection_but_by_fault_b13() {
    for (mechanism, expected) in [("pin-on-401", StatusCode::UNAUTHORIZED), ("pin-on-401+B13", StatusCode::OK)] {
        let server = protected().await;
        let bed = bed(mechanism, &[&server]).await;
        let ((mut alice, _), (mut bob, _)) = (Client::to(&bed).await, Client::to(&bed).await);
        alice.handshake().await;
        assert_eq!(bob.get("/").await.0, expected, "{mechanism}");
    }
}

#[tokio::test]
async fn the_loss_of_the_pinned_connection_closes_the_clients() {
    let server = Server::start(|seen| match seen.number {
        1 => Reply::Bytes(challenge("NTLM TlRMTVNTUAAC")),
        _ => Reply::Last(ok("bye")),
    })
    .await;
    let bed = bed("pin-on-401", &[&server]).await;
    let (mut client, ended) = Client::to(&bed).await;
    assert_eq!(client.get("/").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(client.get("/").await.1, "bye");
    timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    assert!(client.ask(get("/")).await.is_err());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_request_lost_on_the_pinned_connection_is_reset_and_the_connection_ends() {
    let server = Server::start(|seen| match seen.number {
        1 => Reply::Bytes(challenge("NTLM TlRMTVNTUAAC")),
        _ => Reply::Last(Vec::new()),
    })
    .await;
    let bed = bed("pin-on-401", &[&server]).await;
    let (mut client, ended) = Client::to(&bed).await;
    client.get("/").await;
    let error = client.ask(get("/")).await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    timeout(PATIENCE, ended).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn the_end_of_the_client_closes_what_was_pinned_and_what_was_under_way() {
    let server = Server::start(|seen| match seen.number {
        1 => Reply::Bytes(challenge("NTLM TlRMTVNTUAAC")),
        _ => Reply::Silence,
    })
    .await;
    let bed = bed("pin-on-401", &[&server]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    client.get("/").await;
    let mut other = client.clone();
    let under_way = TokioNet.spawn(async move { drop(other.ask(get("/")).await) });
    while server.seen().len() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // A stream that its client gives up is reset, and its pin ends with it.
    under_way.abort();
    server.until_closed(1).await;
}

#[tokio::test]
async fn a_policy_that_knows_http_1_1_alone_is_asked_about_one_stream_at_a_time() {
    let server = protected().await;
    let HttpProxyConfig { farm, policy, .. } = service("pin-on-401", &[&server]);
    let policy = Box::new(OneAtATime { policy, busy: false });
    let bed = Bed::with_service(HttpProxyConfig { http2: true, ..HttpProxyConfig::new(farm, policy) }).await;
    let (mut client, _ended) = Client::to(&bed).await;
    client.handshake().await;
    assert_eq!(at_a_time(&client, 3).await, vec![(StatusCode::OK, "1".to_owned()); 3]);
}

#[tokio::test]
async fn a_connection_that_brings_no_request_or_is_idle_has_its_time() {
    let server = Server::telling().await;
    let short = Duration::from_millis(50);
    let limits = Limits { request_head: short, ..Limits::default() };
    let bed_of = |limits| HttpProxyConfig { http2: true, limits, ..service("shared-pool", &[&server]) };
    let bed = Bed::with_service(bed_of(limits)).await;
    let (_client, ended) = Client::to(&bed).await;
    timeout(PATIENCE, ended).await.expect("it has brought none").unwrap();
    let mut half = bed.client().await;
    half.send(b"PRI * HTTP/2.0\r\n\r\n").await;
    assert_eq!(half.until_closed().await, b"");

    let bed = Bed::with_service(bed_of(Limits { idle: Some(short), ..Limits::default() })).await;
    let (mut client, ended) = Client::to(&bed).await;
    client.get("/").await;
    timeout(PATIENCE, ended).await.expect("it is idle").unwrap();
}

#[tokio::test]
async fn a_failure_upstream_is_an_answer() {
    let bed = bed("pin-on-401", &[&Server::refusing().await]).await;
    let (mut client, _ended) = Client::to(&bed).await;
    assert_eq!(client.get("/").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(client.get("/").await.0, StatusCode::BAD_GATEWAY, "and the connection goes on");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_so() {
    let server = Server::telling().await;
    let limits = Limits { head_bytes: 4096, fields: 20, ..Limits::default() };
    let bed = Bed::with_service(HttpProxyConfig { http2: true, limits, ..service("shared-pool", &[&server]) }).await;
    let (mut client, _ended) = Client::to(&bed).await;
    let mut long = get("/");
    long.headers_mut().insert("x-long", "x".repeat(8192).parse().unwrap());
    assert_eq!(client.ask(long).await.unwrap().0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut many = get("/");
    for _ in 0..30 {
        many.headers_mut().append("x-many", "1".parse().unwrap());
    }
    assert_eq!(client.ask(many).await.unwrap().0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(client.get("/").await.1, "1.1", "and the connection goes on");
}
