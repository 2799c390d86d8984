//! A downstream connection that speaks HTTP/2 (RFC 9113), in which each stream is a request.
//!
//! ```text
//! client ══ hyper server ── stream by stream ──▶ forward, as for HTTP/1.1 ──▶ upstream by HTTP/1.1
//!                │ executes into
//!                ▼
//!          Streams ── all in the connection's own task, and end with it
//! ```
//!
//! A coupled close is a GOAWAY: requests under way are answered, and later ones are refused. If the policy or the gate
//! can be asked about only one request at a time, the streams take turns. The time limits are those of HTTP/1.1, with
//! one exception: after the first request, a head that stops half-way counts as idling, because frames of several kinds
//! share the connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::header::CONNECTION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_lb_core::Protocol;
use stickler_net::Net;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::activity::{HeadWatch, Table};
use super::answer_body::AnswerBody;
use super::arrival::Arrival;
use super::config::Limits;
use super::context::Proxy;
use super::forward::{Unanswered, forward};
use super::peer::Peer;
use super::read_observer::ReadObserver;

/// Serves one client's connection until either side ends it.
pub(super) async fn serve<N: Net, S>(arrival: Arrival<N>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Arrival { registered, client, front, mut close } = arrival;
    let proxy = Arc::clone(registered.proxy());
    let limits = &proxy.shell.limits;
    let head = Arc::new(HeadWatch::default());
    let told = Arc::clone(&head);
    let io = TokioIo::new(ReadObserver::new(stream, move |_| {
        if !told.get().has_begun() {
            told.bytes();
        }
    }));
    let protocol = Protocol::Http2 { stream: 0 };
    let front = Front {
        table: Arc::default(),
        turn: proxy.in_turn.then(|| Arc::new(Semaphore::new(1))),
        leaving: Arc::default(),
        peer: Peer { id: registered.id(), client, front, protocol, head: Arc::clone(&head), upgraded: Arc::default() },
        proxy: Arc::clone(&proxy),
    };
    let leaving = Arc::clone(&front.leaving);
    let streams = Streams::default();
    let service = service_fn(move |request| front.exchange(request));
    let mut connection = pin!(builder(streams.clone(), limits).serve_connection(io, service));
    let mut exchanges = FuturesUnordered::new();
    let mut timer = pin!(None);
    let (mut told_to_leave, mut moment) = (false, None);
    std::future::poll_fn(|cx| {
        // The way in which the connection ended does not matter: the registration and each exchange's lease clean up
        // after every end.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        streams.poll_all(&mut exchanges, cx);
        if !told_to_leave {
            // The coupled close: an idle connection closes at once, and another one after the answers under way.
            if Pin::new(&mut close).poll(cx).is_ready() {
                leaving.store(true, Ordering::Relaxed);
            }
            told_to_leave = leaving.load(Ordering::Relaxed);
            if told_to_leave {
                moment = None;
                connection.as_mut().graceful_shutdown();
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
        }
        let now = head.get();
        if moment != Some(now) {
            moment = Some(now);
            // A client that was told to leave may take as long for it as for a head.
            let farewell = (told_to_leave && !now.is_busy()).then_some(limits.request_head);
            timer.set(farewell.or_else(|| now.limit(limits)).map(sleep));
        }
        timer.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    })
    .await;
}

/// Returns the settings of hyper's server for one connection, since they contain the connection's own streams.
fn builder(streams: Streams, limits: &Limits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder.auto_date_header(false);
    builder.max_concurrent_streams(limits.streams);
    builder.max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    builder
}

/// The state that the streams of one connection share.
struct Front<N: Net> {
    proxy: Arc<Proxy<N>>,
    peer: Peer,
    table: Arc<Table>,
    /// The semaphore by which streams take turns, if they do.
    turn: Option<Arc<Semaphore>>,
    /// Whether the connection must end, in which case no further stream begins.
    leaving: Arc<AtomicBool>,
}

/// The reason why a stream is reset.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    /// The request has not been processed, so it can be tried again elsewhere (RFC 9113 8.7).
    #[error("the connection is about to close")]
    Leaving(#[source] h2::Error),
    /// The request has not been processed, and must be sent again over HTTP/1.1. The connection continues.
    #[error("the balancer's gate works over HTTP/1.1 only")]
    Http1Required(#[source] h2::Error),
    #[error(transparent)]
    Coupled(Unanswered),
}

impl From<Unanswered> for NoAnswer {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Leaving => Self::Leaving(h2::Reason::REFUSED_STREAM.into()),
            Unanswered::Http1Required => Self::Http1Required(h2::Reason::HTTP_1_1_REQUIRED.into()),
            Unanswered::Coupled => Self::Coupled(unanswered),
        }
    }
}

impl<N: Net> Front<N> {
    /// Begins the exchange of a request that has just arrived.
    fn exchange(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<AnswerBody<N>>, NoAnswer>> + Send + 'static + use<N> {
        let mut open = Table::open(&self.table);
        let peer = Peer { protocol: Protocol::Http2 { stream: open.place }, ..self.peer.clone() };
        let busy = peer.head.begin();
        let (proxy, turn, leaving) = (Arc::clone(&self.proxy), self.turn.clone(), Arc::clone(&self.leaving));
        async move {
            if let Some(turn) = turn {
                // The semaphore is never closed.
                open.turn = turn.acquire_owned().await.ok();
            }
            if leaving.load(Ordering::Relaxed) {
                return Err(Unanswered::Leaving.into());
            }
            let answer = forward(proxy, peer, busy.by(open), request).await;
            let closes = match &answer {
                Ok(answer) => answer.headers().contains_key(CONNECTION),
                Err(unanswered) => !matches!(unanswered, Unanswered::Http1Required),
            };
            if closes {
                leaving.store(true, Ordering::Relaxed);
            }
            let mut answer = answer?;
            // HTTP/2 announces the end of a connection by GOAWAY, not by this field (RFC 9113 8.2.2).
            answer.headers_mut().remove(CONNECTION);
            Ok(answer)
        }
    }
}

type Exchange = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The futures of streams that have begun, which hyper adds here. They run in the connection's own task. Futures that
/// remain when the task ends are dropped with it, before the connection's registration.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<Vec<Exchange>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
    }
}

impl Streams {
    /// Adds the new futures, and polls all that can make progress.
    fn poll_all(&self, exchanges: &mut FuturesUnordered<Exchange>, cx: &mut Context<'_>) {
        exchanges.extend(self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
        while let Poll::Ready(Some(())) = exchanges.poll_next_unpin(cx) {}
    }
}
