//! Tests of clients over TLS and HTTP/2, with a real server, and with a proxy at which TLS ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_mock_client::{Check, check_on};
use stickler_mock_iis::WebSite;
use stickler_model::event::{Closed, Credentials};
use stickler_model::topology::{
    Acceptor, Checking, Http2, ProtectionSpec, Provider, SiteSpec, Tracked, TrackedBy, TrackedCheck,
};
use stickler_model::{ClientSpec, Entropy, Identity, Payload, Principal, Profile, RequestId, RequestSpec, What};
use stickler_net::{Listener as _, Net as _, TokioNet, next_connection};
use stickler_tls::{Authority, Certified, ClientTls, Random, ServerTls};
use tokio::time::sleep;

use crate::tickets::{Bench, SITE, Setup};

/// The parties between which TLS is used.
pub(crate) struct Ends {
    pub(crate) server: ServerTls,
    /// A proxy at which TLS ends, and which uses TLS again towards the server.
    pub(crate) proxy: Option<ServerTls>,
    pub(crate) client: ClientTls,
}

/// The certificate that the client is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meets {
    /// The server's certificate, shown by the server.
    Servers,
    /// The server's certificate, shown by a proxy.
    Same,
    /// The proxy's own certificate.
    Proxys,
}

fn random(name: &str) -> Random {
    let entropy = Entropy::new(1, name);
    Arc::new(move |buffer: &mut [u8]| {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&entropy.bytes::<8>()[..chunk.len()]);
        }
    })
}

fn authority() -> (Authority, Certified) {
    let authority = Authority::new(random("authority"));
    let certified = authority.issue(&[SITE]).unwrap();
    (authority, certified)
}

pub(crate) fn ends(meets: Meets, server_http2: bool) -> Ends {
    let (authority, certified) = authority();
    let own = authority.issue(&[SITE]).unwrap();
    let proxy = match meets {
        Meets::Servers => None,
        Meets::Same => Some(&certified),
        Meets::Proxys => Some(&own),
    };
    Ends {
        server: ServerTls::new(&certified, server_http2, random("server")),
        proxy: proxy.map(|certified| ServerTls::new(certified, false, random("proxy"))),
        client: ClientTls::new(&authority, true, random("client")),
    }
}

