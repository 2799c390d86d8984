//! A downstream connection that speaks HTTP/1.1: serves one request after another, with time limits for endless heads,
//! for idling, and for the rest of a request that was answered before its end.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_lb_core::Protocol;
use stickler_net::Net;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::activity::HeadWatch;
use super::arrival::Arrival;
use super::config::Limits;
use super::forward::forward;
use super::linger::Lingering;
use super::peer::Peer;
use super::read_observer::ReadObserver;

/// Serves one client's connection until either side ends it.
pub(super) async fn serve<N: Net, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(arrival: Arrival<N>, stream: S) {
    let Arrival { registered, client, front, close } = arrival;
    let (proxy, id) = (registered.proxy(), registered.id());
    let limits = &proxy.shell.limits;
    let head = Arc::new(HeadWatch::default());
    let told = Arc::clone(&head);
    let stream = Lingering::new(stream, Arc::clone(&head), limits.request_head);
    let io = TokioIo::new(ReadObserver::new(stream, move |_| told.bytes()));
    let peer = Peer { id, client, front, protocol: Protocol::Http1, head: Arc::clone(&head), upgraded: Arc::default() };
    let upgraded = Arc::clone(&peer.upgraded);
    let service = service_fn(|request| forward(Arc::clone(proxy), peer.clone(), peer.head.begin(), request));
    let mut connection = pin!(proxy.server.serve_connection(io, service).with_upgrades());
    let mut close = Some(close);
    let mut timer = pin!(None);
    let mut moment = None;
    std::future::poll_fn(|cx| {
        // The way in which the connection ended does not matter: the registration and each exchange's lease clean up
        // after every end.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if close.as_mut().is_some_and(|close| Pin::new(close).poll(cx).is_ready()) {
            close = None;
            // The coupled close: an idle connection closes at once, and another one after the answer under way.
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        let now = head.get();
        if moment != Some(now) {
            moment = Some(now);
            timer.set(now.limit(limits).map(sleep));
        }
        timer.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    })
    .await;
    // The connection's registration lives as long as the traffic that it carries.
    if let Some(carrying) = upgraded.take() {
        let told = async {
            match close {
                // The connection is told to close, or the sender of the signal is gone.
                Some(close) => drop(close.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = carrying => {}
            () = told => {}
        }
    }
}

/// Returns the settings of hyper's server for downstream connections. They do not use hyper's own time limit for heads,
/// which also runs while a connection is idle: an authenticated connection may be idle for an arbitrary time.
pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The backend's `Date` is passed on, because this code may not read a clock to make another.
    builder.auto_date_header(false);
    builder.max_buf_size(limits.head_bytes.max(8 * 1024)).max_header_size(limits.head_bytes);
    if limits.fields != 100 {
        builder.max_headers(limits.fields); // 100 is hyper's default, which needs no allocation
    }
    builder
}
