//! What runs on the hosts `dc`, `iis1` ... and `lb`, and how it starts (again).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use indexmap::IndexMap;
use stickler_agents::DataPlane;
use stickler_agents::{Doorkeeper, Monitor, Security};
use stickler_lb_core::health::{CheckRule, Probe};
use stickler_lb_core::{Backend, Control, Farm};
use stickler_lb_proxy::health;
use stickler_lb_proxy::{UpstreamTls, serve_l4, serve_l7};
use stickler_mock_dc::{DomainController, kdc};
use stickler_mock_iis::Site;
use stickler_model::topology::{Acceptor, ServerSpec};
use stickler_model::trace::Promises;
use stickler_model::{Env, Identity, Name, Topology, WorldError};
use stickler_net::Net;
use stickler_tls::{ClientTls, ServerTls};

use super::Envs;
use super::addresses;
use super::balancer::{Balancer, Make, TlsAt};
use super::domains::Domains;
use super::invalid;
use super::nat::NatAdapter;
use super::security::security;
use crate::engine::{Engine, HostId, Nat, SimListener, SimNet};

/// Connections that the packet-level balancer translates at a time.
const MOST_FLOWS: usize = 60_000;

/// The machines of a site, by name.
pub(super) struct Machines {
    by_name: IndexMap<Name, Machine>,
    domains: Domains,
    security: Option<Security>,
    /// What clients connect to.
    front_end: SocketAddr,
    promises: Promises,
    farm: Farm,
    /// The handle on the backends of `lb`.
    control: Control,
}

struct Machine {
    address: SocketAddr,
    process: Process,
}

/// What a machine runs.
enum Process {
    Dc {
        host: HostId,
        controller: Arc<DomainController>,
    },
    Server {
        host: HostId,
        site: Arc<Site>,
    },
    Balancer {
        host: HostId,
        proxy: Box<Proxy>,
    },
    /// A packet-level balancer is part of the network: it has no host, and no process to end. Whoever checks its
    /// backends sits elsewhere.
    Router {
        checker: Option<Box<(HostId, Checks)>>,
    },
}

/// A balancer with a process.
struct Proxy {
    balancer: Balancer,
    /// TLS in front of it and behind it.
    tls: (Option<ServerTls>, Option<UpstreamTls>),
    /// How it authenticates, and the header in which it names the user, where it ends authentication.
    doorkeeper: Option<(Arc<Site>, &'static str)>,
    farm: Farm,
    control: Control,
    checks: Option<Checks>,
}

/// Health checks of a farm.
#[derive(Clone)]
struct Checks {
    rule: CheckRule,
    farm: Farm,
    control: Control,
    monitor: Option<Identity>,
    /// TLS of the backends.
    tls: Option<UpstreamTls>,
}

impl Machines {
    /// Builds and starts the DCs, the servers and the balancer of a topology.
    pub(super) fn start(
        engine: &mut Engine,
        topology: &Topology,
        balancer: Balancer,
        envs: &Envs,
    ) -> Result<Self, WorldError> {
        let mut machines = Self {
            by_name: IndexMap::new(),
            domains: Domains::new(topology, envs.seed)?,
            security: security(topology, balancer.tls == TlsAt::Ends, envs.seed)?,
            front_end: addresses::FRONT_END,
            promises: Promises::default(),
            farm: Farm::default(),
            control: Control::new(),
        };
        for (name, address, controller) in machines.domains.hosts()? {
            let host = add_host(engine, address)?;
            machines.add(name, address, Process::Dc { host, controller })?;
        }
        machines.add_servers(engine, topology)?;
        machines.promises = promises(&balancer, &machines.farm, topology);
        let (farm, control) = (machines.farm.clone(), machines.control.clone());
        machines.add_balancer(engine, "lb", addresses::FRONT_END, balancer, (farm, control), topology, envs)?;
        if let Some(front) = &topology.front {
            let farm = Farm { backends: vec![Backend { name: "lb".into(), address: addresses::FRONT_END }] };
            let (address, behind) = (addresses::SECOND_FRONT_END, (farm, Control::new()));
            machines.add_balancer(engine, "front", address, Balancer::named(front)?, behind, topology, envs)?;
            machines.front_end = address;
        }
        for (name, machine) in &machines.by_name {
            if let Some(host) = machine.process.host() {
                machine.boot(&engine.net(host), envs.of(name));
            }
        }
        Ok(machines)
    }

