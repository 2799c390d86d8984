//! Tests of HTTP/2 towards the backends: the requests that they receive, and the connections that carry them.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use stickler_catalogue::find;
use stickler_lb_core::{Backend, Farm, Hops, UpstreamHttp};
use stickler_lb_proxy::HttpProxyConfig;
use stickler_model::Entropy;
use stickler_net::{Listener as _, Net as _, TokioNet};
use tokio::time::sleep;

use crate::peers::Bed;

/// A request as the server received it, with the number of its connection.
#[derive(Debug, Clone)]
struct Seen {
    connection: u32,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A server that speaks HTTP/2 only, without TLS. It resets requests for `/required`, and answers `/slow` slowly.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        TokioNet.spawn(async move {
            let connections = AtomicU32::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let log = Arc::clone(&log);
                let service = service_fn(move |request| answer(connection, request, Arc::clone(&log)));
                let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                TokioNet.spawn(async move { _ = serving.await });
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Starts the named mechanism, which speaks HTTP/2, in front of the server.
    async fn behind(&self, mechanism: &str) -> Bed {
        let farm = Farm { backends: vec![Backend { name: "one".into(), address: self.address }] };
        let policy = find(mechanism).unwrap().l7(&farm, Entropy::new(0, "test")).unwrap().unwrap();
        let hops = Hops { upstream: UpstreamHttp::Http2, ..Hops::default() };
        Bed::with_service(HttpProxyConfig { hops, ..HttpProxyConfig::new(farm, policy) }).await
    }
}

async fn answer(
    connection: u32,
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<String>, h2::Error> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        body.extend(frame.into_data().unwrap_or_default());
    }
    let path = parts.uri.path().to_owned();
    log.lock().unwrap().push(Seen { connection, target: parts.uri.to_string(), headers: parts.headers, body });
    match path.as_str() {
        "/required" => return Err(Reason::HTTP_1_1_REQUIRED.into()),
        "/slow" => sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    Ok(Response::new(connection.to_string()))
}

#[tokio::test]
async fn a_request_has_the_form_of_http_2_and_its_answer_that_of_http_1() {
    let server = Server::start().await;
    let bed = server.behind("shared-pool").await;
    let mut client = bed.client().await;
    let get =
        "GET /a?b=c HTTP/1.1\r\nHost: www.site:81\r\nConnection: keep-alive, X-Odd\r\nX-Odd: 1\r\nCookie: d=e\r\n\r\n";
    let (head, body) = client.ask(get).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "1");
    let post =
        "POST /form HTTP/1.1\r\nHost: www.site\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(client.ask(post).await.1, "1", "on the connection that is idle");
    let seen = server.seen();
    assert_eq!(seen[0].target, "http://www.site:81/a?b=c");
    for field in ["host", "connection", "x-odd", "transfer-encoding"] {
        assert!(seen.iter().all(|seen| !seen.headers.contains_key(field)), "{field}");
    }
    assert_eq!(seen[0].headers["cookie"], "d=e");
    assert_eq!((seen[1].target.as_str(), &seen[1].body[..]), ("http://www.site/form", &b"abcde"[..]));
}

#[tokio::test]
async fn a_connection_carries_one_request_at_a_time() {
    let server = Server::start().await;
    let bed = server.behind("shared-pool").await;
    let (mut slow, mut quick) = (bed.client().await, bed.client().await);
    let (slow, quick) = tokio::join!(slow.get("/slow"), async {
        sleep(Duration::from_millis(100)).await;
        quick.get("/quick").await
    });
    assert_eq!((slow.1.as_str(), quick.1.as_str()), ("1", "2"));
    assert!(["1", "2"].contains(&bed.client().await.get("/").await.1.as_str()), "both are idle now");
    assert_eq!(server.seen().iter().map(|seen| seen.connection).max(), Some(2));
}

#[tokio::test]
async fn a_stream_that_is_reset_is_502_and_the_next_request_goes_elsewhere() {
    let server = Server::start().await;
    let bed = server.behind("shared-pool").await;
    let mut client = bed.client().await;
    let (head, _) = client.get("/required").await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert_eq!(client.get("/").await.1, "2");
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_is_an_error() {
    let plain = crate::peers::Server::telling().await;
    let mut service = crate::peers::service("shared-pool", &[&plain]);
    service.hops.upstream = UpstreamHttp::Http2;
    let (head, _) = Bed::with_service(service).await.client().await.get("/").await;
    assert!(head.starts_with("HTTP/1.1 50"), "{head}");
}
