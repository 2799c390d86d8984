//! What runs on the hosts `dc`, `iis1` ... and `lb`, and how it starts (again).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use indexmap::IndexMap;
use stickler_auth::FileTime;
use stickler_lb_core::{Backend, Farm, Mechanism, Service, find, serve_l7};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::{Accounts, Site};
use stickler_model::trace::Promises;
use stickler_model::{Clock, Entropy, Env, Identity, Name, Topology, WorldError};
use stickler_net::Net;

use super::Envs;
use super::addresses;
use super::nat::NatAdapter;
use crate::engine::{Engine, HostId, Nat, NatMode, SimNet};

/// Connections that the packet-level balancer translates at a time.
const MOST_FLOWS: usize = 60_000;

/// The machines of a site, by name.
pub(super) struct Machines {
    by_name: IndexMap<Name, Machine>,
    dc: Arc<DomainController>,
    promises: Promises,
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
    Proxy {
        host: HostId,
        mechanism: &'static Mechanism,
        farm: Farm,
    },
    /// A packet-level balancer is part of the network: it has no host, and no process to end.
    Router,
}

impl Machines {
    /// Builds and starts the DC, the servers and the balancer of a topology.
    pub(super) fn start(engine: &mut Engine, topology: &Topology, envs: &Envs) -> Result<Self, WorldError> {
        let mechanism = find(&topology.balancer).map_err(invalid)?;
        let dc = Arc::new(DomainController::new(Directory::new(&topology.domain)));
        let mut machines = Self { by_name: IndexMap::new(), dc: Arc::clone(&dc), promises: mechanism.promises() };
        let host = add_host(engine, addresses::DC)?;
        machines.add(Name::from("dc"), addresses::DC, Process::Dc { host, controller: dc })?;
        let mut farm = Farm::default();
        for (index, spec) in topology.servers.iter().enumerate() {
            let address = addresses::server(index)?;
            farm.backends.push(Backend { name: spec.name.clone(), address });
            let secret: [u8; 32] = Entropy::new(envs.seed, &format!("machine account of {}", spec.name)).bytes();
            machines.dc.join(&spec.name, &secret);
            let accounts = Accounts::dc(addresses::DC, &secret);
            let site = Arc::new(Site::new(spec, &topology.domain, accounts));
            let host = add_host(engine, address)?;
            machines.add(spec.name.clone(), address, Process::Server { host, site })?;
        }
        let name = Name::from("lb");
        let balancer = balancer(engine, mechanism, farm, envs.of(&name))?;
        machines.add(name, addresses::FRONT_END, balancer)?;
        for (name, machine) in &machines.by_name {
            if let Some(host) = machine.process.host() {
                machine.boot(&engine.net(host), envs.of(name));
            }
        }
        Ok(machines)
    }

    /// What the balancer promises.
    pub(super) fn promises(&self) -> Promises {
        self.promises.clone()
    }

    /// Whether the directory would let this identity log on now.
    pub(super) fn would_accept(&self, identity: &Identity, clock: &dyn Clock) -> bool {
        self.dc.directory().would_accept(identity, FileTime(clock.filetime()))
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
        machine.process.host().ok_or_else(|| {
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
                let controller = Arc::clone(controller);
                on_listener(net, address, |net, listener| stickler_mock_dc::serve(net, listener, env, controller));
            }
            Process::Server { site, .. } => {
                let site = Arc::clone(site);
                on_listener(net, address, |net, listener| stickler_mock_iis::serve(net, listener, env, site));
            }
            Process::Proxy { mechanism, farm, .. } => {
                let farm = farm.clone();
                let Some(policy) = mechanism.l7(&farm) else { return };
                on_listener(net, address, |net, listener| {
                    serve_l7(net, listener, env, Service::new(farm, policy))
                });
            }
            Process::Router => {}
        }
    }
}

impl Process {
    fn host(&self) -> Option<HostId> {
        match self {
            Self::Dc { host, .. } | Self::Server { host, .. } | Self::Proxy { host, .. } => Some(*host),
            Self::Router => None,
        }
    }
}

/// Binds, and then serves.
fn on_listener<F>(
    net: &SimNet,
    address: SocketAddr,
    serve: impl FnOnce(SimNet, <SimNet as Net>::Listener) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let own = net.clone();
    net.spawn(async move {
        let listener = own.bind(address).await.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        serve(own, listener).await;
    });
}

fn balancer(engine: &mut Engine, mechanism: &'static Mechanism, farm: Farm, env: Env) -> Result<Process, WorldError> {
    let Some(policy) = mechanism.l4(&farm) else {
        return Ok(Process::Proxy { host: add_host(engine, addresses::FRONT_END)?, mechanism, farm });
    };
    let front_end = addresses::FRONT_END;
    let nat = Nat::new(front_end, NatMode::Source(front_end.ip()), MOST_FLOWS, NatAdapter { policy, farm, env });
    engine.add_router(&[front_end.ip()], Box::new(nat)).map_err(invalid)?;
    Ok(Process::Router)
}

fn add_host(engine: &mut Engine, address: SocketAddr) -> Result<HostId, WorldError> {
    engine.add_host(address.ip()).map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> WorldError {
    WorldError::Invalid(error.to_string())
}
