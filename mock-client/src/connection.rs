//! A client's connections, and those of them that are idle.
//!
//! Each connection has a task of its own, which reads and writes, and notes the connection's end:
//! there is no other place that notes it, so it is noted once, when the socket closes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use stickler_model::event::Closed;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::message::Outgoing;
use crate::seat::Holder;

/// Longest head of an answer, in bytes: http.sys's own limit for a request's, 16 KiB, and as much again.
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// A connection in use by one request. Dropping it closes it.
pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) sender: SendRequest<Outgoing>,
    /// Whether the client knows it as authenticated.
    pub(crate) authenticated: bool,
    /// Who authenticated it last, if anybody did.
    pub(crate) holder: Option<Holder>,
    /// Whether an answer came on it already.
    pub(crate) proven: bool,
    link: Arc<Link>,
}

/// All connections of a client.
#[derive(Default)]
pub(crate) struct Connections(Mutex<State>);

#[derive(Default)]
struct State {
    last: u32,
    /// The latest used last.
    idle: Vec<Connection>,
    open: BTreeMap<u32, Arc<Link>>,
}

/// What a connection, its task and the list of open ones share.
#[derive(Default)]
struct Link {
    ending: AtomicU8,
    close: Notify,
}

// How a connection ends, as far as it is known. The first that is set stays.
const OPEN: u8 = 0;
const HERE: u8 = 1;
const BY_PEER: u8 = 2;
const BROKEN: u8 = 3;

impl Connections {
    /// An idle connection, if one is still open: an authenticated one rather than another (curl's
    /// `ConnectionExists` does so), the latest used rather than an older one.
    pub(crate) async fn idle(&self) -> Option<Connection> {
        loop {
            let mut connection = {
                let idle = &mut self.lock().idle;
                let place = idle.iter().rposition(|connection| connection.authenticated);
                idle.remove(place.or(idle.len().checked_sub(1))?)
            };
            if connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Opens a connection, and notes it.
    pub(crate) async fn open<N: Net>(
        self: &Arc<Self>,
        net: &N,
        env: &Env,
        peer: std::net::SocketAddr,
    ) -> io::Result<Connection> {
        let stream = net.connect(peer).await?;
        let local = stream.local_addr()?;
        let link = Arc::new(Link::default());
        let number = {
            let mut state = self.lock();
            state.last += 1;
            let number = state.last;
            state.open.insert(number, link.clone());
            number
        };
        env.record(What::ClientConnected { connection: number, local });
        let io = TokioIo::new(Watched { stream, link: link.clone() });
        let handshake = Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(io);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        net.spawn(run(connection, number, link.clone(), Arc::downgrade(self), env.clone()));
        Ok(Connection { number, sender, authenticated: false, holder: None, proven: false, link })
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut state = self.lock();
        // One that has ended meanwhile is in nobody's list, and stays out.
        if state.open.contains_key(&connection.number) {
            state.idle.push(connection);
        }
    }

    /// Closes all connections, in use or idle.
    pub(crate) fn close(&self) {
        let (idle, open) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.open))
        };
        for link in open.values() {
            link.end(HERE);
        }
        drop(idle);
    }

    fn forget(&self, number: u32) {
        let gone: Vec<Connection> = {
            let mut state = self.lock();
            state.open.remove(&number);
            state.idle.extract_if(.., |connection| connection.number == number).collect()
        };
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Notes that the peer has announced to close it.
    pub(crate) fn announced(&self) {
        self.link.note(BY_PEER);
    }

    /// Whether this side closed it.
    pub(crate) fn closed_here(&self) -> bool {
        self.link.ending.load(Ordering::Acquire) == HERE
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.end(HERE);
    }
}

impl Link {
    fn note(&self, how: u8) {
        let _ = self.ending.compare_exchange(OPEN, how, Ordering::AcqRel, Ordering::Acquire);
    }

    fn end(&self, how: u8) {
        self.note(how);
        self.close.notify_one();
    }

    fn how(&self) -> Closed {
        match self.ending.load(Ordering::Acquire) {
            BY_PEER => Closed::ByPeer,
            BROKEN => Closed::Broken,
            _ => Closed::Here,
        }
    }
}

/// A connection's task.
async fn run<S: Stream>(
    connection: hyper::client::conn::http1::Connection<TokioIo<Watched<S>>, Outgoing>,
    number: u32,
    link: Arc<Link>,
    connections: Weak<Connections>,
    env: Env,
) {
    tokio::select! {
        biased;
        () = link.close.notified() => {}
        // It ends by itself when the peer is gone (`Watched` has seen that), has announced to close,
        // or has sent what is not HTTP: either way the peer's doing. The request is told.
        _ = connection => link.note(BY_PEER),
    }
    if let Some(connections) = connections.upgrade() {
        connections.forget(number);
    }
    env.record(What::ClientClosed { connection: number, how: link.how() });
}

/// A stream that notes how it ends.
struct Watched<S> {
    stream: S,
    link: Arc<Link>,
}

impl<S> Watched<S> {
    fn seen<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = &poll {
            self.link.note(BROKEN);
        }
        poll
    }
}

impl<S: Stream> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(poll, Poll::Ready(Ok(()))) && before > 0 && buf.remaining() == before {
            self.link.note(BY_PEER);
        }
        self.seen(poll)
    }
}

impl<S: Stream> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.seen(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.seen(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.seen(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that is gone already does not mind; the end was noted before.
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
