//! The assembled site.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use indexmap::IndexMap;
use stickler_lb_core::{Backend, Control, Farm, Text};
use stickler_lb_proxy::UpstreamTls;
use stickler_mock_dc::Directory;
use stickler_mock_iis::site::LogSink;
use stickler_model::topology::{Acceptor, ServerSpec};
use stickler_model::trace::Promises;
use stickler_model::{Clock, Identity, Name, Principal, Topology, WorldError};
use stickler_tls::{ClientTls, KeySink};

use crate::balancer::Make;
use crate::checks::Checks;
use crate::domains::{PARTNER, controllers};
use crate::machine::{Machine, Process, Proxy};
use crate::server::Surroundings;
use crate::{Balancer, DataPlane, DcAddress, Domains, Hosts, RandomFor, Role, Service, SiteError, SitePki, TlsEnds};

/// The name of the balancer.
pub const BALANCER: &str = "lb";

/// The name of the second balancer, which is in front of the first.
pub(crate) const FRONT: &str = "front";

/// The settings of a site in which arms differ. Its hosts, which differ too, are given separately.
pub struct Settings {
    /// The seed of the secrets of the machines' accounts.
    pub seed: u64,
    /// The names by which clients may refer to the site: DNS names, and IP addresses as text. Certificates contain all
    /// of them. Health checks use the first in `Host`, and a balancer expects the first in a certificate that it shares
    /// with its servers.
    pub names: Vec<String>,
    /// The number of iterations of string-to-key in the domains, which a KDC tells its clients (RFC 3962 4). `None`:
    /// 4,096 as in Windows, which are most of the cost of a small simulated world.
    pub iterations: Option<u32>,
    /// The sources of randomness for TLS, one for each host and for the authority.
    pub tls_random: RandomFor,
    /// The function that receives the secrets of all TLS connections, for a capture of packets.
    pub tls_keys: Option<KeySink>,
    /// The function that receives each line of the servers' logs.
    pub log: Option<LogSink>,
}

impl Settings {
    /// Returns a directory with these settings applied.
    pub(crate) fn directory(&self, directory: Directory) -> Directory {
        match self.iterations {
            Some(iterations) => directory.with_iterations(iterations),
            None => directory,
        }
    }
}

/// The machines of a site, by name, and what they share. `I` identifies their [`Hosts`].
///
/// The site contains configuration and state that outlives processes. It contains no sockets, which belong to the tasks
/// that [`Site::start`] and [`Site::boot`] start on the hosts.
pub struct Site<I> {
    machines: IndexMap<Name, Machine<I>>,
    /// The topology with the current settings of the servers.
    topology: Topology,
    log: Option<LogSink>,
    /// The header in which the balancer names users, if it terminates authentication.
    names_users_in: Option<Text>,
    domains: Domains,
    pki: Option<SitePki>,
    front_end: SocketAddr,
    promises: Promises,
    farm: Farm,
    /// The handle on the balancer's backends.
    control: Control,
}

/// The result of a step of the assembly.
type Built<T, H> = Result<T, SiteError<<H as Hosts>::Error>>;

impl<I: Clone> Site<I> {
    /// Assembles the DCs, the servers and the balancer of a topology on `hosts`, and starts them in this order.
    /// [`Balancer::adapt`] must have adapted the topology.
    ///
    /// # Errors
    /// [`SiteError`] says which part cannot be assembled.
    pub fn start<H: Hosts<Id = I>>(
        hosts: &mut H,
        topology: &Topology,
        balancer: Balancer,
        settings: &Settings,
    ) -> Built<Self, H> {
        let front = topology.front.as_ref().map(Balancer::of).transpose()?;
        let ends = TlsEnds {
            front: front.as_ref().is_some_and(Balancer::terminates_tls),
            balancer: balancer.terminates_tls(),
        };
        let (own, partner) = add_controllers(hosts, topology)?;
        let addresses: Vec<_> = own.iter().map(|host| host.address).collect();
        let pki = SitePki::new(topology, ends, &settings.names, Arc::clone(&settings.tls_random))
            .map(|pki| pki.map(|pki| pki.with_key_log(settings.tls_keys.clone())));
        let mut builder = Builder {
            hosts,
            topology,
            settings,
            domains: Domains::new(topology, settings, &addresses, partner.as_ref().map(|host| host.address))?,
            pki: pki.map_err(SiteError::Certificate)?,
            machines: IndexMap::new(),
            farm: Farm::default(),
            control: Control::new(),
        };
        builder.keep_controllers(own.into_iter().chain(partner))?;
        builder.add_servers()?;
        let promises = balancer.promises(&builder.farm, topology);
        let names_users_in = balancer.ends_authentication();
        let front_end = builder.add_balancers(balancer, front)?;
        let Builder { hosts, domains, pki, machines, farm, control, .. } = builder;
        let (topology, log) = (topology.clone(), settings.log.clone());
        let site = Self { machines, topology, log, names_users_in, domains, pki, front_end, promises, farm, control };
        for name in site.machines.keys() {
            site.boot(hosts, name);
        }
        Ok(site)
    }

