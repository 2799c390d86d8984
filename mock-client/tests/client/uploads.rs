//! Tests of bodies that are sent after `100 Continue`, in chunks or at a limited rate, and of early answers.

use std::net::SocketAddr;
use std::time::Duration;

use stickler_http1::{BodyDecoder, Framing, HeadLimits, Lookup as _, RequestHead, Wire};
use stickler_model::event::Credentials;
use stickler_model::{BodySending, Payload, Profile, RequestId, RequestSpec};
use stickler_net::{Listener as _, Net, TokioNet};
use tokio::join;
use tokio::time::{Instant, timeout};

use crate::peer::{Bench, bare, challenged, ok};

const LIMITS: HeadLimits = HeadLimits { length: 8_192, fields: 50 };

/// The server's end of a connection.
struct Server {
    wire: Wire<<TokioNet as Net>::Stream>,
    head: RequestHead,
    /// The length of the body that was read last.
    body: usize,
}

impl Server {
    async fn accept(listener: &<TokioNet as Net>::Listener) -> Self {
        let wire = Wire::new(listener.accept().await.unwrap().0);
        Self { wire, head: RequestHead::default(), body: 0 }
    }

    async fn head(&mut self) {
        assert!(self.wire.request(&mut self.head, LIMITS).await.unwrap(), "a request");
    }

