//! A host's view of the simulated network: connecting, listening, spawning.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use stickler_net::{Listener, Net};
use stickler_runner::panics::caught;
use tokio::task::AbortHandle;
use turmoil_net::HostId as KernelId;
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};

use super::freeze::Ice;
use super::hosts::{FIRST_PORT, HostId, Life, ListenError, is_host_address};
use super::ports::NameState;
use super::settings::{EngineError, TaskPanic};
use super::shared::{MOST_POLLS, Shared};
use super::stream::SimStream;

/// The simulated arm of [`Net`]: one *life* of one host. After a crash or a restart of the host this life has ended:
/// its tasks are gone, and connecting or binding fails with `NetworkDown`.
///
/// Only tasks and futures that the engine polls may use its sockets. They can be dropped anywhere.
#[derive(Debug, Clone)]
pub struct SimNet {
    host: Arc<HostNet>,
    /// The port from which it connects, see [`SimNet::from_port`].
    port: Option<u16>,
}

/// The time that a connect from a chosen port waits for the end of an earlier connection, in milliseconds.
const PORT_PATIENCE: u32 = 1_000;

/// The state that the sockets of one life share.
#[derive(Debug)]
pub(super) struct HostNet {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Life,
    pub(super) ip: IpAddr,
    /// The kernel from which the host connects.
    kernel: KernelId,
    ice: Arc<Ice>,
}

impl SimNet {
    pub(super) fn new(shared: &Arc<Shared>, host: HostId) -> Self {
        let registry = shared.registry();
        let ((life, ip, kernel), ice) = (registry.life(host), registry.ice(host));
        drop(registry);
        Self { host: Arc::new(HostNet { shared: Arc::clone(shared), life, ip, kernel, ice }), port: None }
    }

    /// Returns the same network with this port as the source of all connections, as with an application that binds
    /// before it connects, or with a user behind an address translator that has few ports.
    ///
    /// Only one connection at a time can go to a peer. A connect waits up to a second for the end of the previous
    /// connection, and then fails with `AddrInUse`. The port is free as soon as that connection is closed on both
    /// sides, without a TIME_WAIT, or 100 seconds after its end on this side if the other side is silent.
    ///
    /// # Errors
    /// [`EngineError::PortUnusable`].
    pub fn from_port(&self, port: u16) -> Result<Self, EngineError> {
        Self::check_port(port)?;
        Ok(Self { host: Arc::clone(&self.host), port: Some(port) })
    }

    /// Returns the host.
    pub fn host(&self) -> HostId {
        self.host.life.host
    }

    /// Returns the address of the host.
    pub fn ip(&self) -> IpAddr {
        self.host.ip
    }

    /// Checks whether [`SimNet::from_port`] accepts this port.
    ///
    /// # Errors
    /// [`EngineError::PortUnusable`].
    pub fn check_port(port: u16) -> Result<(), EngineError> {
        if (1..FIRST_PORT).contains(&port) { Ok(()) } else { Err(EngineError::PortUnusable(port)) }
    }

