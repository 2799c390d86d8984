//! A TCP stream of a simulated host.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use stickler_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil_net::HostId as KernelId;
use turmoil_net::shim::tokio::net::TcpStream;

use super::net::{HostNet, close};

/// The size of a kernel's receive buffer in bytes, which is the most that one read can return.
const RECEIVE_BUFFER: usize = 64 * 1024;

thread_local! {
    /// The buffer into which reads go first, so that idle streams own no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connected stream. Its addresses are those that peers see.
///
/// Each poll, and the drop, first makes the stream's kernel the current one. Each read takes everything that the kernel
/// has: the kernel announces a reopened window only after a single read of at least half its buffer, so small reads
/// from a full buffer would stall the flow forever.
#[derive(Debug)]
pub struct SimStream {
    host: Arc<HostNet>,
    kernel: KernelId,
    kernel_address: SocketAddr,
    /// The port by which the peer knows this end.
    port: u16,
    peer: SocketAddr,
    /// The stream; `None` only while dropping.
    inner: Option<TcpStream>,
    /// The bytes that were read from the kernel, but not by the application yet. It has no allocation while it is
    /// empty.
    unread: Vec<u8>,
    /// The number of bytes of `unread` that the application has read.
    consumed: usize,
}

impl SimStream {
    pub(super) fn new(
        inner: TcpStream,
        host: Arc<HostNet>,
        kernel: KernelId,
        kernel_address: SocketAddr,
        port: u16,
        peer: SocketAddr,
    ) -> Self {
        Self { host, kernel, kernel_address, port, peer, inner: Some(inner), unread: Vec::new(), consumed: 0 }
    }

    /// Returns the socket, with its kernel made current.
    fn socket(&mut self) -> Pin<&mut TcpStream> {
        turmoil_net::set_current(self.kernel);
        Pin::new(self.inner.as_mut().expect("only `drop` takes the socket"))
    }

    fn serve_unread(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.unread[self.consumed..];
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        self.consumed += n;
        if self.consumed == self.unread.len() {
            self.unread = Vec::new();
            self.consumed = 0;
        }
    }

    fn poll_kernel(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(RECEIVE_BUFFER, 0);
            let mut landing = ReadBuf::new(scratch);
            std::task::ready!(self.socket().poll_read(cx, &mut landing))?;
            let read = landing.filled();
            if read.len() >= RECEIVE_BUFFER / 2 {
                // The kernel has a window update to send.
                self.host.shared.mark_dirty();
            }
            let (now, later) = read.split_at(read.len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.unread = later.to_vec();
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Stream for SimStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::new(self.host.ip, self.port))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.unread.is_empty() {
            return self.poll_kernel(cx, buf);
        }
        self.serve_unread(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.socket().poll_write(cx, buf);
        if written.is_ready() {
            self.host.shared.mark_dirty();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The bytes that were written belong to the kernel already.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.host.shared.mark_dirty();
        self.socket().poll_shutdown(cx)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.host.shared);
        if shared.is_reachable() {
            turmoil_net::set_current(self.kernel);
            let state = self.inner.as_ref().map(|socket| socket.try_read(&mut [0]));
            let unread = !self.unread.is_empty() || matches!(state, Some(Ok(1..)));
            let open = matches!(&state, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock);
            let failed = matches!(&state, Some(Err(_))) && !open;
            if !failed && (open || unread) {
                shared.registry().orphan(self.host.life, self.kernel_address, self.peer, unread);
            }
            if self.port != self.kernel_address.port() {
                shared.registry().closed(self.host.life, self.port, self.peer, shared.clock.now());
            }
        }
        close(&shared, self.kernel, self.inner.take());
    }
}
