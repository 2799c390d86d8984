//! The network seam: everything above it is written once and runs on simulated and on real sockets.
//!
//! * [`Net`]: connect, bind and spawn, as seen by *one host*.
//! * [`Listener`] and [`Stream`]: what `Net` hands out.
//! * [`next_connection`]: accepts, and sits out what passes.
//! * [`AnyNet`]: any of them behind one type.
//! * TLS over any of these streams lives in `stickler-tls`.
//! * [`TokioNet`]: the arm on real sockets; [`OpenPort`]: a port of it that outlives its listeners. The simulated arm lives in `stickler-sim`.
//!
//! Time is tokio's in both arms (`tokio::time`); the simulated world pauses it.

mod accept;
mod any;
mod tokio_net;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

pub use accept::next_connection;
pub use any::{AnyListener, AnyNet};
pub use tokio_net::{OpenPort, TokioListener, TokioNet};

/// One host's view of the network.
///
/// A clone is another handle on the same host. Tasks that belong to the host start through
/// [`Net::spawn`], so that a crash of the host can end them all.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connected TCP stream.
    type Stream: Stream;
    /// A listening TCP socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Opens a TCP connection to `peer` from a port of the host's choice.
    ///
    /// # Errors
    /// `ConnectionRefused` where nothing listens. There is no time limit of its own: wrap the call
    /// in `tokio::time::timeout` where the peer may be silent.
    fn connect(&self, peer: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens on `addr`; port 0 picks a free one.
    ///
    /// # Errors
    /// `AddrInUse`, or `AddrNotAvailable` for an address that is not the host's.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Starts a task that lives no longer than the host.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle;
}

/// A listening TCP socket.
pub trait Listener: Send + Sync + 'static {
    /// What [`Listener::accept`] yields.
    type Stream: Stream;

    /// The next connection, with the address of its peer.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address listened on.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A connected TCP stream. Dropping it closes the connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// This end's address.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The other end's address.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}