    /// Starts the process of a machine on its host, for example after a restart of the host. Nothing happens for a
    /// machine without a process, or for one that does not exist.
    pub fn boot<H: Hosts<Id = I>>(&self, hosts: &H, name: &Name) {
        if let Some(machine) = self.machines.get(name) {
            machine.boot(hosts, name);
        }
    }

    /// Adapts the settings of a server to this balancer, as [`Balancer::adapt`] does for a whole topology: if the
    /// balancer authenticates clients itself, IIS trusts its header.
    pub fn adapt(&self, spec: &mut ServerSpec) {
        if let Some(header) = self.names_users_in.as_ref().filter(|_| spec.acceptor.is_connection()) {
            spec.acceptor = Acceptor::TrustedHeader(header.to_string());
        }
    }

    /// Gives a server new settings, which apply from its next start on ([`Site::boot`]).
    ///
    /// # Errors
    /// There is no such server, or it cannot have these settings.
    pub fn configure(&mut self, spec: &ServerSpec) -> Result<(), WorldError> {
        let Some(index) = self.topology.servers.iter().position(|server| server.name == spec.name) else {
            let known = self.topology.servers.iter().map(|server| server.name.to_string()).collect();
            return Err(WorldError::Unknown { kind: "server", name: spec.name.to_string(), known });
        };
        let Some(Machine { process: Process::Server(old, _), .. }) = self.machines.get(&spec.name) else {
            return Ok(());
        };
        let before = (&self.topology.servers[index], &**old);
        let site = self.surroundings().replaced(before, spec);
        let site = site.map_err(|error| WorldError::Invalid(error.to_string()))?;
        if let Some(machine) = self.machines.get_mut(&spec.name) {
            machine.process = Process::Server(Arc::new(site), spec.clock_skew);
        }
        self.topology.servers[index] = spec.clone();
        Ok(())
    }

    /// Returns whether at least one server accepts these credentials: its domain or one that the domain trusts accepts
    /// them, or the server itself has the account. A balancer that authenticates does so as the first server would.
    pub fn would_accept(&self, identity: &Identity, clock: &dyn Clock) -> bool {
        let servers = &self.topology.servers;
        let servers = &servers[..if self.names_users_in.is_some() { 1 } else { servers.len() }];
        let by_domain = servers.iter().any(|server| !server.workgroup);
        by_domain && self.domains.would_accept(identity, clock)
            || servers.iter().any(|server| server.has_account(identity))
    }

    /// Returns the KDCs that a client of this user knows ([`Domains::kdcs`]), or none if no server is in a domain.
    pub fn kdcs(&self, user: Option<&Principal>) -> Vec<(SocketAddr, String)> {
        let joined = self.topology.servers.iter().any(|server| !server.workgroup);
        if joined { self.domains.kdcs(user) } else { Vec::new() }
    }

