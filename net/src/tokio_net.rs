//! The arm on real sockets.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is where sockets come from")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{Listener, Net, Stream};

/// The operating system's sockets, with `TCP_NODELAY` set. Tasks run on the current tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioNet;

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl Net for TokioNet {
    type Stream = TcpStream;
    type Listener = TokioListener;

    async fn connect(&self, peer: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TokioListener> {
        TcpListener::bind(addr).await.map(TokioListener)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        tokio::spawn(task).abort_handle()
    }
}

impl Listener for TokioListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Stream for TcpStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::local_addr(self)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }
}
