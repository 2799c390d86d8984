//! Tests of the KDC's sockets, without external programs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stickler_auth::kerberos::keys::Keytab;
use stickler_auth::kerberos::message::KrbError;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_mock_dc::{Directory, DomainController};
use stickler_model::topology::DomainSpec;
use stickler_model::{Entropy, Env, Journal, Name};
use stickler_wire::{Kdc, WallClock, krb5_conf};
use tokio::net::UdpSocket;
use tokio::time::timeout;

fn start(dns: &str, address: SocketAddr) -> std::io::Result<Kdc> {
    let clock = Arc::new(WallClock::default());
    let journal = Journal::new(Arc::clone(&clock) as Arc<dyn stickler_model::Clock>);
    let env = Env { name: Name::from("dc"), clock, entropy: Entropy::new(1, dns), journal };
    let spec = DomainSpec { netbios: "CORP".into(), dns: dns.into(), ..DomainSpec::default() };
    let controller = DomainController::new(Directory::new(&spec).with_iterations(8));
    controller.join(&Name::from("iis1"), b"secret");
    Kdc::start(address, env, Arc::new(controller))
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

#[tokio::test]
async fn a_datagram_that_is_no_request_gets_an_error_and_a_real_one_after_it_too() {
    let kdc = start("corp.example", any_port()).unwrap();
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    let mut reply = [0; 2000];
    for request in [&b""[..], b"hello", &[0x6A; 3000]] {
        socket.send_to(request, kdc.address).await.unwrap();
        let (length, from) = timeout(Duration::from_secs(5), socket.recv_from(&mut reply)).await.unwrap().unwrap();
        assert_eq!(KrbError::decode(&reply[..length]).unwrap().code, KrbErrorCode::MSG_TYPE);
        assert_eq!(from, kdc.address);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let first = start("corp.example", any_port()).unwrap();
    assert!(start("corp.example", first.address).is_err());
    // The port is in use for UDP alone.
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    assert!(start("corp.example", socket.local_addr().unwrap()).is_err());
}

#[tokio::test]
async fn the_configuration_names_each_realm_and_where_its_kdc_is() {
    let (home, other) = (start("corp.example", any_port()), start("partner.example", any_port()));
    let (home, other) = (home.unwrap(), other.unwrap());
    let expected = format!(
        "[libdefaults]
 default_realm = CORP.EXAMPLE
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false

[realms]
 CORP.EXAMPLE = {{
  kdc = {}
 }}
 PARTNER.EXAMPLE = {{
  kdc = {}
 }}

[domain_realm]
 .corp.example = CORP.EXAMPLE
 corp.example = CORP.EXAMPLE
 .partner.example = PARTNER.EXAMPLE
 partner.example = PARTNER.EXAMPLE
 localhost = CORP.EXAMPLE
",
        home.address, other.address
    );
    assert_eq!(krb5_conf(&home, &[&other]), expected);
}

#[tokio::test]
async fn a_key_table_is_that_of_an_account_there_is() {
    let kdc = start("corp.example", any_port()).unwrap();
    let table = Keytab::decode(&kdc.keytab("IIS1$").unwrap()).unwrap();
    // There are seven names and three encryption types.
    assert_eq!(table.entries.len(), 21);
    assert!(kdc.keytab("nobody").is_none());
}
