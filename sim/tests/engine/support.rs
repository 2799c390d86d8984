//! Helpers of the tests: HTTP at both ends over the engine, and addresses.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use stickler_net::{Listener, Net};
use stickler_sim::engine::{Engine, Settings, SimNet, SimStream};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

pub(crate) fn client_ip(n: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a01_0001 + n as u32))
}

pub(crate) fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(ip(last), port)
}

pub(crate) fn engine() -> Engine {
    Engine::new(&Settings::default()).unwrap()
}

/// Returns an engine with the hosts 10.0.0.1, .2 and so on.
pub(crate) fn engine_with_hosts(count: u8) -> (Engine, Vec<SimNet>) {
    let mut engine = engine();
    let nets = (1..=count).map(|n| host(&mut engine, ip(n))).collect();
    (engine, nets)
}

pub(crate) fn host(engine: &mut Engine, ip: IpAddr) -> SimNet {
    let id = engine.add_host(ip).unwrap();
    engine.net(id)
}

/// Serves HTTP on port 80: a GET is answered with `name peer-address`, and a POST with its body.
pub(crate) fn serve(net: &SimNet, name: &'static str) {
    let host = net.clone();
    net.spawn(async move {
        let listener = host.bind(SocketAddr::new(host.ip(), 80)).await.unwrap();
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            host.spawn(serve_connection(stream, peer, name));
        }
    });
}

async fn serve_connection(stream: SimStream, peer: SocketAddr, name: &'static str) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
        let body = match request.method().as_str() {
            "POST" => request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
            _ => Bytes::from(format!("{name} {peer}")),
        };
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    // A connection is ended by the client or by a fault, which does not matter here.
    let _ = http.auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
}

pub(crate) type Client = SendRequest<Full<Bytes>>;

/// Opens an HTTP connection from a host.
pub(crate) async fn connect(net: &SimNet, server: SocketAddr) -> std::io::Result<Client> {
    let stream = net.connect(server).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    net.spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

pub(crate) async fn get(client: &mut Client) -> hyper::Result<String> {
    let request = Request::get(Uri::from_static("/")).header("host", "iis").body(Full::default()).unwrap();
    client.ready().await?;
    let body = client.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}
