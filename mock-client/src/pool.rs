//! The connections of a client: the idle ones, and the HTTP/2 connection that requests share.
//!
//! Each connection has its own task, which watches an HTTP/1.1 connection at rest ([`Open::watch`]), or drives an
//! HTTP/2 connection ([`Open::run`]). When the socket closes, the task records the end of the connection
//! ([`Open::ended`]). A request that closes an HTTP/1.1 connection records its end as well.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_http1::Wire;
use stickler_model::payload::BodyHasher;
use stickler_model::sync::Lock;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream};
use stickler_tls::{self as tls, ClientTls, Secured};
use tokio::time::Instant;

use crate::connection::{Connection, Rest, Sender};
use crate::http1::HEAD;
use crate::link::{Link, Watched};

/// All connections of a client.
pub(crate) struct ConnectionPool<S> {
    /// The time for which an idle connection is kept; `None`: it is kept without a limit.
    keep_alive: Option<Duration>,
    state: Lock<State<S>>,
    /// The lock that a request holds while it finds or opens a connection to share.
    turn: tokio::sync::Mutex<()>,
}

struct State<S> {
    /// The number of the newest connection.
    newest: u32,
    /// The idle connections, each with the time since which it is idle, the most recently used last.
    idle: Vec<(Connection<S>, Instant)>,
    /// The HTTP/2 connection.
    shared: Option<Connection<S>>,
    /// The open connections by number, in use or idle.
    open: BTreeMap<u32, Arc<Link>>,
}

impl<S> ConnectionPool<S> {
    /// Creates a pool without connections, which closes a connection that has been idle for `keep_alive`.
    pub(crate) fn new(keep_alive: Option<Duration>) -> Self {
        let state = State { newest: 0, idle: Vec::new(), shared: None, open: BTreeMap::new() };
        Self { keep_alive, state: Lock::new(state), turn: tokio::sync::Mutex::default() }
    }
}

impl<S: Stream> ConnectionPool<S> {
    /// Removes and returns an idle connection that is still open. The pool prefers an authenticated connection (like
    /// curl's `ConnectionExists`), then a connection that was used before, and among these the one that was used last
    /// (like Chromium's `AssignIdleSocketToRequest`).
    pub(crate) fn idle(&self) -> Option<Connection<S>> {
        loop {
            let mut connection = {
                let idle = &mut self.state.lock().idle;
                let authenticated = idle.iter().rposition(|(connection, _)| connection.known().authenticated);
                let used = || idle.iter().rposition(|(connection, _)| connection.known().proven);
                idle.remove(authenticated.or_else(used).or(idle.len().checked_sub(1))?).0
            };
            if connection.take() {
                return Some(connection);
            }
        }
    }

    /// Returns whether no connection is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().open.is_empty()
    }

    /// Waits, if `shares` is set, for another request that is about to open a connection which this request could
    /// share.
    pub(crate) async fn turn(&self, shares: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if shares { Some(self.turn.lock().await) } else { None }
    }

    /// Returns a handle on the HTTP/2 connection, if it is still open.
    pub(crate) fn shared(&self) -> Option<Connection<S>> {
        let state = self.state.lock();
        let shared = state.shared.as_ref().filter(|shared| state.open.contains_key(&shared.number()))?;
        shared.share()
    }

    /// Opens and records a connection, with TLS to a server of the given name if `tls` is set.
    ///
    /// # Errors
    /// The connection was not accepted, or its TLS or HTTP handshake failed.
    pub(crate) async fn open<N: Net<Stream = S>>(
        self: &Arc<Self>,
        net: &N,
        env: &Env,
        peer: SocketAddr,
        tls: Option<(&ClientTls, &str)>,
    ) -> io::Result<Connection<S>> {
        let stream = net.connect(peer).await?;
        let local = stream.local_addr()?;
        let link = Arc::new(Link::default());
        let number = self.enter(&link);
        env.record(What::ClientConnected { connection: number, local });
        let opening = Opening::new(Open {
            pool: Arc::downgrade(self),
            env: env.clone(),
            number,
            link: link.clone(),
            ended: AtomicBool::new(false),
        });
        let stream = match tls {
            None => Secured::Plain(stream),
            Some((tls, name)) => opening.secure(tls.connect(name, stream)).await?,
        };
        let binding = stream.certificate().map(|shown| ChannelBinding::tls_server_end_point(&tls::end_point(shown)));
        let http2 = stream.http2();
        let stream = Watched::new(stream, link.clone());
        if !http2 {
            let rest = Arc::new(Rest::new());
            let open = Arc::new(opening.done());
            net.spawn(Arc::clone(&open).watch(Arc::clone(&rest)));
            let sender = Sender::Http1 { wire: Some(Box::new(Wire::new(stream))), rest, open };
            return Ok(Connection::new(number, sender, binding, link));
        }
        let mut http = http2::Builder::new(Tasks(Arc::new(net.clone())));
        let handshake = http.max_header_list_size(HEAD.length as u32).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        net.spawn(opening.done().run(connection));
        let kept = Connection::new(number, Sender::Http2(sender.clone()), binding, Arc::clone(&link));
        let before = self.state.lock().shared.replace(kept);
        drop(before);
        Ok(Connection::new(number, Sender::Http2(sender), binding, link))
    }

    /// Keeps a connection for the next request, and closes it when it has been idle for too long. A shared connection
    /// is in the pool already, and stays there.
    pub(crate) fn keep<N: Net<Stream = S>>(self: &Arc<Self>, net: &N, mut connection: Connection<S>) {
        let since = Instant::now();
        if let Some(time) = self.keep_alive.filter(|_| !connection.is_shared()) {
            let (pool, number) = (Arc::downgrade(self), connection.number());
            net.spawn(async move {
                tokio::time::sleep(time).await;
                if let Some(pool) = pool.upgrade() {
                    pool.close_idle(number, since);
                }
            });
        }
        let mut state = self.state.lock();
        // A connection that has ended meanwhile is no longer among the open ones, and is not kept.
        if !connection.is_shared() && state.open.contains_key(&connection.number()) {
            connection.rest();
            state.idle.push((connection, since));
        }
    }

    /// Closes a connection if it has been idle since this time.
    fn close_idle(&self, number: u32, since: Instant) {
        let kept = {
            let idle = &mut self.state.lock().idle;
            // A connection that has been used meanwhile has a later time, and another timer.
            let index = idle.iter().position(|(connection, from)| connection.number() == number && *from == since);
            index.map(|index| idle.remove(index))
        };
        if let Some((connection, _)) = kept {
            connection.close();
        }
    }

    /// Closes all connections, in use or idle.
    pub(crate) fn close(&self) {
        let (idle, shared, open) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.idle), state.shared.take(), std::mem::take(&mut state.open))
        };
        for link in open.values() {
            link.end();
        }
        drop((idle, shared));
    }

    /// Assigns a number to a new connection, and adds it to the open ones.
    fn enter(&self, link: &Arc<Link>) -> u32 {
        let mut state = self.state.lock();
        state.newest += 1;
        let number = state.newest;
        state.open.insert(number, link.clone());
        number
    }
}

