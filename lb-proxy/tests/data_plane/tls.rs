//! Tests of a balancer that terminates TLS, and speaks TLS to its backends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::Backend;
use stickler_lb_core::health::{CheckRule, Expect, Probe};
use stickler_lb_proxy::health::probe as prober_of;
use stickler_lb_proxy::{HttpProxyConfig, Limits, UpstreamTls};
use stickler_model::Entropy;
use stickler_net::{Net, TokioNet};
use stickler_tls::{Authority, ClientTls, Random, Secured, ServerTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::peers::{Bed, Client, Reply, Seen, Server, challenge, farm, flows, ok, service};
use crate::{http2, peers};

/// The authority that every peer trusts, and the source of all randomness.
struct Trust {
    authority: Authority,
    random: Random,
}

impl Trust {
    fn new() -> Self {
        Self::of(0)
    }

    fn of(seed: u64) -> Self {
        let entropy = Entropy::new(seed, "tls");
        let random: Random = Arc::new(move |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = entropy.below(256) as u8;
            }
        });
        Self { authority: Authority::new(Arc::clone(&random)), random }
    }

    fn server(&self, name: &str, http2: bool) -> ServerTls {
        ServerTls::new(&self.authority.issue(&[name]).unwrap(), http2, Arc::clone(&self.random))
    }

    fn client(&self, http2: bool) -> ClientTls {
        ClientTls::new(&self.authority, http2, Arc::clone(&self.random))
    }

    fn upstream(&self) -> UpstreamTls {
        UpstreamTls::new(self.client(false))
    }
}

fn telling(seen: &Seen) -> Reply {
    Reply::Bytes(ok(&format!("{}.{}", seen.connection, seen.number)))
}

