//! Tests of the agents that act for a balancer where secrets are needed, against a DC and a server on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use stickler_auth::FileTime;
use stickler_auth::http::{Scheme, format_token, parse_challenges};
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_lb_core::{Backend, DownstreamId, Edit, Protocol, RequestHead};
use stickler_lb_proxy::health::{LogonAgent, LogonResult};
use stickler_lb_proxy::{Admission, Gate};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::{Accounts, WebSite};
use stickler_model::standard::{MONITOR, domain, identity, password, server};
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_model::{Clock, Entropy, Env, Identity, Journal, Name, Time, Topology};
use stickler_net::{Listener as _, Net as _, TokioNet};
use stickler_site::{AuthOffload, CheckUser, RandomFor, SitePki, TlsEnds};

/// The name by which clients refer to the site.
const HOST: &str = "www.corp.example";

/// The header in which the balancer names the user.
const HEADER: &str = "x-user";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Time {
        Time(0)
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

fn env(name: &str) -> Env {
    let clock: Arc<dyn Clock> = Arc::new(Noon);
    let journal = Journal::handing_on(Arc::clone(&clock), drop);
    Env { name: name.into(), clock, entropy: Entropy::new(1, name), journal }
}

/// Returns the identity of alice with a wrong password.
fn wrong() -> Identity {
    Identity { password: "wrong".into(), ..identity("alice") }
}

/// A domain with its DC on loopback.
struct Domain {
    controller: Arc<DomainController>,
    dc: SocketAddr,
}

impl Domain {
    fn start() -> Self {
        let controller = Arc::new(DomainController::new(Directory::new(&domain())));
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let dc = listener.local_addr().unwrap();
        TokioNet.spawn(stickler_mock_dc::serve(TokioNet, listener, env("dc"), Arc::clone(&controller)));
        Self { controller, dc }
    }

    /// Joins a machine that offers NTLM to the domain.
    fn join(&self, name: &str) -> WebSite {
        let name = Name::from(name);
        let accounts = Accounts::dc(self.dc, &self.controller.enroll(&name, 1));
        WebSite::new(&server(name), &domain(), accounts)
    }

    /// Returns a server of the domain, which has TLS if the site does.
    fn server(&self, pki: Option<&SitePki>) -> Backend {
        let mut site = self.join("iis1");
        if let Some(tls) = pki.and_then(|pki| pki.server(&server("iis1".into())).unwrap()) {
            site = site.with_tls(tls);
        }
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        TokioNet.spawn(stickler_mock_iis::serve(TokioNet, listener, env("iis1"), Arc::new(site)));
        Backend { name: "iis1".into(), address }
    }
}

/// Returns the certificates of a site whose balancer terminates TLS and speaks TLS to the servers.
fn pki(upstream: UpstreamTls) -> SitePki {
    let random: RandomFor = Arc::new(|who| {
        let entropy = Entropy::new(1, who);
        Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes))
    });
    let topology =
        Topology { tls: Some(TlsSpec { upstream, ..TlsSpec::default() }), domain: domain(), ..Topology::default() };
    let ends = TlsEnds { front: false, balancer: true };
    SitePki::new(&topology, ends, &[HOST.to_owned()], random).unwrap().expect("there is TLS")
}

fn check_user(identity: Identity, pki: Option<&SitePki>) -> Arc<dyn LogonAgent> {
    let tls = pki.and_then(|pki| pki.upstream(&"lb".into()));
    CheckUser::agent(TokioNet, env("lb"), HOST.into(), identity, tls)
}

/// Logs on, and returns the status, whether the user was recognised, and the page.
async fn log_on(user: &Arc<dyn LogonAgent>, backend: &Backend) -> Option<(u16, bool, String)> {
    match user.log_on(backend, "/").await {
        LogonResult::Answered { status, logged_on, body } => {
            Some((status.as_u16(), logged_on, String::from_utf8(body.to_vec()).unwrap()))
        }
        LogonResult::Unanswered => None,
    }
}

#[tokio::test]
async fn a_check_user_logs_on_and_tells_a_wrong_password_from_a_missing_permission() {
    let backend = Domain::start().server(None);
    let (status, logged_on, page) = log_on(&check_user(identity("alice"), None), &backend).await.unwrap();
    assert_eq!((status, logged_on), (200, true));
    assert!(page.contains("CORP\\\\alice"), "{page}");
    let (status, logged_on, _) = log_on(&check_user(identity(MONITOR), None), &backend).await.unwrap();
    assert_eq!((status, logged_on), (401, true), "the application refuses the user, after a good logon");
    let (status, logged_on, _) = log_on(&check_user(wrong(), None), &backend).await.unwrap();
    assert_eq!((status, logged_on), (401, false));
}

#[tokio::test]
async fn a_check_user_speaks_tls_to_a_server_that_has_it_and_to_no_other() {
    let domain = Domain::start();
    let alice = || identity("alice");
    for upstream in [UpstreamTls::Own, UpstreamTls::Same] {
        let pki = pki(upstream);
        let backend = domain.server(Some(&pki));
        let over_tls = log_on(&check_user(alice(), Some(&pki)), &backend).await;
        assert!(matches!(over_tls, Some((200, true, _))), "{upstream:?}: {over_tls:?}");
        assert_eq!(log_on(&check_user(alice(), None), &backend).await, None, "{upstream:?}");
    }
    let pki = pki(UpstreamTls::Plain);
    let plain = log_on(&check_user(alice(), Some(&pki)), &domain.server(Some(&pki))).await;
    assert!(matches!(plain, Some((200, true, _))), "{plain:?}");
}

