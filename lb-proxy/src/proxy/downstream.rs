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
use stickler_lb_core::{DownstreamId, Pipelining, Protocol};
use stickler_net::{Net, Stream as _};
use stickler_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::forward::{Peer, forward};
use super::http2::Open;
use super::shell::CloseSignal;
use super::tap::Tap;
use super::{Limits, Proxy, http2, pipelining, rewind};
use crate::proxy_protocol::read_header;

/// A client's connection, and what is known of it.
pub(super) struct Arrival<N: Net> {
    pub(super) registered: Registered<N>,
    pub(super) client: SocketAddr,
    /// Where it connected to; known where upstream connections tell it.
    pub(super) front: Option<SocketAddr>,
    pub(super) close: CloseSignal,
}

/// Serves one client's connection until either side is done with it.
pub(super) async fn serve<N: Net>(mut arrival: Arrival<N>, mut stream: N::Stream) {
    let proxy = Arc::clone(arrival.registered.proxy());
    let limits = &proxy.shell.limits;
    if proxy.accepts {
        let Ok(Ok(named)) = timeout(limits.request_head, read_header(&mut stream)).await else { return };
        arrival.client = named.unwrap_or(arrival.client);
    }
    arrival.front = proxy.announces.and_then(|_| stream.local_addr().ok());
    // Boxed: what is not the usual way is not to make that one's future larger.
    if let Some(tls) = &proxy.tls {
        return Box::pin(by_handshake(arrival, tls, stream)).await;
    }
    if proxy.http2 {
        return Box::pin(by_preface(arrival, stream)).await;
    }
    serve_http1(arrival, stream).await;
}

/// Serves a connection on which TLS has to come about first, and says what it speaks (ALPN, RFC 7301).
async fn by_handshake<N: Net>(arrival: Arrival<N>, tls: &ServerTls, stream: N::Stream) {
    let limit = arrival.registered.proxy().shell.limits.request_head;
    // The client was sent an alert.
    let Ok(Ok(stream)) = timeout(limit, tls.accept(stream)).await else { return };
    if stream.http2() {
        http2::serve(arrival, stream).await;
    } else {
        serve_http1(arrival, stream).await;
    }
}

/// Serves a connection whose first bytes say what it speaks.
async fn by_preface<N: Net>(arrival: Arrival<N>, stream: N::Stream) {
    let limits = arrival.registered.proxy().shell.limits;
    match rewind::preface(stream, limits.idle, limits.request_head).await {
        Some((stream, true)) => http2::serve(arrival, stream).await,
        Some((stream, false)) => serve_http1(arrival, stream).await,
        None => {}
    }
}

async fn serve_http1<N: Net, S: AsyncRead + AsyncWrite + Unpin + Send>(arrival: Arrival<N>, stream: S) {
    if arrival.registered.proxy.pipelining == Pipelining::Overtakes {
        return Box::pin(pipelining::serve(arrival, stream)).await;
    }
    let Arrival { registered, client, front, close } = arrival;
    let (proxy, id) = (&registered.proxy, registered.id);
    let limits = &proxy.shell.limits;
    let head = Arc::new(HeadWatch::default());
    let told = Arc::clone(&head);
    let io = TokioIo::new(Tap::new(stream, move |_| told.bytes()));
    let peer = Peer { id, client, front, protocol: Protocol::Http1, head: Arc::clone(&head) };
    let service = service_fn(|request| forward(Arc::clone(proxy), peer.clone(), peer.head.begin(), request));
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
pub(super) struct HeadWatch {
    moment: AtomicU32,
    /// Exchanges under way.
    open: AtomicU32,
}

/// One moment of a [`HeadWatch`]: two bits say what it does, the others count, so that two idle times differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl HeadWatch {
    const IDLE: u32 = 0;
    /// A head has begun to arrive, and has not ended.
    const PARTIAL: u32 = 1;
    const BUSY: u32 = 2;
    const MASK: u32 = 3;

    /// A head is complete, and its exchange under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let count = (self.moment.load(Ordering::Relaxed) & !Self::MASK).wrapping_add(Self::MASK + 1);
        self.moment.store(count | Self::BUSY, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy { watch: Arc::clone(self), stream: None }
    }

    pub(super) fn bytes(&self) {
        let now = self.moment.load(Ordering::Relaxed);
        if now & Self::MASK == Self::IDLE {
            self.moment.store(now | Self::PARTIAL, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> Moment {
        Moment(self.moment.load(Ordering::Relaxed))
    }
}

impl Moment {
    /// How long it may last.
    pub(super) fn limit(self, limits: &Limits) -> Option<Duration> {
        match self.0 & HeadWatch::MASK {
            HeadWatch::IDLE => limits.idle,
            HeadWatch::PARTIAL => Some(limits.request_head),
            _ => None,
        }
    }

    pub(super) const fn is_busy(self) -> bool {
        self.0 & HeadWatch::MASK == HeadWatch::BUSY
    }

    /// Whether there has been a request.
    pub(super) const fn has_begun(self) -> bool {
        self.0 > HeadWatch::MASK
    }
}

/// An exchange under way. It lives as long as the answer's body. Connection, exchange and body live in one task, so
/// that loads and stores need no order among them.
pub(super) struct Busy {
    watch: Arc<HeadWatch>,
    stream: Option<Open>,
}

impl Busy {
    /// An exchange by a stream of HTTP/2.
    pub(super) fn by(mut self, stream: Open) -> Self {
        self.stream = Some(stream);
        self
    }

    pub(super) const fn is_stream(&self) -> bool {
        self.stream.is_some()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.watch.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.watch.moment.fetch_and(!HeadWatch::MASK, Ordering::Relaxed);
        }
    }
}
