//! Performs the exchanges of the benchmarks with hyper alone, on the same engine.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, SERVER, USER_AGENT};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stickler_mock_iis::app::render;
use stickler_model::action::AppAnswer;
use stickler_model::payload::{BodyHasher, Digest};
use stickler_model::{Principal, REQUEST_ID_HEADER};
use stickler_net::{Listener as _, Net as _};
use stickler_sim::engine::{Departure, Engine, PacketHead, PacketRouter, Settings, SimNet, SimStream, Verdict};
use tokio::sync::Mutex;

use super::{Hops, Plan, Work, run_on_all};

const FRONT_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 80)), 80);
const SERVERS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 80),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2)), 80),
];

/// The headers that messages in the whole world have, so that the same number of bytes is transported here.
const TAG: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);
const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

type Sender = SendRequest<Empty<Bytes>>;

/// Clients, a middle host and two servers. There is one engine per thread: drop this value before creating the next.
pub struct Bare {
    // This is declared before the engine: objects with sockets are dropped before the network.
    seats: Vec<Seat>,
    engine: Engine,
    work: Work,
}

struct Seat {
    net: SimNet,
    /// The number of exchanges of each piece of work.
    exchanges: Arc<[u32]>,
    /// The sender of a persistent connection.
    sender: Option<Sender>,
}

impl Bare {
    /// Returns as many clients as the plan has, on an engine with the same settings as in the whole world.
    ///
    /// # Panics
    /// The engine does not start, which would be a bug in it.
    pub fn new(hops: Hops, work: Work, plan: &Plan) -> Self {
        let mut engine = Engine::new(&Settings { seed: 1, ..Settings::default() }).expect("one engine on this thread");
        for address in SERVERS {
            let page = Page::new(work, plan.body);
            listen(&host(&mut engine, address.ip()), address, move |_, stream, _| serve(stream, page.clone()));
        }
        match hops {
            Hops::Packets => engine.add_router(&[FRONT_END.ip()], Box::new(Forwarder)).expect("the address is free"),
            Hops::Proxy | Hops::FreshProxy => {
                let fresh = hops == Hops::FreshProxy;
                listen(&host(&mut engine, FRONT_END.ip()), FRONT_END, move |net, stream, number| {
                    proxy(net, stream, SERVERS[number % SERVERS.len()], fresh)
                });
            }
        }
        engine.settle(Duration::from_secs(1)).expect("everybody listens before the first client comes");
        let seats = plan.exchanges.iter().enumerate().map(|(index, exchanges)| {
            let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 1).to_bits() + index as u32);
            let net = host(&mut engine, ip.into());
            Seat { net, exchanges: exchanges.as_slice().into(), sender: None }
        });
        let seats = seats.collect();
        let mut bare = Self { seats, engine, work };
        bare.round();
        bare
    }

    /// Performs one round, and returns the number of exchanges.
    pub fn round(&mut self) -> u64 {
        let work = self.work;
        let tasks = self.seats.iter_mut().map(|seat| {
            let (net, exchanges) = (seat.net.clone(), Arc::clone(&seat.exchanges));
            (net.clone(), client_round(net, exchanges, seat.sender.take(), work))
        });
        let mut total = 0;
        for (index, (done, sender)) in run_on_all(&mut self.engine, tasks) {
            total += done;
            self.seats[index].sender = sender;
        }
        total
    }
}

fn host(engine: &mut Engine, ip: IpAddr) -> SimNet {
    let host = engine.add_host(ip).expect("addresses differ");
    engine.net(host)
}

async fn client_round(net: SimNet, plan: Arc<[u32]>, mut sender: Option<Sender>, work: Work) -> (u64, Option<Sender>) {
    let mut done = 0;
    for &count in &*plan {
        let mut connection = match sender.take() {
            Some(connection) => connection,
            None => connect(&net, FRONT_END).await.expect("the front end listens"),
        };
        for _ in 0..count {
            let body = get(&mut connection).await.expect("the server answers");
            if work == Work::Requests {
                read(&body);
            }
            done += 1;
        }
        sender = (work == Work::Requests).then_some(connection);
    }
    (done, sender)
}