/// Runs a proxy that terminates TLS, and uses TLS again towards `server`.
pub(crate) async fn terminate(proxy: ServerTls, client: ClientTls, server: SocketAddr) -> SocketAddr {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    TokioNet.spawn(async move {
        while let Some((downstream, _)) = next_connection(&listener).await {
            let (proxy, client) = (proxy.clone(), client.http1());
            TokioNet.spawn(async move {
                let mut downstream = proxy.accept(downstream).await.unwrap();
                let upstream = TokioNet.connect(server).await.unwrap();
                let mut upstream = client.connect(SITE, upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await;
            });
        }
    });
    address
}

fn protected(checking: Checking) -> SiteSpec {
    let protection = ProtectionSpec { checking, ..ProtectionSpec::default() };
    SiteSpec { protection, ..SiteSpec::default() }
}

/// Returns whether alice is admitted, and the last code in the server's log.
async fn admitted(setup: Setup) -> (bool, u32) {
    let bench = setup.start().await;
    let status = bench.get(1).await.status;
    let codes = bench.journal.take().into_iter().filter_map(|event| match event.what {
        What::ServerAnswered { win32, .. } => Some(win32),
        _ => None,
    });
    (status == Some(200), codes.last().unwrap())
}

#[tokio::test]
async fn extended_protection_takes_what_is_bound_to_the_servers_certificate_and_required_only_that() {
    const BAD_BINDINGS: u32 = 0x8009_0346;
    const FINE: u32 = 0;
    let no_kerberos: fn(ClientSpec) -> ClientSpec = |spec| ClientSpec { no_kerberos: true, ..spec };
    let any: fn(ClientSpec) -> ClientSpec = |spec| spec;
    let browsers = [(Profile::BROWSER, any), (Profile::BROWSER, no_kerberos)];
    let curls = [(Profile::CURL_NEGOTIATE, any), (Profile::CURL, any)];
    for (checking, meets, bound, unbound) in [
        (Checking::None, Meets::Servers, FINE, FINE),
        (Checking::None, Meets::Proxys, FINE, FINE),
        (Checking::Allow, Meets::Servers, FINE, FINE),
        (Checking::Allow, Meets::Same, FINE, FINE),
        (Checking::Allow, Meets::Proxys, BAD_BINDINGS, FINE),
        (Checking::Require, Meets::Servers, FINE, BAD_BINDINGS),
        (Checking::Require, Meets::Same, FINE, BAD_BINDINGS),
        (Checking::Require, Meets::Proxys, BAD_BINDINGS, BAD_BINDINGS),
    ] {
        for ((profile, client), code) in
            browsers.map(|who| (who, bound)).into_iter().chain(curls.map(|who| (who, unbound)))
        {
            let (site, tls) = (protected(checking), Some(ends(meets, false)));
            let admitted = admitted(Setup { site, tls, client, ..Setup::of(profile) }).await;
            assert_eq!(admitted, (code == FINE, code), "{checking:?} {meets:?} {profile:?}");
        }
    }
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_the_service_name_stands_in_for_the_binding() {
    for (listed, admitted_) in [(format!("HTTP/{SITE}"), true), ("HTTP/other.corp.example".to_owned(), false)] {
        let mut site = protected(Checking::Require);
        (site.protection.flags, site.protection.service_names) = (ProtectionSpec::PROXY, vec![listed]);
        let tls = Some(ends(Meets::Proxys, false));
        assert_eq!(admitted(Setup { site, tls, ..Setup::of(Profile::BROWSER) }).await.0, admitted_);
    }
}

#[tokio::test]
async fn both_ends_note_the_certificate_that_is_shown() {
    for meets in [Meets::Servers, Meets::Same, Meets::Proxys] {
        let bench = Setup { tls: Some(ends(meets, false)), ..Setup::of(Profile::BROWSER) }.start().await;
        assert_eq!(bench.get(1).await.status, Some(200));
        let (mut seen, mut shown) = (Vec::new(), Vec::new());
        for event in bench.journal.take() {
            match event.what {
                What::ClientSecured { certificate, http2: false, connection: 1 } => seen.push(certificate),
                What::ServerSecured { certificate, connection: 1 } => shown.push(certificate),
                _ => {}
            }
        }
        assert_eq!((seen.len(), shown.len()), (1, 1));
        assert_eq!(seen == shown, meets != Meets::Proxys);
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_an_error_and_the_connection_is_over_at_both_ends() {
    let mut ends = ends(Meets::Servers, false);
    ends.client = ClientTls::new(&Authority::new(random("stranger")), false, random("client"));
    let bench = Setup { tls: Some(ends), ..Setup::of(Profile::CURL) }.start().await;
    let answer = bench.get(1).await;
    let error = answer.error.unwrap();
    assert!(error.contains("TLS with www.corp.example: the certificate was not issued by an authority"), "{error}");
    assert_eq!(answer.requests, 0);
    sleep(Duration::from_millis(30)).await;
    let ended = bench.journal.take().into_iter().filter_map(|event| match event.what {
        What::ClientClosed { how, .. } => Some(("client", how)),
        What::ServerClosed { how, .. } => Some(("server", how)),
        What::ClientSecured { .. } | What::ServerSecured { .. } => panic!("nobody has TLS"),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [("client", Closed::Here), ("server", Closed::ByPeer)]);
}

#[tokio::test]
async fn a_client_that_closes_its_connections_in_the_middle_of_a_handshake_hears_so() {
    // The listener accepts connections, and sends nothing.
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let silent = listener.local_addr().unwrap();
    let bench = Setup::of(Profile::CURL).start().await;
    let env = bench.env();
    let spec = ClientSpec::new("bob".into(), Profile::CURL, None);
    let client = stickler_mock_client::Client::new(TokioNet, env, &spec, silent, SITE.into());
    let client = client.with_tls(ends(Meets::Servers, false).client);
    let asked = RequestSpec::new("bob".into(), "GET", "/");
    let (answer, ()) = tokio::join!(client.request(RequestId(1), &asked, Credentials::Valid), async {
        let _kept = next_connection(&listener).await.unwrap();
        sleep(Duration::from_millis(30)).await;
        client.disconnect();
    });
    assert!(answer.error.unwrap().ends_with("the client closed its connections"));
    let closed = bench.journal.take().into_iter().filter(|event| matches!(event.what, What::ClientClosed { .. }));
    assert_eq!(closed.count(), 1);
}

/// Returns a site on which nobody needs to log on.
fn anonymous(site: WebSite) -> WebSite {
    site.with_auth(|auth| auth.anonymous = true)
}

/// Returns a server that ties users to addresses, and therefore accepts HTTP/2.
fn by_address(site: WebSite) -> WebSite {
    site.with_acceptor(Acceptor::Tracked(Tracked { by: TrackedBy::Peer, check: TrackedCheck::Nothing }))
}

async fn over_http2(profile: Profile, http2: Http2, change: fn(WebSite) -> WebSite) -> Bench {
    let client: fn(ClientSpec) -> ClientSpec = match http2 {
        Http2::Never => |spec| ClientSpec { no_kerberos: true, http2: Http2::Never, ..spec },
        Http2::UntilChallenged => |spec| ClientSpec { no_kerberos: true, http2: Http2::UntilChallenged, ..spec },
        Http2::Always => |spec| ClientSpec { no_kerberos: true, http2: Http2::Always, ..spec },
    };
    let (providers, tls) = (vec![Provider::Ntlm], Some(ends(Meets::Servers, true)));
    Setup { providers, change, tls, client, ..Setup::of(profile) }.start().await
}

#[tokio::test]
async fn requests_without_users_share_one_connection_of_http2_at_the_same_time() {
    let bench = over_http2(Profile::BROWSER, Http2::UntilChallenged, anonymous).await;
    let body = Payload::Bytes(100_000);
    let post = RequestSpec { body: body.clone(), ..RequestSpec::new("alice".into(), "POST", "/bytes/200000") };
    let echo = RequestSpec { body, ..RequestSpec::new("alice".into(), "POST", "/?n=1") };
    let ask = |number, spec| bench.client.request(RequestId(number), spec, Credentials::Valid);
    let (a, b, c, d) = tokio::join!(ask(1, &post), ask(2, &echo), ask(3, &post), ask(4, &echo));
    for answer in [&a, &c] {
        assert_eq!((answer.status, answer.body_length), (Some(200), 200_000));
    }
    for answer in [&b, &d] {
        let application = answer.application.as_ref().unwrap();
        assert_eq!((application.length, application.path.as_str(), application.connection), (100_000, "/?n=1", 1));
        assert_eq!(application.digest, Payload::Bytes(100_000).digest());
    }
    let story = bench.story();
    assert_eq!(story.matches("has TLS, and HTTP/2").count(), 1, "{story}");
    assert_eq!(story.matches("sent on 1").count(), 4, "{story}");
}

#[tokio::test]
async fn iis_sends_who_must_log_on_back_to_http1_and_a_browser_remembers_that() {
    let bench = over_http2(Profile::BROWSER, Http2::UntilChallenged, |site| site).await;
    for number in 1..3 {
        assert_eq!(bench.get(number).await.application.unwrap().user.unwrap().as_str(), "CORP\\alice");
    }
    insta::assert_snapshot!(bench.story());
}

#[tokio::test]
async fn who_authenticates_over_http2_tries_it_again_with_every_request() {
    let bench = over_http2(Profile::CURL, Http2::Always, |site| site).await;
    for number in 1..3 {
        assert_eq!(bench.get(number).await.application.unwrap().user.unwrap().as_str(), "CORP\\alice");
    }
    insta::assert_snapshot!(bench.story());
}

#[tokio::test]
async fn a_browser_answers_a_challenge_over_http2_on_a_new_connection_of_http1() {
    let bench = over_http2(Profile::BROWSER, Http2::UntilChallenged, by_address).await;
    for number in 1..3 {
        assert_eq!(bench.get(number).await.application.unwrap().user.unwrap().as_str(), "CORP\\alice");
    }
    insta::assert_snapshot!(bench.story());
}

#[tokio::test]
async fn the_legs_of_a_handshake_can_be_streams_of_one_connection() {
    for (profile, requests) in [(Profile::BROWSER, 3), (Profile::CURL, 2)] {
        let bench = over_http2(profile, Http2::Always, by_address).await;
        let first = bench.get(1).await;
        assert_eq!((first.status, first.requests), (Some(200), requests));
        // The client knows that the connection is authenticated.
        let (second, third) = tokio::join!(bench.get(2), bench.get(3));
        assert_eq!((second.requests, third.requests), (1, 1));
        let story = bench.story();
        assert_eq!(story.matches("has TLS").count(), 1, "{story}");
        assert!(story.contains("sent on 1: Authenticate"), "{story}");
    }
}

#[tokio::test]
async fn curl_sends_its_first_token_over_http2_and_begins_again_over_http1() {
    let bench = over_http2(Profile::CURL, Http2::UntilChallenged, by_address).await;
    let answer = bench.get(1).await;
    assert_eq!((answer.status, answer.requests), (Some(200), 3));
    let story = bench.story();
    for line in [
        "connection 1 has TLS, and HTTP/2\nr1 sent on 1: Negotiate",
        "connection 2 has TLS\nr1 sent on 2: Negotiate",
        "r1 sent on 2: Authenticate",
    ] {
        assert!(story.contains(line), "{line}: {story}");
    }
}

#[tokio::test]
async fn a_server_without_http2_has_a_connection_for_each_request() {
    for http2 in [Http2::UntilChallenged, Http2::Always] {
        let client: fn(ClientSpec) -> ClientSpec = match http2 {
            Http2::Always => |spec| ClientSpec { http2: Http2::Always, ..spec },
            _ => |spec| ClientSpec { http2: Http2::UntilChallenged, ..spec },
        };
        let tls = Some(ends(Meets::Servers, false));
        let bench = Setup { tls, client, ..Setup::of(Profile::BROWSER) }.start().await;
        let (first, second) = tokio::join!(bench.get(1), bench.get(2));
        assert_eq!((first.status, second.status), (Some(200), Some(200)));
        let story = bench.story();
        assert_eq!(story.matches("has TLS\n").count(), 2, "{story}");
    }
}

#[tokio::test]
async fn a_lost_connection_of_http2_is_opened_anew() {
    let bench = over_http2(Profile::BROWSER, Http2::Always, anonymous).await;
    assert_eq!(bench.get(1).await.status, Some(200));
    bench.client.disconnect();
    sleep(Duration::from_millis(30)).await;
    assert_eq!(bench.get(2).await.status, Some(200));
    let story = bench.story();
    assert!(story.contains("connection 2 has TLS, and HTTP/2"), "{story}");
}

#[tokio::test]
async fn a_client_with_one_port_closes_its_connection_of_http2_before_it_goes_over_to_http1() {
    for (http2, name) in [(Http2::UntilChallenged, Profile::BROWSER), (Http2::Always, Profile::CURL)] {
        let client: fn(ClientSpec) -> ClientSpec = match http2 {
            Http2::Always => |spec| ClientSpec { port: Some(50_000), http2: Http2::Always, ..spec },
            _ => |spec| ClientSpec { port: Some(50_000), http2: Http2::UntilChallenged, ..spec },
        };
        let (providers, tls) = (vec![Provider::Ntlm], Some(ends(Meets::Servers, true)));
        let bench = Setup { providers, tls, client, ..Setup::of(name) }.start().await;
        assert_eq!(bench.get(1).await.status, Some(200));
        assert_eq!(bench.get(2).await.status, Some(200));
        sleep(Duration::from_millis(30)).await;
        let connections: Vec<_> = bench
            .journal
            .take()
            .into_iter()
            .filter_map(|event| match event.what {
                What::ClientConnected { connection, .. } => Some((connection, true)),
                What::ClientClosed { connection, .. } => Some((connection, false)),
                _ => None,
            })
            .collect();
        // The connection's own task closes it. The test requires only that no third connection is opened.
        assert_eq!(connections.iter().filter(|(_, opens)| *opens).count(), 2, "{connections:?}");
        assert!(connections.contains(&(1, false)) && !connections.contains(&(2, false)), "{connections:?}");
    }
}

#[tokio::test]
async fn a_check_logs_on_over_a_connection_that_has_tls() {
    let ends = ends(Meets::Servers, false);
    let tls = ends.client.clone();
    let bench = Setup { tls: Some(ends), ..Setup::of(Profile::CURL) }.start().await;
    let identity = Identity { principal: Principal::new("CORP", "alice"), password: "alice-pw".into() };
    let asked = Check { host: SITE, uri: "/", identity: Some(&identity), keep: 0 };
    let stream = TokioNet.connect(bench.address).await.unwrap();
    let stream = tls.connect(SITE, stream).await.unwrap();
    let checked = check_on(stream, &bench.env(), &asked).await.unwrap();
    assert_eq!((checked.status, checked.logged_on), (200, true));
}
