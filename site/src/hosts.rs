//! The hosts on which a site runs.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_lb_proxy::SpliceConfig;
use stickler_mock_dc::DomainController;
use stickler_model::{Env, Name};
use stickler_net::Net;

/// A set of hosts with a network between them: simulated, or sockets of this machine.
///
/// A host is added before it is known what will run on it, because the parts of a site need each other's addresses:
/// servers need those of the DCs, and the balancer needs those of the servers. Therefore
/// [`Site::start`](crate::Site::start) first adds each host and opens its ports, and starts all processes at the end. A
/// process binds the addresses that were opened for its host by [`Net::bind`]. Clients do not belong to the site: the
/// arm itself provides their hosts.
pub trait Hosts {
    /// The network as one host sees it.
    type Net: Net;
    /// The type that identifies a host. It stays the same when the host is restarted.
    type Id: Clone;
    /// The error if a host or a port is not available.
    type Error: std::error::Error + 'static;

    /// Returns the environment of the actor with this name. Each call gives the actor's random stream from its
    /// beginning.
    fn env(&self, name: &Name) -> Env;

    /// Adds a host that runs nothing yet.
    ///
    /// # Errors
    /// No host is available for this role.
    fn add(&mut self, name: &Name, role: Role) -> Result<Self::Id, Self::Error>;

    /// Reserves the port of a service of this host, and returns its address, which stays the same when the host is
    /// restarted. The site calls this once for each service of a host, before [`Hosts::net`].
    ///
    /// # Errors
    /// The port is not available.
    fn open(&mut self, host: &Self::Id, service: Service) -> Result<SocketAddr, Self::Error>;

    /// Returns the network of the host since its latest start. After a restart, the caller must ask again.
    fn net(&self, host: &Self::Id) -> Self::Net;

    /// Adds a packet-level balancer to the network, which asks the policy of `service`, and returns its address.
    ///
    /// Returns `None` if the network cannot route packets. Then the site serves the same policy with a splice on a
    /// host.
    ///
    /// # Errors
    /// The address of this role is not available.
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

    /// Starts the KDC's service over UDP if the network supports UDP. The site calls this at each start of a DC. The
    /// KDC's service over TCP listens on the same address, and is started by the site.
    fn serve_datagrams(&self, host: &Self::Id, address: SocketAddr, env: Env, controller: Arc<DomainController>) {
        let _ = (host, address, env, controller);
    }
}

/// The role of a host in the site.
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
    /// A second balancer in front of the first, to which the clients connect.
    Front,
    /// A checker, which checks the backends of a packet-level balancer, since that has no host of its own. It opens no
    /// port.
    Checker,
}

/// A service that listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The logon service of a DC.
    Logons,
    /// The ticket service of a domain: the KDC of a DC, over TCP and, if the network supports it, over UDP on the same
    /// port.
    Tickets,
    /// HTTP, with or without TLS: a server, or a balancer's front end.
    Http,
}

/// The addresses of a packet that a router rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketMode {
    /// The router rewrites both: the source becomes the router's address.
    Source,
    /// The router rewrites the destination alone: a server sees the client's address.
    Destination,
    /// The router rewrites nothing on the way back: the server answers the client directly (direct server return).
    DirectReturn,
}
