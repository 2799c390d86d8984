//! Tests of WebSockets, from the handshake to the close.

use stickler_model::What;
use stickler_model::action::AppAnswer;
use stickler_model::event::Closed;
use stickler_model::site::AnonymousSpec;
use stickler_model::topology::ServerSpec;

use crate::bench::{Bench, Http, domain};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Asks for a WebSocket on a connection that is logged on, and returns the first message of the server.
async fn upgraded(http: &mut Http) -> AppAnswer {
    let answer = http.request("GET", "/socket", UPGRADE, b"").await;
    assert_eq!((answer.status, answer.header("upgrade"), answer.header("connection")), (101, "websocket", "Upgrade"));
    assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!((answer.header("content-length"), answer.header("content-type")), ("", ""));
    let (frame, ended) = http.rest().await;
    assert_eq!((&frame[..2], ended), (&[0x81, 126][..], false), "a text of 126 bytes or more");
    assert_eq!(usize::from(u16::from_be_bytes([frame[2], frame[3]])), frame.len() - 4);
    serde_json::from_slice(&frame[4..]).unwrap()
}

#[tokio::test]
async fn a_user_gets_a_socket_that_echoes_until_it_is_closed() {
    let bench = Bench::start().await;
    let mut http = bench.connect().await;
    // A client gets no WebSocket without a logon.
    assert_eq!(http.request("GET", "/socket", UPGRADE, b"").await.status, 401);
    http.login("alice", "alice-pw").await;
    assert_eq!(upgraded(&mut http).await.user.map(|user| user.to_string()), Some("CORP\\alice".to_owned()));
    // The client sends "Hello" of RFC 6455 5.7 in two parts, and then a ping.
    http.write([0x81, 0x85, 0x37, 0xfa]).await;
    assert_eq!(http.rest().await, (Vec::new(), false));
    http.write([0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, 0x89, 0x80, 1, 2, 3, 4]).await;
    assert_eq!(http.rest().await, (b"\x81\x05Hello\x8a\x00".to_vec(), false));
    // The client sends a close with the status 1000.
    http.write([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await;
    assert_eq!(http.rest().await, (b"\x88\x02\x03\xe8".to_vec(), true));
    let statuses = bench.take(|what| match what {
        What::ServerAnswered { status, processed, .. } => Some((status, processed)),
        What::ServerClosed { how, .. } => Some((0, how == Closed::Here)),
        _ => None,
    });
    assert_eq!(statuses, [(401, false), (401, false), (200, true), (101, true), (0, true)]);
}

#[tokio::test]
async fn what_is_no_websocket_is_a_page_or_an_error_and_http_goes_on_after_it() {
    let anonymous = AnonymousSpec { paths: vec!["/socket".into()], ..AnonymousSpec::default() };
    let anonymous = |mut spec: ServerSpec| {
        spec.site.anonymous = anonymous;
        spec
    };
    let bench = Bench::with_spec(domain(None), anonymous, |site| site).await;
    let mut http = bench.connect().await;
    let plain = http.request("GET", "/socket", "", b"").await;
    assert_eq!((plain.status, plain.app().path.as_str()), (200, "/socket"));
    let dropped = http.request("GET", "/socket", &UPGRADE.replace("Connection: Upgrade\r\n", ""), b"").await;
    assert_eq!((dropped.status, dropped.header("upgrade")), (200, ""), "somebody on the way does not pass it on");
    let old = http.request("GET", "/socket", &UPGRADE.replace("13", "8"), b"").await;
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, "13"));
    let keyless = http.request("GET", "/socket", &UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), b"").await;
    assert_eq!(keyless.status, 400);
    let elsewhere = http.request("GET", "/inbox-of-nobody", UPGRADE, b"").await;
    assert_eq!(elsewhere.status, 401, "no other page is one");
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_and_closed() {
    let bench = Bench::start().await;
    for (bytes, close) in [
        (&b"\x81\x05Hello"[..], &b"\x88\x02\x03\xea"[..]),
        (b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01", b"\x88\x02\x03\xf1"),
        (b"GET / HTTP/1.1\r\nHost: iis1\r\n\r\n", b"\x88\x02\x03\xea"),
    ] {
        let mut http = bench.connect().await;
        http.login("alice", "alice-pw").await;
        upgraded(&mut http).await;
        http.write(bytes).await;
        assert_eq!(http.rest().await, (close.to_vec(), true), "{bytes:02x?}");
    }
}
