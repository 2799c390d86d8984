//! The network on real sockets.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is where sockets come from")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;

use crate::{Listener, Net, Stream};

/// The operating system's sockets, with `TCP_NODELAY` set. Tasks run on the current tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioNet;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

impl TokioNet {
    /// Listens on `addr` like [`Net::bind`], but without an `.await`; port 0 selects a free port.
    ///
    /// # Errors
    /// This function returns the same errors as [`Net::bind`].
    ///
    /// # Panics
    /// The call is made outside of a tokio runtime.
    pub fn listen(self, addr: SocketAddr) -> io::Result<TokioListener> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // With this option, connections that were closed do not occupy the port. On Windows, the option has another
        // meaning.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG).map(TokioListener)
    }

    /// Opens a TCP connection from this source address, while the system chooses the address in [`Net::connect`]. Port
    /// 0 selects a free port.
    ///
    /// # Errors
    /// This function returns the same errors as [`Net::connect`]; also `AddrInUse`, or `AddrNotAvailable` if the address
    /// does not belong to this machine.
    pub async fn connect_from(self, source: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
        let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The same port may be used again at once, while the previous connection waits in TIME-WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(source)?;
        let stream = socket.connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

/// A port that stays open even when no listener uses it. Connections wait until a listener accepts them.
#[derive(Debug)]
pub struct OpenPort(std::net::TcpListener);

impl OpenPort {
    /// Opens the port of this address.
    ///
    /// # Errors
    /// This function returns the same errors as [`Net::bind`].
    pub fn open(addr: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Returns a listener on the port, on the current runtime. The port stays open when the listener is dropped.
    ///
    /// # Errors
    /// The process has too many open descriptors.
    ///
    /// # Panics
    /// The call is made outside of a tokio runtime.
    pub fn listener(&self) -> io::Result<TokioListener> {
        TcpListener::from_std(self.0.try_clone()?).map(TokioListener)
    }

    /// Closes the connections that wait to be accepted.
    pub fn close_waiting(&self) {
        while self.0.accept().is_ok() {}
    }
}

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
