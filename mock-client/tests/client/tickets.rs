//! Tests of clients with Kerberos, with a KDC and a real server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use stickler_auth::FileTime;
use stickler_auth::kerberos::PrincipalName;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::kdc::{self, Account, KdcConfig, Lookup, Principals};
use stickler_auth::kerberos::keys::{ServiceKeys, keys_from_password, user_salt};
use stickler_mock_client::Client;
use stickler_mock_iis::{Accounts, Sam, WebSite};
use stickler_model::event::Credentials;
use stickler_model::topology::{DomainSpec, Provider, ServerSpec, SiteSpec, UserSpec};
use stickler_model::{
    Answer, ClientSpec, Clock, Entropy, Env, Identity, Journal, Payload, Principal, Profile, RequestId, RequestSpec,
    Time, What, standard,
};
use stickler_net::{Listener as _, Net as _, TokioNet, next_connection};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::secure::{Ends, terminate};

pub(crate) const REALM: &str = "CORP.EXAMPLE";
pub(crate) const SITE: &str = "www.corp.example";
const BOTH: [Provider; 2] = [Provider::Negotiate, Provider::Ntlm];

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Time {
        Time(0)
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

/// A KDC that knows alice, bob and the site's account `svc-web`.
struct Realm {
    served: AtomicU8,
}

fn account(name: &str) -> Account {
    let name = PrincipalName::user(name);
    let salt = user_salt(REALM, &name);
    let keys = keys_from_password(&format!("{name}-pw"), &salt, 1, &[Etype::Aes256Sha1], Some(8)).unwrap();
    Account { iterations: Some(8), ..Account::new(name, keys, &salt) }
}

impl Principals for Realm {
    fn client(&self, name: &PrincipalName) -> Lookup {
        match name.to_string().as_str() {
            known @ ("alice" | "bob") => Lookup::Found(Arc::new(account(known))),
            _ => Lookup::Unknown,
        }
    }

    fn service(&self, name: &PrincipalName) -> Lookup {
        let known = name.to_string() == format!("HTTP/{SITE}");
        if known { Lookup::Found(Arc::new(account("svc-web"))) } else { Lookup::Unknown }
    }

    fn krbtgt(&self) -> Arc<Account> {
        Arc::new(account("krbtgt"))
    }

    fn trust(&self, _: &str) -> Option<Arc<Account>> {
        None
    }
}

impl Realm {
    /// Starts the KDC on a port of the loopback interface.
    async fn start() -> (Arc<Self>, SocketAddr) {
        let realm = Arc::new(Self { served: AtomicU8::new(0) });
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, own) = (listener.local_addr().unwrap(), Arc::clone(&realm));
        TokioNet.spawn(async move {
            while let Some((mut stream, _)) = next_connection(&listener).await {
                let mut request = vec![0; stream.read_u32().await.unwrap() as usize];
                stream.read_exact(&mut request).await.unwrap();
                let round = own.served.fetch_add(1, Ordering::SeqCst);
                let nonces = kdc::Nonces {
                    session_key: [round; 32],
                    ticket_confounder: [round ^ 0x22; 16],
                    reply_confounder: [round ^ 0x33; 16],
                };
                let config = KdcConfig { etypes: vec![Etype::Aes256Sha1], ..KdcConfig::new(REALM) };
                let now = FileTime(Noon.filetime());
                let answer = kdc::answer(&config, &*own, &request, nonces, now).message;
                stream.write_u32(answer.len() as u32).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        (realm, address)
    }

    fn served(&self) -> u8 {
        self.served.load(Ordering::SeqCst)
    }
}

/// The settings of a test that differ from the default.
pub(crate) struct Setup {
    pub(crate) profile: Profile,
    pub(crate) providers: Vec<Provider>,
    pub(crate) site: SiteSpec,
    pub(crate) change: fn(WebSite) -> WebSite,
    /// The TLS settings of the connection.
    pub(crate) tls: Option<Ends>,
    /// The site's name in `Host`.
    pub(crate) host: &'static str,
    /// The account whose keys the server has.
    pub(crate) account: &'static str,
    pub(crate) password: &'static str,
    pub(crate) client: fn(ClientSpec) -> ClientSpec,
    /// The address to use instead of the KDC's.
    pub(crate) kdc: Option<SocketAddr>,
}

impl Setup {
    pub(crate) fn of(profile: Profile) -> Self {
        Self {
            profile,
            providers: BOTH.to_vec(),
            site: SiteSpec::default(),
            change: |site| site,
            tls: None,
            host: SITE,
            account: "svc-web",
            password: "alice-pw",
            client: |spec| spec,
            kdc: None,
        }
    }

    pub(crate) async fn start(self) -> Bench {
        let clock: Arc<dyn Clock> = Arc::new(Noon);
        let journal = Journal::new(Arc::clone(&clock));
        let env = |name: &str| Env {
            name: name.into(),
            clock: Arc::clone(&clock),
            entropy: Entropy::new(1, name),
            journal: Arc::clone(&journal),
        };
        let (realm, kdc) = Realm::start().await;
        let user = |name: &str| UserSpec::new(name, format!("{name}-pw"));
        let users = vec![user("alice"), user("bob")];
        let sam = Sam::new("corp", &users);
        let domain = DomainSpec { users, ..standard::domain() };
        let spec = ServerSpec { providers: self.providers, site: self.site, ..standard::server("iis1".into()) };
        let keys = ServiceKeys::new(&account(self.account).keys);
        let site = (self.change)(WebSite::new(&spec, &domain, Accounts::local(sam)).with_kerberos(keys));
        let (site, tls) = match self.tls {
            Some(Ends { server, proxy, client }) => (site.with_tls(server), Some((proxy, client))),
            None => (site, None),
        };
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        TokioNet.spawn(stickler_mock_iis::serve(TokioNet, listener, env("iis1"), Arc::new(site)));
        let identity = Identity { principal: Principal::new("CORP", "alice"), password: self.password.into() };
        let spec = (self.client)(ClientSpec::new("alice".into(), self.profile, Some(identity)));
        let address = match &tls {
            Some((Some(proxy), client)) => terminate(proxy.clone(), client.clone(), address).await,
            _ => address,
        };
        let mut client = Client::new(TokioNet, env("alice"), &spec, address, self.host.into());
        if let Some((_, tls)) = tls {
            client = client.with_tls(tls);
        }
        let client = client.with_kdc(self.kdc.unwrap_or(kdc), REALM);
        Bench { client, address, journal, realm }
    }
}

pub(crate) struct Bench {
    pub(crate) client: Client<TokioNet>,
    /// The address to which the client connects.
    pub(crate) address: SocketAddr,
    pub(crate) journal: Arc<Journal>,
    realm: Arc<Realm>,
}

impl Bench {
    pub(crate) async fn get(&self, number: u32) -> Answer {
        self.ask(number, RequestSpec::new("alice".into(), "GET", "/")).await
    }

    async fn ask(&self, number: u32, spec: RequestSpec) -> Answer {
        self.client.request(RequestId(number), &spec, Credentials::Valid).await
    }

    /// Returns the environment of another client.
    pub(crate) fn env(&self) -> Env {
        let (clock, journal) = (Arc::new(Noon), Arc::clone(&self.journal));
        Env { name: "bob".into(), clock, entropy: Entropy::new(1, "bob"), journal }
    }

    /// Returns the events that the client and the server recorded about requests and tickets, one in each line.
    pub(crate) fn story(&self) -> String {
        let mut text = String::new();
        for event in self.journal.take() {
            let _ = match event.what {
                What::RequestStarted { request, preemptive: true, .. } => writeln!(text, "{request} is pre-emptive"),
                What::ClientSent { connection, request, leg, length } => {
                    writeln!(text, "{request} sent on {connection}: {leg:?}, {length} bytes")
                }
                What::ClientSecured { connection, http2, .. } => {
                    writeln!(text, "connection {connection} has TLS{}", if http2 { ", and HTTP/2" } else { "" })
                }
                What::ServerTicket { client, service, error, .. } => {
                    let client = client.map_or("somebody".into(), |client| client.to_string());
                    writeln!(text, "  server: ticket of {client} for {service}: {error}")
                }
                What::ServerAnswered { leg, status, substatus, win32, .. } => {
                    writeln!(text, "  server: {leg:?} {status} {substatus} {win32}")
                }
                What::RequestEnded { request, status, error } => writeln!(text, "{request} ends: {status:?} {error:?}"),
                _ => Ok(()),
            };
        }
        text
    }
}

#[tokio::test]
async fn curl_sends_a_ticket_at_once_with_the_body_and_none_where_the_server_says_it_persists() {
    let bench = Setup::of(Profile::CURL_NEGOTIATE).start().await;
    let post =
        RequestSpec { body: Payload::Text("name=value".into()), ..RequestSpec::new("alice".into(), "POST", "/") };
    let first = bench.ask(1, post).await;
    assert_eq!((first.requests, first.application.unwrap().length), (1, 10));
    bench.get(2).await;
    insta::assert_snapshot!(bench.story());
}

#[tokio::test]
async fn curl_sends_a_fresh_ticket_with_every_request_where_it_does_not_persist() {
    let site = SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() };
    let bench = Setup { site, ..Setup::of(Profile::CURL_NEGOTIATE) }.start().await;
    for number in 1..4 {
        let answer = bench.get(number).await;
        assert_eq!((answer.status, answer.requests), (Some(200), 1));
    }
    insta::assert_snapshot!(bench.story());
    assert_eq!(bench.realm.served(), 3, "AS twice for the pre-authentication, TGS once: then the cache");
}

#[tokio::test]
async fn a_browser_asks_first_and_needs_two_requests_and_one_on_a_connection_of_its_own() {
    let bench = Setup::of(Profile::BROWSER).start().await;
    bench.get(1).await;
    bench.get(2).await;
    insta::assert_snapshot!(bench.story());
    let site = SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() };
    let bench = Setup { site, ..Setup::of(Profile::BROWSER) }.start().await;
    assert_eq!([bench.get(1).await.requests, bench.get(2).await.requests], [2, 2]);
}

#[tokio::test]
async fn without_a_ticket_a_browser_falls_back_to_ntlm_and_curl_goes_without() {
    // The cases: an address has no SPN; no account has the name, so the KDC refuses; the client may not use
    // Kerberos.
    for (host, client, asked) in [
        ("10.0.0.1:8080", (|spec| spec) as fn(ClientSpec) -> ClientSpec, false),
        ("other.corp.example", |spec| spec, true),
        (SITE, |spec| ClientSpec { no_kerberos: true, ..spec }, false),
    ] {
        let bench = Setup { host, client, ..Setup::of(Profile::BROWSER) }.start().await;
        let answer = bench.get(1).await;
        assert_eq!((answer.status, answer.requests), (Some(200), 3), "{host}");
        let story = bench.story();
        assert!(story.contains("Authenticate 200") && !story.contains("Ticket"), "{story}");
        assert_eq!(bench.realm.served() > 0, asked, "{host}");

        let bench = Setup { host, client, ..Setup::of(Profile::CURL_NEGOTIATE) }.start().await;
        let answer = bench.get(1).await;
        assert_eq!((answer.status, answer.requests), (Some(401), 1), "{host}");
    }
}

#[tokio::test]
async fn a_kdc_that_does_not_answer_is_left_alone_after_the_first_time() {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (kdc, tries) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(0)));
    let counted = Arc::clone(&tries);
    TokioNet.spawn(async move {
        while next_connection(&listener).await.is_some() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let bench = Setup { kdc: Some(kdc), ..Setup::of(Profile::BROWSER) }.start().await;
    for number in 1..4 {
        assert_eq!(bench.get(number).await.status, Some(200));
        bench.client.disconnect();
    }
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn against_kerberos_alone_a_client_without_a_ticket_ends_in_401_after_bounded_requests() {
    let providers = || vec![Provider::NegotiateKerberos];
    let client: fn(ClientSpec) -> ClientSpec = |spec| ClientSpec { no_kerberos: true, ..spec };
    let bench = Setup { providers: providers(), client, ..Setup::of(Profile::BROWSER) }.start().await;
    bench.get(1).await;
    insta::assert_snapshot!(bench.story());
    let bench = Setup { providers: providers(), ..Setup::of(Profile::BROWSER) }.start().await;
    assert_eq!(bench.get(1).await.status, Some(200), "with one it is served");
}

#[tokio::test]
async fn nego2_carries_either_package_under_its_own_name() {
    for (no_kerberos, requests) in [(false, 2), (true, 3)] {
        let client: fn(ClientSpec) -> ClientSpec =
            if no_kerberos { |spec| ClientSpec { no_kerberos: true, ..spec } } else { |spec| spec };
        let bench = Setup { providers: vec![Provider::Nego2], client, ..Setup::of(Profile::BROWSER) }.start().await;
        let answer = bench.get(1).await;
        assert_eq!((answer.status, answer.requests), (Some(200), requests));
        assert_eq!(bench.get(2).await.requests, 1);
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_the_kdc_and_then_by_the_fallback() {
    let bench = Setup { password: "guess", ..Setup::of(Profile::BROWSER) }.start().await;
    let answer = bench.get(1).await;
    assert_eq!((answer.status, answer.requests), (Some(401), 3));
}

#[tokio::test]
async fn a_clock_that_is_wrong_costs_a_browser_one_more_request_and_curl_the_answer() {
    let client: fn(ClientSpec) -> ClientSpec = |spec| ClientSpec { clock_skew: -3_600, ..spec };
    let bench = Setup { client, ..Setup::of(Profile::BROWSER) }.start().await;
    bench.get(1).await;
    insta::assert_snapshot!(bench.story());
    let bench = Setup { client, ..Setup::of(Profile::CURL_NEGOTIATE) }.start().await;
    let answer = bench.get(1).await;
    assert_eq!((answer.status, answer.requests), (Some(401), 1));
}

#[tokio::test]
async fn a_ticket_in_another_key_is_refused_and_asked_for_anew_next_time() {
    let bench = Setup { account: "bob", ..Setup::of(Profile::BROWSER) }.start().await;
    bench.get(1).await;
    let before = bench.realm.served();
    bench.get(2).await;
    assert_eq!(bench.realm.served(), before + 1, "a TGS exchange");
    insta::assert_snapshot!(bench.story());
}

#[tokio::test]
async fn the_next_user_shows_a_ticket_at_once_on_the_connection_there_is() {
    let bench = Setup::of(Profile::BROWSER).start().await;
    bench.get(1).await;
    bench.client.switch_user(&Identity { principal: Principal::new("CORP", "bob"), password: "bob-pw".into() });
    let second = bench.get(2).await;
    assert_eq!((second.requests, second.application.unwrap().user.unwrap().as_str()), (1, "CORP\\bob"));
}

#[tokio::test]
async fn a_client_that_delegates_lets_the_application_act_for_its_user() {
    for (delegates, hop) in [(false, "anonymous"), (true, "CORP\\alice")] {
        let client: fn(ClientSpec) -> ClientSpec =
            if delegates { |spec| ClientSpec { delegates: true, ..spec } } else { |spec| spec };
        let bench = Setup { client, ..Setup::of(Profile::CURL_NEGOTIATE) }.start().await;
        let answer = bench.ask(1, RequestSpec::new("alice".into(), "GET", "/hop")).await;
        assert_eq!(answer.application.unwrap().hop.as_deref(), Some(hop));
    }
}
