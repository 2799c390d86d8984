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

/// The options of a site: what to start, and where.
pub struct Options {
    /// The domain, the servers and TLS. The topology's links have no effect. More than one DC, domain or balancer is
    /// refused.
    pub topology: Topology,
    /// The balancer. A packet-level balancer becomes a splice.
    pub balancer: Balancer,
    /// The balancer's address, to which clients connect. The command's default is loopback; any other address is the
    /// user's decision.
    pub address: IpAddr,
    /// The address on which the DC and its KDC listen; `None`: loopback.
    pub controller_address: Option<IpAddr>,
    /// The balancer's port; 0 selects a free one.
    pub port: u16,
    /// The addresses on which the first servers listen, in order, as decided by the user. Other servers listen on free
    /// ports of loopback.
    pub servers: Vec<SocketAddr>,
    /// The port of the DC's logon service; 0 selects a free one.
    pub dc_port: u16,
    /// The KDC's port, for TCP and UDP; 0 selects a free one.
    pub kdc_port: u16,
    /// The seed of challenges and secrets. The keys of TLS do not depend on it; they come from the operating system.
    pub seed: u64,
    /// The rule for checking the backends, instead of the mechanism's own checks. `None`: the mechanism's checks.
    pub check: Option<CheckRule>,
    /// The command that checks the backends instead of the rule's probe ([`crate::command`]), with the topology's
    /// monitor as the user if there is one. Times, counts, URI and the string to find come from the rule; if neither
    /// `check` nor the mechanism has one, from [`CheckRule::TCP`] (every 2 s, fall 3, rise 2). A path without `/` is
    /// searched in `PATH`. The command itself must know whether servers use TLS.
    pub check_command: Option<PathBuf>,
    /// The supervisor of the commands, which makes them end with this process, however it ends. `None`: they end with
    /// the site, unless this process is killed.
    pub supervisor: Option<Supervisor>,
    /// The function that is called for each check by command that failed, with the command's output.
    pub check_failed: Option<CheckSink>,
    /// The function that receives each line of the servers' logs.
    pub log: Option<LogSink>,
    /// The function that receives each event; events are not kept.
    pub events: Box<dyn Fn(Event) + Send + Sync>,
}

/// A running site. It ends with the tokio runtime on which it was started. A clone is another handle on the same site.
#[derive(Debug, Clone)]
pub struct Site {
    /// The address to which clients connect.
    pub front_end: SocketAddr,
    /// The servers, for requests that bypass the balancer.
    pub servers: Vec<(Name, SocketAddr)>,
    /// The address of the DC's logon service.
    pub dc: SocketAddr,
    /// The DC's Kerberos service.
    pub kdc: Kdc,
    /// The TLS settings of the site, if it uses TLS. Clients then use TLS as well.
    pub tls: Option<SiteTls>,
    running: Arc<Running>,
}

/// The site, and the hosts on which it runs.
struct Running {
    site: stickler_site::Site<usize>,
    hosts: Mutex<WireHosts>,
}

/// What a client of a site with TLS needs to know.
#[derive(Debug, Clone)]
pub struct SiteTls {
    /// The authority that issued the certificates. Clients must trust its own certificate ([`Authority::pem`]). All
    /// certificates are for `localhost`, `127.0.0.1`, the address on which the site listens, and `www.` with the
    /// domain's DNS name; those of the servers are also for the server's name.
    pub authority: Authority,
    /// Whether the servers use TLS too. They do not if TLS ends at the balancer, which then speaks plain HTTP to them.
    pub servers: bool,
}

impl Site {
    /// Starts everything on the current tokio runtime. All ports are open when the function returns.
    ///
    /// # Errors
    /// [`StartError`] says why the site cannot start.
    ///
    /// # Panics
    /// The call is made outside of a tokio runtime.
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

    /// Ends the process of a machine (`dc`, `lb`, or a server's name): its services and its connections. The other
    /// machines are not told.
    ///
    /// # Errors
    /// There is no such machine.
    pub fn stop(&self, name: &Name) -> Result<(), WorldError> {
        let host = self.running.site.process(name)?;
        self.running.hosts().switch_off(host);
        Ok(())
    }

    /// Starts the process of a machine again, at the same addresses. If it is still running, it is ended first. Its
    /// ports are open shortly afterwards.
    ///
    /// # Errors
    /// There is no such machine.
    ///
    /// # Panics
    /// The call is made outside of a tokio runtime.
    pub fn restart(&self, name: &Name) -> Result<(), WorldError> {
        let host = self.running.site.process(name)?;
        let mut hosts = self.running.hosts();
        hosts.restart(host);
        self.running.site.boot(&*hosts, name);
        Ok(())
    }
}

impl Running {
    /// Locks the hosts. A panic elsewhere leaves them complete.
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
    /// Returns options for a site on loopback, on free ports, without a log.
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
