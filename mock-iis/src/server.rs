//! Connections: accept, number, secure, serve by hyper, note how each ended.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use stickler_model::event::Closed;
use stickler_model::payload::BodyHasher;
use stickler_model::topology::Acceptor;
use stickler_model::{Env, What};
use stickler_net::tls::Secured;
use stickler_net::{Net, Stream, next_connection};
use tokio::time::{sleep, timeout};

use crate::acceptance::Acceptance;
use crate::authority::Authority;
use crate::exchange::Connection;
use crate::{WebSite, rogue};

/// Serves a site until the task is dropped, or the listener has failed for good. What the site ties a
/// user to is its [`Acceptor`]; a [`Acceptor::Rogue`] is served on bare sockets, or on bare TLS.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, site: Arc<WebSite>) {
    if let Acceptor::Rogue(kind) = site.acceptor {
        return rogue::serve(net, listener, env, site, kind).await;
    }
    let authority = Arc::new(Authority::new(&net, env.clone(), Arc::clone(&site)));
    let acceptance = Acceptance::of(&site);
    let http = http(&site);
    while let Some((stream, peer)) = next_connection(&listener).await {
        let number = site.next_connection();
        env.record(What::ServerAccepted { connection: number, peer });
        let local = stream.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
        let (authority, decider) = (Arc::clone(&authority), acceptance.decider());
        let connection = Connection::new(env.clone(), Arc::clone(&site), (authority, decider), number, (local, peer));
        net.spawn(serve_connection(net.clone(), http.clone(), stream, Arc::new(connection)));
    }
}

async fn serve_connection<N: Net>(net: N, http: http1::Builder, stream: N::Stream, connection: Arc<Connection>) {
    let how = match secure(connection.site(), connection.env(), connection.number(), stream).await {
        Ok(stream) if stream.http2() => serve_http2(net, stream, &connection).await,
        Ok(stream) => serve_http1(http, stream, &connection).await,
        Err(how) => how,
    };
    connection.closed(how);
}

/// Does the handshake of TLS on a connection of this number, where the site has that, and notes it. It takes no longer
/// than a head may.
///
/// # Errors
/// How the connection ended.
pub(crate) async fn secure<S: Stream>(site: &WebSite, env: &Env, number: u32, stream: S) -> Result<Secured<S>, Closed> {
    let Some(tls) = &site.tls else { return Ok(Secured::Plain(stream)) };
    let secured = timeout(site.limits.idle, tls.accept(stream)).await.map_err(|_| Closed::Here)?;
    let secured = secured.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Closed::ByPeer,
        io::ErrorKind::InvalidData => Closed::Here,
        _ => Closed::Broken,
    })?;
    let mut hasher = BodyHasher::default();
    hasher.update(tls.certificate());
    env.record(What::ServerSecured { connection: number, certificate: hasher.finish().1 });
    Ok(secured)
}

fn http(site: &WebSite) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A date from the operating system's clock would differ from run to run.
    http.auto_date_header(false)
        .timer(TokioTimer::new())
        // hyper counts from the end of the last answer, so this bounds idle connections too.
        .header_read_timeout(site.limits.idle)
        .max_header_size(site.limits.head_read);
    http
}

async fn serve_http1(http: http1::Builder, stream: impl Stream, connection: &Arc<Connection>) -> Closed {
    let service = service_fn(|request| Arc::clone(connection).answer(request));
    match http.serve_connection(TokioIo::new(stream), service).await {
        _ if connection.closes() => Closed::Here,
        Ok(()) => Closed::ByPeer,
        Err(error) => how(&error),
    }
}

/// Serves the streams of a connection side by side. One without a new request for as long as a connection may be
/// idle is closed: it has as long again to end what is under way, and to acknowledge that.
async fn serve_http2<N: Net>(net: N, stream: impl Stream, connection: &Arc<Connection>) -> Closed {
    let limits = connection.site().limits;
    let service = service_fn(|request| Arc::clone(connection).answer(request));
    let mut http = http2::Builder::new(Tasks(net));
    http.auto_date_header(false).max_header_list_size(u32::try_from(limits.head_read).unwrap_or(u32::MAX));
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    let (mut requests, mut closes) = (0, false);
    loop {
        let ended = tokio::select! {
            biased;
            ended = serving.as_mut() => ended,
            () = sleep(limits.idle) => {
                if closes {
                    return Closed::Here;
                }
                closes = connection.requests() == requests;
                requests = connection.requests();
                if closes {
                    serving.as_mut().graceful_shutdown();
                }
                continue;
            }
        };
        return match ended {
            _ if closes => Closed::Here,
            Ok(()) => Closed::ByPeer,
            Err(error) => how(&error),
        };
    }
}

/// Has hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(N);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// How a connection ended that hyper gave up.
fn how(error: &hyper::Error) -> Closed {
    if error.is_timeout() || error.is_parse() {
        return Closed::Here;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        // An error of HTTP/2 holds that of the stream within.
        let broken = cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_io);
        if broken || cause.downcast_ref::<io::Error>().is_some() {
            return Closed::Broken;
        }
        source = cause.source();
    }
    Closed::ByPeer
}