async fn get(connection: &mut Sender) -> hyper::Result<Bytes> {
    let mut request = Request::new(Empty::new());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("www.corp.example"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(TAG, HeaderValue::from_static("r1234567"));
    connection.ready().await?;
    Ok(connection.send_request(request).await?.into_body().collect().await?.to_bytes())
}

/// Processes a body as the real client does.
fn read(body: &[u8]) {
    let mut hasher = BodyHasher::default();
    hasher.update(body);
    std::hint::black_box(hasher.finish());
    std::hint::black_box(serde_json::from_slice::<AppAnswer>(body).expect("the server's own JSON"));
}

/// Opens a connection and runs it in a task.
async fn connect<B>(net: &SimNet, peer: SocketAddr) -> io::Result<SendRequest<B>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let stream = net.connect(peer).await?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    net.spawn(async move {
        // The end of the connection is handled by the other side, or shows in the exchange.
        let _ = connection.await;
    });
    Ok(sender)
}

/// Listens, and runs a task for each connection. `serve` also gets the connection's number, from 0.
fn listen<F>(net: &SimNet, address: SocketAddr, serve: impl Fn(SimNet, SimStream, usize) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let own = net.clone();
    net.spawn(async move {
        let listener = own.bind(address).await.expect("the address is the host's own");
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("the engine lives");
            own.spawn(serve(own.clone(), stream, number));
        }
    });
}

/// The page with which a bare server answers.
#[derive(Clone)]
enum Page {
    /// The application's answer, which is rendered for each request, because the application is not part of the
    /// comparison.
    Application(AppAnswer),
    /// A body with the same number of bytes. Handshakes use it, because most of their answers do not come from an application.
    Bytes(Bytes),
}

impl Page {
    fn new(work: Work, length: u64) -> Self {
        match work {
            Work::Requests => Self::Application(AppAnswer {
                server: "iis1".into(),
                connection: 1,
                number: 1,
                user: Some(Principal::new("CORP", "user0001")),
                method: "GET".into(),
                path: "/".into(),
                length: 0,
                digest: Digest::EMPTY,
                hop: None,
            }),
            Work::Authentications => Self::Bytes(vec![b'x'; length as usize].into()),
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Application(answer) => render(answer),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// Serves a connection of a server: answers with 200 and with a body of the same length as the real one.
async fn serve(stream: SimStream, page: Page) {
    let service = service_fn(|_: Request<Incoming>| {
        let mut response = Response::new(Full::new(page.body()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SERVER, HeaderValue::from_static("Microsoft-IIS/10.0"));
        headers.insert(POWERED_BY, HeaderValue::from_static("ASP.NET"));
        headers.insert(TAG, HeaderValue::from_static("r1234567"));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    // The end of the connection is handled by the client.
    let _ = server::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
}

/// Serves a connection of a proxy: requests pass unchanged, either all on one upstream connection, or each on a fresh
/// one.
async fn proxy(net: SimNet, stream: SimStream, target: SocketAddr, fresh: bool) {
    let upstream: Mutex<Option<SendRequest<Incoming>>> = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| async {
        let mut kept = upstream.lock().await;
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => connect(&net, target).await?,
        };
        sender.ready().await.map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        *kept = (!fresh).then_some(sender);
        Ok::<_, io::Error>(response)
    });
    // The end of the connection is handled by the client.
    let _ = server::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
}

/// Rewrites addresses by rule, without a table: the server sees the client's address, and its answers go back through
/// the same rule.
struct Forwarder;

impl PacketRouter for Forwarder {
    fn departs(&mut self, packet: &PacketHead) -> Departure {
        let passes = packet.dst == FRONT_END || SERVERS.contains(&packet.src);
        if passes { Departure::Via(FRONT_END.ip()) } else { Departure::Direct }
    }

    fn route(&mut self, packet: &PacketHead, _: Duration) -> Verdict {
        if packet.dst == FRONT_END {
            return Verdict::Forward { src: packet.src, dst: SERVERS[usize::from(packet.src.port() % 2)] };
        }
        Verdict::Forward { src: FRONT_END, dst: packet.dst }
    }
}
