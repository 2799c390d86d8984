//! Tests of the server over TLS: with real curl, with silent connections, and with servers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use stickler_auth::http::Scheme;
use stickler_mock_iis::{ServerLimits, WebSite};
use stickler_model::event::Closed;
use stickler_model::topology::{Acceptor, Rogue};
use stickler_model::{Entropy, What};
use stickler_net::{Net as _, TokioNet};
use stickler_tls::{Authority, ClientTls, Random, Secured, ServerTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::bench::{Bench, domain};

const NAME: &str = "www.corp.example";

fn random(name: &str) -> Random {
    let entropy = Entropy::new(1, name);
    Arc::new(move |buffer: &mut [u8]| {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&entropy.bytes::<8>()[..chunk.len()]);
        }
    })
}

/// Starts a server with TLS that may offer HTTP/2.
async fn bench(http2: bool, change: impl FnOnce(WebSite) -> WebSite) -> (Bench, Authority) {
    let authority = Authority::new(random("authority"));
    let tls = ServerTls::new(&authority.issue(&[NAME]).unwrap(), http2, random("server"));
    (Bench::with(domain(None), |site| change(site.with_tls(tls))).await, authority)
}

async fn connect(
    bench: &Bench,
    authority: &Authority,
    http2: bool,
) -> Secured<<TokioNet as stickler_net::Net>::Stream> {
    let stream = TokioNet.connect(bench.web).await.unwrap();
    ClientTls::new(authority, http2, random("client")).connect(NAME, stream).await.unwrap()
}

fn ends(bench: &Bench) -> Vec<Closed> {
    bench.take(|what| if let What::ServerClosed { how, .. } = what { Some(how) } else { None })
}

/// Runs curl, and returns the status and the HTTP version of the last answer, and its verbose output. Returns `None` if
/// curl is not installed.
async fn curl(bench: &Bench, authority: &Authority, arguments: &[&str]) -> Option<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("authority.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    let port = bench.web.port();
    let mut command = std::process::Command::new("curl");
    command
        .args(["-sv", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert"])
        .arg(roots);
    command.args(["--resolve", &format!("{NAME}:{port}:127.0.0.1"), "-u", "CORP\\alice:alice-pw"]);
    command.args(arguments).arg(format!("https://{NAME}:{port}/"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    drop(directory);
    let Ok(output) = output else {
        assert!(std::env::var_os("STICKLER_REQUIRE_PEERS").is_none(), "curl is not installed");
        println!("skipped: curl is not installed");
        return None;
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[tokio::test]
async fn curl_logs_on_over_either_version_of_tls() {
    for version in [&["--tlsv1.3", "--ntlm"][..], &["--tls-max", "1.2", "--ntlm"]] {
        let (bench, authority) = bench(false, |site| site).await;
        let Some((status, told)) = curl(&bench, &authority, version).await else { return };
        assert_eq!(status, "200 1.1", "{told}");
        let secured = bench.take(|what| matches!(what, What::ServerSecured { connection: 1, .. }).then_some(()));
        assert_eq!(secured.len(), 1);
    }
}

#[tokio::test]
async fn curl_goes_over_to_http1_when_iis_asks_for_that() {
    // curl would choose Negotiate, for which it has no ticket.
    let (bench, authority) = bench(true, |site| site.with_auth(|auth| auth.schemes = vec![Scheme::Ntlm])).await;
    let Some((status, told)) = curl(&bench, &authority, &["--http2", "--anyauth"]).await else { return };
    assert!(told.contains("ALPN: server accepted h2"), "{told}");
    assert!(told.contains("Downgrades to HTTP/1.1") && told.contains("HTTP_1_1_REQUIRED"), "{told}");
    assert_eq!(status, "200 1.1", "{told}");
}

#[tokio::test]
async fn curl_stays_on_http2_where_nobody_has_to_log_on() {
    let (bench, authority) = bench(true, |site| site.with_auth(|auth| auth.anonymous = true)).await;
    let Some((status, told)) = curl(&bench, &authority, &["--http2", "--anyauth"]).await else { return };
    assert_eq!(status, "200 2", "{told}");
}

#[tokio::test]
async fn who_does_not_speak_is_given_up_before_tls_and_after_it() {
    let limits = ServerLimits { idle: Duration::from_millis(60), ..ServerLimits::default() };
    let (bench, authority) = bench(true, |site| site.with_limits(limits)).await;
    let mut plain = TokioNet.connect(bench.web).await.unwrap();
    assert_eq!(plain.read(&mut [0; 8]).await.unwrap(), 0);
    for http2 in [false, true] {
        let mut secured = connect(&bench, &authority, http2).await;
        assert_eq!(secured.http2(), http2);
        if http2 {
            // The preface, and empty SETTINGS (RFC 9113 3.4).
            secured.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            secured.flush().await.unwrap();
        }
        let mut rest = Vec::new();
        secured.read_to_end(&mut rest).await.unwrap();
        // HTTP/2 ends with GOAWAY.
        assert_eq!(rest.windows(4).any(|frame| frame == [8, 7, 0, 0]), http2, "{rest:?}");
    }
    sleep(Duration::from_millis(30)).await;
    assert_eq!(ends(&bench), [Closed::Here; 3]);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_with_an_alert() {
    let (bench, _) = bench(false, |site| site).await;
    let mut plain = TokioNet.connect(bench.web).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: iis1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest).await;
    assert_eq!(rest.first(), Some(&21), "an alert is record type 21 (RFC 8446 5.1)");
    sleep(Duration::from_millis(30)).await;
    assert_eq!(ends(&bench), [Closed::Here]);
}

#[tokio::test]
async fn a_server_that_misbehaves_does_so_over_tls_too() {
    let (bench, authority) = bench(false, |site| site.with_acceptor(Acceptor::Rogue(Rogue::WrongLength))).await;
    let mut secured = connect(&bench, &authority, false).await;
    secured.write_all(b"GET / HTTP/1.1\r\nHost: iis1\r\n\r\n").await.unwrap();
    secured.flush().await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"wrong") {
        assert_ne!(secured.read_buf(&mut heard).await.unwrap(), 0);
    }
    assert!(heard.starts_with(b"HTTP/1.1 200 OK"));
}
