//! A client's connections: those of them that are idle, and the one of HTTP/2, which requests share.
//!
//! Each connection has a task of its own, which reads and writes, and notes the connection's end:
//! there is no other place that notes it, so it is noted once, when the socket closes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_model::event::Closed;
use stickler_model::payload::BodyHasher;
use stickler_model::{Env, What};
use stickler_net::tls::{self, ClientTls, Secured};
use stickler_net::{Net, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::message::Outgoing;
use crate::seat::Holder;

/// Longest head of an answer, in bytes: http.sys's own limit for a request's, 16 KiB, and as much again.
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// A connection in use by one request. Dropping it closes it, unless it is shared.
pub(crate) struct Connection {
    pub(crate) number: u32,
    sender: Sender,
    /// That of the certificate that the server has shown.
    pub(crate) binding: Option<ChannelBinding>,
    link: Arc<Link>,
}

/// Where requests go in.
enum Sender {
    /// One at a time.
    Http1(http1::SendRequest<Outgoing>),
    /// Side by side.
    Http2(http2::SendRequest<Outgoing>),
}

/// What a client knows of a connection.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// Whether it is authenticated.
    pub(crate) authenticated: bool,
    /// Who authenticated it last, if anybody did.
    pub(crate) holder: Option<Holder>,
    /// Whether an answer came on it already.
    pub(crate) proven: bool,
}

/// All connections of a client.
#[derive(Default)]
pub(crate) struct Connections {
    state: Mutex<State>,
    /// Held by the request that finds or opens a connection to share.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    last: u32,
    /// The latest used last.
    idle: Vec<Connection>,
    /// The one of HTTP/2.
    shared: Option<Connection>,
    open: BTreeMap<u32, Arc<Link>>,
}

