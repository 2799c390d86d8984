//! The hosts of a site on real sockets: all of them are this machine, with ports of its choice.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stickler_mock_dc::DomainController;
use stickler_model::{Clock, Entropy, Env, Journal, Name};
use stickler_net::{Listener as _, Net as _, TokioNet};
use stickler_site::{Hosts, Role, Service};

use crate::host::{Gates, HostNet};
use crate::kdc;
use crate::open_ports::OpenPorts;

/// The hosts of a site.
pub(crate) struct WireHosts {
    pub(crate) addresses: Addresses,
    pub(crate) fixed: Fixed,
    pub(crate) seed: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal: Arc<Journal>,
    /// The hosts by their identifiers.
    pub(crate) hosts: Vec<Host>,
}

/// The addresses and ports that the system does not choose. A port of 0 is chosen by the system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed {
    /// The port of the balancer.
    pub(crate) port: u16,
    /// The port of the first DC's logon service.
    pub(crate) dc_port: u16,
    /// The port of the first DC's ticket service.
    pub(crate) kdc_port: u16,
    /// The addresses of the first servers, in order.
    pub(crate) servers: Vec<SocketAddr>,
    /// The address of the balancer that somebody else runs, for which nothing is opened.
    pub(crate) target: Option<SocketAddr>,
    /// The ports of servers that stay open from one world to the next.
    pub(crate) kept: Option<Arc<OpenPorts>>,
}

impl Fixed {
    /// Returns the address on which a service listens, which is this one unless the settings specify another.
    fn address(&self, role: Role, service: Service, ip: IpAddr) -> SocketAddr {
        let port = match (role, service) {
            (Role::Balancer, Service::Http) => self.port,
            (Role::Controller(0), Service::Logons) => self.dc_port,
            (Role::Controller(0), Service::Tickets) => self.kdc_port,
            (Role::Server(index), Service::Http) if index < self.servers.len() => return self.servers[index],
            _ => 0,
        };
        SocketAddr::new(ip, port)
    }
}

/// The addresses on which the parts of a site listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// The address of the balancer to which clients connect.
    pub(crate) front_end: IpAddr,
    /// The address of the DCs.
    pub(crate) controllers: IpAddr,
    /// The address of everything else.
    pub(crate) loopback: IpAddr,
}

impl Addresses {
    /// Returns this loopback address for everything.
    pub(crate) const fn of_loopback(address: IpAddr) -> Self {
        Self { front_end: address, controllers: address, loopback: address }
    }

    const fn of(self, role: Role) -> IpAddr {
        match role {
            Role::Balancer | Role::Front => self.front_end,
            Role::Controller(_) | Role::PartnerController => self.controllers,
            Role::Server(_) | Role::Checker => self.loopback,
        }
    }
}

/// A host, in its current life.
pub(crate) struct Host {
    name: Name,
    role: Role,
    net: HostNet,
}

/// The error that a port is not available.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` cannot listen on {address}: {error}")]
pub struct ListenError {
    /// The host that wanted the port.
    pub name: Name,
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub error: io::Error,
}

impl WireHosts {
    /// Ends all tasks of a host, and closes their sockets.
    pub(crate) fn switch_off(&self, host: usize) {
        self.hosts[host].net.switch_off();
    }

    /// Ends all tasks of a host, and closes its sockets and ports, including those that otherwise stay open.
    pub(crate) fn crash(&self, host: usize) {
        self.switch_off(host);
        self.hosts[host].net.close_kept();
    }

    /// Begins a new life of a host, which runs nothing yet.
    pub(crate) fn restart(&mut self, host: usize) {
        self.switch_off(host);
        self.hosts[host].net = self.hosts[host].net.reborn();
    }

    /// Returns whether the host has not been switched off since it was started.
    pub(crate) fn is_up(&self, host: usize) -> bool {
        self.hosts[host].net.is_on()
    }

    /// Returns the gates that the streams of a host must pass.
    pub(crate) fn gates(&self, host: usize) -> &Gates {
        self.hosts[host].net.gates()
    }
}

impl Host {
    /// Opens a port for its service, and returns the address.
    fn open(&self, address: SocketAddr, service: Service) -> io::Result<SocketAddr> {
        let listener = match service {
            Service::Logons | Service::Http => TokioNet.listen(address)?,
            Service::Tickets => {
                let (listener, datagrams) = kdc::bind(address)?;
                self.net.keep_datagrams(listener.local_addr()?, datagrams);
                listener
            }
        };
        let address = listener.local_addr()?;
        self.net.keep_listener(address, listener);
        Ok(address)
    }
}

