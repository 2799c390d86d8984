//! Streams and listeners on which a fault can make everything wait, or end.
//!
//! A process that hangs and a link on which packets are held look the same to a peer: connections stay open, and
//! nothing arrives. A [`Gate`] makes streams wait. The operating system still acknowledges data, and still opens
//! connections for a listener.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use stickler_net::{Listener, Net, Stream, TokioNet};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of the operating system.
type Tcp = <TokioNet as Net>::Stream;

/// A gate that all streams created with it must pass, and that is open or closed.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Whether streams that end leave nothing behind in the operating system.
    cut: bool,
    /// The number of times that the streams were reset so far.
    resets: u64,
    /// The tasks to wake, by the stream and the operation that waits.
    waiting: BTreeMap<(u64, Way), Waker>,
    /// The number of streams so far.
    streams: u64,
}

/// The operation of a stream that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Read,
    Write,
}

impl Gate {
    /// Closes the gate, so that nothing passes until [`Gate::open`].
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Makes streams that end from now on leave nothing behind in the operating system, which would otherwise go on to send
    /// packets of a host that has no power. [`Gate::open`] ends that.
    pub(crate) fn cut(&self) {
        self.state().cut = true;
    }

    /// Opens the gate, so that everything passes again.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        (state.closed, state.cut) = (false, false);
        state.wake();
    }

    /// Resets all existing streams.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.resets += 1;
        state.wake();
    }

    /// Polls until the gate is open.
    fn poll_open(&self, waits: (u64, Way), cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.closed {
            return Poll::Ready(());
        }
        state.waiting.insert(waits, cx.waker().clone());
        Poll::Pending
    }

    /// Registers a stream to be woken when the gate changes.
    fn watch(&self, waits: (u64, Way), cx: &Context<'_>) {
        self.state().waiting.insert(waits, cx.waker().clone());
    }

    /// Forgets a stream.
    fn forget(&self, stream: u64) {
        let mut state = self.state();
        for way in [Way::Read, Way::Write] {
            state.waiting.remove(&(stream, way));
        }
    }

    /// Returns a number that no other stream has.
    fn number(&self) -> u64 {
        let mut state = self.state();
        state.streams += 1;
        state.streams
    }

    fn is_cut(&self) -> bool {
        self.state().cut
    }

    fn resets(&self) -> u64 {
        self.state().resets
    }

    /// Locks the state. A panic elsewhere leaves it complete.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        std::mem::take(&mut self.waiting).into_values().for_each(Waker::wake);
    }
}

/// A connection that must pass the gate of its host and that of its link.
#[derive(Debug)]
pub(crate) struct GatedStream {
    inner: Tcp,
    host: Arc<Gate>,
    link: Arc<Gate>,
    /// The stream's numbers at both gates.
    numbers: (u64, u64),
    /// The number of resets of the link's streams at the time when this one was created.
    resets: u64,
}

impl GatedStream {
    pub(crate) fn new(inner: Tcp, host: Arc<Gate>, link: Arc<Gate>) -> Self {
        let (numbers, resets) = ((host.number(), link.number()), link.resets());
        Self { inner, host, link, numbers, resets }
    }

    /// Polls until the stream may continue.
    ///
    /// # Errors
    /// The stream was reset, and resets its connection when it is dropped.
    fn poll_gates(&self, way: Way, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.link.resets() != self.resets {
            // If this fails, the peer sees an ordinary close.
            let _ = self.inner.set_zero_linger();
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        ready!(self.host.poll_open((self.numbers.0, way), cx));
        self.link.poll_open((self.numbers.1, way), cx).map(Ok)
    }
}

impl Drop for GatedStream {
    fn drop(&mut self) {
        if self.host.is_cut() {
            // If this fails, the peer may see an ordinary close once the host is back.
            let _ = self.inner.set_zero_linger();
        }
        self.host.forget(self.numbers.0);
        self.link.forget(self.numbers.1);
    }
}

impl AsyncRead for GatedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gates(Way::Read, cx))?;
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() {
            self.link.watch((self.numbers.1, Way::Read), cx);
        }
        read
    }
}

impl AsyncWrite for GatedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_gates(Way::Write, cx))?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gates(Way::Write, cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gates(Way::Write, cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Stream for GatedStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

/// A listener whose connections must pass gates. It accepts none while its host's gate is closed.
#[derive(Debug)]
pub(crate) struct GatedListener<L> {
    inner: L,
    host: Arc<Gate>,
    link: Arc<Gate>,
    /// The listener's number at the host's gate.
    number: u64,
}

impl<L> GatedListener<L> {
    pub(crate) fn new(inner: L, host: Arc<Gate>, link: Arc<Gate>) -> Self {
        let number = host.number();
        Self { inner, host, link, number }
    }
}

impl<L: Listener<Stream = Tcp>> Listener for GatedListener<L> {
    type Stream = GatedStream;

    async fn accept(&self) -> io::Result<(GatedStream, SocketAddr)> {
        std::future::poll_fn(|cx| self.host.poll_open((self.number, Way::Read), cx)).await;
        let (stream, peer) = self.inner.accept().await?;
        Ok((GatedStream::new(stream, Arc::clone(&self.host), Arc::clone(&self.link)), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// Returns both ends of a connection, of which the second must pass these gates.
    async fn pair(host: &Arc<Gate>, link: &Arc<Gate>) -> (Tcp, GatedStream) {
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = GatedListener::new(listener, Arc::clone(host), Arc::clone(link));
        let (client, accepted) = tokio::join!(TokioNet.connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_sent_waits_at_either_gate_until_it_is_open() {
        let (host, link) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let (mut client, mut server) = pair(&host, &link).await;
        for gate in [&host, &link] {
            gate.close();
            client.write_all(b"x").await.unwrap();
            assert!(timeout(SHORT, server.read_u8()).await.is_err(), "it waits");
            let open = async {
                tokio::time::sleep(SHORT).await;
                gate.open();
            };
            let (read, ()) = tokio::join!(server.read_u8(), open);
            assert_eq!(read.unwrap(), b'x');
        }
    }

    #[tokio::test]
    async fn a_reset_ends_what_waits_and_what_comes_and_no_later_stream() {
        let (host, link) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let (mut client, mut server) = pair(&host, &link).await;
        let reset = async {
            tokio::time::sleep(SHORT).await;
            link.reset();
        };
        let (read, ()) = tokio::join!(server.read_u8(), reset);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(server);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset, "the peer is told so");
        let (mut client, mut server) = pair(&host, &link).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_host_that_hangs_accepts_nobody() {
        let (host, link) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        host.close();
        let pair = pair(&host, &link);
        assert!(timeout(SHORT, pair).await.is_err());
    }
}
