//! How a connection of a client lives and ends.
//!
//! Each connection has a task of its own ([`Open::run`]), which reads and writes, and notes the connection's end:
//! there is no other place that notes it once it is open, so it is noted once, when the socket closes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use stickler_model::event::Closed;
use stickler_model::payload::BodyHasher;
use stickler_model::{Env, What};
use stickler_net::Stream;
use stickler_tls::Secured;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::connection::Connections;
use crate::seat::Holder;

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

/// What a connection, its task and the list of open ones share.
#[derive(Default)]
pub(crate) struct Link {
    ending: AtomicU8,
    close: Notify,
    known: Mutex<Known>,
}

// How a connection ends, as far as it is known. The first that is set stays.
const OPEN: u8 = 0;
const HERE: u8 = 1;
const BY_PEER: u8 = 2;
const BROKEN: u8 = 3;

/// A connection that was noted as open.
pub(crate) struct Open {
    pub(crate) connections: Weak<Connections>,
    pub(crate) env: Env,
    pub(crate) number: u32,
    pub(crate) link: Arc<Link>,
}

/// One that has no task of its own yet. Dropping it, once the socket is closed, notes its end.
pub(crate) struct Opening(Option<Open>);

impl Link {
    /// What the client knows of the connection.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer has announced to close it.
    pub(crate) fn announced(&self) {
        self.note(BY_PEER);
    }

    /// Closes it.
    pub(crate) fn end(&self) {
        self.note(HERE);
        self.close.notify_one();
    }

    /// Whether this side closed it.
    pub(crate) fn closed_here(&self) -> bool {
        self.ending.load(Ordering::Acquire) == HERE
    }

    fn note(&self, how: u8) {
        let _ = self.ending.compare_exchange(OPEN, how, Ordering::AcqRel, Ordering::Acquire);
    }

    fn how(&self) -> Closed {
        match self.ending.load(Ordering::Acquire) {
            BY_PEER => Closed::ByPeer,
            BROKEN => Closed::Broken,
            _ => Closed::Here,
        }
    }
}

impl Opening {
    pub(crate) fn new(open: Open) -> Self {
        Self(Some(open))
    }

    /// It is open.
    pub(crate) fn done(mut self) -> Open {
        self.0.take().expect("it is there until this, which happens once")
    }

    /// Carries the handshake of TLS out, and notes what came of it.
    pub(crate) async fn secure<S>(
        &self,
        handshake: impl Future<Output = io::Result<Secured<S>>>,
    ) -> io::Result<Secured<S>> {
        let Some(open) = &self.0 else { return handshake.await };
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
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.ended();
        }
    }
}

impl Open {
    /// The connection's task.
    pub(crate) async fn run(self, connection: impl Future) {
        tokio::select! {
            biased;
            () = self.link.close.notified() => {}
            // It ends by itself when the peer is gone (`Watched` has seen that), has announced to close,
            // or has sent what is not HTTP: either way the peer's doing. The request is told.
            _ = connection => self.link.note(BY_PEER),
        }
        self.ended();
    }

    fn ended(&self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.forget(self.number);
        }
        self.env.record(What::ClientClosed { connection: self.number, how: self.link.how() });
    }
}

/// A stream that notes how it ends.
pub(crate) struct Watched<S> {
    stream: S,
    link: Arc<Link>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, link: Arc<Link>) -> Self {
        Self { stream, link }
    }

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
