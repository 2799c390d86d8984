//! One downstream connection: the task that serves it, and the time limit for heads that never end.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_net::Net;
use tokio::time::sleep;

use super::forward::{Peer, forward};
use super::shell::CloseSignal;
use super::tap::Tap;
use super::{Limits, Proxy};
use crate::DownstreamId;

/// Serves one client's connection until either side is done with it.
pub(super) async fn serve<N: Net>(
    registered: Registered<N>,
    stream: N::Stream,
    client: SocketAddr,
    close: CloseSignal,
) {
    let (proxy, id) = (&registered.proxy, registered.id);
    let head = Arc::new(HeadWatch::default());
    let told = Arc::clone(&head);
    let io = TokioIo::new(Tap::new(stream, move |_| told.bytes()));
    let peer = Peer { id, client, head: Arc::clone(&head) };
    let service = service_fn(|request| forward(Arc::clone(proxy), peer.clone(), request));
    let mut connection = pin!(proxy.server.serve_connection(io, service));
    let mut close = Some(close);
    let mut slow = pin!(None);
    let limit = proxy.shell.limits.request_head;
    std::future::poll_fn(|cx| {
        // How it ended does not matter: the registration and each exchange's lease clean up after every end.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if close.as_mut().is_some_and(|close| Pin::new(close).poll(cx).is_ready()) {
            close = None;
            // The coupled close: at once if idle, else after the answer under way.
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        if !head.is_partial() {
            if slow.is_some() {
                slow.set(None);
            }
            return Poll::Pending;
        }
        if slow.is_none() {
            slow.set(Some(sleep(limit)));
        }
        slow.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    })
    .await;
}

/// How the server side of every downstream connection is set. Not with hyper's own time limit for heads: that one
/// runs while a connection is idle, too, and an authenticated connection may be idle for as long as it likes.
pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The backend's `Date` is passed on; there is no clock to make another.
    builder.auto_date_header(false);
    builder.max_buf_size(limits.head_bytes.max(8 * 1024)).max_header_size(limits.head_bytes);
    if limits.fields != 100 {
        builder.max_headers(limits.fields); // 100 is hyper's own, and needs no allocation
    }
    builder
}

/// Reports the connection's end, however it comes: even if its task never starts.
pub(super) struct Registered<N: Net> {
    proxy: Arc<Proxy<N>>,
    id: DownstreamId,
}

impl<N: Net> Registered<N> {
    pub(super) fn new(proxy: &Arc<Proxy<N>>, id: DownstreamId) -> Self {
        Self { proxy: Arc::clone(proxy), id }
    }
}

impl<N: Net> Drop for Registered<N> {
    fn drop(&mut self) {
        self.proxy.shell.disconnected(self.id);
    }
}

/// Whether a request's head has begun to arrive, and has not ended.
///
/// After an answer that came before its request's end, the rest of that request counts as a head, too: it has to
/// arrive within the same time.
#[derive(Debug, Default)]
pub(super) struct HeadWatch(AtomicU8);

impl HeadWatch {
    const IDLE: u8 = 0;
    const PARTIAL: u8 = 1;
    const BUSY: u8 = 2;

    /// A head is complete, and its exchange under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.0.store(Self::BUSY, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    fn bytes(&self) {
        let _ = self.0.compare_exchange(Self::IDLE, Self::PARTIAL, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_partial(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::PARTIAL
    }
}

/// An exchange under way. It lives as long as the answer's body.
pub(super) struct Busy(Arc<HeadWatch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.store(HeadWatch::IDLE, Ordering::Relaxed);
    }
}
