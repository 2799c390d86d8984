//! What a site runs on.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_lb_proxy::SpliceConfig;
use stickler_mock_dc::DomainController;
use stickler_model::{Env, Name};
use stickler_net::Net;

/// A set of hosts with a network between them: simulated, or sockets of this machine.
///
/// A host is added before it is known what will run on it, as the parts of a site need each other's addresses: the
/// servers those of the DCs, the balancer those of the servers. So [`Site::start`](crate::Site::start) adds each host
/// and opens its ports first, and starts all processes at the end. A process binds the addresses that were opened for
/// its host by [`Net::bind`]. Clients are no part of the site: their hosts are the arm's own concern.
pub trait Hosts {
    /// The network as one host sees it.
    type Net: Net;
    /// Identifies a host. It stays the same when the host is restarted.
    type Id: Clone;
    /// Why a host or a port cannot be had.
    type Error: std::error::Error + 'static;

    /// The surroundings of whoever has this name. Each call gives the name's randomness from its beginning.
    fn env(&self, name: &Name) -> Env;

    /// Adds a host that runs nothing yet.
    ///
    /// # Errors
    /// There is no host left for this role.
    fn add(&mut self, name: &Name, role: Role) -> Result<Self::Id, Self::Error>;

    /// Reserves the port of a service of this host, and returns its address. It stays the same when the host is
    /// restarted. Called once for each service of a host, before [`Hosts::net`].
    ///
    /// # Errors
    /// The port cannot be had.
    fn open(&mut self, host: &Self::Id, service: Service) -> Result<SocketAddr, Self::Error>;

    /// The host's network in its current life: after a restart, ask again.
    fn net(&self, host: &Self::Id) -> Self::Net;

    /// Makes a packet-level balancer a part of the network, which asks the policy of `service`, and returns its address.
    ///
    /// Returns `None` where no packets can be routed. Then the site serves the same policy by a splice on a host.
    ///
    /// # Errors
    /// The address of this role cannot be had.
    fn add_router(
        &mut self,
        role: Role,
        mode: PacketMode,
        service: SpliceConfig,
        env: Env,
    ) -> Result<Option<SocketAddr>, Self::Error> {
        let _ = (role, mode, service, env);
        Ok(None)
    }

    /// Starts the KDC's service over UDP, where there is UDP. Called at each start of a DC; its service over TCP listens
    /// on the same address, and is the site's concern.
    fn serve_datagrams(&self, host: &Self::Id, address: SocketAddr, env: Env, controller: Arc<DomainController>) {
        let _ = (host, address, env, controller);
    }
}

/// What a host is in the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The DC with this index of the site's domain, in the order in which servers ask them.
    Controller(usize),
    /// The DC of the partner's domain.
    PartnerController,
    /// The server with this index in the farm.
    Server(usize),
    /// The balancer.
    Balancer,
    /// A second balancer in front of it, which the clients connect to.
    Front,
    /// Checks the backends of a packet-level balancer, which has no host of its own. It opens no port.
    Checker,
}

/// What listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The logons of a domain, at a DC.
    Logons,
    /// The tickets of a domain: the KDC of a DC, over TCP and, where there is UDP, over UDP on the same port.
    Tickets,
    /// HTTP, with or without TLS: a server, or a balancer's front end.
    Http,
}

/// Which addresses of a packet a router rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketMode {
    /// Both: the source becomes the router's address.
    Source,
    /// The destination alone: a server sees the client's address.
    Destination,
    /// None on the way back: the server answers the client directly (direct server return).
    DirectReturn,
}