    fn surroundings(&self) -> Surroundings<'_> {
        let Self { topology, domains, pki, log, .. } = self;
        Surroundings { domain: &topology.domain, domains, pki: pki.as_ref(), log: log.as_ref() }
    }

    /// Returns the address to which clients connect.
    pub fn front_end(&self) -> SocketAddr {
        self.front_end
    }

    /// Returns the declarations of the balancer. If it declares nothing about a property, the settings of the site apply.
    pub fn promises(&self) -> Promises {
        self.promises.clone()
    }

    /// Returns the servers, in order.
    pub fn farm(&self) -> &Farm {
        &self.farm
    }

    /// Returns the domains and their DCs.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// Returns the certificates, or `None` if there is no TLS.
    pub fn pki(&self) -> Option<&SitePki> {
        self.pki.as_ref()
    }

    /// Returns the TLS settings of a client with this name, or `None` if there is no TLS.
    pub fn client_tls(&self, name: &Name) -> Option<ClientTls> {
        self.pki.as_ref().map(|pki| pki.client(name))
    }

    /// Returns the names of the machines, in the order in which they were started.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.machines.keys()
    }

    /// Returns the IP address of a machine, or `None` if there is no such machine.
    pub fn address(&self, name: &Name) -> Option<IpAddr> {
        self.machines.get(name).map(|machine| machine.address.ip())
    }

    /// Returns all addresses on which a machine accepts connections or datagrams: a DC has one for logons and one for tickets.
    pub fn addresses(&self, name: &Name) -> Vec<SocketAddr> {
        self.machines.get(name).map(Machine::addresses).unwrap_or_default()
    }

    /// Returns the address and port of a machine, or `None` if there is no such machine.
    pub fn socket_address(&self, name: &Name) -> Option<SocketAddr> {
        self.machines.get(name).map(|machine| machine.address)
    }

    /// Takes a backend out of service for new sessions (`true`), or puts it back into service (`false`).
    ///
    /// # Errors
    /// There is no such backend.
    pub fn drain(&self, name: &Name, on: bool) -> Result<(), WorldError> {
        let index = self.farm.backends.iter().position(|backend| backend.name == *name).ok_or_else(|| {
            let known = self.farm.backends.iter().map(|backend| backend.name.to_string()).collect();
            WorldError::Unknown { kind: "backend", name: name.to_string(), known }
        })?;
        if on {
            self.control.drain(index);
        } else {
            self.control.undrain(index);
        }
        Ok(())
    }

    /// Reports whether a backend works, as a health check without errors would. Other names are ignored.
    pub fn set_health(&self, name: &Name, up: bool) {
        if let Some(index) = self.farm.backends.iter().position(|backend| backend.name == *name) {
            self.control.set_health(index, up);
        }
    }

    /// Returns the host whose process can be ended and started.
    ///
    /// # Errors
    /// There is no such machine, or it has no process.
    pub fn process(&self, name: &Name) -> Result<I, WorldError> {
        let Some(machine) = self.machines.get(name) else {
            let known = self.names().map(Name::to_string).collect();
            return Err(WorldError::Unknown { kind: "host", name: name.to_string(), known });
        };
        machine.process_host().ok_or_else(|| {
            WorldError::Unsupported(format!(
                "`{name}` translates addresses inside the simulated network: it has no process to crash or to restart"
            ))
        })
    }
}

/// The host of a DC.
struct DcHost<I> {
    id: I,
    address: DcAddress,
}

/// The hosts of the DCs of the site's own domain, and that of the partner's.
type DcHosts<I> = (Vec<DcHost<I>>, Option<DcHost<I>>);

/// Adds the hosts of the DCs.
fn add_controllers<H: Hosts>(hosts: &mut H, topology: &Topology) -> Built<DcHosts<H::Id>, H> {
    let mut add = |name: &Name, role| {
        let id = hosts.add(name, role)?;
        let logons = hosts.open(&id, Service::Logons)?;
        let tickets = hosts.open(&id, Service::Tickets)?;
        Ok(DcHost { id, address: DcAddress { logons, tickets } })
    };
    let specs = controllers(topology);
    let own = specs.iter().enumerate().map(|(index, spec)| add(&spec.name, Role::Controller(index)));
    let own = own.collect::<Result<_, _>>().map_err(SiteError::Hosts)?;
    let partner = topology.partner.as_ref().map(|_| add(&Name::from(PARTNER), Role::PartnerController));
    Ok((own, partner.transpose().map_err(SiteError::Hosts)?))
}

/// A site under construction.
struct Builder<'a, H: Hosts> {
    hosts: &'a mut H,
    topology: &'a Topology,
    settings: &'a Settings,
    domains: Domains,
    pki: Option<SitePki>,
    machines: IndexMap<Name, Machine<H::Id>>,
    farm: Farm,
    control: Control,
}

