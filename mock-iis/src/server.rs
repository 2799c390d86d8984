//! The connections of a server: accepts, numbers and secures them, serves them, and records the way in which each one
//! ended. hyper serves HTTP/2.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_model::event::Closed;
use stickler_model::topology::Acceptor;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream, next_connection};
use tokio::time::sleep;

use crate::acceptance::Acceptance;
use crate::authority::Authority;
use crate::exchange::{Authentication, Connection, Endpoints};
use crate::secure::secure;
use crate::sending::{self, Sending};
use crate::{WebSite, http1, rogue};

/// Serves a site until the task is dropped or the listener has failed permanently. The site's [`Acceptor`] determines
/// the connection or key that a user is tied to. An [`Acceptor::Rogue`] is served on bare sockets, or on bare TLS.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, site: Arc<WebSite>) {
    if let Acceptor::Rogue(kind) = site.acceptor {
        return rogue::serve(net, listener, env, site, kind).await;
    }
    let authority = Arc::new(Authority::new(&net, env.clone(), Arc::clone(&site)));
    let acceptance = Acceptance::of(&site);
    while let Some((stream, peer)) = next_connection(&listener).await {
        let number = site.next_connection();
        env.record(What::ServerAccepted { connection: number, peer });
        let local = stream.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
        let authentication = Authentication { authority: Arc::clone(&authority), decider: acceptance.decider() };
        let endpoints = Endpoints { number, local, peer };
        let connection = Connection::new(env.clone(), Arc::clone(&site), authentication, endpoints);
        net.spawn(serve_connection(net.clone(), stream, connection));
    }
}

async fn serve_connection<N: Net>(net: N, stream: N::Stream, connection: Connection) {
    let connection = Arc::new(connection);
    let how = match secure(connection.site(), connection.env(), connection.number(), stream).await {
        Ok(stream) if stream.http2() => serve_http2(net, stream, &connection).await,
        Ok(stream) => http1::serve(stream, &connection).await,
        Err(how) => how,
    };
    connection.closed(how);
}

/// Serves the streams of a connection concurrently. A connection that brings no new request within the idle limit is
/// closed. It gets the same time again, in which to finish the requests in progress and to acknowledge the end.
async fn serve_http2<N: Net>(net: N, stream: impl Stream, connection: &Arc<Connection>) -> Closed {
    let limits = connection.site().limits;
    let service = service_fn(|request| Arc::clone(connection).answer_http2(request));
    let mut http = http2::Builder::new(Tasks(net));
    http.auto_date_header(false).max_header_list_size(u32::try_from(connection.site().head_read()).unwrap_or(u32::MAX));
    let stream = Sending::new(stream, limits.send);
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

/// An executor that lets hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(N);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// Returns the way in which a connection ended, from the error that hyper reports for it.
fn how(error: &hyper::Error) -> Closed {
    if error.is_timeout() || error.is_parse() {
        return Closed::Here;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        let error = cause.downcast_ref::<io::Error>();
        if error.is_some_and(sending::is_untaken) {
            return Closed::Here;
        }
        // An HTTP/2 error wraps the I/O error.
        let broken = cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_io);
        if broken || error.is_some() {
            return Closed::Broken;
        }
        source = cause.source();
    }
    Closed::ByPeer
}
