//! One upstream connection: opening it, the one sender that it has, and the task that drives it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use stickler_net::{Net, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::body::RequestBody;
use super::{Limits, Proxy};
use crate::{Exchange, FailureKind};

/// The right to send requests on one upstream connection. There is never a second one.
pub(super) struct Sender {
    pub(super) send: SendRequest<RequestBody>,
    /// The backend's.
    pub(super) address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Sender {
    /// Bytes that have come on the connection so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Opens a connection to a backend, and starts the task that drives it and reports its end.
///
/// # Errors
/// [`FailureKind::Refused`] or [`FailureKind::ConnectTimeout`].
pub(super) async fn open<N: Net>(
    proxy: &Arc<Proxy<N>>,
    at: Exchange,
    backend: usize,
    address: SocketAddr,
) -> Result<Sender, FailureKind> {
    let connecting = timeout(proxy.shell.limits.connect, proxy.net.connect(address));
    let stream = connecting.await.map_err(|_| FailureKind::ConnectTimeout)?.map_err(|_| FailureKind::Refused)?;
    let received = Arc::new(AtomicU64::new(0));
    let io = TokioIo::new(Counted { stream, received: Arc::clone(&received) });
    let (send, connection) = proxy.client.handshake(io).await.map_err(|_| FailureKind::Refused)?;
    proxy.shell.opened(at, backend, || {
        let owner = Arc::clone(proxy);
        proxy.net.spawn(async move {
            // How it ended does not matter here: an exchange under way learns it from its own future.
            let _ = connection.await;
            owner.shell.upstream_ended(at.upstream);
        })
    });
    Ok(Sender { send, address, received })
}

/// How the client side of every upstream connection is set.
pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.head_bytes.max(8 * 1024)).max_header_size(limits.head_bytes);
    if limits.fields != 100 {
        builder.max_headers(limits.fields); // 100 is hyper's own, and needs no allocation
    }
    builder
}

/// A stream that counts what it received: an answer that broke off is not the same as none.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: Stream> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
