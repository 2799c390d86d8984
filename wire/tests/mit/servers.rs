//! Tests of Stickler's client and acceptor with MIT's KDC: tickets of a real `krb5kdc`, decrypted with its key table.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use stickler_auth::FileTime;
use stickler_auth::kerberos::ap::{self, AcceptorConfig, Initiator, InitiatorConfig, ReplayCache};
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::keys::{Keytab, ServiceKeys};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{Credential, Principal, PrincipalName};
use stickler_model::{Clock as _, Entropy};
use stickler_wire::WallClock;

use crate::domain::WEB;
use crate::tools::{Desk, Running, Said, pause};

const REALM: &str = "MIT.EXAMPLE";

/// MIT's name for each encryption type that both support.
const ETYPES: [(&str, Etype); 4] = [
    ("aes256-cts", Etype::Aes256Sha1),
    ("aes128-cts", Etype::Aes128Sha1),
    ("aes256-sha2", Etype::Aes256Sha384),
    ("aes128-sha2", Etype::Aes128Sha256),
];

/// A running `krb5kdc` with alice and the service [`WEB`], whose keys are in `web.keytab`.
struct MitKdc {
    desk: Desk,
    address: SocketAddr,
    _daemon: Running,
}

impl MitKdc {
    fn start() -> Option<Self> {
        let address = free_address();
        let conf = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n \
             rdns = false\n[realms]\n {REALM} = {{\n  kdc = {address}\n }}\n"
        );
        let desk = Desk::new(&["krb5kdc", "kdb5_util", "kadmin.local"], &conf)?;
        let [database, stash, acl, log] = ["principal", "stash", "acl", "log"].map(|file| desk.path(file));
        let etypes = ETYPES.map(|(name, _)| format!("{name}:normal")).join(" ");
        let profile = format!(
            "[realms]\n {REALM} = {{\n  database_name = {}\n  key_stash_file = {}\n  acl_file = {}\n  \
             kdc_listen = {address}\n  kdc_tcp_listen = {address}\n  supported_enctypes = {etypes}\n }}\n\
             [logging]\n kdc = FILE:{}\n",
            database.display(),
            stash.display(),
            acl.display(),
            log.display()
        );
        desk.write("kdc.conf", profile.as_bytes());
        succeeded(&desk.run("kdb5_util", &["create", "-s", "-W", "-P", "master", "-r", REALM], ""));
        let administer = |command: &str| succeeded(&desk.run("kadmin.local", &["-q", command], ""));
        administer("addprinc -pw alice-pw +requires_preauth alice");
        administer(&format!("addprinc -randkey {WEB}"));
        administer(&format!("ktadd -k {} {WEB}", desk.path("web.keytab").display()));
        let daemon = desk.start("krb5kdc", &["-n"]);
        let kdc = Self { desk, address, _daemon: daemon };
        kdc.wait();
        Some(kdc)
    }

    /// Waits until it listens.
    fn wait(&self) {
        for _ in 0..2000 {
            if connect(self.address).is_some() {
                return;
            }
            pause();
        }
        panic!("krb5kdc does not listen: {:?}", std::fs::read_to_string(self.desk.path("log")));
    }

    fn keys(&self) -> ServiceKeys {
        let table = Keytab::decode(&std::fs::read(self.desk.path("web.keytab")).unwrap()).unwrap();
        assert_eq!(table.entries.len(), ETYPES.len());
        ServiceKeys::from_keytab(&table, None)
    }

    /// Requests alice's ticket for [`WEB`] with these encryption types and a password.
    fn ticket(&self, etypes: &[Etype], password: &str) -> Result<Credential, ClientError> {
        let alice = Principal::new(PrincipalName::user("alice"), REALM);
        let config =
            ClientConfig { etypes: etypes.to_vec(), ..ClientConfig::new(alice, Secret::Password(password.into())) };
        let entropy = Entropy::new(1, "client");
        let nonces = || Nonces {
            nonce: u32::from_le_bytes(entropy.bytes()),
            confounder: entropy.bytes(),
            subkey: entropy.bytes(),
        };
        let mut cache = CredentialCache::default();
        let (mut acquire, mut step) =
            Acquire::service(Arc::new(config), PrincipalName::parse(WEB), &cache, nonces(), now());
        loop {
            match step {
                Step::Done(ticket) => return Ok(*ticket),
                Step::Send { request, .. } => {
                    step = acquire.take(&self.exchange(&request), &mut cache, nonces(), now())?;
                }
            }
        }
    }

    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.address).unwrap();
        stream.write_all(&(request.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(request).unwrap();
        let mut prefix = [0; 4];
        stream.read_exact(&mut prefix).unwrap();
        let mut reply = vec![0; u32::from_be_bytes(prefix) as usize];
        stream.read_exact(&mut reply).unwrap();
        reply
    }
}

#[test]
fn our_acceptor_takes_tickets_of_mits_kdc_by_its_key_table() {
    let Some(kdc) = MitKdc::start() else { return };
    let config = AcceptorConfig::new(kdc.keys());
    for (_, etype) in ETYPES {
        let ticket = kdc.ticket(&[etype], "alice-pw").unwrap();
        assert_eq!(ticket.key.etype(), etype);
        let mut replays = ReplayCache::default();
        let nonces = ap::Nonces { confounder: [1; 16], cred_confounder: [2; 16], subkey: [3; 32], sequence: 4 };
        let (token, initiator) = Initiator::start(&InitiatorConfig::default(), &ticket, nonces, now());
        let mut accept = |config: &AcceptorConfig| ap::accept(config, None, &token, nonces, now(), &mut replays);
        let accepted = accept(&config).unwrap();
        assert_eq!(accepted.client.to_string(), "alice@MIT.EXAMPLE");
        assert_eq!(accepted.server.to_string(), "HTTP/localhost@MIT.EXAMPLE");
        assert!(initiator.finish(&accepted.reply.unwrap()).unwrap().mutual);
        assert_eq!(accept(&config).unwrap_err().refusal.krb_error(), Some(KrbErrorCode::REPEAT));
        let other = AcceptorConfig::new(ServiceKeys::default());
        assert!(accept(&other).unwrap_err().refusal.krb_error().is_some());
    }
    let refused = kdc.ticket(&[Etype::Aes256Sha1], "wrong").unwrap_err();
    assert!(matches!(refused, ClientError::Refused { code: KrbErrorCode::PREAUTH_FAILED, .. }), "{refused}");
}

fn succeeded(said: &Said) {
    assert!(said.ok, "{said:?}");
}

fn now() -> FileTime {
    FileTime(WallClock::default().filetime())
}

#[expect(clippy::disallowed_methods, reason = "a peer of a child process, without a runtime")]
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a peer of a child process, without a runtime")]
fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    Some(stream)
}
