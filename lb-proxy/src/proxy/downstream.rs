//! Serves one downstream connection: determines the client, whether TLS comes first, and the version of HTTP.

use std::sync::Arc;

use stickler_lb_core::Pipelining;
use stickler_net::{Net, Stream as _};
use stickler_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::arrival::Arrival;
use super::{http1, http2, pipelining, rewind, tunnel};
use crate::proxy_protocol::read_header;

/// Serves one client's connection until either side ends it.
pub(super) async fn serve<N: Net>(mut arrival: Arrival<N>, mut stream: N::Stream) {
    let proxy = Arc::clone(arrival.registered.proxy());
    let limits = &proxy.shell.limits;
    if proxy.accepts {
        let Ok(Ok(named)) = timeout(limits.request_head, read_header(&mut stream)).await else { return };
        arrival.client = named.unwrap_or(arrival.client);
    }
    arrival.front = proxy.announces.and_then(|_| stream.local_addr().ok());
    // The future is boxed, because a rare case must not make the future of the usual case larger.
    if let Some(tls) = &proxy.tls {
        return Box::pin(by_handshake(arrival, tls, stream)).await;
    }
    if proxy.http2 {
        return Box::pin(by_preface(arrival, stream)).await;
    }
    by_http1(arrival, stream).await;
}

/// Serves a connection that begins with a TLS handshake, in which the version of HTTP is agreed (ALPN, RFC 7301).
async fn by_handshake<N: Net>(arrival: Arrival<N>, tls: &ServerTls, stream: N::Stream) {
    let limit = arrival.registered.proxy().shell.limits.request_head;
    // After a failure, the client has been sent an alert.
    let Ok(Ok(stream)) = timeout(limit, tls.accept(stream)).await else { return };
    if stream.http2() {
        http2::serve(arrival, stream).await;
    } else {
        by_http1(arrival, stream).await;
    }
}

/// Serves a connection whose first bytes show the version of HTTP.
async fn by_preface<N: Net>(arrival: Arrival<N>, stream: N::Stream) {
    let limits = arrival.registered.proxy().shell.limits;
    match rewind::preface(stream, limits.idle, limits.request_head).await {
        Some((stream, true)) => http2::serve(arrival, stream).await,
        Some((stream, false)) => by_http1(arrival, stream).await,
        None => {}
    }
}

/// Serves a connection that speaks HTTP/1.1.
async fn by_http1<N: Net, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(arrival: Arrival<N>, stream: S) {
    if arrival.registered.proxy().hops.tunnels {
        return Box::pin(tunnel::serve(arrival, stream)).await;
    }
    if arrival.registered.proxy().pipelining == Pipelining::Overtakes {
        return Box::pin(pipelining::serve(arrival, stream)).await;
    }
    http1::serve(arrival, stream).await;
}
