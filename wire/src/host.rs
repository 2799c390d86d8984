//! A host on this machine's sockets, which can be switched off.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stickler_net::{Net, TokioListener, TokioNet};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::gate::{Gate, GatedListener, GatedStream};
use crate::open_ports::OpenPorts;

/// The number of attempts to bind an address that is still in use, and the pause between them. The tasks of a life that
/// was ended are dropped, with their sockets, only when the runtime gets to them.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The number of tasks that a host keeps before it removes ended ones.
const FEW: usize = 64;

/// The sockets of this machine in one life of one host. All its tasks can be ended, and its sockets with them. Its
/// streams can be made to wait, either all of them or those with one peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostNet {
    life: Arc<Mutex<Life>>,
    gates: Arc<Gates>,
    /// The source of its connections; `None`: an address and a port of the system's choice.
    source: Option<SocketAddr>,
    /// Its port that stays open when its sockets are closed, with the address.
    kept: Option<(Arc<OpenPorts>, SocketAddr)>,
}

/// The gates of a host, which outlive its processes.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    host: Arc<Gate>,
    /// The gates of links by the address to which connections go; `None` for incoming connections.
    links: Mutex<BTreeMap<Option<SocketAddr>, Arc<Gate>>>,
}

impl Gates {
    /// Returns the gate that all streams of the host must pass.
    pub(crate) fn host(&self) -> &Gate {
        &self.host
    }

    /// Returns the gate that connections to this address must pass; `None` for incoming connections.
    pub(crate) fn link(&self, to: Option<SocketAddr>) -> Arc<Gate> {
        // A panic elsewhere leaves the map complete.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(links.entry(to).or_default())
    }
}

#[derive(Debug, Default)]
struct Life {
    off: bool,
    running: Vec<AbortHandle>,
    /// The number of tasks at which ended ones are removed.
    prune_at: usize,
    /// The sockets that were opened before their users were known.
    listeners: Vec<(SocketAddr, TokioListener)>,
    datagrams: Vec<(SocketAddr, UdpSocket)>,
}

impl HostNet {
    /// Returns a host whose connections come from this address, and from this port unless it is 0.
    pub(crate) fn from_address(source: SocketAddr) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    /// Returns the same host with a port at this address that stays open when its sockets are closed.
    pub(crate) fn keeping_open(self, ports: Arc<OpenPorts>, address: SocketAddr) -> Self {
        Self { kept: Some((ports, address)), ..self }
    }

    /// Returns the ports that stay open, if the port of this address is one of them.
    fn keeps_open(&self, address: SocketAddr) -> Option<&OpenPorts> {
        self.kept.as_ref().filter(|(_, kept)| *kept == address).map(|(ports, _)| &**ports)
    }

    /// Closes the port that otherwise stays open, until somebody binds it.
    pub(crate) fn close_kept(&self) {
        if let Some((kept, address)) = &self.kept {
            kept.close(*address);
        }
    }

