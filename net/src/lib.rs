//! The interface to the network. Code that uses it runs unchanged on simulated and on real sockets.
//!
//! * [`Net`]: connects, binds and spawns, as *one host* sees it.
//! * [`Listener`] and [`Stream`]: the sockets that `Net` returns.
//! * [`next_connection`]: accepts a connection, and retries after temporary failures.
//! * [`AnyNet`]: any network behind one type.
//! * TLS over any of these streams is in `stickler-tls`.
//! * [`TokioNet`]: real sockets; [`OpenPort`]: a real port that outlives its listeners. The simulated network is in
//!   `stickler-sim`.
//!
//! A server that is written over [`Net`] does not know which network it is on:
//!
//! ```
//! use std::io;
//!
//! use stickler_net::{Listener, Net, TokioNet};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! async fn greet_once<N: Net>(listener: N::Listener) -> io::Result<()> {
//!     let (mut stream, _peer) = listener.accept().await?;
//!     stream.write_all(b"hello").await
//! }
//!
//! # fn main() -> io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listener = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await?;
//! let address = listener.local_addr()?;
//! TokioNet.spawn(async { greet_once::<TokioNet>(listener).await.unwrap() });
//!
//! let mut greeting = String::new();
//! TokioNet.connect(address).await?.read_to_string(&mut greeting).await?;
//! assert_eq!(greeting, "hello");
//! # Ok(())
//! # })
//! # }
//! ```
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
/// A clone is another handle on the same host. Tasks that belong to the host must be started with [`Net::spawn`], so
/// that a crash of the host can end them all.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connected TCP stream.
    type Stream: Stream;
    /// A listening TCP socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Opens a TCP connection to `peer` from a port of the host's choice.
    ///
    /// # Errors
    /// `ConnectionRefused` if nothing listens. The call has no time limit: wrap it in `tokio::time::timeout` if the
    /// peer may be silent.
    fn connect(&self, peer: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens on `addr`; port 0 selects a free port.
    ///
    /// # Errors
    /// `AddrInUse`, or `AddrNotAvailable` if the address does not belong to the host.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Starts a task, which ends at the latest when the host ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle;
}

/// A listening TCP socket.
pub trait Listener: Send + Sync + 'static {
    /// The type of the connections that [`Listener::accept`] returns.
    type Stream: Stream;

    /// Waits for the next connection, and returns it with the address of its peer.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Returns the address on which the socket listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A connected TCP stream. Dropping it closes the connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Returns the address of this end.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the address of the other end.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}