/// Returns a backend that does not speak TLS, and says so.
async fn plain() -> Server {
    Server::raw(|mut socket| async move {
        let mut byte = [0];
        let _ = socket.read(&mut byte).await;
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await
}

async fn connect(bed: &Bed, tls: &ClientTls, name: &str) -> std::io::Result<Secured<<TokioNet as Net>::Stream>> {
    tls.connect(name, TokioNet.connect(bed.front).await.unwrap()).await
}

#[tokio::test]
async fn tls_ends_at_the_balancer_and_what_is_behind_is_plain() {
    let (trust, server) = (Trust::new(), Server::telling().await);
    let tls = Some(trust.server("site", false));
    let bed = Bed::with_service(HttpProxyConfig { tls, ..service("shared-pool", &[&server]) }).await;
    let mut client = Client::new(connect(&bed, &trust.client(true), "site").await.unwrap());
    assert_eq!(client.get("/").await.1, "1.1");
    assert_eq!(client.get("/").await.1, "1.2");
    assert!(!client.socket.http2() && client.socket.certificate().is_some());

    let wrong = connect(&bed, &trust.client(false), "other").await.unwrap_err();
    assert!(wrong.to_string().contains("other names"), "{wrong}");
    let mut plain = bed.client().await;
    plain.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let alert = plain.until_closed().await;
    assert!(!alert.starts_with(b"HTTP"), "plain text gets no answer");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn http2_is_agreed_on_by_alpn_and_a_client_without_it_speaks_http_1_1() {
    let (trust, server) = (Trust::new(), http2::protected().await);
    let tls = Some(trust.server("site", true));
    let bed = Bed::with_service(HttpProxyConfig { tls, ..service("pin-on-401", &[&server]) }).await;
    let stream = connect(&bed, &trust.client(true), "site").await.unwrap();
    assert!(stream.http2());
    let (mut client, _ended) = http2::Client::on(stream).await;
    client.handshake().await;
    assert_eq!(client.get("/").await, (StatusCode::OK, "1".into()));
    let stream = connect(&bed, &trust.client(false), "site").await.unwrap();
    assert!(!stream.http2());
    assert!(Client::new(stream).get("/").await.0.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_client_that_never_gets_on_with_tls_has_its_time() {
    let (trust, server) = (Trust::new(), Server::telling().await);
    let limits = Limits { request_head: Duration::from_millis(50), ..Limits::default() };
    let tls = Some(trust.server("site", false));
    let bed = Bed::with_service(HttpProxyConfig { tls, limits, ..service("shared-pool", &[&server]) }).await;
    assert_eq!(bed.client().await.until_closed().await, b"");
}

#[tokio::test]
async fn behind_the_balancer_each_backend_is_taken_at_its_own_name() {
    let trust = Trust::new();
    let server = Server::secured(trust.server("iis1", true), telling).await;
    let upstream_tls = Some(trust.upstream());
    let bed = Bed::with_service(HttpProxyConfig { upstream_tls, ..service("shared-pool", &[&server]) }).await;
    assert_eq!(bed.client().await.get("/").await.1, "1.1");
    assert_eq!(bed.client().await.get("/").await.1, "1.2", "the connection is reused");
    assert_eq!(bed.decisions(), ["open", "pool", "reuse", "pool"]);
}

#[tokio::test]
async fn or_all_at_one_name() {
    let trust = Trust::new();
    let server = Server::secured(trust.server("site", false), telling).await;
    let upstream_tls = Some(UpstreamTls { name: Some("site".into()), ..trust.upstream() });
    let bed = Bed::with_service(HttpProxyConfig { upstream_tls, ..service("shared-pool", &[&server]) }).await;
    assert_eq!(bed.client().await.get("/").await.1, "1.1");
}

#[tokio::test]
async fn a_backend_that_is_not_who_it_should_be_is_a_502_and_is_told() {
    let (trust, other) = (Trust::new(), Trust::of(1));
    let servers = [
        Server::secured(trust.server("iis2", false), telling).await,
        Server::secured(other.server("iis1", false), telling).await,
        plain().await,
    ];
    for server in &servers {
        let upstream_tls = Some(trust.upstream());
        let bed = Bed::with_service(HttpProxyConfig { upstream_tls, ..service("shared-pool", &[server]) }).await;
        let answer = bed.client().await.get("/").await.0;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert_eq!(bed.decisions(), ["open", "tls failed", "reject"]);
        assert!(server.seen().is_empty());
    }
}

#[tokio::test]
async fn a_backend_that_never_gets_on_with_tls_is_a_504_and_another_is_tried() {
    let trust = Trust::new();
    let silent = Server::raw(|socket| async move {
        let mut peer = Client::new(socket);
        peer.until_closed().await;
    })
    .await;
    let limits = Limits { connect: Duration::from_millis(100), ..Limits::default() };
    let upstream_tls = Some(trust.upstream());
    let bed = Bed::with_service(HttpProxyConfig { upstream_tls, limits, ..service("shared-pool", &[&silent]) }).await;
    assert!(bed.client().await.get("/").await.0.starts_with("HTTP/1.1 504"));

    let (plain, good) = (plain().await, Server::secured(trust.server("iis2", false), telling).await);
    let upstream_tls = Some(trust.upstream());
    let bed = Bed::with_service(HttpProxyConfig { upstream_tls, ..service("shared-pool", &[&plain, &good]) }).await;
    assert_eq!(bed.client().await.get("/").await.1, "1.1");
    assert_eq!(bed.decisions(), ["open", "tls failed", "retry", "open", "pool"]);
}

#[tokio::test]
async fn b19_what_is_dedicated_has_lost_the_authority_to_trust() {
    let trust = Trust::new();
    let answer = |seen: &Seen| {
        let leg = seen.head.contains("TlRMTVNTUAAB");
        Reply::Bytes(if leg { challenge("NTLM TlRMTVNTUAAC") } else { ok("hello") })
    };
    for (drifts, leg) in [(false, "HTTP/1.1 401"), (true, "HTTP/1.1 502")] {
        let server = Server::secured(trust.server("iis1", false), answer).await;
        let upstream_tls = Some(trust.upstream());
        let balancer = if drifts { "pin-on-authorization+B19" } else { "pin-on-authorization" };
        let service = HttpProxyConfig { upstream_tls, tls_drifts: drifts, ..service(balancer, &[&server]) };
        let bed = Bed::with_service(service).await;
        let mut client = bed.client().await;
        assert_eq!(client.get("/").await.1, "hello", "the shared transport has all it needs");
        let request = "GET / HTTP/1.1\r\nHost: site\r\nAuthorization: NTLM TlRMTVNTUAAB\r\n\r\n";
        let told = client.ask(request).await.0;
        assert!(told.starts_with(leg), "{balancer}: {told}");
    }
}

#[tokio::test]
async fn a_splice_passes_tls_on_and_the_client_meets_the_servers_certificate() {
    let trust = Trust::new();
    let tls = trust.server("site", false);
    let shown = tls.certificate().to_vec();
    let server = Server::secured(tls, telling).await;
    let bed = Bed::with_flows(flows("l4-splice", &[&server])).await;
    let mut client = Client::new(connect(&bed, &trust.client(false), "site").await.unwrap());
    assert_eq!(client.get("/").await.1, "1.1");
    assert_eq!(client.socket.certificate(), Some(&shown[..]));
}

#[tokio::test]
async fn a_check_by_a_request_goes_over_tls_and_one_of_the_port_does_not() {
    let trust = Trust::new();
    let server = Server::secured(trust.server("iis1", true), telling).await;
    let plain = plain().await;
    let (http, tcp) = (Probe::Http { uri: "/".into(), expect: Expect::ALIVE }, CheckRule::TCP.probe);
    let alive = async |server: &Server, probe: Probe| {
        let backend: Backend = farm(&[server]).backends.remove(0);
        let prober = prober_of(TokioNet, Some(trust.upstream()), probe, None);
        tokio::time::timeout(peers::PATIENCE, prober.probe(0, &backend)).await.unwrap()
    };
    assert!(alive(&server, http.clone()).await && alive(&server, tcp.clone()).await);
    assert!(!alive(&plain, http).await && alive(&plain, tcp).await);
}
