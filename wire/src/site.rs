//! A DC, a farm and a balancer on sockets of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stickler_agents::{Doorkeeper, Monitor};
use stickler_lb_core::health::{CheckError, CheckRule};
use stickler_lb_core::{
    Backend, Control, Farm, Gate, Mechanism, Plane, RuleError, UnknownBalancer, find, health, serve_l4, serve_l7,
};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::Accounts;
use stickler_mock_iis::site::LogSink;
use stickler_model::topology::{Acceptor, AppPool, DomainSpec, Identity, Provider, ServerSpec};
use stickler_model::{Clock, Entropy, Env, Event, Journal, Name, Topology};
use stickler_net::{Listener as _, Net as _, TokioListener, TokioNet};

use crate::host::Host;
use crate::{CheckCommand, CheckSink, Kdc, WallClock};

/// What health checks call the site.
const HOST: &str = "localhost";

/// Time that a check by command has beyond its limit, to kill the command and to tell of it.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// How the backends are checked, in place of the mechanism's own checks. `None`: as the mechanism has it.
    pub check: Option<CheckRule>,
    /// Checks the backends in place of the rule's probe ([`crate::command`]), as the topology's monitor where it has
    /// one. Times, counts, URI and the string to find are the rule's; where neither `check` nor the mechanism has one,
    /// [`CheckRule::TCP`] with its every 2 s, fall 3, rise 2. A path without `/` is looked for in `PATH`.
    pub check_command: Option<PathBuf>,
    /// Is told of each check by command that failed, with what the command said.
    pub check_failed: Option<CheckSink>,
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
    dc_host: Host,
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
    /// The checks cannot keep what they promise.
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// A site is to run as an account that there is not.
    #[error("`{name}` cannot run as `{account}`: the domain has no such account")]
    Account {
        /// The server.
        name: Name,
        /// The account.
        account: String,
    },
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
            options.topology.trust(header);
        }
        let checks = Checks::of(&mut options, &mechanism)?;
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let journal = Journal::handing_on(Arc::clone(&clock), options.events);
        let env = |name: &Name| Env {
            name: name.clone(),
            clock: Arc::clone(&clock),
            entropy: Entropy::new(options.seed, name.as_str()),
            journal: Arc::clone(&journal),
        };
        let controller = Arc::new(DomainController::new(Directory::new(&options.topology.domain)));
        let (name, dc_host) = (Name::from("dc"), Host::default());
        let (listener, dc) = listen(&name, SocketAddr::new(options.address, 0)).await?;
        dc_host.spawn(stickler_mock_dc::serve(dc_host.clone(), listener, env(&name), Arc::clone(&controller)));
        let address = SocketAddr::new(options.address, options.kdc_port);
        let kdc = Kdc::start(address, env(&name), Arc::clone(&controller)).await;
        let kdc = kdc.map_err(|error| StartError::Listen { name: name.clone(), address, error })?;

        let domain = Domain { spec: &options.topology.domain, controller: &controller, dc, seed: options.seed };
        let mut farm = Farm::default();
        for spec in &options.topology.servers {
            let mut site = domain.join(spec)?;
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
        let control = Control::new();
        let gate = match (mechanism.ends_authentication, options.topology.servers.first()) {
            (Some(header), Some(server)) => {
                let spec = ServerSpec { name: name.clone(), acceptor: Acceptor::Connection, ..server.clone() };
                let gate = Doorkeeper::gate(&TokioNet, env(&name), Arc::new(domain.join(&spec)?), header);
                Some(gate.expect("a mechanism's header has a field's name"))
            }
            _ => None,
        };
        balance(&mechanism, listener, env(&name), &farm, &control, gate)?;
        if let Some(checks) = checks {
            checks.start(env(&name), farm, control);
        }
        Ok(Self { front_end, servers, dc, dc_host, kdc })
    }

    /// Ends the DC for good: its service and its connections. The servers are left to find out.
    pub fn stop_dc(&self) {
        self.dc_host.switch_off();
    }
}

/// The domain that machines are joined to.
struct Domain<'a> {
    spec: &'a DomainSpec,
    controller: &'a DomainController,
    /// Its logon service.
    dc: SocketAddr,
    seed: u64,
}

impl Domain<'_> {
    /// A machine with an account of its own, and with the keys of whoever its site runs as where it takes tickets.
    fn join(&self, spec: &ServerSpec) -> Result<stickler_mock_iis::Site, StartError> {
        let accounts = Accounts::dc(self.dc, &self.controller.enroll(&spec.name, self.seed));
        let mut site = stickler_mock_iis::Site::new(spec, self.spec, accounts);
        for trust in &self.spec.trusts {
            site = site.with_domain(&trust.dns, &trust.netbios);
        }
        if spec.providers.iter().all(|provider| *provider == Provider::Ntlm) {
            return Ok(site);
        }
        let account = match site.ticket_account() {
            AppPool::Machine => format!("{}$", spec.name),
            AppPool::Service(account) => account.clone(),
        };
        match self.controller.directory().service_keys(&account) {
            Some(keys) => Ok(site.with_kerberos(keys)),
            None => Err(StartError::Account { name: spec.name.clone(), account }),
        }
    }
}

/// Starts the balancer.
fn balance(
    mechanism: &Mechanism,
    listener: TokioListener,
    env: Env,
    farm: &Farm,
    control: &Control,
    gate: Option<Arc<dyn Gate>>,
) -> Result<(), RuleError> {
    match mechanism.plane(farm.clone(), env.entropy.clone(), control.clone())? {
        Plane::L7(mut service) => {
            service.gate = gate;
            TokioNet.spawn(serve_l7(TokioNet, listener, env, service))
        }
        Plane::L4(service) => TokioNet.spawn(serve_l4(TokioNet, listener, env, service)),
    };
    Ok(())
}

/// What checks the backends.
struct Checks {
    rule: CheckRule,
    command: Option<CheckCommand>,
    user: Option<Identity>,
}

impl Checks {
    /// As the options have it, or else the mechanism; `None`: nobody checks.
    fn of(options: &mut Options, mechanism: &Mechanism) -> Result<Option<Self>, CheckError> {
        let (command, user) = (options.check_command.take(), options.topology.monitor.clone());
        let own = options.check.or(mechanism.checks);
        let Some(rule) = own.or_else(|| command.as_ref().map(|_| CheckRule::TCP)) else { return Ok(None) };
        rule.check()?;
        let failed = options.check_failed.take();
        let command = command.map(|program| CheckCommand::new(program, &rule, user.as_ref(), failed));
        Ok(Some(Self { rule, command, user }))
    }

    fn start(self, env: Env, farm: Farm, control: Control) {
        let Self { rule, command, user } = self;
        if let Some(command) = command {
            // It has the rule's time limit itself, and tells what it heard by then; the other limit is for the rest.
            let patient = CheckRule { timeout: rule.timeout + PATIENCE, ..rule };
            TokioNet.spawn(health::run_with(TokioNet, env, farm, patient, Arc::new(command), control));
        } else {
            let agent = user.map(|user| Monitor::agent(TokioNet, env.clone(), HOST, user, None));
            TokioNet.spawn(health::run(TokioNet, env, farm, rule, agent, control));
        }
    }
}

impl Options {
    /// On loopback, on ports that are free, without a log.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            seed: 0,
            check: None,
            check_command: None,
            check_failed: None,
            kdc_port: 0,
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