#[tokio::test]
async fn a_check_user_has_no_answer_where_nobody_listens() {
    let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
    let backend = Backend { name: "iis1".into(), address: listener.local_addr().unwrap() };
    drop(listener);
    assert_eq!(log_on(&check_user(identity("alice"), None), &backend).await, None);
}

/// Returns the header section of a request.
fn headers(token: Option<&[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A client may send the header itself: the gate has to replace it.
    headers.insert(HEADER, HeaderValue::from_static("CORP\\administrator"));
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format_token(Scheme::Ntlm, token)).unwrap());
    }
    headers
}

async fn admit(gate: &Arc<dyn Gate>, connection: u32, token: Option<&[u8]>) -> Admission {
    admit_by(Protocol::Http1, gate, connection, token).await
}

async fn admit_by(protocol: Protocol, gate: &Arc<dyn Gate>, connection: u32, token: Option<&[u8]>) -> Admission {
    let headers = headers(token);
    let head = RequestHead {
        method: &Method::GET,
        uri: &Uri::from_static("/"),
        headers: &headers,
        client: SocketAddr::from(([127, 0, 0, 1], 50_000)),
        protocol,
    };
    gate.admit(DownstreamId(connection), &head).await
}

/// Returns the balancer's own answer.
fn answer(admission: Admission) -> Response<Bytes> {
    match admission {
        Admission::Answer(response) => response,
        other => panic!("the balancer does not answer: {other:?}"),
    }
}

/// Returns the status of an answer, and the credentials that it asks for.
fn challenge(answer: &Response<Bytes>) -> (StatusCode, &str) {
    (answer.status(), answer.headers()[WWW_AUTHENTICATE].to_str().unwrap())
}

async fn log_on_at(gate: &Arc<dyn Gate>, connection: u32, user: &str, password: &str) -> Admission {
    let credentials = Credentials::new(user, "CORP", password);
    let config =
        InitiatorConfig { profile: NtlmProfile::windows(), credentials, target_name: None, channel_binding: None };
    let (negotiate, initiator) = Initiator::new(config).negotiate();
    let challenge = answer(admit(gate, connection, Some(&negotiate)).await);
    let offered = challenge.headers()[WWW_AUTHENTICATE].as_bytes();
    let challenge = parse_challenges([offered], 4096).unwrap().remove(0).token;
    let nonces = Nonces { client_challenge: *b"abcdefgh", exported_session_key: [7; 16] };
    let now = FileTime::from_unix_nanos(1_700_000_000_000_000_000);
    let authenticate = initiator.authenticate(&challenge, nonces, now).unwrap().0;
    admit(gate, connection, Some(&authenticate)).await
}

fn offload(domain: &Domain) -> Arc<dyn Gate> {
    AuthOffload::gate(&TokioNet, env("lb"), Arc::new(domain.join("lb")), HEADER).expect("it is a field name")
}

#[tokio::test]
async fn auth_offload_names_the_user_and_hands_no_credentials_on() {
    let gate = offload(&Domain::start());
    let anonymous = answer(admit(&gate, 1, None).await);
    assert_eq!(challenge(&anonymous), (StatusCode::UNAUTHORIZED, "NTLM"));
    let Admission::Pass(edits) = log_on_at(&gate, 1, "alice", &password("alice")).await else {
        panic!("alice may pass")
    };
    let [Edit::Set(name, value), Edit::Remove(removed)] = &edits[..] else { panic!("{edits:?}") };
    assert_eq!((name.as_str(), value.to_str().unwrap(), removed), (HEADER, "CORP\\alice", &AUTHORIZATION));
    assert!(matches!(admit(&gate, 1, None).await, Admission::Pass(_)), "her connection is authenticated");
}

#[tokio::test]
async fn auth_offload_ties_the_user_to_the_connection_and_forgets_it_with_that() {
    let gate = offload(&Domain::start());
    assert!(matches!(log_on_at(&gate, 1, "alice", &password("alice")).await, Admission::Pass(_)));
    assert_eq!(answer(admit(&gate, 2, None).await).status(), StatusCode::UNAUTHORIZED, "another connection");
    gate.closed(DownstreamId(1));
    assert_eq!(answer(admit(&gate, 1, None).await).status(), StatusCode::UNAUTHORIZED);
    let refused = answer(log_on_at(&gate, 3, "alice", "wrong").await);
    assert_eq!(challenge(&refused), (StatusCode::UNAUTHORIZED, "NTLM"));
}

#[tokio::test]
async fn auth_offload_refuses_a_header_that_is_none() {
    let domain = Domain::start();
    let refused = AuthOffload::gate(&TokioNet, env("lb"), Arc::new(domain.join("lb")), "no header").err();
    assert_eq!(refused.as_deref(), Some("no header"));
}

#[tokio::test]
async fn auth_offload_is_for_http_1_1() {
    let gate = offload(&Domain::start());
    let admission = admit_by(Protocol::Http2 { stream: 0 }, &gate, 1, None).await;
    assert!(matches!(admission, Admission::Http1Required), "{admission:?}");
}