    /// Waits for the port of the host's choice, and reserves it.
    async fn reserve_port(&self, port: u16, peer: SocketAddr) -> io::Result<()> {
        let HostNet { shared, life, ip, .. } = &*self.host;
        let mut gone = None;
        for _ in 0..PORT_PATIENCE {
            // Each lock ends with its statement, so that no kernel is called while it is held.
            let mut state = shared.registry().reserve(*life, port, peer, gone);
            if let NameState::TakenBy(socket) = state {
                let sockets = turmoil_net::netstat(socket.ip()).entries;
                if !sockets.iter().any(|entry| (entry.local, entry.peer) == (socket, Some(peer))) {
                    gone = Some(socket);
                    state = shared.registry().reserve(*life, port, peer, gone);
                }
            }
            if state == NameState::Reserved {
                return Ok(());
            }
            if shared.registry().gives_up(*life, port, peer, shared.clock.now()) {
                shared.mark_dirty();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let message = format!("port {port} of {ip} has a connection to {peer} already: close that one first");
        Err(io::Error::new(ErrorKind::AddrInUse, message))
    }

    fn check_alive(&self) -> io::Result<()> {
        if self.host.shared.registry().is_alive(self.host.life) {
            return Ok(());
        }
        let message = format!("host {} is down, or has restarted since: take its network anew", self.host.ip);
        Err(io::Error::new(ErrorKind::NetworkDown, message))
    }
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn connect(&self, peer: SocketAddr) -> io::Result<SimStream> {
        self.check_alive()?;
        // A kernel carries several hosts, so its loopback and its own addresses belong to none of them.
        if !is_host_address(peer.ip()) {
            let message = format!("{peer} is not simulated: connect to the IPv4 address of a host");
            return Err(io::Error::new(ErrorKind::AddrNotAvailable, message));
        }
        if let Some(port) = self.port {
            self.reserve_port(port, peer).await?;
        }
        let inner = Some(Box::pin(TcpStream::connect(peer)));
        let connecting = Connecting { host: &self.host, port: self.port, peer, started: false, inner };
        let stream = connecting.await?;
        turmoil_net::set_current(self.host.kernel);
        let kernel_address = stream.local_addr()?;
        let port = self.port.unwrap_or(kernel_address.port());
        Ok(SimStream::new(stream, Arc::clone(&self.host), self.host.kernel, kernel_address, port, peer))
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<SimListener> {
        self.check_alive()?;
        if addr.ip() != self.host.ip && !addr.ip().is_unspecified() {
            let message = format!("{addr} is not an address of host {}", self.host.ip);
            return Err(io::Error::new(ErrorKind::AddrNotAvailable, message));
        }
        let (kernel, slot) = match self.host.shared.registry().listen_address(self.host.life, addr.port()) {
            Ok(home) => home,
            Err(ListenError::InUse) => return Err(ErrorKind::AddrInUse.into()),
            Err(ListenError::OutOfSlots(error)) => return Err(io::Error::other(error)),
        };
        turmoil_net::set_current(kernel);
        // This completes without waiting, so no other host runs in between.
        let listener = TcpListener::bind(SocketAddr::new(slot, addr.port())).await?;
        let kernel_address = listener.local_addr()?;
        Ok(SimListener { host: Arc::clone(&self.host), kernel, kernel_address, inner: Some(listener) })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        // The future has kilobytes: it is put on the heap once, and not moved from one wrapper into the next.
        let task = Box::pin(task);
        let HostNet { shared, life, ip, ice, .. } = &*self.host;
        let (reporter, ip, ice) = (Arc::clone(shared), *ip, Arc::clone(ice));
        let task = shared.runtime.spawn(async move {
            let mut task = pin!(ice.around(task));
            let poll = |cx: &mut Context<'_>| {
                if !reporter.may_poll() {
                    return Poll::Ready(Err(format!(
                        "tasks were polled {MOST_POLLS} times at one instant: this one may wait for nothing"
                    )));
                }
                // The panic leaves state behind that is dropped next, and that nobody sees.
                caught(|| task.as_mut().poll(cx)).map_or_else(|panic| Poll::Ready(Err(panic)), |poll| poll.map(Ok))
            };
            if let Err(message) = poll_fn(poll).await {
                reporter.record_panic(TaskPanic { host: ip, at: reporter.clock.now(), message });
            }
        });
        let handle = task.abort_handle();
        let mut registry = shared.registry();
        if registry.is_alive(*life) {
            registry.adopt(*life, handle.clone());
        } else {
            drop(registry);
            handle.abort();
        }
        handle
    }
}

/// A listening socket of a simulated host.
#[derive(Debug)]
pub struct SimListener {
    host: Arc<HostNet>,
    kernel: KernelId,
    kernel_address: SocketAddr,
    /// The listener; `None` only while dropping.
    inner: Option<TcpListener>,
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let listener = self.inner.as_ref().expect("only `drop` takes the socket");
        loop {
            let (stream, peer) = poll_fn(|cx| {
                turmoil_net::set_current(self.kernel);
                listener.poll_accept(cx)
            })
            .await?;
            if self.host.shared.registry().handshakes.take_stillborn((self.kernel_address, peer)) {
                close(&self.host.shared, self.kernel, stream);
                continue;
            }
            let port = self.kernel_address.port();
            let stream = SimStream::new(stream, Arc::clone(&self.host), self.kernel, self.kernel_address, port, peer);
            return Ok((stream, peer));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::new(self.host.ip, self.kernel_address.port()))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        close(&self.host.shared, self.kernel, self.inner.take());
    }
}

/// A connect in progress. If it is dropped early, it closes its socket in the right kernel.
struct Connecting<'a, F> {
    host: &'a HostNet,
    port: Option<u16>,
    peer: SocketAddr,
    started: bool,
    inner: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = io::Result<TcpStream>>> Future for Connecting<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let HostNet { shared, life, kernel, .. } = self.host;
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            shared.registry().will_connect(*life, self.port);
            shared.mark_dirty();
        }
        turmoil_net::set_current(*kernel);
        let poll = self.inner.as_mut().expect("only `drop` takes the future").as_mut().poll(cx);
        // The first poll sends the SYN, unless the kernel has no port left.
        if first && matches!(poll, Poll::Ready(Err(_))) {
            shared.registry().connect_failed(*life, self.peer);
        }
        poll
    }
}

impl<F> Drop for Connecting<'_, F> {
    fn drop(&mut self) {
        close(&self.host.shared, self.host.kernel, self.inner.take());
    }
}

/// Drops a socket in its own kernel. Descriptors are numbered for each kernel, so dropping it under another kernel
/// would close that kernel's socket. If the kernel is gone, there is nothing to close.
pub(super) fn close<T>(shared: &Shared, kernel: KernelId, socket: T) {
    if shared.is_reachable() {
        turmoil_net::set_current(kernel);
        drop(socket);
        shared.mark_dirty();
    } else {
        std::mem::forget(socket);
    }
}
