//! Ports that stay open from one world to the next.
//!
//! A balancer that checks its servers takes a server out of use if it finds the server's port closed. Therefore the
//! ports at which an external balancer expects servers are closed only by a crash, and never because one world ends and
//! another begins.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stickler_net::{OpenPort, TokioListener};

/// The ports, by their addresses; `None` for a port that is closed at the moment.
#[derive(Debug)]
pub(crate) struct OpenPorts(Mutex<BTreeMap<SocketAddr, Option<OpenPort>>>);

impl OpenPorts {
    /// Returns the ports of these addresses, all closed.
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        Self(Mutex::new(addresses.iter().map(|&address| (address, None)).collect()))
    }

    /// Opens the ports that are closed, and closes the connections at the others that were not accepted.
    ///
    /// # Errors
    /// The first port that is not available, and why.
    pub(crate) fn open(&self) -> Result<(), (SocketAddr, io::Error)> {
        for (&address, port) in &mut *self.ports() {
            match port {
                Some(port) => port.close_waiting(),
                None => *port = Some(OpenPort::open(address).map_err(|error| (address, error))?),
            }
        }
        Ok(())
    }

    /// Returns a listener on a port, which is opened again if it is closed.
    ///
    /// # Errors
    /// The errors of binding a port.
    pub(crate) fn listener(&self, address: SocketAddr) -> io::Result<TokioListener> {
        let mut ports = self.ports();
        let port = ports.entry(address).or_default();
        if port.is_none() {
            *port = Some(OpenPort::open(address)?);
        }
        port.as_ref().ok_or(io::ErrorKind::NotConnected)?.listener()
    }

    /// Closes a port, so that connections to it are refused.
    pub(crate) fn close(&self, address: SocketAddr) {
        self.ports().entry(address).and_modify(|port| *port = None);
    }

    /// Locks the ports. A panic elsewhere leaves the map complete.
    fn ports(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Option<OpenPort>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stickler_net::{Listener as _, Net as _, TokioNet};
    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;

    use super::*;

    /// Returns an address on which nobody listens.
    fn free() -> SocketAddr {
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_port_outlives_its_listeners_and_is_closed_by_a_crash() {
        let address = free();
        let ports = OpenPorts::new(&[address]);
        ports.open().unwrap();
        drop(ports.listener(address).unwrap());
        let waiting = TokioNet.connect(address).await.expect("nobody listens, and the port is open");
        let listener = ports.listener(address).unwrap();
        let (_accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, waiting.local_addr().unwrap(), "who waited is served");
        drop(listener);
        ports.close(address);
        assert!(TokioNet.connect(address).await.is_err());
        drop(ports.listener(address).unwrap());
        TokioNet.connect(address).await.expect("whoever listens has opened it again");
    }

    #[tokio::test]
    async fn connections_that_wait_are_closed_when_the_next_world_begins() {
        let address = free();
        let ports = OpenPorts::new(&[address]);
        ports.open().unwrap();
        let mut waiting = TokioNet.connect(address).await.unwrap();
        ports.open().unwrap();
        let read = timeout(Duration::from_secs(10), waiting.read_u8()).await.expect("it is closed");
        assert!(read.is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let listener = TokioNet.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (named, error) = OpenPorts::new(&[address]).open().unwrap_err();
        assert_eq!((named, error.kind()), (address, io::ErrorKind::AddrInUse));
    }
}
