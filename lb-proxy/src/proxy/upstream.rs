//! One upstream connection: opening it, and the task that drives it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use stickler_lb_core::FailureKind;
use stickler_net::{Net, Stream};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::config::Limits;
use super::lease::Lease;
use super::peer::Peer;
use super::read_observer::ReadObserver;
use super::sender::Sender;

/// Opens a connection to a backend, with TLS where that is set, and starts the task that drives it and reports its end.
///
/// # Errors
/// [`FailureKind::Refused`], [`FailureKind::ConnectTimeout`] or [`FailureKind::Tls`].
pub(super) async fn open<N: Net>(lease: &Lease<N>, backend: usize, peer: &Peer) -> Result<Sender, FailureKind> {
    let (proxy, at) = (&lease.proxy, lease.at);
    let limit = proxy.shell.limits.connect;
    let server = proxy.shell.farm.backends.get(backend).ok_or(FailureKind::Refused)?;
    let connecting = timeout(limit, proxy.net.connect(server.address));
    let mut stream = connecting.await.map_err(|_| FailureKind::ConnectTimeout)?.map_err(|_| FailureKind::Refused)?;
    if let (Some(version), Some(front)) = (proxy.announces, peer.front) {
        let header = crate::proxy_protocol::header(version, peer.client, front);
        stream.write_all(&header).await.map_err(|_| FailureKind::Refused)?;
    }
    let Some(transports) = &proxy.upstream_tls else { return drive(lease, backend, server.address, stream).await };
    let dedicated = transports.tell_apart() && proxy.shell.is_dedicated(at.upstream);
    match timeout(limit, transports.of(dedicated).connect(server, stream)).await {
        Ok(Ok(secured)) => drive(lease, backend, server.address, secured).await,
        Ok(Err(_)) => {
            proxy.shell.unsecured(at, backend, lease.request);
            Err(FailureKind::Tls)
        }
        Err(_) => Err(FailureKind::ConnectTimeout),
    }
}

/// Makes a sender of an open connection.
async fn drive<N: Net, S: Stream>(
    lease: &Lease<N>,
    backend: usize,
    address: SocketAddr,
    stream: S,
) -> Result<Sender, FailureKind> {
    let (proxy, at) = (&lease.proxy, lease.at);
    let received = Arc::new(AtomicU64::new(0));
    // An answer that broke off is not the same as none.
    let counted = Arc::clone(&received);
    let io = TokioIo::new(ReadObserver::new(stream, move |count| {
        counted.fetch_add(count as u64, Ordering::Relaxed);
    }));
    let (send, connection) = proxy.client.handshake(io).await.map_err(|_| FailureKind::Refused)?;
    proxy.shell.opened(at, backend, || {
        let owner = Arc::clone(proxy);
        proxy.net.spawn(async move {
            // How it ended does not matter here: an exchange under way learns it from its own future.
            let _ = connection.await;
            owner.shell.upstream_ended(at.upstream);
        })
    });
    Ok(Sender { send, address, backend, received })
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
