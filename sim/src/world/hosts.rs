//! The hosts of a simulated site.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stickler_lb_core::{FlowIdle, FlowIdleEnd};
use stickler_lb_proxy::SpliceConfig;
use stickler_model::{Entropy, Env, Name, WorldError};
use stickler_site::{Hosts, PacketMode, Role, Service, Settings};
use stickler_tls::KeySink;

use super::nat::NatAdapter;
use super::{Envs, addresses, invalid};
use crate::capture::Recorder;
use crate::engine::{Engine, HostId, IdleEnd, IdleLimit, Nat, NatMode, SimNet};

/// The number of connections that the packet-level balancer translates at a time.
const MOST_FLOWS: usize = 60_000;

/// The number of iterations of string-to-key in the simulated domains.
const ITERATIONS: u32 = 16;

/// Adds hosts to an engine, each at the address of its role.
pub(super) struct SimHosts<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) envs: &'a Envs,
}

/// Returns the settings with which a simulated site is assembled: all randomness comes from the seed.
pub(super) fn settings(seed: u64, capture: Option<&Recorder>) -> Settings {
    Settings {
        seed,
        names: vec![addresses::HOST_HEADER.to_owned()],
        iterations: Some(ITERATIONS),
        tls_random: Arc::new(move |who| {
            let entropy = Entropy::new(seed, &format!("TLS of {who}"));
            Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes))
        }),
        tls_keys: capture.cloned().map(|capture| Arc::new(move |line: &str| capture.lock().secret(line)) as KeySink),
        log: None,
    }
}

impl Hosts for SimHosts<'_> {
    type Net = SimNet;
    type Id = HostId;
    type Error = WorldError;

    fn env(&self, name: &Name) -> Env {
        self.envs.of(name)
    }

    fn add(&mut self, _: &Name, role: Role) -> Result<HostId, WorldError> {
        self.engine.add_host(addresses::of(role)?).map_err(invalid)
    }

    fn open(&mut self, host: &HostId, service: Service) -> Result<SocketAddr, WorldError> {
        Ok(SocketAddr::new(self.engine.net(*host).ip(), addresses::port(service)))
    }

    fn net(&self, host: &HostId) -> SimNet {
        self.engine.net(*host)
    }

    fn add_router(
        &mut self,
        role: Role,
        mode: PacketMode,
        service: SpliceConfig,
        env: Env,
    ) -> Result<Option<SocketAddr>, WorldError> {
        let address = SocketAddr::new(addresses::of(role)?, addresses::port(Service::Http));
        let idle = service.limits.idle.map(idle_limit);
        let adapter = NatAdapter::new(service, env, self.engine.kick());
        let nat = Nat::new(address, nat_mode(mode, address.ip()), MOST_FLOWS, adapter).with_idle(idle);
        self.engine.add_router(&[address.ip()], Box::new(nat)).map_err(invalid)?;
        Ok(Some(address))
    }
}

const fn idle_limit(FlowIdle { after, then }: FlowIdle) -> IdleLimit {
    let then = match then {
        FlowIdleEnd::Closed => IdleEnd::Reset,
        FlowIdleEnd::ResetOnNext => IdleEnd::Forgotten,
        FlowIdleEnd::Silent => IdleEnd::Silence,
    };
    IdleLimit { after, then }
}

const fn nat_mode(mode: PacketMode, router: IpAddr) -> NatMode {
    match mode {
        PacketMode::Source => NatMode::Source(router),
        PacketMode::Destination => NatMode::Destination,
        PacketMode::DirectReturn => NatMode::DirectReturn,
    }
}
