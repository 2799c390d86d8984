//! The state that the handle of a connection and its task share: the way in which the connection ends, and the client's
//! knowledge of it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

use stickler_model::event::Closed;
use stickler_model::sync::Lock;
use stickler_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::session::Holder;

/// The knowledge of a client about a connection.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// Whether the connection is authenticated.
    pub(crate) authenticated: bool,
    /// The session that last proved its identity on the connection. The server may take the connection for its user even if
    /// the answer was 401 (the user may lack permission), or did not say that the connection stays authenticated.
    pub(crate) holder: Option<Holder>,
    /// Whether an answer has been received on the connection.
    pub(crate) proven: bool,
}

/// The state that a connection, its task and the pool share.
#[derive(Default)]
pub(crate) struct Link {
    ending: AtomicU8,
    close: Notify,
    interrupt: Notify,
    known: Lock<Known>,
}

// The way in which a connection ends, as far as it is known. The first value that is set stays.
const OPEN: u8 = 0;
const HERE: u8 = 1;
const BY_PEER: u8 = 2;
const BROKEN: u8 = 3;

impl Link {
    /// Locks the client's knowledge of the connection.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Records that the peer closes the connection, or has announced that it will close it.
    pub(crate) fn announced(&self) {
        self.note(BY_PEER);
    }

    /// Closes the connection.
    pub(crate) fn end(&self) {
        self.note(HERE);
        self.close.notify_one();
        self.interrupt.notify_one();
    }

    /// Waits until this side closes the connection. The connection's task waits for it.
    pub(crate) async fn ended_here(&self) {
        self.close.notified().await;
    }

    /// Waits until this side closes the connection. The request that uses an HTTP/1.1 connection waits for it.
    pub(crate) async fn interrupted(&self) {
        self.interrupt.notified().await;
    }

    /// Returns whether this side closed the connection.
    pub(crate) fn closed_here(&self) -> bool {
        self.ending.load(Ordering::Acquire) == HERE
    }

    /// Records that the TLS handshake failed with an error of this kind.
    pub(crate) fn failed(&self, kind: io::ErrorKind) {
        self.note(match kind {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => BY_PEER,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => HERE,
            _ => BROKEN,
        });
    }

    fn note(&self, how: u8) {
        let _ = self.ending.compare_exchange(OPEN, how, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns the way in which the connection ended.
    pub(crate) fn how(&self) -> Closed {
        match self.ending.load(Ordering::Acquire) {
            BY_PEER => Closed::ByPeer,
            BROKEN => Closed::Broken,
            _ => Closed::Here,
        }
    }
}

/// A stream that records the way in which it ends.
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
        // The peer may be gone already. The end was recorded before.
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
