//! A client's connections: those of them that are idle, and the one of HTTP/2, which requests share.
//!
//! Each connection has a task of its own, which reads and writes, and notes the connection's end:
//! there is no other place that notes it, so it is noted once, when the socket closes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream as _};
use stickler_tls::{ClientTls, Secured};

use crate::link::{Known, Link, Open, Opening, Watched};
use crate::message::Outgoing;

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
        let opening =
            Opening::new(Open { connections: Arc::downgrade(self), env: env.clone(), number, link: link.clone() });
        let stream = match tls {
            None => Secured::Plain(stream),
            Some((tls, name)) => opening.secure(tls.connect(name, stream)).await?,
        };
        let binding =
            stream.certificate().map(|shown| ChannelBinding::tls_server_end_point(&stickler_tls::end_point(shown)));
        let http2 = stream.http2();
        let io = TokioIo::new(Watched::new(stream, link.clone()));
        if !http2 {
            let handshake = http1::Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(io);
            let (sender, connection) = handshake.await.map_err(io::Error::other)?;
            net.spawn(opening.done().run(connection));
            return Ok(Connection { number, sender: Sender::Http1(sender), binding, link });
        }
        let mut http = http2::Builder::new(Tasks(Arc::new(net.clone())));
        let handshake = http.max_header_list_size(MAX_HEAD as u32).handshake(io);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        net.spawn(opening.done().run(connection));
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
            link.end();
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

    /// A connection is gone.
    pub(crate) fn forget(&self, number: u32) {
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
        self.link.announced();
    }

    /// Whether this side closed it.
    pub(crate) fn closed_here(&self) -> bool {
        self.link.closed_here()
    }

    /// Closes it for all who are on it.
    pub(crate) fn close(&self) {
        self.link.end();
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

/// Has hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(Arc<N>);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
