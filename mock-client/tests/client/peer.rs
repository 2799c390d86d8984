//! A server that follows a script, and a client that sends requests to it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_auth::http::{TokenKind, parse_authorization, token_kind};
use stickler_auth::ntlm::av::{AvId, AvPairsBuf};
use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_mock_client::Client;
use stickler_model::agent::Agent;
use stickler_model::event::Credentials;
use stickler_model::trace::Promises;
use stickler_model::{
    Answer, ClientSpec, Clock, Entropy, Env, Identity, Journal, Payload, Principal, Profile, RequestId, RequestSpec,
    Time, What,
};
use stickler_net::{Listener as _, Net as _, TokioNet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

/// The reaction of the server to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Sends these bytes; `{id}` is the request's id.
    Send(String),
    /// Sends these bytes, and closes.
    Last(String),
    /// Closes the connection.
    Close,
    /// Sends nothing.
    Silence,
}

/// Returns a Challenge with a fixed server challenge.
pub(crate) fn challenge() -> Vec<u8> {
    let target_info = AvPairsBuf::default().push_text(AvId::NB_DOMAIN_NAME, "CORP").finish();
    let flags = NegotiateFlags::OEM | NegotiateFlags::TARGET_INFO | NegotiateFlags::EXTENDED_SESSION_SECURITY;
    Challenge { flags, server_challenge: [7; 8], target_name: b"CORP", target_info: &target_info, version: None }
        .encode()
}

pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nX-Stickler-Request: {{id}}\r\n");
    for header in headers {
        let _ = write!(text, "{header}\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text
}

pub(crate) fn bare() -> String {
    answer("401 Unauthorized", &["WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM"], "<h1>401</h1>")
}

pub(crate) fn challenged(scheme: stickler_auth::http::Scheme) -> String {
    let value = stickler_auth::http::format_token(scheme, &challenge());
    answer("401 Unauthorized", &[&format!("WWW-Authenticate: {value}")], "<h1>401</h1>")
}

pub(crate) fn ok() -> String {
    answer("200 OK", &["Content-Type: text/plain"], "hello")
}

pub(crate) struct Bench {
    pub(crate) client: Client<TokioNet>,
    pub(crate) address: SocketAddr,
    pub(crate) env: Env,
    journal: Arc<Journal>,
    log: Arc<Mutex<String>>,
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        Time(0)
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

impl Bench {
    /// Creates a server whose n-th connection follows the n-th script, and a client of this agent.
    pub(crate) async fn new(agent: Agent, close_after_first_401: bool, scripts: Vec<Vec<Reply>>) -> Self {
        let profile = Profile { close_after_first_401, cookies: false, ..Profile::of(agent) };
        Self::with(profile, Promises::default(), |spec| spec, scripts).await
    }

    /// Creates a server like [`Self::new`], and a client of this profile, to which `change` is applied, and which
    /// records these promises.
    pub(crate) async fn with(
        profile: Profile,
        promises: Promises,
        change: impl FnOnce(ClientSpec) -> ClientSpec,
        scripts: Vec<Vec<Reply>>,
    ) -> Self {
        let log = Arc::new(Mutex::new(String::new()));
        let address = serve(scripts, log.clone()).await;
        Self::at(address, profile, &promises, change, log)
    }

    /// Creates a client of this profile for a server of the test's own.
    pub(crate) fn of(address: SocketAddr, profile: Profile, change: impl FnOnce(ClientSpec) -> ClientSpec) -> Self {
        Self::at(address, profile, &Promises::default(), change, Arc::default())
    }

    fn at(
        address: SocketAddr,
        profile: Profile,
        promises: &Promises,
        change: impl FnOnce(ClientSpec) -> ClientSpec,
        log: Arc<Mutex<String>>,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Fixed);
        let journal = Journal::new(clock.clone());
        let env = Env { name: "alice".into(), clock, entropy: Entropy::new(1, "alice"), journal: journal.clone() };
        let identity = Identity { principal: Principal::new("CORP", "alice"), password: "Passw0rd!".into() };
        let spec = change(ClientSpec::new("alice".into(), profile, Some(identity)));
        let client = Client::new(TokioNet, env.clone(), &spec, address, "app.corp.example:8080".into());
        Self { client: client.with_promises(promises), journal, log, address, env }
    }

    pub(crate) async fn get(&self, number: u32) -> Answer {
        self.ask(number, "GET", Payload::Empty).await
    }

    pub(crate) async fn ask(&self, number: u32, method: &str, body: Payload) -> Answer {
        let spec = RequestSpec { body, ..RequestSpec::new("alice".into(), method, "/a?b=c") };
        self.client.request(RequestId(number), &spec, Credentials::Valid).await
    }

    /// Waits until the tasks of the connections have nothing to do.
    pub(crate) async fn settle(&self) {
        sleep(Duration::from_millis(30)).await;
    }

    /// Returns what the server received, byte for byte except for the tokens.
    pub(crate) fn received(&self) -> String {
        let log = self.log.lock().unwrap().replace('\r', "");
        assert!(!log.contains("UNEXPECTED"), "more came than the script has: {log}");
        log
    }

    /// Returns the events that the client recorded since the last call, one in each line.
    pub(crate) fn events(&self) -> String {
        let mut text = String::new();
        for event in self.journal.take() {
            let _ = match event.what {
                What::RequestStarted { request, credentials, preemptive, method, length, .. } => {
                    writeln!(
                        text,
                        "{request} starts: {method}, {length} bytes, {credentials:?}, preemptive {preemptive}"
                    )
                }
                What::ClientConnected { connection, .. } => writeln!(text, "connection {connection} opens"),
                What::ClientClosed { connection, how } => writeln!(text, "connection {connection} closes: {how:?}"),
                What::ClientSent { connection, request, leg, length } => {
                    writeln!(text, "{request} sent on {connection}: {leg:?}, {length} bytes")
                }
                What::ClientReceived { connection, request, echoed, status, challenge, user } => {
                    let echoed = echoed.map_or("nothing".into(), |id| id.to_string());
                    let user = user.map_or(String::new(), |user| format!(", user {user}"));
                    let challenge = if challenge { ", challenge" } else { "" };
                    writeln!(text, "{request} received on {connection}: {status}, echoes {echoed}{challenge}{user}")
                }
                What::CookieReceived { connection, request, value } => {
                    writeln!(text, "{request} receives cookie {value} on {connection}")
                }
                What::CookieSent { connection, request, value } => {
                    writeln!(text, "{request} sends cookie {value} on {connection}")
                }
                What::ClientClaimed { connection, request, value } => {
                    writeln!(text, "{request} claims {value} on {connection}")
                }
                What::RequestEnded { request, status, error } => writeln!(text, "{request} ends: {status:?} {error:?}"),
                other => panic!("a client does not see {other:?}"),
            };
        }
        text
    }
}

async fn serve(scripts: Vec<Vec<Reply>>, log: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TokioNet.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    TokioNet.spawn(async move {
        for (script, number) in scripts.into_iter().zip(1..) {
            let (mut stream, _) = listener.accept().await.unwrap();
            let log = log.clone();
            TokioNet.spawn(async move {
                let mut buffer = Vec::new();
                for reply in script {
                    let Some(id) = receive(&mut stream, &mut buffer, number, &log).await else { return };
                    match reply {
                        Reply::Send(text) => stream.write_all(text.replace("{id}", &id).as_bytes()).await.unwrap(),
                        Reply::Last(text) => {
                            return stream.write_all(text.replace("{id}", &id).as_bytes()).await.unwrap();
                        }
                        Reply::Close => return,
                        Reply::Silence => {}
                    }
                }
                // At the end of the script, nothing more is sent.
                if let Some(id) = receive(&mut stream, &mut buffer, number, &log).await {
                    let _ = writeln!(log.lock().unwrap(), "UNEXPECTED {id}");
                }
            });
        }
    });
    address
}

/// Reads and records one request, and returns its id. Returns `None` at the end of the stream.
async fn receive(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: u32,
    log: &Mutex<String>,
) -> Option<String> {
    let (mut end, mut length) = (None, 0);
    while end.is_none_or(|end| buffer.len() < end + length) {
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
        end = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_lowercase();
            length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        }
    }
    let request: Vec<u8> = buffer.drain(..end? + length).collect();
    let head = String::from_utf8(request[..end?].to_vec()).unwrap();
    let mut log = log.lock().unwrap();
    let _ = writeln!(log, "--- on {connection}");
    let mut id = String::new();
    for line in head.trim_end().lines() {
        if let Some(value) = line.strip_prefix("Authorization: ") {
            let token = parse_authorization(value.as_bytes(), 4_096).unwrap();
            let kind = match token_kind(&token.token) {
                TokenKind::NtlmNegotiate => "Negotiate",
                TokenKind::NtlmAuthenticate => "Authenticate",
                other => panic!("{other:?}"),
            };
            let _ = writeln!(log, "Authorization: {} <{kind}>", token.scheme);
        } else {
            let _ = writeln!(log, "{line}");
        }
        if let Some(value) = line.strip_prefix("X-Stickler-Request: ") {
            value.clone_into(&mut id);
        }
    }
    let body = String::from_utf8_lossy(&request[end?..]);
    if !body.is_empty() {
        let _ =
            writeln!(log, "\n{}", if body.len() > 40 { format!("<{} bytes>", body.len()) } else { body.into_owned() });
    }
    Some(id)
}
