//! Tests of the certificates that servers and balancers show.

use std::net::Ipv4Addr;
use std::sync::Arc;

use stickler_model::topology::{BetweenTls, CertificateSpec, DomainSpec, ServerSpec, TlsSpec, UpstreamTls};
use stickler_model::{Entropy, Topology, standard};
use stickler_net::{Listener as _, Net as _, TokioNet};
use stickler_site::{RandomFor, SitePki, TlsEnds};
use stickler_tls::{ClientTls, ServerTls};

const NAMES: [&str; 2] = ["www.corp.example", "127.0.0.1"];

const BALANCER: TlsEnds = TlsEnds { front: false, balancer: true };

fn seeded(seed: u64) -> RandomFor {
    Arc::new(move |who| {
        let entropy = Entropy::new(seed, who);
        Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes))
    })
}

/// Returns the certificates of a site whose balancer terminates TLS or passes it through.
fn pki(tls: Option<TlsSpec>, terminates: bool) -> Option<SitePki> {
    let domain = DomainSpec { dns: "corp.example".into(), ..DomainSpec::default() };
    let topology = Topology { tls, domain, ..Topology::default() };
    let ends = TlsEnds { front: false, balancer: terminates };
    SitePki::new(&topology, ends, &NAMES.map(str::to_owned), seeded(1)).expect("the names are good")
}

fn site(upstream: UpstreamTls, terminates: bool) -> SitePki {
    pki(Some(TlsSpec { upstream, http2: true, ..TlsSpec::default() }), terminates).expect("it has TLS")
}

/// Performs a handshake and returns whether it agreed on HTTP/2, or why it failed.
async fn handshake(server: ServerTls, client: &ClientTls, name: &str) -> Result<bool, String> {
    let listener = TokioNet.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) =
        tokio::join!(async { server.accept(listener.accept().await.unwrap().0).await }, async {
            client.connect(name, TokioNet.connect(address).await.unwrap()).await
        });
    let connected = connected.map_err(|error| error.to_string())?;
    accepted.map_err(|error| error.to_string())?;
    Ok(connected.http2())
}

#[test]
fn a_site_without_tls_has_no_certificates() {
    assert!(pki(None, true).is_none());
}

#[tokio::test]
async fn behind_a_balancer_that_terminates_each_server_has_its_own_certificate() {
    let pki = site(UpstreamTls::Own, true);
    let (one, two) = (standard::server("iis1".into()), standard::server("iis2".into()));
    let server = |spec| pki.server(spec).unwrap().expect("it has TLS");
    assert_ne!(server(&one).certificate(), server(&two).certificate());
    assert_ne!(server(&one).certificate(), pki.front_end(&"lb".into()).unwrap().certificate());
    let balancer = pki.upstream(&"lb".into()).unwrap();
    assert!(balancer.name.is_none(), "it wants the server's own name");
    assert_eq!(handshake(server(&one), &balancer.client, "iis1").await, Ok(true), "both offer HTTP/2");
    assert_eq!(handshake(server(&one), &balancer.client.http1(), "iis1").await, Ok(false));
    assert!(handshake(server(&one), &balancer.client, "iis1.corp.example").await.is_ok());
    let other = handshake(server(&one), &balancer.client, "iis2").await.unwrap_err();
    assert!(other.contains("other names"), "{other}");
}

#[tokio::test]
async fn a_server_shows_the_certificate_that_its_own_settings_name() {
    let pki = site(UpstreamTls::Own, true);
    let shared = pki.front_end(&"lb".into()).unwrap().certificate().to_vec();
    let client = pki.client(&"alice".into());
    for (certificate, is_shared, refused) in [
        (CertificateSpec::AsSite, false, None),
        (CertificateSpec::Own, false, None),
        (CertificateSpec::Same, true, None),
        (CertificateSpec::Expired, false, Some("has expired")),
        (CertificateSpec::OtherName, false, Some("other names")),
    ] {
        let server = pki.server(&ServerSpec { certificate, ..standard::server("iis1".into()) });
        let server = server.unwrap().expect("it has TLS");
        assert_eq!(server.certificate() == shared, is_shared, "{certificate:?}");
        let said = handshake(server, &client, NAMES[0]).await.err();
        assert_eq!(said.is_some(), refused.is_some(), "{certificate:?}: {said:?}");
        assert!(refused.is_none_or(|refused| said.unwrap().contains(refused)), "{certificate:?}");
    }
}

#[tokio::test]
async fn a_shared_certificate_is_the_sites_and_the_balancer_asks_for_its_first_name() {
    let pki = site(UpstreamTls::Same, true);
    let server = pki.server(&standard::server("iis1".into())).unwrap().expect("it has TLS");
    assert_eq!(server.certificate(), pki.front_end(&"lb".into()).unwrap().certificate());
    let balancer = pki.upstream(&"lb".into()).unwrap();
    assert_eq!(balancer.name, Some(NAMES[0].into()));
    assert!(handshake(server, &balancer.client, NAMES[0]).await.is_ok());
}

