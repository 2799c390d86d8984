//! A DC and a server on loopback, and a client that writes its HTTP by hand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stickler_auth::FileTime;
use stickler_auth::ntlm::initiator::{AwaitingChallenge, Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::{Accounts, WebSite};
use stickler_model::action::AppAnswer;
use stickler_model::topology::{DomainSpec, Provider, ServerSpec, UserSpec};
use stickler_model::{Clock, Entropy, Env, Journal, Name, Time, What, standard};
use stickler_net::{Listener as _, Net as _, TokioNet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::AbortHandle;

pub(crate) const SECRET: &[u8] = b"machine secret";
pub(crate) const NOW: FileTime = FileTime::from_unix_nanos(1_700_000_000_000_000_000);

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Time {
        Time(0)
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

/// Returns `CORP` with alice, bob and the forbidden eve; passwords are `NAME-pw`.
pub(crate) fn domain(lockout_threshold: Option<u32>) -> DomainSpec {
    let user = |name: &str| UserSpec { forbidden: name == "eve", ..UserSpec::new(name, format!("{name}-pw")) };
    let users = vec![user("alice"), user("bob"), user("eve")];
    DomainSpec { users, lockout_threshold, ..standard::domain() }
}

fn server() -> ServerSpec {
    ServerSpec { providers: vec![Provider::Negotiate, Provider::Ntlm], ..standard::server("iis1".into()) }
}

/// The DC and the server that run on loopback.
pub(crate) struct Bench {
    pub(crate) journal: Arc<Journal>,
    pub(crate) web: SocketAddr,
    pub(crate) dc: SocketAddr,
    web_task: AbortHandle,
    site: Arc<WebSite>,
    clock: Arc<dyn Clock>,
}

impl Bench {
    /// Starts a DC and a joined server.
    pub(crate) async fn start() -> Self {
        Self::with(domain(None), |site| site).await
    }

    /// Starts a DC with this directory and a joined server, whose site is changed before it starts.
    pub(crate) async fn with(domain: DomainSpec, change: impl FnOnce(WebSite) -> WebSite) -> Self {
        Self::with_accounts(domain, |dc| Accounts::dc(dc, SECRET), change).await
    }

    pub(crate) async fn with_accounts(
        domain: DomainSpec,
        accounts: impl FnOnce(SocketAddr) -> Accounts,
        change: impl FnOnce(WebSite) -> WebSite,
    ) -> Self {
        Self::build(domain, accounts, server(), change).await
    }

    /// Starts a joined server with other settings.
    pub(crate) async fn with_spec(
        domain: DomainSpec,
        spec: impl FnOnce(ServerSpec) -> ServerSpec,
        change: impl FnOnce(WebSite) -> WebSite,
    ) -> Self {
        Self::build(domain, |dc| Accounts::dc(dc, SECRET), spec(server()), change).await
    }

    async fn build(
        domain: DomainSpec,
        accounts: impl FnOnce(SocketAddr) -> Accounts,
        spec: ServerSpec,
        change: impl FnOnce(WebSite) -> WebSite,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Noon);
        let journal = Journal::new(Arc::clone(&clock));
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let dc = listener.local_addr().unwrap();
        let controller = DomainController::new(Directory::new(&domain));
        for machine in ["iis1", "lb"] {
            controller.join(&Name::from(machine), SECRET);
        }
        let env = env("dc", &clock, &journal);
        TokioNet.spawn(stickler_mock_dc::serve(TokioNet, listener, env, Arc::new(controller)));
        let site = Arc::new(change(WebSite::new(&spec, &domain, accounts(dc))));
        let (web, web_task) = serve(&site, &clock, &journal).await;
        Self { journal, web, dc, web_task, site, clock }
    }

    /// Starts the server's process again, on another port.
    pub(crate) async fn restart_web(&mut self) {
        self.web_task.abort();
        (self.web, self.web_task) = serve(&self.site, &self.clock, &self.journal).await;
    }

    /// Returns a balancer's gate, which is joined to the same domain.
    pub(crate) fn front_end(
        &self,
        change: impl FnOnce(WebSite) -> WebSite,
    ) -> stickler_mock_iis::FrontEndAuthenticator {
        let spec = ServerSpec { name: Name::from("lb"), ..server() };
        let site = change(WebSite::new(&spec, &domain(None), Accounts::dc(self.dc, SECRET)));
        stickler_mock_iis::FrontEndAuthenticator::new(&TokioNet, env("lb", &self.clock, &self.journal), Arc::new(site))
    }

    pub(crate) async fn connect(&self) -> Http {
        Http::connect(self.web).await
    }

    /// Returns the events of a kind so far, and removes them.
    pub(crate) fn take<T>(&self, pick: impl Fn(What) -> Option<T>) -> Vec<T> {
        self.journal.take().into_iter().filter_map(|event| pick(event.what)).collect()
    }
}

fn env(name: &str, clock: &Arc<dyn Clock>, journal: &Arc<Journal>) -> Env {
    Env {
        name: Name::from(name),
        clock: Arc::clone(clock),
        entropy: Entropy::new(1, name),
        journal: Arc::clone(journal),
    }
}

async fn serve(site: &Arc<WebSite>, clock: &Arc<dyn Clock>, journal: &Arc<Journal>) -> (SocketAddr, AbortHandle) {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let web = listener.local_addr().unwrap();
    let env = env("iis1", clock, journal);
    (web, TokioNet.spawn(stickler_mock_iis::serve(TokioNet, listener, env, Arc::clone(site))))
}

/// One connection of a client.
pub(crate) struct Http {
    socket: <TokioNet as stickler_net::Net>::Stream,
    input: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The header fields, with their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the value of a header that occurs once; empty if it does not occur.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs twice");
        all.first().copied().unwrap_or_default()
    }

    pub(crate) fn app(&self) -> AppAnswer {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the user that the application saw.
    pub(crate) fn user(&self) -> Option<String> {
        self.app().user.map(|user| user.to_string())
    }
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { socket: TokioNet.connect(address).await.unwrap(), input: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed the connection already. Its earlier answer can still be read.
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Sends a GET of `/` with these header lines, each with its CRLF.
    pub(crate) async fn get(&mut self, lines: &str) -> Response {
        self.request("GET", "/", lines, b"").await
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str, lines: &str, body: &[u8]) -> Response {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: iis1\r\nUser-Agent: raw 1.0\r\n{length}{lines}\r\n");
        self.write([head.as_bytes(), body].concat()).await;
        self.response(method == "HEAD").await.expect("the server closed the connection without an answer")
    }

    /// Returns the next response; `None` if the connection ends.
    pub(crate) async fn response(&mut self, head_only: bool) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if self.more().await == 0 {
                return None;
            }
        };
        let head = String::from_utf8(self.input.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
        while !head_only && self.input.len() < length {
            assert_ne!(self.more().await, 0, "the body broke off");
        }
        let body = if head_only { Vec::new() } else { self.input.drain(..length).collect() };
        Some(Response { status, headers, body })
    }

    /// Returns everything that arrives until the connection ends, or is quiet for a while.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, bool) {
        loop {
            match tokio::time::timeout(Duration::from_millis(100), self.more()).await {
                Ok(0) => return (std::mem::take(&mut self.input), true),
                Ok(_) => {}
                Err(_) => return (std::mem::take(&mut self.input), false),
            }
        }
    }

    /// Returns whether the server has closed the connection without sending more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.response(false).await.is_none() && self.input.is_empty()
    }

    pub(crate) async fn more(&mut self) -> usize {
        self.socket.read_buf(&mut self.input).await.unwrap_or(0)
    }

    /// Sends both legs of a handshake, under `NTLM`.
    pub(crate) async fn login(&mut self, user: &str, password: &str) -> Response {
        self.login_as("NTLM", "CORP", user, password, NtlmProfile::windows()).await
    }

    pub(crate) async fn login_as(
        &mut self,
        scheme: &str,
        domain: &str,
        user: &str,
        password: &str,
        profile: NtlmProfile,
    ) -> Response {
        let (negotiate, initiator) = initiator(domain, user, password, profile);
        let challenge = self.get(&authorization(scheme, &negotiate)).await;
        assert_eq!(challenge.status, 401);
        let authenticate = authenticate(initiator, &token(&challenge, scheme));
        self.get(&authorization(scheme, &authenticate)).await
    }
}

/// Returns a Negotiate message, and the initiator that answers the Challenge.
pub(crate) fn initiator(
    domain: &str,
    user: &str,
    password: &str,
    profile: NtlmProfile,
) -> (Vec<u8>, Initiator<AwaitingChallenge>) {
    let credentials = Credentials::new(user, domain, password);
    Initiator::new(InitiatorConfig { profile, credentials, target_name: None, channel_binding: None }).negotiate()
}

pub(crate) fn authenticate(initiator: Initiator<AwaitingChallenge>, challenge: &[u8]) -> Vec<u8> {
    let nonces = Nonces { client_challenge: *b"abcdefgh", exported_session_key: [7; 16] };
    initiator.authenticate(challenge, nonces, NOW).unwrap().0
}

/// Returns a header line with a token.
pub(crate) fn authorization(scheme: &str, token: &[u8]) -> String {
    format!("Authorization: {scheme} {}\r\n", BASE64.encode(token))
}

/// Returns the token of a 401.
pub(crate) fn token(response: &Response, scheme: &str) -> Vec<u8> {
    let value = response.header("www-authenticate");
    BASE64.decode(value.strip_prefix(scheme).unwrap().trim_start()).unwrap()
}

/// A collection of lines, which its clones share.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}
