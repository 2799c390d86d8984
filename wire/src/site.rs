//! A DC, a farm and a balancer on sockets of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use stickler_agents::{Doorkeeper, Monitor};
use stickler_lb_core::{Backend, Control, Farm, Plane, RuleError, UnknownBalancer, find, health, serve_l4, serve_l7};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::Accounts;
use stickler_mock_iis::site::LogSink;
use stickler_model::topology::{Acceptor, ServerSpec};
use stickler_model::{Clock, Entropy, Env, Event, Journal, Name, Topology};
use stickler_net::{Listener as _, Net as _, TokioListener, TokioNet};

use crate::{Kdc, WallClock};

/// What health checks call the site.
const HOST: &str = "localhost";

/// What to start, and where.
pub struct Options {
    /// The domain, the servers and the balancer's name. Links are as real as they are.
    pub topology: Topology,
    /// Where everything listens. The default of the command is loopback; anything else is the user's word.
    pub address: IpAddr,
    /// The balancer's port; 0 picks a free one.
    pub port: u16,
    /// The KDC's port, for TCP and UDP; 0 picks a free one.
    pub kdc_port: u16,
    /// Seeds challenges and secrets.
    pub seed: u64,
    /// Gets each line of the servers' logs.
    pub log: Option<LogSink>,
    /// Gets each event; nothing is kept.
    pub events: Box<dyn Fn(Event) + Send + Sync>,
}

/// A running site. It ends with the tokio runtime that it was started on.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where clients connect.
    pub front_end: SocketAddr,
    /// The servers, for requests past the balancer.
    pub servers: Vec<(Name, SocketAddr)>,
    /// The DC's logon service.
    pub dc: SocketAddr,
    /// The DC's Kerberos service.
    pub kdc: Kdc,
}

/// Why a site could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No such balancer.
    #[error(transparent)]
    Balancer(#[from] UnknownBalancer),
    /// The balancer's rules do not fit this farm.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// A port could not be had.
    #[error("cannot listen on {address} for `{name}`: {error}")]
    Listen {
        /// Which part of the site.
        name: Name,
        /// Where.
        address: SocketAddr,
        /// The operating system's word.
        error: io::Error,
    },
}

impl Site {
    /// Starts everything on the current tokio runtime; all ports are open when it returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let mechanism = find(&options.topology.balancer)?;
        if let Some(header) = mechanism.ends_authentication {
            for server in &mut options.topology.servers {
                server.acceptor = Acceptor::TrustedHeader(header.into());
            }
        }
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let journal = Journal::handing_on(Arc::clone(&clock), options.events);
        let env = |name: &Name| Env {
            name: name.clone(),
            clock: Arc::clone(&clock),
            entropy: Entropy::new(options.seed, name.as_str()),
            journal: Arc::clone(&journal),
        };
        let controller = Arc::new(DomainController::new(Directory::new(&options.topology.domain)));
        let name = Name::from("dc");
        let (listener, dc) = listen(&name, SocketAddr::new(options.address, 0)).await?;
        TokioNet.spawn(stickler_mock_dc::serve(TokioNet, listener, env(&name), Arc::clone(&controller)));
        let address = SocketAddr::new(options.address, options.kdc_port);
        let kdc = Kdc::start(address, env(&name), Arc::clone(&controller)).await;
        let kdc = kdc.map_err(|error| StartError::Listen { name: name.clone(), address, error })?;

        let join = |name: &Name| {
            let secret: [u8; 32] = Entropy::new(options.seed, &format!("machine account of {name}")).bytes();
            controller.join(name, &secret);
            Accounts::dc(dc, &secret)
        };
        let mut farm = Farm::default();
        for spec in &options.topology.servers {
            let mut site = stickler_mock_iis::Site::new(spec, &options.topology.domain, join(&spec.name));
            if let Some(sink) = &options.log {
                site = site.with_log(Arc::clone(sink));
            }
            let (listener, address) = listen(&spec.name, SocketAddr::new(options.address, 0)).await?;
            TokioNet.spawn(stickler_mock_iis::serve(TokioNet, listener, env(&spec.name), Arc::new(site)));
            farm.backends.push(Backend { name: spec.name.clone(), address });
        }

        let name = Name::from("lb");
        let (listener, front_end) = listen(&name, SocketAddr::new(options.address, options.port)).await?;
        let servers = farm.backends.iter().map(|backend| (backend.name.clone(), backend.address)).collect();
        let (env, control) = (env(&name), Control::new());
        match mechanism.plane(farm.clone(), env.entropy.clone(), control.clone())? {
            Plane::L7(mut service) => {
                if let (Some(header), Some(server)) = (mechanism.ends_authentication, options.topology.servers.first())
                {
                    let spec = ServerSpec { name: name.clone(), acceptor: Acceptor::Connection, ..server.clone() };
                    let site = stickler_mock_iis::Site::new(&spec, &options.topology.domain, join(&name));
                    let gate = Doorkeeper::new(&TokioNet, env.clone(), Arc::new(site), header);
                    service.gate = Some(gate.expect("a mechanism's header has a field's name"));
                }
                TokioNet.spawn(serve_l7(TokioNet, listener, env.clone(), service))
            }
            Plane::L4(service) => TokioNet.spawn(serve_l4(TokioNet, listener, env.clone(), service)),
        };
        if let Some(rule) = mechanism.checks {
            let monitor = options.topology.monitor.clone();
            let agent = monitor.map(|monitor| Monitor::new(TokioNet, env.clone(), HOST, monitor));
            TokioNet.spawn(health::run(TokioNet, env, farm, rule, agent, control));
        }
        Ok(Self { front_end, servers, dc, kdc })
    }
}

impl Options {
    /// On loopback, on ports that are free, without a log.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            kdc_port: 0,
            seed: 0,
            log: None,
            events: Box::new(drop),
        }
    }
}

async fn listen(name: &Name, address: SocketAddr) -> Result<(TokioListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { name: name.clone(), address, error };
    let listener = TokioNet.bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(|error| StartError::Listen { name: name.clone(), address, error })?;
    Ok((listener, address))
}
