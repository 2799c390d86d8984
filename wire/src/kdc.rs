//! The KDC on real sockets: TCP and UDP on one port, and what real clients and servers need to use it.

use std::fmt::{self, Write as _};
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_mock_dc::DomainController;
use stickler_mock_dc::kdc::{MAX_DATAGRAM, MAX_REQUEST, answer, serve};
use stickler_model::Env;
use stickler_net::{Listener as _, Net as _, TokioListener, TokioNet};
use tokio::net::UdpSocket;
use tokio::time::sleep;

/// The number of free ports that are tried, because a port that is free for TCP may be in use for UDP.
const TRIES: u32 = 16;

/// The pause after a failed receive, so that a permanent failure costs nothing.
const PAUSE: Duration = Duration::from_millis(10);

/// A running KDC. It ends with the tokio runtime on which it was started.
#[derive(Clone)]
pub struct Kdc {
    /// The address on which it listens, for TCP and for UDP.
    pub address: SocketAddr,
    /// The realm: the domain's DNS name in upper case.
    pub realm: String,
    controller: Arc<DomainController>,
}

impl Kdc {
    /// Starts the KDC of this controller, and none of its other services, on the current tokio runtime; port 0 selects
    /// a free port.
    ///
    /// # Errors
    /// The port is not available for TCP or for UDP.
    ///
    /// # Panics
    /// The call is made outside of a tokio runtime.
    pub fn start(address: SocketAddr, env: Env, controller: Arc<DomainController>) -> io::Result<Self> {
        let (listener, socket) = bind(address)?;
        let kdc = Self::of(listener.local_addr()?, Arc::clone(&controller));
        TokioNet.spawn(serve(TokioNet, listener, env.clone(), Arc::clone(&controller)));
        TokioNet.spawn(serve_datagrams(socket, env, controller));
        Ok(kdc)
    }

    /// Returns the handle on the running KDC of this controller.
    pub(crate) fn of(address: SocketAddr, controller: Arc<DomainController>) -> Self {
        let realm = controller.directory().realm().to_owned();
        Self { address, realm, controller }
    }

    /// Returns a `krb5.conf` for clients that use MIT's library, such as curl: the realm and its KDC, without DNS.
    /// `localhost` and the domain's hosts are in the realm.
    ///
    /// If the KDC listens on every address, the file contains the unspecified address; replace it by one that clients
    /// can reach.
    pub fn krb5_conf(&self) -> String {
        krb5_conf(self, &[])
    }

    /// Returns the keys of an account as a key table file, for a real server that is to be a service of this realm
    /// ([`stickler_mock_dc::Directory::keytab`]). Returns `None` if there is no such account.
    pub fn keytab(&self, account: &str) -> Option<Vec<u8>> {
        self.controller.directory().keytab(account).map(|table| table.encode())
    }
}

impl fmt::Debug for Kdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kdc").field("address", &self.address).field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// Returns a `krb5.conf` like [`Kdc::krb5_conf`], for clients of one realm that know other realms too.
pub fn krb5_conf(home: &Kdc, others: &[&Kdc]) -> String {
    let (mut realms, mut domains) = (String::new(), String::new());
    for Kdc { realm, address, .. } in iter::once(&home).chain(others) {
        let dns = realm.to_lowercase();
        let _ = writeln!(realms, " {realm} = {{\n  kdc = {address}\n }}");
        let _ = writeln!(domains, " .{dns} = {realm}\n {dns} = {realm}");
    }
    // Names are used as they are typed. Canonical names come from DNS, which does not have test hosts.
    format!(
        "[libdefaults]\n default_realm = {home}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n\n\
         [realms]\n{realms}\n[domain_realm]\n{domains} localhost = {home}\n",
        home = home.realm
    )
}

/// Listens on one port for TCP and for UDP; port 0 selects a port that is free for both.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(TokioListener, UdpSocket)> {
    let mut tries = 0;
    loop {
        let listener = TokioNet.listen(address)?;
        tries += 1;
        match std::net::UdpSocket::bind(listener.local_addr()?) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                return Ok((listener, UdpSocket::from_std(socket)?));
            }
            Err(error) if address.port() != 0 || tries == TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

/// Answers each datagram with one datagram. If sending fails, the client asks again.
pub(crate) async fn serve_datagrams(socket: UdpSocket, env: Env, controller: Arc<DomainController>) {
    let mut request = vec![0; MAX_REQUEST];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut request).await else {
            // The usual cause is an earlier answer for which nobody waited (ICMP port unreachable).
            sleep(PAUSE).await;
            continue;
        };
        let message = answer(&env, &controller, &request[..length], MAX_DATAGRAM);
        let _ = socket.send_to(&message, peer).await;
    }
}
