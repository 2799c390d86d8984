//! A DC, a farm and a balancer on sockets of this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stickler_lb_core::health::CheckRule;
use stickler_mock_iis::site::LogSink;
use stickler_model::{Clock, Event, Journal, Name, Topology, WorldError};
use stickler_site::{Balancer, SitePki};
use stickler_tls::Authority;

use crate::checks::checked;
use crate::error::refuse_unsupported;
use crate::hosts::{Addresses, Fixed, WireHosts};
use crate::settings::settings;
use crate::{CheckSink, Kdc, StartError, Supervisor, WallClock};

/// What to start, and where.
pub struct Options {
    /// The domain, the servers and TLS. Links are as real as they are. More than one DC, domain or balancer is refused.
    pub topology: Topology,
    /// The balancer. A packet-level one becomes a splice.
    pub balancer: Balancer,
    /// Where clients connect: the balancer's address. The default of the command is loopback; anything else is the
    /// user's word.
    pub address: IpAddr,
    /// Where the DC listens, its KDC too; `None`: on loopback.
    pub controller_address: Option<IpAddr>,
    /// The balancer's port; 0 picks a free one.
    pub port: u16,
    /// Where the first servers listen, in order: the user's word. Others listen on loopback, on ports that are free.
    pub servers: Vec<SocketAddr>,
    /// The port of the DC's logon service; 0 picks a free one.
    pub dc_port: u16,
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
    /// Supervises the commands, so that they end with this process, however it ends. `None`: they end with the site, unless
    /// this process is killed.
    pub supervisor: Option<Supervisor>,
    /// Is told of each check by command that failed, with what the command said.
    pub check_failed: Option<CheckSink>,
    /// Gets each line of the servers' logs.
    pub log: Option<LogSink>,
    /// Gets each event; nothing is kept.
    pub events: Box<dyn Fn(Event) + Send + Sync>,
}

/// A running site. It ends with the tokio runtime that it was started on. A clone is another handle on the same.
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
    /// Where there is TLS; clients have it then.
    pub tls: Option<SiteTls>,
    running: Arc<Running>,
}

/// The site, and the hosts that it runs on.
struct Running {
    site: stickler_site::Site<usize>,
    hosts: Mutex<WireHosts>,
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
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(mut options: Options) -> Result<Self, StartError> {
        let servers = options.servers.iter().map(SocketAddr::ip);
        refuse_unsupported(&options.topology, servers.chain([options.address]))?;
        let balancer = options.balancer.clone();
        let balancer = checked(&mut options, balancer)?;
        balancer.adapt(&mut options.topology);
        let settings = settings(&options);
        let Options { topology, address, controller_address, port, servers, dc_port, kdc_port, seed, events, .. } =
            options;
        let loopback = if address.is_loopback() { address } else { Ipv4Addr::LOCALHOST.into() };
        let addresses = Addresses { front_end: address, controllers: controller_address.unwrap_or(loopback), loopback };
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let journal = Journal::handing_on(Arc::clone(&clock), events);
        let fixed = Fixed { port, dc_port, kdc_port, servers, ..Fixed::default() };
        let mut hosts = WireHosts { addresses, fixed, seed, clock, journal, hosts: Vec::new() };
        let site = stickler_site::Site::start(&mut hosts, &topology, balancer, &settings)?;
        let (domains, farm) = (site.domains(), site.farm());
        Ok(Self {
            front_end: site.front_end(),
            servers: farm.backends.iter().map(|backend| (backend.name.clone(), backend.address)).collect(),
            dc: domains.pdc_address().logons,
            kdc: Kdc::of(domains.pdc_address().tickets, Arc::clone(domains.pdc())),
            tls: site.pki().map(SiteTls::of),
            running: Arc::new(Running { site, hosts: Mutex::new(hosts) }),
        })
    }

    /// Ends the process of a machine (`dc`, `lb`, or a server's name): its services and its connections. The others are
    /// left to find out.
    ///
    /// # Errors
    /// There is no such machine.
    pub fn stop(&self, name: &Name) -> Result<(), WorldError> {
        let host = self.running.site.process(name)?;
        self.running.hosts().switch_off(host);
        Ok(())
    }

    /// Starts the process of a machine again, at the same addresses; one that still runs is ended first. Its ports are
    /// open shortly afterwards.
    ///
    /// # Errors
    /// There is no such machine.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn restart(&self, name: &Name) -> Result<(), WorldError> {
        let host = self.running.site.process(name)?;
        let mut hosts = self.running.hosts();
        hosts.restart(host);
        self.running.site.boot(&*hosts, name);
        Ok(())
    }
}

impl Running {
    /// A panic elsewhere leaves the hosts whole.
    fn hosts(&self) -> MutexGuard<'_, WireHosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl SiteTls {
    fn of(pki: &SitePki) -> Self {
        Self { authority: pki.authority().clone(), servers: pki.secures_servers() }
    }
}

impl Options {
    /// On loopback, on ports that are free, without a log.
    pub fn new(topology: Topology, balancer: Balancer) -> Self {
        Self {
            topology,
            balancer,
            address: Ipv4Addr::LOCALHOST.into(),
            controller_address: None,
            port: 0,
            servers: Vec::new(),
            dc_port: 0,
            seed: 0,
            check: None,
            check_command: None,
            supervisor: None,
            check_failed: None,
            kdc_port: 0,
            log: None,
            events: Box::new(drop),
        }
    }
}