/// What a connection, its task and the list of open ones share.
#[derive(Default)]
struct Link {
    ending: AtomicU8,
    close: Notify,
    known: Mutex<Known>,
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
                let place = idle.iter().rposition(|connection| connection.known().authenticated);
                idle.remove(place.or(idle.len().checked_sub(1))?)
            };
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Waits for who is about to open a connection that may be shared, where this one would share it.
    pub(crate) async fn turn(&self, shares: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if shares { Some(self.turn.lock().await) } else { None }
    }

    /// The connection of HTTP/2, if it is still open.
    pub(crate) fn shared(&self) -> Option<Connection> {
        let state = self.lock();
        let shared = state.shared.as_ref().filter(|shared| state.open.contains_key(&shared.number))?;
        match &shared.sender {
            Sender::Http2(sender) if !sender.is_closed() => Some(shared.another(sender.clone())),
            _ => None,
        }
    }

    /// Opens a connection, with TLS to a server of this name where that is wanted, and notes it.
    pub(crate) async fn open<N: Net>(
        self: &Arc<Self>,
        net: &N,
        env: &Env,
        peer: std::net::SocketAddr,
        tls: Option<(&ClientTls, &str)>,
    ) -> io::Result<Connection> {
        let stream = net.connect(peer).await?;
        let local = stream.local_addr()?;
        let link = Arc::new(Link::default());
        let number = self.enter(&link);
        env.record(What::ClientConnected { connection: number, local });
        let open = Open { connections: Arc::downgrade(self), env: env.clone(), number, link: link.clone() };
        let stream = match tls {
            None => Secured::Plain(stream),
            Some((tls, name)) => secure(&open, tls.connect(name, stream)).await?,
        };
        let binding = stream.certificate().map(|shown| ChannelBinding::tls_server_end_point(&tls::end_point(shown)));
        let http2 = stream.http2();
        let io = TokioIo::new(Watched { stream, link: link.clone() });
        if !http2 {
            let handshake = http1::Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(io);
            let (sender, connection) = handshake.await.map_err(io::Error::other)?;
            net.spawn(run(connection, open));
            return Ok(Connection { number, sender: Sender::Http1(sender), binding, link });
        }
        let mut http = http2::Builder::new(Tasks(Arc::new(net.clone())));
        let handshake = http.max_header_list_size(MAX_HEAD as u32).handshake(io);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        net.spawn(run(connection, open));
        let first = Connection { number, sender: Sender::Http2(sender.clone()), binding, link };
        let before = self.lock().shared.replace(first.another(sender));
        drop(before);
        Ok(first)
    }

    /// Keeps a connection for the next request. One that is shared is kept all the time.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut state = self.lock();
        // One that has ended meanwhile is in nobody's list, and stays out.
        if !connection.is_shared() && state.open.contains_key(&connection.number) {
            state.idle.push(connection);
        }
    }

    /// Closes all connections, in use or idle.
    pub(crate) fn close(&self) {
        let (idle, shared, open) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.idle), state.shared.take(), std::mem::take(&mut state.open))
        };
        for link in open.values() {
            link.end(HERE);
        }
        drop((idle, shared));
    }

    fn enter(&self, link: &Arc<Link>) -> u32 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.open.insert(number, link.clone());
        number
    }

    fn forget(&self, number: u32) {
        let gone: Vec<Connection> = {
            let mut state = self.lock();
            state.open.remove(&number);
            let shared = state.shared.take_if(|shared| shared.number == number);
            state.idle.extract_if(.., |connection| connection.number == number).chain(shared).collect()
        };
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Waits until a request can go out.
    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Whether it is HTTP/2's, so that other requests are on it at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// What is known of it.
    pub(crate) fn known(&self) -> Known {
        *self.link.known()
    }

    /// Learns something of it.
    pub(crate) fn learn(&self, learn: impl FnOnce(&mut Known)) {
        learn(&mut self.link.known());
    }

    /// Notes that the peer has announced to close it.
    pub(crate) fn announced(&self) {
        self.link.note(BY_PEER);
    }

    /// Whether this side closed it.
    pub(crate) fn closed_here(&self) -> bool {
        self.link.ending.load(Ordering::Acquire) == HERE
    }

    /// Closes it for all who are on it.
    pub(crate) fn close(&self) {
        self.link.end(HERE);
    }

    /// The same connection for another request.
    fn another(&self, sender: http2::SendRequest<Outgoing>) -> Self {
        let (number, binding, link) = (self.number, self.binding, self.link.clone());
        Self { number, sender: Sender::Http2(sender), binding, link }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_shared() {
            self.close();
        }
    }
}

impl Link {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

/// A connection that was noted as open. Dropping it, once the socket is closed, notes its end.
struct Open {
    connections: Weak<Connections>,
    env: Env,
    number: u32,
    link: Arc<Link>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.forget(self.number);
        }
        self.env.record(What::ClientClosed { connection: self.number, how: self.link.how() });
    }
}

/// Carries the handshake of TLS out, and notes what came of it.
async fn secure<S>(open: &Open, handshake: impl Future<Output = io::Result<Secured<S>>>) -> io::Result<Secured<S>> {
    let secured = tokio::select! {
        biased;
        () = open.link.close.notified() => return Err(io::Error::other("the client closed its connections")),
        secured = handshake => secured,
    };
    match &secured {
        Ok(stream) => {
            let mut hasher = BodyHasher::default();
            hasher.update(stream.certificate().unwrap_or_default());
            let (connection, certificate, http2) = (open.number, hasher.finish().1, stream.http2());
            open.env.record(What::ClientSecured { connection, certificate, http2 });
        }
        Err(error) => open.link.note(match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => BY_PEER,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => HERE,
            _ => BROKEN,
        }),
    }
    secured
}

/// A connection's task.
async fn run(connection: impl Future, open: Open) {
    tokio::select! {
        biased;
        () = open.link.close.notified() => {}
        // It ends by itself when the peer is gone (`Watched` has seen that), has announced to close,
        // or has sent what is not HTTP: either way the peer's doing. The request is told.
        _ = connection => open.link.note(BY_PEER),
    }
}

/// Has hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(Arc<N>);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
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