    /// Reads the body, and returns whether it is complete.
    async fn body(&mut self) -> bool {
        let mut decoder = BodyDecoder::new(Framing::of_request(&self.head).unwrap());
        self.body = 0;
        while !decoder.is_complete() {
            if self.wire.body(&mut decoder, |data| self.body += data.len()).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn send(&mut self, answer: &str) {
        self.wire.output().extend_from_slice(answer.replace("{id}", "r1").as_bytes());
        self.wire.flush().await.unwrap();
    }

    fn field(&self, name: &str) -> &[u8] {
        self.head.fields().first(name).unwrap_or_default()
    }
}

async fn listen() -> (<TokioNet as Net>::Listener, SocketAddr) {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn put(length: u64, sending: BodySending) -> RequestSpec {
    RequestSpec { body: Payload::Bytes(length), sending, ..RequestSpec::new("alice".into(), "PUT", "/") }
}

const PLAIN: BodySending = BodySending { chunked: false, expect: None, limit_rate: None };

/// Returns a curl without credentials at this server.
fn nobody(address: SocketAddr) -> Bench {
    Bench::of(address, Profile::CURL, |mut spec| {
        spec.identity = None;
        spec
    })
}

#[tokio::test]
async fn curl_waits_for_100_with_a_long_body() {
    let (listener, address) = listen().await;
    let bench = nobody(address);
    let spec = put(1024 * 1024 + 1, PLAIN);
    let serving = async {
        let mut server = Server::accept(&listener).await;
        server.head().await;
        assert_eq!(server.field("Expect"), b"100-continue");
        timeout(Duration::from_millis(50), server.wire.fill()).await.expect_err("the body waits");
        server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert!(server.body().await);
        server.send(&ok()).await;
        server.body
    };
    let (answer, length) = join!(bench.client.request(RequestId(1), &spec, Credentials::None), serving);
    assert_eq!((answer.status, length), (Some(200), 1024 * 1024 + 1));
}

#[tokio::test]
async fn a_client_that_is_told_to_wait_does_so_for_a_second_and_one_that_is_told_not_to_does_not() {
    for (expect, length) in [(true, 10), (false, 2_000_000)] {
        let (listener, address) = listen().await;
        let bench = nobody(address);
        let spec = put(length, BodySending { expect: Some(expect), ..PLAIN });
        let serving = async {
            let mut server = Server::accept(&listener).await;
            server.head().await;
            let begun = Instant::now();
            assert!(server.body().await);
            server.send(&ok()).await;
            (server.field("Expect") == b"100-continue", begun.elapsed() > Duration::from_millis(900))
        };
        let (answer, waited) = join!(bench.client.request(RequestId(1), &spec, Credentials::None), serving);
        assert_eq!((answer.status, waited), (Some(200), (expect, expect)));
    }
}

#[tokio::test]
async fn chunks_have_no_length_and_arrive_whole() {
    let (listener, address) = listen().await;
    let bench = nobody(address);
    let spec = put(50_000, BodySending { chunked: true, expect: Some(false), ..PLAIN });
    let serving = async {
        let mut server = Server::accept(&listener).await;
        server.head().await;
        assert_eq!((server.field("Transfer-Encoding"), server.field("Content-Length")), (&b"chunked"[..], &b""[..]));
        assert!(server.body().await);
        server.send(&ok()).await;
        server.body
    };
    let (answer, length) = join!(bench.client.request(RequestId(1), &spec, Credentials::None), serving);
    assert_eq!((answer.status, length), (Some(200), 50_000));
}

#[tokio::test]
async fn curl_stops_at_an_early_error_and_closes_the_connection() {
    let (listener, address) = listen().await;
    let bench = nobody(address);
    let spec = put(1_000_000, BodySending { expect: Some(false), limit_rate: Some(100_000), ..PLAIN });
    let serving = async {
        let mut server = Server::accept(&listener).await;
        server.head().await;
        server.send(&bare()).await;
        let whole = server.body().await;
        (whole, server.body)
    };
    let (answer, (whole, length)) = join!(bench.client.request(RequestId(1), &spec, Credentials::None), serving);
    assert_eq!((answer.status, answer.requests, whole), (Some(401), 1, false));
    assert!(length < 500_000, "{length}");
    assert!(bench.events().contains("connection 1 closes: Here"));
}

#[tokio::test]
async fn an_early_success_does_not_stop_curl_and_the_connection_is_used_again() {
    let (listener, address) = listen().await;
    let bench = nobody(address);
    let spec = put(30_000, BodySending { expect: Some(false), limit_rate: Some(100_000), ..PLAIN });
    let serving = async {
        let mut server = Server::accept(&listener).await;
        server.head().await;
        server.send(&ok()).await;
        assert!(server.body().await);
        server.head().await;
        server.send(&ok()).await;
        server.head.method().to_owned()
    };
    let asking = async {
        let first = bench.client.request(RequestId(1), &spec, Credentials::None).await;
        (first.status, bench.get(2).await.status)
    };
    assert_eq!(join!(asking, serving), ((Some(200), Some(200)), "GET".to_owned()));
}

#[tokio::test]
async fn a_browser_sends_everything_and_goes_on_with_the_handshake_on_the_same_connection() {
    let (listener, address) = listen().await;
    let bench = Bench::of(address, Profile::BROWSER, |spec| spec);
    let spec = put(20_000, BodySending { limit_rate: Some(100_000), ..PLAIN });
    let serving = async {
        let mut server = Server::accept(&listener).await;
        for answer in [bare(), challenged(stickler_auth::http::Scheme::Negotiate), ok()] {
            server.head().await;
            // Each answer is sent before the body is read.
            server.send(&answer).await;
            assert!(server.body().await);
            assert_eq!(server.body, 20_000);
        }
    };
    let (answer, ()) = join!(bench.client.request(RequestId(1), &spec, Credentials::Valid), serving);
    assert_eq!((answer.status, answer.requests), (Some(200), 3));
    assert_eq!(bench.events().matches("opens").count(), 1);
}

#[tokio::test]
async fn an_answer_is_read_though_the_server_takes_no_more() {
    let (listener, address) = listen().await;
    let bench = Bench::of(address, Profile::BROWSER, |spec| spec);
    let spec = put(50_000_000, PLAIN);
    let serving = async {
        let mut server = Server::accept(&listener).await;
        server.head().await;
        server.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
        // The server reads a little more, so that the end does not overtake the answer.
        for _ in 0..3 {
            server.wire.input().clear();
            server.wire.fill().await.unwrap();
        }
        server.wire.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (answer, ()) = join!(bench.client.request(RequestId(1), &spec, Credentials::Valid), serving);
    assert_eq!((answer.status, answer.body_length), (Some(413), 2), "{:?}", answer.error);
}