    fn add_servers(&mut self, engine: &mut Engine, topology: &Topology) -> Result<(), WorldError> {
        for (index, spec) in topology.servers.iter().enumerate() {
            let address = addresses::server(index)?;
            self.farm.backends.push(Backend { name: spec.name.clone(), address });
            let mut site = self.site(spec, topology)?;
            if let Some(security) = &self.security
                && let Some(tls) = security.server(&spec.name).map_err(invalid)?
            {
                site = site.with_tls(tls);
            }
            let site = Arc::new(site);
            let host = add_host(engine, address)?;
            self.add(spec.name.clone(), address, Process::Server { host, site })?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what a balancer stands between, and what it is")]
    fn add_balancer(
        &mut self,
        engine: &mut Engine,
        name: &str,
        address: SocketAddr,
        balancer: Balancer,
        (farm, control): (Farm, Control),
        topology: &Topology,
        envs: &Envs,
    ) -> Result<(), WorldError> {
        let name = Name::from(name);
        let env = envs.of(&name);
        let monitor = topology.monitor.clone();
        let security = self.security.as_ref();
        let front = security.and_then(|security| security.front_end(&name));
        let behind = security.and_then(|security| security.towards_servers(&name));
        let checks = balancer.checks.map(|rule| {
            let (farm, control, tls) = (farm.clone(), control.clone(), behind.clone());
            Checks { rule, farm, control, monitor, tls }
        });
        let process = if let Make::Packets(mode, policy) = &balancer.make {
            let policy = policy(farm.clone(), env.entropy.clone()).map_err(invalid)?;
            let adapter = NatAdapter::new(policy, farm, env, &control, engine.kick());
            let nat = Nat::new(address, mode.nat(address), MOST_FLOWS, adapter);
            engine.add_router(&[address.ip()], Box::new(nat)).map_err(invalid)?;
            let checker = match checks {
                Some(checks) => Some(Box::new((add_host(engine, addresses::CHECKER)?, checks))),
                None => None,
            };
            Process::Router { checker }
        } else {
            // Whether the rules fit this farm is known before the first client comes.
            balancer.check(&farm, &env).map_err(invalid)?;
            let host = add_host(engine, address)?;
            let doorkeeper = match (balancer.ends_authentication, topology.servers.first()) {
                (Some(header), Some(server)) => {
                    Some((Arc::new(self.gate(&name, server, topology, front.as_ref())?), header))
                }
                _ => None,
            };
            let tls = (front, behind);
            Process::Balancer { host, proxy: Box::new(Proxy { balancer, tls, doorkeeper, farm, control, checks }) }
        };
        self.add(name, address, process)
    }

    /// How a balancer authenticates that does so by itself: as this server would, with the certificate that it shows.
    fn gate(
        &self,
        name: &Name,
        server: &ServerSpec,
        topology: &Topology,
        tls: Option<&ServerTls>,
    ) -> Result<Site, WorldError> {
        let spec = ServerSpec { name: name.clone(), acceptor: Acceptor::Connection, ..server.clone() };
        let site = self.site(&spec, topology)?;
        Ok(match tls {
            Some(tls) => site.with_certificate(tls.certificate()),
            None => site,
        })
    }

    /// A site on a machine that is joined to the domain, with the keys for tickets where it takes any.
    fn site(&self, spec: &ServerSpec, topology: &Topology) -> Result<Site, WorldError> {
        let site = Site::new(spec, &topology.domain, self.domains.account(&spec.name)?);
        if !spec.takes_tickets() {
            return Ok(site);
        }
        let account = spec.ticket_account();
        let keys = self.domains.pdc().directory().service_keys(&account);
        let keys = keys.ok_or_else(|| WorldError::Invalid(format!("the domain has no account `{account}`")))?;
        Ok(site.with_kerberos(keys))
    }

    /// What clients connect to.
    pub(super) fn front_end(&self) -> SocketAddr {
        self.front_end
    }

    /// What the balancer promises.
    pub(super) fn promises(&self) -> Promises {
        self.promises.clone()
    }

    /// Drains a backend, or ends that.
    pub(super) fn drain(&self, name: &Name, on: bool) -> Result<(), WorldError> {
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

    /// How clients have TLS, where there is any.
    pub(super) fn client_tls(&self, name: &Name) -> Option<ClientTls> {
        self.security.as_ref().map(|security| security.client(name))
    }

    /// The domains, and their DCs.
    pub(super) fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The machine's names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// Its address, where there is such a machine.
    pub(super) fn address(&self, name: &Name) -> Option<IpAddr> {
        self.by_name.get(name).map(|machine| machine.address.ip())
    }

    /// The host whose process can be ended and started.
    pub(super) fn process(&self, name: &Name) -> Result<HostId, WorldError> {
        let Some(machine) = self.by_name.get(name) else {
            let known = self.names().map(Name::to_string).collect();
            return Err(WorldError::Unknown { kind: "host", name: name.to_string(), known });
        };
        machine.process.mortal().ok_or_else(|| {
            WorldError::Invalid(format!(
                "`{name}` translates addresses inside the network here: it has no process to crash or to restart"
            ))
        })
    }

    /// Starts the machine's process on its fresh network.
    pub(super) fn boot(&self, name: &Name, net: &SimNet, envs: &Envs) {
        if let Some(machine) = self.by_name.get(name) {
            machine.boot(net, envs.of(name));
        }
    }

    fn add(&mut self, name: Name, address: SocketAddr, process: Process) -> Result<(), WorldError> {
        if self.by_name.contains_key(&name) {
            return Err(WorldError::Duplicate(name.to_string()));
        }
        self.by_name.insert(name, Machine { address, process });
        Ok(())
    }
}

impl Machine {
    fn boot(&self, net: &SimNet, env: Env) {
        let address = self.address;
        match &self.process {
            Process::Dc { controller, .. } => {
                let (logons, tickets, own) = (Arc::clone(controller), Arc::clone(controller), env.clone());
                on_listener(net, address, |net, listener| stickler_mock_dc::serve(net, listener, own, logons));
                on_listener(net, addresses::kdc(address), |net, listener| kdc::serve(net, listener, env, tickets));
            }
            Process::Server { site, .. } => {
                let site = Arc::clone(site);
                on_listener(net, address, |net, listener| stickler_mock_iis::serve(net, listener, env, site));
            }
            Process::Balancer { proxy, .. } => {
                proxy.boot(net, address, &env);
                if let Some(checks) = &proxy.checks {
                    checks.boot(net, env);
                }
            }
            Process::Router { checker } => {
                if let Some(checker) = checker {
                    checker.1.boot(net, env);
                }
            }
        }
    }
}

impl Process {
    /// Where its tasks run.
    fn host(&self) -> Option<HostId> {
        match self {
            Self::Dc { host, .. } | Self::Server { host, .. } | Self::Balancer { host, .. } => Some(*host),
            Self::Router { checker } => checker.as_ref().map(|checker| checker.0),
        }
    }

    /// The host whose process can be ended and started.
    fn mortal(&self) -> Option<HostId> {
        self.host().filter(|_| !matches!(self, Self::Router { .. }))
    }
}

impl Proxy {
    fn boot(&self, net: &SimNet, address: SocketAddr, env: &Env) {
        let (env, farm, control) = (env.clone(), self.farm.clone(), self.control.clone());
        let entropy = env.entropy.clone();
        match &self.balancer.make {
            Make::Plane(make) => match make(farm, entropy, control).expect(CHECKED) {
                DataPlane::L7(mut service) => {
                    if let Some((site, header)) = &self.doorkeeper {
                        let gate = Doorkeeper::gate(net, env.clone(), Arc::clone(site), header);
                        service.gate = Some(gate.expect("a mechanism's header has a field's name"));
                    }
                    (service.tls, service.upstream_tls) = self.tls.clone();
                    on_listener(net, address, |net, listener| serve_l7(net, listener, env, service));
                }
                DataPlane::L4(service) => {
                    on_listener(net, address, |net, listener| serve_l4(net, listener, env, service));
                }
            },
            Make::Proxy(make) => {
                let make = Arc::clone(make);
                on_listener(net, address, move |net, listener| make(net, listener, env, farm, control));
            }
            Make::Packets(..) => {}
        }
    }
}

/// A machine is added only after this was tried.
const CHECKED: &str = "the rules fitted this farm when the world was built";

impl Checks {
    fn boot(&self, net: &SimNet, env: Env) {
        let Self { rule, farm, control, monitor, tls } = self.clone();
        for index in 0..farm.backends.len() {
            // What a process knew that has ended is forgotten.
            control.set_health(index, true);
            control.set_share(index, 100);
        }
        let agent = monitor
            .map(|monitor| Monitor::agent(net.clone(), env.clone(), addresses::HOST_HEADER, monitor, tls.clone()));
        net.spawn(health::run(net.clone(), env, farm, rule, (agent, tls), control));
    }
}

/// What the balancer declares, and what the site is set to trust.
fn promises(balancer: &Balancer, farm: &Farm, topology: &Topology) -> Promises {
    let mut promises = balancer.promises(farm);
    if let (Some(checks), Some(Probe::Logon { .. })) = (&mut promises.checks, balancer.checks.map(|rule| rule.probe)) {
        checks.user = topology.monitor.as_ref().map(|monitor| monitor.principal.clone());
    }
    // How the site is set counts where the balancer says nothing of it.
    let trusted = topology.servers.iter().find_map(|server| server.acceptor.trusted_header()).map(str::to_owned);
    promises.trusted_header = promises.trusted_header.or(trusted);
    promises
}

/// Binds, and then serves.
fn on_listener<F>(net: &SimNet, address: SocketAddr, serve: impl FnOnce(SimNet, SimListener) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let own = net.clone();
    net.spawn(async move {
        let listener = own.bind(address).await.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        serve(own, listener).await;
    });
}

fn add_host(engine: &mut Engine, address: SocketAddr) -> Result<HostId, WorldError> {
    engine.add_host(address.ip()).map_err(invalid)
}
