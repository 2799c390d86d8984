//! One downstream connection: the task that serves it, and its time limits: for heads that never end, and for idling.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_net::{Net, Stream as _};
use tokio::time::{sleep, timeout};

use super::forward::{Peer, forward};
use super::shell::CloseSignal;
use super::tap::Tap;
use super::{Limits, Pipelining, Proxy, pipelining};
use crate::DownstreamId;
use crate::proxy_protocol::read_header;

/// Serves one client's connection until either side is done with it.
pub(super) async fn serve<N: Net>(
    registered: Registered<N>,
    mut stream: N::Stream,
    mut client: SocketAddr,
    close: CloseSignal,
) {
    let (proxy, id) = (&registered.proxy, registered.id);
    let limits = &proxy.shell.limits;
    if proxy.accepts {
        let Ok(Ok(named)) = timeout(limits.request_head, read_header(&mut stream)).await else { return };
        client = named.unwrap_or(client);
    }
    let front = proxy.announces.and_then(|_| stream.local_addr().ok());
    if proxy.pipelining == Pipelining::Overtakes {
        return Box::pin(pipelining::serve(registered, stream, client, front, close)).await;
    }
    let head = Arc::new(HeadWatch::default());
    let told = Arc::clone(&head);
    let io = TokioIo::new(Tap::new(stream, move |_| told.bytes()));
    let peer = Peer { id, client, front, head: Arc::clone(&head) };
    let service = service_fn(|request| forward(Arc::clone(proxy), peer.clone(), request));
    let mut connection = pin!(proxy.server.serve_connection(io, service));
    let mut close = Some(close);
    let mut timer = pin!(None);
    let mut moment = None;
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
        let now = head.get();
        if moment != Some(now) {
            moment = Some(now);
            timer.set(now.limit(limits).map(sleep));
        }
        timer.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
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

    pub(super) fn proxy(&self) -> &Arc<Proxy<N>> {
        &self.proxy
    }

    pub(super) fn id(&self) -> DownstreamId {
        self.id
    }
}

impl<N: Net> Drop for Registered<N> {
    fn drop(&mut self) {
        self.proxy.shell.disconnected(self.id);
        if let Some(gate) = &self.proxy.gate {
            gate.closed(self.id);
        }
    }
}

/// What a downstream connection is doing, and how many requests it has brought.
///
/// After an answer that came before its request's end, the rest of that request counts as a head, too: it has to
/// arrive within the same time.
#[derive(Debug, Default)]
pub(super) struct HeadWatch(AtomicU32);

/// One moment of a [`HeadWatch`]: two bits say what it does, the others count, so that two idle times differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(u32);

impl HeadWatch {
    const IDLE: u32 = 0;
    /// A head has begun to arrive, and has not ended.
    const PARTIAL: u32 = 1;
    const BUSY: u32 = 2;
    const MASK: u32 = 3;

    /// A head is complete, and its exchange under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let count = (self.0.load(Ordering::Relaxed) & !Self::MASK).wrapping_add(Self::MASK + 1);
        self.0.store(count | Self::BUSY, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    fn bytes(&self) {
        let now = self.0.load(Ordering::Relaxed);
        if now & Self::MASK == Self::IDLE {
            self.0.store(now | Self::PARTIAL, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

impl Moment {
    /// How long it may last.
    fn limit(self, limits: &Limits) -> Option<Duration> {
        match self.0 & HeadWatch::MASK {
            HeadWatch::IDLE => limits.idle,
            HeadWatch::PARTIAL => Some(limits.request_head),
            _ => None,
        }
    }
}

/// An exchange under way. It lives as long as the answer's body. Connection, exchange and body live in one task, so
/// that loads and stores need no order among them.
pub(super) struct Busy(Arc<HeadWatch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_and(!HeadWatch::MASK, Ordering::Relaxed);
    }
}