    /// Returns the same host with connections from this port only.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        let source = self.source.map(|source| SocketAddr::new(source.ip(), port));
        Self { source, ..self.clone() }
    }

    /// Returns the next life of the same host.
    pub(crate) fn reborn(&self) -> Self {
        Self { life: Arc::default(), ..self.clone() }
    }

    /// Returns the gates that its streams must pass.
    pub(crate) fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Ends this life permanently, as a loss of power would, except that the system closes its sockets.
    pub(crate) fn switch_off(&self) {
        let mut life = self.life();
        life.off = true;
        life.listeners.clear();
        life.datagrams.clear();
        for task in life.running.drain(..) {
            task.abort();
        }
    }

    /// Returns whether this life continues.
    pub(crate) fn is_on(&self) -> bool {
        !self.life().off
    }

    /// Keeps a listener for the task that binds its address.
    pub(crate) fn keep_listener(&self, address: SocketAddr, listener: TokioListener) {
        self.life().listeners.push((address, listener));
    }

    /// Keeps a UDP socket for the task that binds its address.
    pub(crate) fn keep_datagrams(&self, address: SocketAddr, socket: UdpSocket) {
        self.life().datagrams.push((address, socket));
    }

    /// Returns a UDP socket at this address: the one that is kept, or a new one.
    pub(crate) async fn bind_datagrams(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let kept = take(&mut self.life().datagrams, address);
        match kept {
            Some(socket) => Ok(socket),
            None => patiently(|| UdpSocket::bind(address)).await,
        }
    }

    /// Locks the state. A panic elsewhere leaves each list complete.
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net for HostNet {
    type Stream = GatedStream;
    type Listener = GatedListener<TokioListener>;

    async fn connect(&self, peer: SocketAddr) -> io::Result<GatedStream> {
        let stream = match self.source {
            Some(source) => patiently(|| TokioNet.connect_from(source, peer)).await?,
            None => TokioNet.connect(peer).await?,
        };
        Ok(GatedStream::new(stream, Arc::clone(&self.gates.host), self.gates.link(Some(peer))))
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<Self::Listener> {
        let kept = take(&mut self.life().listeners, addr);
        let listener = match (kept, self.keeps_open(addr)) {
            (Some(listener), _) => listener,
            (None, Some(ports)) => patiently(|| async { ports.listener(addr) }).await?,
            (None, None) => patiently(|| TokioNet.bind(addr)).await?,
        };
        Ok(GatedListener::new(listener, Arc::clone(&self.gates.host), self.gates.link(None)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = TokioNet.spawn(task);
        let mut life = self.life();
        if life.off {
            handle.abort();
            return handle;
        }
        // A search through all tasks each time would cost a busy host more than its work.
        if life.running.len() >= life.prune_at {
            life.running.retain(|task| !task.is_finished());
            life.prune_at = (2 * life.running.len()).max(FEW);
        }
        life.running.push(handle.clone());
        handle
    }
}

/// Takes the socket that is kept for this address.
fn take<T>(kept: &mut Vec<(SocketAddr, T)>, address: SocketAddr) -> Option<T> {
    let index = kept.iter().position(|(own, _)| *own == address)?;
    Some(kept.swap_remove(index).1)
}

/// Binds an address, even if it is only about to become free.
async fn patiently<T, F: Future<Output = io::Result<T>>>(bind: impl Fn() -> F) -> io::Result<T> {
    for _ in 1..TRIES {
        match bind().await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => sleep(PAUSE).await,
            bound => return bound,
        }
    }
    bind().await
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn switched_off_it_ends_what_runs_and_what_starts_later() {
        let host = HostNet::default();
        let (before, ended) = oneshot::channel::<()>();
        host.spawn(async move {
            let _before = before;
            std::future::pending::<()>().await;
        });
        host.spawn(async {});
        tokio::task::yield_now().await;
        host.switch_off();
        assert!(ended.await.is_err(), "dropped, not sent");
        let (after, ended) = oneshot::channel::<()>();
        host.spawn(async move {
            let _after = after;
            std::future::pending::<()>().await;
        });
        assert!(ended.await.is_err(), "dropped, not sent");
        assert!(host.life().running.is_empty());
    }

    #[tokio::test]
    async fn it_forgets_tasks_that_have_ended() {
        let host = HostNet::default();
        for _ in 0..10 * FEW {
            host.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(host.life().running.len() <= FEW, "{}", host.life().running.len());
    }

    #[tokio::test]
    async fn an_address_that_is_kept_is_bound_once_and_again_when_it_is_free() {
        let host = HostNet::default();
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = stickler_net::Listener::local_addr(&listener).unwrap();
        host.keep_listener(address, listener);
        let first = host.bind(address).await.unwrap();
        assert!(host.life().listeners.is_empty());
        TokioNet.spawn(async move {
            sleep(4 * PAUSE).await;
            drop(first);
        });
        host.bind(address).await.expect("it waits for the address to become free");
    }
}
