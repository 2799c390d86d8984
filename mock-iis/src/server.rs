//! Connections: accept, number, serve by hyper, note how each ended.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use stickler_model::event::Closed;
use stickler_model::topology::Acceptor;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream as _, next_connection};

use crate::acceptance::Acceptance;
use crate::authority::Authority;
use crate::exchange::Connection;
use crate::{Site, rogue};

/// Serves a site until the task is dropped, or the listener has failed for good. What the site ties a
/// user to is its [`Acceptor`]; a [`Acceptor::Rogue`] is served on bare sockets.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, site: Arc<Site>) {
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
        net.spawn(serve_connection(http.clone(), stream, Arc::new(connection)));
    }
}

fn http(site: &Site) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A date from the operating system's clock would differ from run to run.
    http.auto_date_header(false)
        .timer(TokioTimer::new())
        // hyper counts from the end of the last answer, so this bounds idle connections too.
        .header_read_timeout(site.limits.idle)
        .max_header_size(site.limits.head_read);
    http
}

async fn serve_connection(http: http1::Builder, stream: impl stickler_net::Stream, connection: Arc<Connection>) {
    let service = service_fn(|request| Arc::clone(&connection).answer(request));
    let ended = http.serve_connection(TokioIo::new(stream), service).await;
    let how = match ended {
        _ if connection.closes() => Closed::Here,
        Ok(()) => Closed::ByPeer,
        Err(error) => how(&error),
    };
    connection.closed(how);
}

/// How a connection ended that hyper gave up.
fn how(error: &hyper::Error) -> Closed {
    if error.is_timeout() || error.is_parse() {
        return Closed::Here;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<io::Error>().is_some() {
            return Closed::Broken;
        }
        source = cause.source();
    }
    Closed::ByPeer
}