impl Hosts for WireHosts {
    type Net = HostNet;
    type Id = usize;
    type Error = ListenError;

    fn env(&self, name: &Name) -> Env {
        Env {
            name: name.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Entropy::new(self.seed, name.as_str()),
            journal: Arc::clone(&self.journal),
        }
    }

    fn add(&mut self, name: &Name, role: Role) -> Result<usize, ListenError> {
        self.hosts.push(Host { name: name.clone(), role, net: HostNet::default() });
        Ok(self.hosts.len() - 1)
    }

    fn open(&mut self, host: &usize, service: Service) -> Result<SocketAddr, ListenError> {
        let host = &mut self.hosts[*host];
        let address = match (host.role, self.fixed.target) {
            (Role::Balancer, Some(target)) => return Ok(target),
            (role, _) => self.fixed.address(role, service, self.addresses.of(role)),
        };
        if let (Role::Server(_), Some(ports)) = (host.role, &self.fixed.kept) {
            // The port is already open, for the task that binds it.
            host.net = std::mem::take(&mut host.net).keeping_open(Arc::clone(ports), address);
            return Ok(address);
        }
        host.open(address, service).map_err(|error| ListenError { name: host.name.clone(), address, error })
    }

    fn net(&self, host: &usize) -> HostNet {
        self.hosts[*host].net.clone()
    }

    fn serve_datagrams(&self, host: &usize, address: SocketAddr, env: Env, controller: Arc<DomainController>) {
        let net = self.net(host);
        let own = net.clone();
        net.spawn(async move {
            // If UDP is not available again after a restart, clients ask over TCP.
            if let Ok(socket) = own.bind_datagrams(address).await {
                kdc::serve_datagrams(socket, env, controller).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stickler_mock_client::{Check, check};
    use stickler_model::topology::{ControllerSpec, PartnerSpec};
    use stickler_model::{BalancerSpec, Identity, Principal, Topology, standard};
    use stickler_site::{Balancer, Settings, Site};
    use tokio::time::timeout;

    use super::*;
    use crate::{Options, WallClock, settings};

    fn hosts(events: Arc<Journal>, clock: Arc<dyn Clock>) -> WireHosts {
        WireHosts {
            addresses: Addresses::of_loopback([127, 0, 0, 1].into()),
            fixed: Fixed::default(),
            seed: 1,
            clock,
            journal: events,
            hosts: Vec::new(),
        }
    }

    /// Returns a topology with two DCs, of which the first does not know alice yet, a partner's domain, and two
    /// balancers, one behind the other.
    fn everything() -> Topology {
        let mut topology = standard::site(2);
        let behind = ControllerSpec { lacks: vec!["alice".into()], ..ControllerSpec::new("dc1".into()) };
        topology.controllers = vec![behind, ControllerSpec::new("dc2".into())];
        let mut partner = standard::domain();
        (partner.netbios, partner.dns) = ("PARTNER".into(), "partner.example".into());
        topology.partner = Some(PartnerSpec::trusted(&mut topology.domain, partner, "trust-pw"));
        topology.front = Some(BalancerSpec::named("l4-splice"));
        topology
    }

    /// Tests that the assembly requires nothing of its hosts that real sockets do not have: [`crate::Site`] only
    /// refuses what it cannot express yet.
    #[tokio::test]
    async fn a_site_with_several_dcs_domains_and_balancers_runs_on_real_sockets() {
        let topology = everything();
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let journal = Journal::handing_on(Arc::clone(&clock), drop);
        let mut hosts = hosts(journal, clock);
        let balancer = Balancer::of(&BalancerSpec::named("pin-on-401")).unwrap();
        let settings: Settings = settings::settings(&Options::new(topology.clone(), balancer.clone()));
        let site = Site::start(&mut hosts, &topology, balancer, &settings).expect("the topology is sound");
        let names: Vec<_> = site.names().map(Name::as_str).collect();
        assert_eq!(names, ["dc1", "dc2", "dc-partner", "iis1", "iis2", "lb", "front"]);
        let env = hosts.env(&"client".into());
        for domain in ["CORP", "PARTNER"] {
            let alice = Identity { principal: Principal::new(domain, "alice"), ..standard::identity("alice") };
            let asked = Check { host: "localhost", uri: "/", identity: Some(&alice), keep: 4096 };
            let answer = timeout(Duration::from_secs(30), check(&TokioNet, &env, site.front_end(), &asked)).await;
            let answer = answer.expect("in time").expect("it is answered");
            let page = String::from_utf8(answer.body).unwrap();
            assert_eq!((answer.status, page.contains(&format!("{domain}\\\\alice"))), (200, true), "{page}");
        }
    }
}
