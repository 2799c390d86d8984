//! Tests of the PROXY protocol, sent and accepted, at both layers.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use stickler_lb_core::ProxyProtocol;
use stickler_lb_proxy::proxy_protocol::{header, read_header};
use stickler_lb_proxy::{FlowLimits, HttpProxyConfig, Limits, SpliceConfig};
use tokio::io::AsyncReadExt as _;

use crate::peers::{Bed, Server, flows, service};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Returns a server that reads the header of each connection, and answers each request with the client that the header
/// names.
async fn named() -> Server {
    Server::raw(|mut socket| async move {
        let client = read_header(&mut socket).await.unwrap();
        let mut buffer = vec![0; 4096];
        while let Ok(1..) = socket.read(&mut buffer).await {
            let body = client.map_or("nobody".into(), |client| client.to_string());
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await;
        }
    })
    .await
}

#[test]
fn headers_are_those_of_the_specification() {
    let (client, front) = (address("192.168.0.1:56324"), address("192.168.0.11:443"));
    // Section 2.1 of the specification has this example.
    assert_eq!(header(ProxyProtocol::V1, client, front), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    // Section 2.2: the signature, version 2 | PROXY, AF_INET | STREAM, and 12 bytes of addresses.
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb";
    assert_eq!(header(ProxyProtocol::V2, client, front), binary);
    assert_eq!(header(ProxyProtocol::V1, address("[2001:db8::1]:1"), front), b"PROXY UNKNOWN\r\n");
}

#[tokio::test]
async fn the_backend_learns_the_client_from_the_data_plane_and_from_the_splice() {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let server = named().await;
        let proxy = HttpProxyConfig { send_proxy: Some(version), ..service("close-per-request", &[&server]) };
        let splice = SpliceConfig { send_proxy: Some(version), ..flows("l4-nat", &[&server]) };
        for bed in [Bed::with_service(proxy).await, Bed::with_flows(splice).await] {
            let mut client = bed.client().await;
            let own = client.socket.local_addr().unwrap().to_string();
            assert_eq!(client.get("/").await.1, own);
        }
    }
}

#[tokio::test]
async fn a_pooled_connection_names_whom_it_was_opened_for() {
    let server = named().await;
    let bed = Bed::with_service(HttpProxyConfig {
        send_proxy: Some(ProxyProtocol::V2),
        ..service("shared-pool", &[&server])
    })
    .await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    let own = alice.socket.local_addr().unwrap().to_string();
    assert_eq!((alice.get("/").await.1, bob.get("/").await.1), (own.clone(), own));
}

#[tokio::test]
async fn a_header_that_is_accepted_is_passed_on_and_takes_no_byte_of_what_follows() {
    let server = named().await;
    let proxy = HttpProxyConfig {
        send_proxy: Some(ProxyProtocol::V1),
        accept_proxy: true,
        ..service("close-per-request", &[&server])
    };
    let splice =
        SpliceConfig { send_proxy: Some(ProxyProtocol::V1), accept_proxy: true, ..flows("l4-nat", &[&server]) };
    for bed in [Bed::with_service(proxy).await, Bed::with_flows(splice).await] {
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            let mut client = bed.client().await;
            let mut bytes = header(version, address("10.1.2.3:4567"), address("10.0.0.1:80"));
            bytes.extend(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n");
            client.send(&bytes).await;
            assert_eq!(client.answer().await.1, "10.1.2.3:4567");
        }
        let mut local = bed.client().await;
        let own = local.socket.local_addr().unwrap().to_string();
        local.send(b"PROXY UNKNOWN\r\n").await;
        assert_eq!(local.get("/").await.1, own, "the connection speaks for itself");
    }
}

#[tokio::test]
async fn a_connection_without_a_header_is_closed() {
    let server = Server::telling().await;
    let quick = Duration::from_millis(50);
    let limits = Limits { request_head: quick, ..Limits::default() };
    let proxy = HttpProxyConfig { accept_proxy: true, limits, ..service("shared-pool", &[&server]) };
    let limits = FlowLimits { header: quick, ..FlowLimits::default() };
    let splice = SpliceConfig { accept_proxy: true, limits, ..flows("l4-nat", &[&server]) };
    for bed in [Bed::with_service(proxy).await, Bed::with_flows(splice).await] {
        let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let huge = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
        let get = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n".to_vec();
        let wrong = b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\nGET / HTTP/1.1\r\n".to_vec();
        for bytes in [endless, huge, get, wrong, b"PROXY".to_vec(), Vec::new()] {
            let mut client = bed.client().await;
            client.send(&bytes).await;
            assert!(client.until_closed().await.is_empty(), "{bytes:?}");
        }
    }
    assert!(server.seen().is_empty());
}

fn read(mut bytes: &[u8]) -> (std::io::Result<Option<SocketAddr>>, usize) {
    let before = bytes.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(read_header(&mut bytes));
    (result, before - bytes.len())
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_nothing_beyond_it(
        client in any_address(), front in any_address(), v2 in any::<bool>(), rest in any::<Vec<u8>>(),
    ) {
        let version = if v2 { ProxyProtocol::V2 } else { ProxyProtocol::V1 };
        let mut bytes = header(version, client, front);
        let length = bytes.len();
        bytes.extend(rest);
        let (named, taken) = read(&bytes);
        let same_family = client.is_ipv4() == front.is_ipv4();
        prop_assert_eq!(named.unwrap(), same_family.then_some(client));
        prop_assert_eq!(taken, length);
    }

    #[test]
    fn anything_else_is_an_error_and_never_a_panic(
        start in prop_oneof![
            Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP6 "[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n"[..]),
            Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xff"[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x21"[..]),
        ],
        rest in any::<Vec<u8>>(),
    ) {
        let bytes = [start, &rest].concat();
        let (_, taken) = read(&bytes);
        prop_assert!(taken <= 16 + 4096);
    }
}
