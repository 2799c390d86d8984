//! The connections of a client: the idle ones, and the HTTP/2 connection that requests share.
//!
//! Each connection has a task of its own ([`Open::run`]), which reads and writes. It records the end of the connection
//! when the socket closes. No other code does that once the connection is open, so the end is recorded once.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_model::payload::BodyHasher;
use stickler_model::sync::Lock;
use stickler_model::{Env, What};
use stickler_net::{Net, Stream as _};
use stickler_tls::{self as tls, ClientTls, Secured};
use tokio::time::Instant;

use crate::connection::{Connection, MAX_HEAD, Sender};
use crate::link::{Link, Watched};

/// All connections of a client.
#[derive(Default)]
pub(crate) struct ConnectionPool {
    /// How long an idle connection is kept; `None`: for good.
    keep_alive: Option<Duration>,
    state: Lock<State>,
    /// Held by the request that finds or opens a connection to share.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The number of the newest connection.
    newest: u32,
    /// The idle connections, each with the moment since when it is idle, the most recently used last.
    idle: Vec<(Connection, Instant)>,
    /// The HTTP/2 connection.
    shared: Option<Connection>,
    /// The open connections by number, in use or idle.
    open: BTreeMap<u32, Arc<Link>>,
}

impl ConnectionPool {
    /// Creates a pool without connections. It closes one that has been idle for `keep_alive`.
    pub(crate) fn new(keep_alive: Option<Duration>) -> Self {
        Self { keep_alive, ..Self::default() }
    }

    /// Removes and returns an idle connection that is still open. It prefers an authenticated one (as curl's
    /// `ConnectionExists` does), and the most recently used.
    pub(crate) async fn idle(&self) -> Option<Connection> {
        loop {
            let mut connection = {
                let idle = &mut self.state.lock().idle;
                let index = idle.iter().rposition(|(connection, _)| connection.known().authenticated);
                idle.remove(index.or(idle.len().checked_sub(1))?).0
            };
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// If `shares`, waits for a request that is about to open a connection that this one could share.
    pub(crate) async fn turn(&self, shares: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if shares { Some(self.turn.lock().await) } else { None }
    }

    /// Returns a handle on the HTTP/2 connection, if that is still open.
    pub(crate) fn shared(&self) -> Option<Connection> {
        let state = self.state.lock();
        let shared = state.shared.as_ref().filter(|shared| state.open.contains_key(&shared.number()))?;
        shared.share()
    }

    /// Opens and records a connection, with TLS to a server of the given name if `tls` is set.
    ///
    /// # Errors
    /// The connection was not accepted, or its TLS or HTTP handshake failed.
    pub(crate) async fn open<N: Net>(
        self: &Arc<Self>,
        net: &N,
        env: &Env,
        peer: SocketAddr,
        tls: Option<(&ClientTls, &str)>,
    ) -> io::Result<Connection> {
        let stream = net.connect(peer).await?;
        let local = stream.local_addr()?;
        let link = Arc::new(Link::default());
        let number = self.enter(&link);
        env.record(What::ClientConnected { connection: number, local });
        let opening = Opening::new(Open { pool: Arc::downgrade(self), env: env.clone(), number, link: link.clone() });
        let stream = match tls {
            None => Secured::Plain(stream),
            Some((tls, name)) => opening.secure(tls.connect(name, stream)).await?,
        };
        let binding = stream.certificate().map(|shown| ChannelBinding::tls_server_end_point(&tls::end_point(shown)));
        let http2 = stream.http2();
        let io = TokioIo::new(Watched::new(stream, link.clone()));
        if !http2 {
            let handshake = http1::Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(io);
            let (sender, connection) = handshake.await.map_err(io::Error::other)?;
            net.spawn(opening.done().run(connection));
            return Ok(Connection::new(number, Sender::Http1(sender), binding, link));
        }
        let mut http = http2::Builder::new(Tasks(Arc::new(net.clone())));
        let handshake = http.max_header_list_size(MAX_HEAD as u32).handshake(io);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        net.spawn(opening.done().run(connection));
        let kept = Connection::new(number, Sender::Http2(sender.clone()), binding, Arc::clone(&link));
        let before = self.state.lock().shared.replace(kept);
        drop(before);
        Ok(Connection::new(number, Sender::Http2(sender), binding, link))
    }

    /// Keeps a connection for the next request, and closes it when it has been idle for too long. A shared connection is in
    /// the pool already, and stays.
    pub(crate) fn keep<N: Net>(self: &Arc<Self>, net: &N, connection: Connection) {
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
        // A connection that has ended meanwhile is not among the open ones, and is not kept.
        if !connection.is_shared() && state.open.contains_key(&connection.number()) {
            state.idle.push((connection, since));
        }
    }

    /// Closes a connection that has been idle since then.
    fn close_idle(&self, number: u32, since: Instant) {
        let kept = {
            let idle = &mut self.state.lock().idle;
            // One that has been used meanwhile has a later moment, and a timer of its own.
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

    /// Numbers a new connection, and adds it to the open ones.
    fn enter(&self, link: &Arc<Link>) -> u32 {
        let mut state = self.state.lock();
        state.newest += 1;
        let number = state.newest;
        state.open.insert(number, link.clone());
        number
    }

    /// Removes a connection that has ended.
    fn forget(&self, number: u32) {
        let ended: Vec<Connection> = {
            let mut state = self.state.lock();
            state.open.remove(&number);
            let shared = state.shared.take_if(|shared| shared.number() == number);
            let idle = state.idle.extract_if(.., |(connection, _)| connection.number() == number);
            idle.map(|(connection, _)| connection).chain(shared).collect()
        };
        // Dropped without the lock, which closing a connection may need.
        drop(ended);
    }
}

/// A connection that was recorded as open.
struct Open {
    pool: Weak<ConnectionPool>,
    env: Env,
    number: u32,
    link: Arc<Link>,
}

impl Open {
    /// Runs the task of the connection.
    async fn run(self, connection: impl Future) {
        tokio::select! {
            biased;
            () = self.link.ended_here() => {}
            // It completes when the peer is gone (`Watched` has seen that), has announced to close, or has sent what is
            // not HTTP. Each time the peer has caused the end, and hyper reports it to the request.
            _ = connection => self.link.announced(),
        }
        self.ended();
    }

    fn ended(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.forget(self.number);
        }
        self.env.record(What::ClientClosed { connection: self.number, how: self.link.how() });
    }
}

/// A connection that has no task yet. Dropping it, once the socket is closed, records its end.
struct Opening(Option<Open>);

impl Opening {
    fn new(open: Open) -> Self {
        Self(Some(open))
    }

    /// Ends the phase of opening: from now on the task records the end.
    fn done(mut self) -> Open {
        self.0.take().expect("it is there until this, which happens once")
    }

    /// Carries out a TLS handshake, and records its result.
    async fn secure<S>(&self, handshake: impl Future<Output = io::Result<Secured<S>>>) -> io::Result<Secured<S>> {
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

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.ended();
        }
    }
}

/// Lets hyper start its tasks on a host.
#[derive(Clone)]
struct Tasks<N>(Arc<N>);

impl<N: Net, F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
