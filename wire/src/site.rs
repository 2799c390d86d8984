//! A DC, a farm and a balancer on sockets of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use stickler_agents::DataPlane;
use stickler_agents::{Doorkeeper, Security};
use stickler_catalogue::{Mechanism, find};
use stickler_lb_core::health::CheckRule;
use stickler_lb_core::{Backend, Control, Farm, Layer};
use stickler_lb_proxy::{Gate, serve_l4, serve_l7};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::Accounts;
use stickler_mock_iis::site::LogSink;
use stickler_model::topology::{Acceptor, DomainSpec, ServerSpec};
use stickler_model::{Clock, Entropy, Env, Event, Journal, Name, Topology};
use stickler_net::{Listener as _, Net as _, TokioListener, TokioNet};
use stickler_tls::{Authority, ServerTls};

use crate::checks::Checks;
use crate::error::refuse_unsupported;
use crate::host::Host;
use crate::security::security;
use crate::{CheckSink, Kdc, StartError, WallClock};

/// What to start, and where.
pub struct Options {
    /// The domain, the servers, the balancer's name and TLS. Links are as real as they are. More than one DC, domain or
    /// balancer is refused.
    pub topology: Topology,
    /// Where everything listens. The default of the command is loopback; anything else is the user's word.
    pub address: IpAddr,
    /// The balancer's port; 0 picks a free one.
    pub port: u16,
    /// The KDC's port, for TCP and UDP; 0 picks a free one.
    pub kdc_port: u16,
    /// Seeds challenges and secrets, but nothing of TLS: its keys are the operating system's.
    pub seed: u64,
    /// How the backends are checked, in place of the mechanism's own checks. `None`: as the mechanism has it.
    pub check: Option<CheckRule>,
    /// Checks the backends in place of the rule's probe ([`crate::command`]), as the topology's monitor where it has
    /// one. Times, counts, URI and the string to find are the rule's; where neither `check` nor the mechanism has one,
    /// [`CheckRule::TCP`] with its every 2 s, fall 3, rise 2. A path without `/` is looked for in `PATH`. Whether servers
    /// have TLS it has to know itself.
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
    /// Where there is TLS; clients have it then.
    pub tls: Option<SiteTls>,
}

/// What whoever talks to a site with TLS has to know.
#[derive(Debug, Clone)]
pub struct SiteTls {
    /// Who issued the certificates; its own is what clients have to trust ([`Authority::pem`]). All are for `localhost`,
    /// `127.0.0.1`, where the site listens, and `www.` with the domain's DNS name; the servers' own are for the server's
    /// name too.
    pub authority: Authority,
    /// Whether the servers speak it too: not where it ends at the balancer, and goes on plain.
    pub servers: bool,
}

impl Site {
    /// Starts everything on the current tokio runtime; all ports are open when it returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        refuse_unsupported(&options.topology, options.address)?;
        let mechanism = find(&options.topology.balancer)?;
        if let Some(header) = mechanism.ends_authentication {
            options.topology.trust(header);
        }
        let checks = Checks::of(&mut options, &mechanism)?;
        let security = security(&options.topology, mechanism.layer == Layer::L7, options.address)?;
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

        let (spec, security) = (&options.topology.domain, security.as_ref());
        let domain = Domain { spec, controller: &controller, dc, seed: options.seed, security };
        let mut farm = Farm::default();
        for spec in &options.topology.servers {
            let mut site = domain.server(spec)?;
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
        domain.balance(&mechanism, listener, env(&name), (&farm, &control), options.topology.servers.first())?;
        if let Some(checks) = checks {
            let tls = security.and_then(|security| security.towards_servers(&name));
            checks.start(env(&name), farm, control, tls);
        }
        let tls = security.map(SiteTls::of);
        Ok(Self { front_end, servers, dc, dc_host, kdc, tls })
    }

    /// Ends the DC for good: its service and its connections. The servers are left to find out.
    pub fn stop_dc(&self) {
        self.dc_host.switch_off();
    }
}

impl SiteTls {
    fn of(security: &Security) -> Self {
        Self { authority: security.authority().clone(), servers: security.secures_servers() }
    }
}

/// The domain that machines are joined to.
struct Domain<'a> {
    spec: &'a DomainSpec,
    controller: &'a DomainController,
    /// Its logon service.
    dc: SocketAddr,
    seed: u64,
    /// Its certificates, where there are any.
    security: Option<&'a Security>,
}

impl Domain<'_> {
    /// A server, with its certificate where it speaks TLS.
    fn server(&self, spec: &ServerSpec) -> Result<stickler_mock_iis::Site, StartError> {
        let site = self.join(spec)?;
        let Some(security) = self.security else { return Ok(site) };
        Ok(match security.server(&spec.name).map_err(StartError::Certificate)? {
            Some(tls) => site.with_tls(tls),
            None => site,
        })
    }

    /// A machine with an account of its own, and with the keys of whoever its site runs as where it takes tickets.
    fn join(&self, spec: &ServerSpec) -> Result<stickler_mock_iis::Site, StartError> {
        let accounts = Accounts::dc(self.dc, &self.controller.enroll(&spec.name, self.seed));
        let site = stickler_mock_iis::Site::new(spec, self.spec, accounts);
        if !spec.takes_tickets() {
            return Ok(site);
        }
        let account = spec.ticket_account();
        match self.controller.directory().service_keys(&account) {
            Some(keys) => Ok(site.with_kerberos(keys)),
            None => Err(StartError::Account { name: spec.name.clone(), account }),
        }
    }

    /// Starts the balancer. Where it ends authentication, it does so as the `first` server would.
    fn balance(
        &self,
        mechanism: &Mechanism,
        listener: TokioListener,
        env: Env,
        (farm, control): (&Farm, &Control),
        first: Option<&ServerSpec>,
    ) -> Result<(), StartError> {
        match DataPlane::new(mechanism, farm.clone(), env.entropy.clone(), control.clone())? {
            DataPlane::L7(mut service) => {
                service.tls = self.security.and_then(|security| security.front_end(&env.name));
                service.upstream_tls = self.security.and_then(|security| security.towards_servers(&env.name));
                if let (Some(header), Some(server)) = (mechanism.ends_authentication, first) {
                    let shown = service.tls.as_ref().map(ServerTls::certificate);
                    service.gate = Some(self.gate(server, &env, header, shown)?);
                }
                TokioNet.spawn(serve_l7(TokioNet, listener, env, service))
            }
            DataPlane::L4(service) => TokioNet.spawn(serve_l4(TokioNet, listener, env, service)),
        };
        Ok(())
    }

    /// Authenticates for a balancer that names users in `header`, and shows this certificate.
    fn gate(
        &self,
        server: &ServerSpec,
        env: &Env,
        header: &'static str,
        shown: Option<&[u8]>,
    ) -> Result<Arc<dyn Gate>, StartError> {
        let spec = ServerSpec { name: env.name.clone(), acceptor: Acceptor::Connection, ..server.clone() };
        let mut site = self.join(&spec)?;
        if let Some(certificate) = shown {
            site = site.with_certificate(certificate);
        }
        let gate = Doorkeeper::gate(&TokioNet, env.clone(), Arc::new(site), header);
        Ok(gate.expect("a mechanism's header has a field's name"))
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