impl<S> ConnectionPool<S> {
    /// Removes a connection that has ended.
    fn forget(&self, number: u32) {
        let ended: Vec<Connection<S>> = {
            let mut state = self.state.lock();
            state.open.remove(&number);
            let shared = state.shared.take_if(|shared| shared.number() == number);
            let idle = state.idle.extract_if(.., |(connection, _)| connection.number() == number);
            idle.map(|(connection, _)| connection).chain(shared).collect()
        };
        // The connection is dropped without the lock, because closing a connection may need the lock.
        drop(ended);
    }
}

/// A connection that was recorded as open.
pub(crate) struct Open<S> {
    pool: Weak<ConnectionPool<S>>,
    env: Env,
    number: u32,
    link: Arc<Link>,
    /// Whether the end of the connection was recorded.
    ended: AtomicBool,
}

impl<S> Open<S> {
    /// Runs the task of an HTTP/1.1 connection.
    async fn watch(self: Arc<Self>, rest: Arc<Rest<S>>)
    where
        S: Stream,
    {
        tokio::select! {
            biased;
            () = self.link.ended_here() => {}
            // The peer is gone, which `Watched` has noticed, or has sent something without a request.
            () = rest.disturbed() => self.link.announced(),
        }
        self.ended();
    }

    /// Runs the task of an HTTP/2 connection.
    async fn run(self, connection: impl Future) {
        tokio::select! {
            biased;
            () = self.link.ended_here() => {}
            // The future completes when the peer is gone (`Watched` has noticed that), has announced the end, or has
            // sent bytes that are not HTTP. In each case the peer has caused the end, and hyper reports it to the
            // request.
            _ = connection => self.link.announced(),
        }
        self.ended();
    }

    /// Records the end of the connection, once.
    pub(crate) fn ended(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.forget(self.number);
        }
        self.env.record(What::ClientClosed { connection: self.number, how: self.link.how() });
    }
}

/// A connection that has no task yet. Dropping this value records the end of the connection, after the socket has
/// closed.
struct Opening<S>(Option<Open<S>>);

impl<S> Opening<S> {
    fn new(open: Open<S>) -> Self {
        Self(Some(open))
    }

    /// Ends the phase of opening: from now on the task records the end.
    fn done(mut self) -> Open<S> {
        self.0.take().expect("it is there until this, which happens once")
    }

    /// Carries out a TLS handshake, and records its result.
    async fn secure(&self, handshake: impl Future<Output = io::Result<Secured<S>>>) -> io::Result<Secured<S>> {
        let Some(open) = &self.0 else { return handshake.await };
        let secured = tokio::select! {
            biased;
            () = open.link.ended_here() => return Err(io::Error::other("the client closed its connections")),
            secured = handshake => secured,
        };
        match &secured {
            Ok(stream) => {
                let mut hasher = BodyHasher::default();
                hasher.update(stream.certificate().unwrap_or_default());
                let (connection, certificate, http2) = (open.number, hasher.finish().1, stream.http2());
                open.env.record(What::ClientSecured { connection, certificate, http2 });
            }
            Err(error) => open.link.failed(error.kind()),
        }
        secured
    }
}

impl<S> Drop for Opening<S> {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.ended();
        }
    }
}

/// An executor that lets hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(Arc<N>);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