impl<H: Hosts> Builder<'_, H> {
    /// Adds the DCs that run on these hosts to the site.
    fn keep_controllers(&mut self, hosts: impl Iterator<Item = DcHost<H::Id>>) -> Built<(), H> {
        let all: Vec<_> = self.domains.all().collect();
        for ((name, dc), DcHost { id, address }) in all.into_iter().zip(hosts) {
            self.keep(name, Some(id), address.logons, Process::Controller(dc, address.tickets))?;
        }
        Ok(())
    }

    fn add_servers(&mut self) -> Built<(), H> {
        for (index, spec) in self.topology.servers.iter().enumerate() {
            let host = self.hosts.add(&spec.name, Role::Server(index)).map_err(SiteError::Hosts)?;
            let address = self.hosts.open(&host, Service::Http).map_err(SiteError::Hosts)?;
            self.farm.backends.push(Backend { name: spec.name.clone(), address });
            let server = Arc::new(self.surroundings().server(spec)?);
            self.keep(spec.name.clone(), Some(host), address, Process::Server(server, spec.clock_skew))?;
        }
        Ok(())
    }

    /// Adds the balancer, and the one in front of it if there is one. Returns the address to which clients connect.
    fn add_balancers(&mut self, balancer: Balancer, front: Option<Balancer>) -> Built<SocketAddr, H> {
        let (farm, control) = (self.farm.clone(), self.control.clone());
        let address = self.add_balancer(BALANCER, Role::Balancer, balancer, farm, control)?;
        let Some(front) = front else { return Ok(address) };
        let farm = Farm { backends: vec![Backend { name: BALANCER.into(), address }] };
        self.add_balancer(FRONT, Role::Front, front, farm, Control::new())
    }

    fn add_balancer(
        &mut self,
        name: &str,
        role: Role,
        balancer: Balancer,
        farm: Farm,
        control: Control,
    ) -> Built<SocketAddr, H> {
        let name = Name::from(name);
        let pki = self.pki.as_ref();
        let front_end_tls = pki.and_then(|pki| pki.front_end(&name));
        let upstream_tls = pki.and_then(|pki| pki.upstream(&name));
        let checks = balancer.checks().filter(|_| balancer.is_checked_here()).map(|rule| Checks {
            rule,
            prober: balancer.prober().cloned(),
            farm: farm.clone(),
            control: control.clone(),
            user: self.topology.monitor.clone(),
            tls: upstream_tls.clone().map(UpstreamTls::http1),
            host: self.settings.names.first().cloned().unwrap_or_default(),
        });
        if let Make::Plane { make, packets } = balancer.make() {
            let env = self.hosts.env(&name);
            // It is known before the first client comes whether the rules fit this farm.
            let plane = make(farm.clone(), env.entropy.clone(), control.clone())?;
            if let (DataPlane::L4(service), Some(mode)) = (plane, packets)
                && let Some(address) = self.hosts.add_router(role, *mode, service, env).map_err(SiteError::Hosts)?
            {
                return self.keep_router(name, address, checks);
            }
        }
        let host = self.hosts.add(&name, role).map_err(SiteError::Hosts)?;
        let address = self.hosts.open(&host, Service::Http).map_err(SiteError::Hosts)?;
        let offload = match (balancer.ends_authentication(), self.topology.servers.first()) {
            (Some(header), Some(server)) => {
                let site = self.surroundings().authenticator(&name, server, front_end_tls.as_ref())?;
                Some((Arc::new(site), header))
            }
            _ => None,
        };
        let proxy = Proxy { balancer, farm, control, checks, front_end_tls, upstream_tls, offload };
        self.keep(name, Some(host), address, Process::Balancer(Box::new(proxy)))?;
        Ok(address)
    }

    /// Adds a packet-level balancer to the site, whose backends are checked from a separate host.
    fn keep_router(&mut self, name: Name, address: SocketAddr, checks: Option<Checks>) -> Built<SocketAddr, H> {
        let host = checks.as_ref().map(|_| self.hosts.add(&name, Role::Checker));
        let host = host.transpose().map_err(SiteError::Hosts)?;
        self.keep(name, host, address, Process::Router(checks.map(Box::new)))?;
        Ok(address)
    }

    fn surroundings(&self) -> Surroundings<'_> {
        let Self { topology, domains, pki, settings, .. } = self;
        Surroundings { domain: &topology.domain, domains, pki: pki.as_ref(), log: settings.log.as_ref() }
    }

    fn keep(&mut self, name: Name, host: Option<H::Id>, address: SocketAddr, process: Process) -> Built<(), H> {
        if self.machines.contains_key(&name) {
            return Err(SiteError::Duplicate(name));
        }
        self.machines.insert(name, Machine { host, address, process });
        Ok(())
    }
}
