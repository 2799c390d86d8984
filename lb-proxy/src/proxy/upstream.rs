//! Opens an upstream connection, and starts the task that drives it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use stickler_lb_core::{Backend, FailureKind, UpstreamHttp};
use stickler_net::{Net, Stream};
use stickler_tls::Secured;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::config::Limits;
use super::lease::Lease;
use super::peer::Peer;
use super::read_observer::ReadObserver;
use super::sender::{Send, Sender};

/// Opens a connection to a backend, with TLS if that is configured, and starts the task that drives it and reports its
/// end. The connection speaks this version of HTTP.
///
/// # Errors
/// [`FailureKind::Refused`], [`FailureKind::ConnectTimeout`] or [`FailureKind::Tls`].
pub(super) async fn open<N: Net>(
    lease: &Lease<N>,
    backend: usize,
    peer: &Peer,
    version: UpstreamHttp,
) -> Result<Sender, FailureKind> {
    let (server, stream) = dial(lease, backend, peer).await?;
    if lease.proxy.upstream_tls.is_none() {
        return drive(lease, backend, server.address, stream, version == UpstreamHttp::Http2).await;
    }
    let secured = secure(lease, backend, server, stream, version).await?;
    let http2 = version == UpstreamHttp::Http2 || secured.http2();
    drive(lease, backend, server.address, secured, http2).await
}

/// Opens a connection to a backend like [`open`], and starts the task that carries bytes between the client and the
/// backend, beginning with these bytes. The result ends with the task.
///
/// # Errors
/// This function returns the same errors as [`open`]; the client's connection is returned.
pub(super) async fn tunnel<N: Net, C: AsyncRead + AsyncWrite + Unpin + std::marker::Send + 'static>(
    lease: &Lease<N>,
    backend: usize,
    peer: &Peer,
    client: C,
    first: Bytes,
) -> Result<oneshot::Receiver<()>, NotCarried<C>> {
    let (done, carried) = oneshot::channel();
    let (proxy, at) = (&lease.proxy, lease.at);
    let (server, stream) = match dial(lease, backend, peer).await {
        Ok(dialled) => dialled,
        Err(kind) => return Err((kind, client)),
    };
    if proxy.upstream_tls.is_none() {
        proxy.shell.opened(at, backend, |_| proxy.net.spawn(carry(client, stream, first, done)));
        return Ok(carried);
    }
    match secure(lease, backend, server, stream, UpstreamHttp::Http1).await {
        Ok(secured) => {
            proxy.shell.opened(at, backend, |_| proxy.net.spawn(carry(client, secured, first, done)));
            Ok(carried)
        }
        Err(kind) => Err((kind, client)),
    }
}

/// Opens a connection, and names the client on it if backends expect that.
async fn dial<'l, N: Net>(
    lease: &'l Lease<N>,
    backend: usize,
    peer: &Peer,
) -> Result<(&'l Backend, N::Stream), FailureKind> {
    let proxy = &lease.proxy;
    let server = proxy.shell.farm.backends.get(backend).ok_or(FailureKind::Refused)?;
    let connecting = timeout(proxy.shell.limits.connect, proxy.net.connect(server.address));
    let mut stream = connecting.await.map_err(|_| FailureKind::ConnectTimeout)?.map_err(|_| FailureKind::Refused)?;
    if let (Some(version), Some(front)) = (proxy.announces, peer.front) {
        let header = crate::proxy_protocol::header(version, peer.client, front);
        stream.write_all(&header).await.map_err(|_| FailureKind::Refused)?;
    }
    Ok((server, stream))
}

/// Begins TLS on an open connection, with the settings for its purpose.
async fn secure<N: Net>(
    lease: &Lease<N>,
    backend: usize,
    server: &Backend,
    stream: N::Stream,
    version: UpstreamHttp,
) -> Result<Secured<N::Stream>, FailureKind> {
    let (proxy, at) = (&lease.proxy, lease.at);
    let transports = proxy.upstream_tls.as_ref().ok_or(FailureKind::Tls)?;
    let dedicated = transports.tell_apart() && proxy.shell.is_dedicated(at.upstream);
    match timeout(proxy.shell.limits.connect, transports.of(dedicated, version).connect(server, stream)).await {
        Ok(Ok(secured)) => Ok(secured),
        Ok(Err(_)) => {
            proxy.shell.unsecured(at, backend, lease.request);
            Err(FailureKind::Tls)
        }
        Err(_) => Err(FailureKind::ConnectTimeout),
    }
}

/// Turns an open connection into a sender.
async fn drive<N: Net, S: Stream>(
    lease: &Lease<N>,
    backend: usize,
    address: SocketAddr,
    stream: S,
    http2: bool,
) -> Result<Sender, FailureKind> {
    let proxy = &lease.proxy;
    let received = Arc::new(AtomicU64::new(0));
    // The number of bytes distinguishes an answer that broke off from no answer.
    let counted = Arc::clone(&received);
    let io = TokioIo::new(ReadObserver::new(stream, move |count| {
        counted.fetch_add(count as u64, Ordering::Relaxed);
    }));
    let send = if http2 {
        let handshake = http2_builder(&proxy.net, &proxy.shell.limits).handshake(io).await;
        let (send, connection) = handshake.map_err(|_| FailureKind::Refused)?;
        opened(lease, backend, async move { _ = connection.await });
        Send::Http2(send)
    } else {
        let (send, connection) = proxy.client.handshake(io).await.map_err(|_| FailureKind::Refused)?;
        opened(lease, backend, async move { _ = connection.with_upgrades().await });
        Send::Http1(send)
    };
    Ok(Sender { send, address, backend, received })
}

/// Starts the task that drives a connection. The task ignores the way in which the connection ends, because an exchange
/// under way learns it from its own future.
fn opened<N: Net>(
    lease: &Lease<N>,
    backend: usize,
    connection: impl Future<Output = ()> + std::marker::Send + 'static,
) {
    let (proxy, at) = (&lease.proxy, lease.at);
    proxy.shell.opened(at, backend, |driver| {
        let owner = Arc::clone(proxy);
        proxy.net.spawn(async move {
            connection.await;
            owner.shell.upstream_ended(at.upstream, driver);
        })
    });
}

/// Returns the settings of hyper's HTTP/2 client for one upstream connection, since the client starts tasks.
fn http2_builder<N: Net>(net: &N, limits: &Limits) -> http2::Builder<Tasks<N>> {
    let mut builder = http2::Builder::new(Tasks(Arc::new(net.clone())));
    builder.max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    builder
}

/// An executor that lets hyper start its tasks on a host.
struct Tasks<N>(Arc<N>);

// A derived implementation would require that the network can be cloned.
impl<N> Clone for Tasks<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N: Net, F: Future<Output = ()> + std::marker::Send + 'static> Executor<F> for Tasks<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// Returns the settings of hyper's HTTP/1.1 client for upstream connections.
pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.head_bytes.max(8 * 1024)).max_header_size(limits.head_bytes);
    if limits.fields != 100 {
        builder.max_headers(limits.fields); // 100 is hyper's default, which needs no allocation
    }
    builder
}

/// Carries bytes between a client and a backend, beginning with those that the client has already sent.
async fn carry<C, B>(mut client: C, mut backend: B, first: Bytes, done: oneshot::Sender<()>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    if backend.write_all(&first).await.is_ok() {
        // An error on either side drops both connections, which closes them.
        let _ = copy_bidirectional(&mut client, &mut backend).await;
    }
    drop(done);
}

/// The reason why no bytes are carried, with the client's connection.
pub(super) type NotCarried<C> = (FailureKind, C);
