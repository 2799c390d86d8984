//! Raw peers on loopback: backends that answer by script, clients that read what arrives, and a balancer between them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_catalogue::find;
use stickler_lb_core::{Backend, Farm, L4Policy, L7Policy};
use stickler_lb_proxy::{HttpProxyConfig, Limits, SpliceConfig, serve_l4, serve_l7};
use stickler_model::{Clock, Entropy, Env, Journal, Name, Time, What};
use stickler_net::{Listener as _, Net, TokioNet};
use stickler_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// A time longer than anything in these tests takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

type Socket = <TokioNet as Net>::Stream;

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn epoch(&self) -> u64 {
        0
    }
}

/// A balancer under test, which ends with the test.
pub(crate) struct Bed {
    pub(crate) front: SocketAddr,
    journal: Arc<Journal>,
    task: AbortHandle,
}

impl Bed {
    /// Starts the named mechanism in front of these backends.
    pub(crate) async fn start(mechanism: &str, backends: &[&Server]) -> Self {
        Self::with(mechanism, backends, Limits::default()).await
    }

    /// Starts the named mechanism with these limits.
    pub(crate) async fn with(mechanism: &str, backends: &[&Server], limits: Limits) -> Self {
        let farm = farm(backends);
        let mechanism = find(mechanism).unwrap();
        if let Some(policy) = mechanism.l7(&farm, Entropy::new(0, "test")).unwrap() {
            return Self::with_policy(policy, farm, limits).await;
        }
        Self::with_l4(mechanism.l4(&farm, Entropy::new(0, "test")).unwrap().unwrap(), backends).await
    }

    /// Starts a splice with an L4 policy of the test's own.
    pub(crate) async fn with_l4(policy: Box<dyn L4Policy>, backends: &[&Server]) -> Self {
        Self::with_flows(SpliceConfig::new(farm(backends), policy)).await
    }

    /// Starts a splice of the test's own.
    pub(crate) async fn with_flows(service: SpliceConfig) -> Self {
        let (listener, front, env) = front().await;
        let journal = Arc::clone(&env.journal);
        let task = TokioNet.spawn(serve_l4(TokioNet, listener, env, service));
        Self { front, journal, task }
    }

    /// Starts an HTTP data plane with a policy of the test's own.
    pub(crate) async fn with_policy(policy: Box<dyn L7Policy>, farm: Farm, limits: Limits) -> Self {
        Self::with_service(HttpProxyConfig { limits, ..HttpProxyConfig::new(farm, policy) }).await
    }

    /// Starts a balancer of the test's own.
    pub(crate) async fn with_service(service: HttpProxyConfig) -> Self {
        let (listener, front, env) = front().await;
        let journal = Arc::clone(&env.journal);
        let task = TokioNet.spawn(serve_l7(TokioNet, listener, env, service));
        Self { front, journal, task }
    }

    /// Opens a new client connection.
    pub(crate) async fn client(&self) -> Client {
        Client::new(TokioNet.connect(self.front).await.unwrap())
    }

    /// Returns the decisions of the balancer since the last call.
    pub(crate) fn decisions(&self) -> Vec<&'static str> {
        let word = |event: stickler_model::Event| match event.what {
            What::Decision { decision, .. } => Some(decision.as_str()),
            _ => None,
        };
        self.journal.take().into_iter().filter_map(word).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn front() -> (<TokioNet as Net>::Listener, SocketAddr, Env) {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let front = listener.local_addr().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
    let journal = Journal::new(Arc::clone(&clock));
    (listener, front, Env { name: Name::from("lb"), clock, entropy: Entropy::new(1, "lb"), journal })
}

/// Returns the configuration of the named mechanism over these backends, which a test can extend.
pub(crate) fn service(mechanism: &str, backends: &[&Server]) -> HttpProxyConfig {
    let farm = farm(backends);
    let policy = find(mechanism).unwrap().l7(&farm, Entropy::new(0, "test")).unwrap().unwrap();
    HttpProxyConfig::new(farm, policy)
}

/// Returns the configuration of the named L4 mechanism.
pub(crate) fn flows(mechanism: &str, backends: &[&Server]) -> SpliceConfig {
    let farm = farm(backends);
    let policy = find(mechanism).unwrap().l4(&farm, Entropy::new(0, "test")).unwrap().unwrap();
    SpliceConfig::new(farm, policy)
}

pub(crate) fn farm(backends: &[&Server]) -> Farm {
    let backend = |(index, server): (usize, &&Server)| Backend {
        name: Name::from(format!("iis{}", index + 1)),
        address: server.address,
    };
    Farm { backends: backends.iter().enumerate().map(backend).collect() }
}

/// The part of a request that a backend saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) number: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The reaction of a backend to a request.
pub(crate) enum Reply {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Last(Vec<u8>),
    /// Sends the first bytes and, after a while, the second.
    Late(Vec<u8>, Duration, Vec<u8>),
    /// Sends nothing.
    Silence,
}

/// A backend that reads heads and bodies, and answers by script.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    closed: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, reply) = (Arc::clone(&seen), Arc::new(reply));
        let serve = move |socket, connection| {
            let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
            async move { serve(socket, connection, &log, &*reply).await }
        };
        Self { seen, ..Self::accepting(serve).await }
    }

    /// Starts such a backend with TLS.
    pub(crate) async fn secured(tls: ServerTls, reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, reply) = (Arc::clone(&seen), Arc::new(reply));
        let serve = move |socket, connection| {
            let (log, reply, tls) = (Arc::clone(&log), Arc::clone(&reply), tls.clone());
            async move {
                if let Ok(socket) = tls.accept(socket).await {
                    serve(socket, connection, &log, &*reply).await;
                }
            }
        };
        Self { seen, ..Self::accepting(serve).await }
    }

    /// Starts a backend that is not an HTTP server.
    pub(crate) async fn raw<F>(serve: impl Fn(Socket) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accepting(move |socket, _| serve(socket)).await
    }

    async fn accepting<F>(serve: impl Fn(Socket, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed: Arc<Mutex<Vec<usize>>> = Arc::default();
        let ended = Arc::clone(&closed);
        TokioNet.spawn(async move {
            for connection in 1.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (serving, ended) = (serve(socket, connection), Arc::clone(&ended));
                TokioNet.spawn(async move {
                    serving.await;
                    ended.lock().unwrap().push(connection);
                });
            }
        });
        Self { address, seen: Arc::default(), closed }
    }

    /// Starts a backend that reports the connection and the number of each request.
    pub(crate) async fn telling() -> Self {
        Self::start(|seen| Reply::Bytes(ok(&format!("{}.{}", seen.connection, seen.number)))).await
    }

    /// Returns an address that refuses connections.
    pub(crate) async fn refusing() -> Self {
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, seen: Arc::default(), closed: Arc::default() }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until this connection has been closed by the balancer.
    pub(crate) async fn until_closed(&self, connection: usize) {
        let closed = async {
            while !self.closed.lock().unwrap().contains(&connection) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, closed).await.expect("the balancer closes the upstream connection");
    }

    pub(crate) fn has_closed(&self, connection: usize) -> bool {
        self.closed.lock().unwrap().contains(&connection)
    }
}