#[test]
fn behind_a_balancer_that_offloads_servers_have_no_tls_and_behind_one_that_passes_it_through_they_have() {
    let offloads = site(UpstreamTls::Plain, true);
    assert!(!offloads.secures_servers());
    assert!(
        offloads.server(&standard::server("iis1".into())).unwrap().is_none()
            && offloads.upstream(&"lb".into()).is_none()
    );
    let passes = site(UpstreamTls::Plain, false);
    assert!(passes.secures_servers() && passes.front_end(&"lb".into()).is_none());
    assert!(passes.server(&standard::server("iis1".into())).unwrap().is_some());
}

/// Returns which machines show a certificate, and which use TLS towards the next machine, if another balancer is in front.
fn behind_a_front(ends: TlsEnds, upstream: UpstreamTls, between: BetweenTls) -> [bool; 5] {
    let tls = Some(TlsSpec { upstream, between, http2: false });
    let topology = Topology { tls, ..Topology::default() };
    let pki = SitePki::new(&topology, ends, &NAMES.map(str::to_owned), seeded(1)).unwrap().expect("it has TLS");
    let (front, lb) = ("front".into(), "lb".into());
    [
        pki.front_end(&front).is_some(),
        pki.upstream(&front).is_some(),
        pki.front_end(&lb).is_some(),
        pki.upstream(&lb).is_some(),
        pki.server(&standard::server("iis1".into())).unwrap().is_some(),
    ]
}

#[test]
fn two_balancers_end_tls_each_for_itself_or_pass_on_what_they_get() {
    use BetweenTls::{Again, Plain};
    let (yes, no) = (true, false);
    let both = TlsEnds { front: true, balancer: true };
    assert_eq!(behind_a_front(both, UpstreamTls::Own, Again), [yes, yes, yes, yes, yes]);
    assert_eq!(behind_a_front(both, UpstreamTls::Own, Plain), [yes, no, no, yes, yes]);
    assert_eq!(behind_a_front(both, UpstreamTls::Plain, Again), [yes, yes, yes, no, no]);
    assert_eq!(behind_a_front(both, UpstreamTls::Plain, Plain), [yes, no, no, no, no]);
    // This balancer passes bytes on: it receives what the servers receive. Its checks speak as they do.
    let first = TlsEnds { front: true, balancer: false };
    assert_eq!(behind_a_front(first, UpstreamTls::Plain, Again), [yes, yes, no, yes, yes]);
    assert_eq!(behind_a_front(first, UpstreamTls::Own, Plain), [yes, no, no, no, no]);
    for between in [Again, Plain] {
        // If TLS passes through the first balancer, it is the only machine between the clients and the second.
        assert_eq!(behind_a_front(BALANCER, UpstreamTls::Own, between), [no, no, yes, yes, yes]);
        assert_eq!(behind_a_front(TlsEnds::default(), UpstreamTls::Own, between), [no, no, no, yes, yes]);
    }
}

#[tokio::test]
async fn a_balancer_in_front_wants_the_sites_name_of_whoever_ends_tls_behind_it() {
    for balancer in [true, false] {
        let ends = TlsEnds { front: true, balancer };
        let topology = Topology { tls: Some(TlsSpec::default()), ..Topology::default() };
        let pki = SitePki::new(&topology, ends, &NAMES.map(str::to_owned), seeded(1)).unwrap().expect("it has TLS");
        let front = pki.upstream(&"front".into()).unwrap();
        let name = front.name.expect("the site's");
        let next = pki.front_end(&"lb".into()).or_else(|| pki.server(&standard::server("iis1".into())).unwrap());
        assert!(handshake(next.expect("somebody"), &front.client, name.as_str()).await.is_ok());
    }
}

#[tokio::test]
async fn clients_reach_whoever_terminates_by_every_name_of_the_site_and_get_http_2_there() {
    for (pki, server) in [
        (site(UpstreamTls::Own, true), "lb"),
        // With passthrough, the clients reach the server.
        (site(UpstreamTls::Own, false), "iis1"),
    ] {
        let spec = standard::server(server.into());
        let shown = || pki.front_end(&spec.name).or_else(|| pki.server(&spec).unwrap()).expect("somebody terminates");
        for site in NAMES {
            assert_eq!(handshake(shown(), &pki.client(&"alice".into()), site).await, Ok(true), "{site}");
        }
    }
}

#[tokio::test]
async fn another_sites_authority_is_not_trusted() {
    let (own, other) = (site(UpstreamTls::Own, true), {
        let topology = Topology { tls: Some(TlsSpec::default()), ..Topology::default() };
        SitePki::new(&topology, BALANCER, &NAMES.map(str::to_owned), seeded(2)).unwrap().expect("it has TLS")
    });
    let server = own.front_end(&"lb".into()).unwrap();
    let refused = handshake(server, &other.client(&"alice".into()), NAMES[0]).await.unwrap_err();
    assert!(refused.contains("not issued by an authority that this client trusts"), "{refused}");
}

#[test]
fn a_name_that_no_certificate_can_hold_is_refused() {
    let topology = Topology { tls: Some(TlsSpec::default()), ..Topology::default() };
    assert!(SitePki::new(&topology, BALANCER, &["not a näme".to_owned()], seeded(1)).is_err());
}