async fn serve<S>(socket: S, connection: usize, log: &Mutex<Vec<Seen>>, reply: &(dyn Fn(&Seen) -> Reply + Sync))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut peer = Client::new(socket);
    for number in 1.. {
        let Some((head, body)) = peer.message(false).await else { return };
        let seen = Seen { connection, number, head, body };
        log.lock().unwrap().push(seen.clone());
        match reply(&seen) {
            Reply::Bytes(bytes) => peer.send(&bytes).await,
            Reply::Last(bytes) => {
                peer.send(&bytes).await;
                return;
            }
            Reply::Late(first, pause, second) => {
                peer.send(&first).await;
                sleep(pause).await;
                peer.send(&second).await;
            }
            Reply::Silence => {
                let mut byte = [0];
                let _ = peer.socket.read(&mut byte).await;
                return;
            }
        }
    }
}

/// Returns a 200 with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Returns a 401 with this challenge, which keeps the connection.
pub(crate) fn challenge(value: &str) -> Vec<u8> {
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {value}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// One end of a connection, which reads HTTP messages as raw bytes.
pub(crate) struct Client<S = Socket> {
    pub(crate) socket: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The peer may close before it has read all bytes. The test examines only the answer.
        let _ = self.socket.write_all(bytes).await;
        let _ = self.socket.flush().await;
    }

    /// Sends a GET, and returns the head and the body of its answer.
    pub(crate) async fn get(&mut self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: site\r\n\r\n")).await
    }

    pub(crate) async fn ask(&mut self, request: &str) -> (String, String) {
        self.send(request.as_bytes()).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> (String, String) {
        let (head, body) = timeout(PATIENCE, self.message(false)).await.unwrap().expect("an answer");
        (head, String::from_utf8(body).unwrap())
    }

    /// Returns the next message, or `None` at the end of the connection. With `bodiless`, the message has no body.
    pub(crate) async fn message(&mut self, bodiless: bool) -> Option<(String, Vec<u8>)> {
        let end = loop {
            if let Some(at) = find_in(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if bodiless {
            return Some((head, body));
        }
        if let Some((_, rest)) = lower.split_once("\r\ncontent-length: ") {
            let length: usize = rest.split("\r\n").next()?.parse().unwrap();
            while self.buffer.len() < length {
                self.more().await?;
            }
            body = self.buffer.drain(..length).collect();
        } else if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
            while let Some(chunk) = self.chunk().await? {
                body.extend(chunk);
            }
        }
        Some((head, body))
    }

    async fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let line = loop {
            if let Some(at) = find_in(&self.buffer, b"\r\n") {
                break at;
            }
            self.more().await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
        while self.buffer.len() < line + 2 + size + 2 {
            self.more().await?;
        }
        let chunk = self.buffer[line + 2..line + 2 + size].to_vec();
        self.buffer.drain(..line + 2 + size + 2);
        Some((size > 0).then_some(chunk))
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.socket.read_buf(&mut self.buffer).await.unwrap_or(0);
        (read > 0).then_some(())
    }

    /// Waits for the end of the connection, and returns what arrived before.
    pub(crate) async fn until_closed(&mut self) -> Vec<u8> {
        let reading = async { while self.more().await.is_some() {} };
        timeout(PATIENCE, reading).await.expect("the balancer closes the downstream connection");
        std::mem::take(&mut self.buffer)
    }
}

fn find_in(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
