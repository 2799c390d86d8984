//! The world on real sockets: clients, servers and a DC in this process perform the actions of a plan, over a real
//! balancer or one of Stickler's own.
//!
//! * [`WireWorld`]: the [`World`] trait, action by action.
//! * `faults.rs`: the faults that can be injected.
//!
//! Time is real, and passes between actions too. If this world cannot perform an action, it returns
//! [`WorldError::Unsupported`], and the run is skipped. For example, this world does not wait for hours.

mod faults;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use stickler_mock_client::raw_answers;
use stickler_model::site::slow_page;
use stickler_model::topology::{LinkSpec, ServerSpec};
use stickler_model::trace::Promises;
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Clock, Event, Header, Journal, Name, Outcome, RawSpec, RequestId, Time, TokenId,
    Topology, Trace, What, World, WorldError,
};
use stickler_site::{BALANCER, Backends, Balancer, Clients, Hosts as _, NewClient, Settings, Site, SitePki};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::host::HostNet;
use crate::hosts::{Addresses, Fixed, WireHosts};
use crate::power_cut::PowerCut;
use crate::products::{Installed, ProductError, Running};
use crate::{Supervisor, Target, WallClock, addresses, settings};

/// The maximum time that a request is awaited. The client's own time limit is far below.
const AWAIT_LIMIT: Duration = Duration::from_mins(2);

/// The maximum time that one action lets pass, or that a page takes.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The maximum time to wait, when a world ends, until the last connections are closed.
const LAST_CLOSES: Duration = Duration::from_millis(50);

/// The number of times that a product is started if another process takes its port in the meantime.
const TRIES: usize = 3;

/// The time that a message takes between two hosts on this machine, which is at most the wake-up of a thread on a busy
/// machine.
const LINK: LinkSpec = LinkSpec { latency: Duration::from_millis(1), jitter: Duration::from_millis(4) };

/// The number of iterations of string-to-key in the domains. It is small, because the passwords of a mock need no
/// protection against guessing.
const ITERATIONS: u32 = 16;

/// The mechanism that serves as the path of a control: it passes bytes between two connections.
const CONTROL: &str = "l4-splice";

/// The reason why this world cannot wait for the health checks of an unknown balancer.
const UNKNOWN_CHECKS: &str =
    "nobody knows when the target's health checks notice something: say what it behaves as, by --balancer or --profile";

/// The balancer between the clients and the servers.
pub(crate) enum Middle {
    /// One of Stickler's balancers, in this process.
    Ours(Balancer),
    /// A product, which declares what its profile declares.
    Product(Installed, Balancer),
    /// A balancer that somebody else runs.
    Target(Arc<Target>, Balancer),
}

impl Middle {
    fn balancer(&self) -> &Balancer {
        let (Self::Ours(balancer) | Self::Product(_, balancer) | Self::Target(_, balancer)) = self;
        balancer
    }

    /// Returns the addresses and ports that are given, and the ports that stay open.
    fn fixed(&self) -> Fixed {
        let Self::Target(target, _) = self else { return Fixed::default() };
        Fixed {
            servers: target.servers().to_vec(),
            target: Some(target.address()),
            kept: Some(Arc::clone(target.ports())),
            ..Fixed::default()
        }
    }
}

/// A world on sockets of this machine. It owns its runtime.
pub struct WireWorld {
    // This is declared before the runtime: objects with sockets or processes are dropped first.
    clients: Clients<HostNet>,
    product: Option<Running>,
    /// Whether somebody else runs the balancer.
    is_target: bool,
    site: Site<usize>,
    hosts: WireHosts,
    /// The hosts that have lost power.
    without_power: BTreeMap<Name, PowerCut>,
    journal: Arc<Journal>,
    header: Header,
    clock: Arc<dyn Clock>,
    world: Name,
    /// The name by which clients refer to the site.
    host: String,
    /// The number of hosts of clients so far.
    seats: usize,
    /// The backends as the balancer of a control knows them; `None`: the balancer finds out by itself.
    backends: Option<Backends>,
    runtime: Runtime,
}

impl WireWorld {
    /// Builds the world, and starts its DC, servers and balancer; a product is supervised. Clients refer to the site as
    /// `host`.
    ///
    /// # Errors
    /// [`WorldError`]: the topology is not valid or has something that this world lacks, a product cannot be started,
    /// or a port is not available.
    pub(crate) fn new(
        mut topology: Topology,
        middle: &Middle,
        seed: u64,
        supervisor: &Supervisor,
        host: &str,
    ) -> Result<Self, WorldError> {
        let balancer = middle.balancer();
        name_services(&mut topology, host);
        refuse_unsupported(&topology, middle)?;
        if let Middle::Target(target, _) = middle {
            target.fit(&mut topology)?;
            target.prepare()?;
        }
        balancer.adapt(&mut topology);
        topology.link = LINK;
        topology.check().map_err(invalid)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(invalid)?;
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let journal = Journal::new(Arc::clone(&clock));
        let mut hosts = WireHosts {
            addresses: Addresses::of_loopback(Ipv4Addr::LOCALHOST.into()),
            fixed: middle.fixed(),
            seed,
            clock: Arc::clone(&clock),
            journal: Arc::clone(&journal),
            hosts: Vec::new(),
        };
        let entered = runtime.enter();
        let site = Site::start(&mut hosts, &topology, balancer.clone(), &own_settings(seed, host)).map_err(invalid)?;
        drop(entered);
        let product = match middle {
            Middle::Ours(_) | Middle::Target(..) => None,
            Middle::Product(installed, _) => Some(start(&runtime, &site, &hosts, installed, supervisor)?),
        };
        let balancer = match (middle, &product) {
            (Middle::Product(installed, _), Some(running)) => BalancerSpec::Product {
                name: installed.product.name().to_owned(),
                version: installed.version.clone(),
                configuration: running.configuration_text().map_err(invalid)?,
                like: Some(Box::new(balancer.spec().clone())),
            },
            _ => balancer.spec().clone(),
        };
        if let Middle::Target(target, _) = middle {
            runtime.block_on(target.settle(&topology, &journal))?;
        }
        let is_target = matches!(middle, Middle::Target(..));
        let header = Header { seed, balancer, topology, promises: site.promises() };
        let clients = Clients::new(site.front_end());
        let world = Name::from("world");
        let seats = 0;
        Ok(Self {
            clients,
            product,
            is_target,
            site,
            hosts,
            without_power: BTreeMap::new(),
            journal,
            header,
            clock,
            world,
            host: host.to_owned(),
            seats,
            backends: None,
            runtime,
        })
    }

    /// Builds the control: a world with an ideal L4 path in place of the balancer. The path knows every fault at once.
    ///
    /// # Errors
    /// This function returns the same errors as [`WireWorld::new`].
    pub(crate) fn control(topology: Topology, seed: u64, supervisor: &Supervisor) -> Result<Self, WorldError> {
        let backends = Backends::new(&topology);
        let path = Balancer::of(&BalancerSpec::named(CONTROL))?;
        let mut world = Self::new(topology, &Middle::Ours(path), seed, supervisor, addresses::HOST_HEADER)?;
        world.backends = Some(backends);
        world.inform_balancer();
        Ok(world)
    }

    /// Tells the balancer of a control which backends work.
    fn inform_balancer(&self) {
        for (name, up) in self.backends.iter().flat_map(Backends::in_use) {
            self.site.set_health(&name, up);
        }
    }

    fn act(&mut self, action: Action) -> Result<Outcome, WorldError> {
        match action {
            Action::AddClient(spec) => self.add_client(spec),
            Action::Start { id, request } => {
                refuse_long(slow_page(&request.path).unwrap_or_default())?;
                let _entered = self.runtime.enter();
                self.clients.start(id, &request, &self.site, &*self.clock).map(|()| Outcome::Done)
            }
            Action::Crowd(crowd) => {
                let _entered = self.runtime.enter();
                let seed = self.header.seed;
                self.clients.start_crowd(&crowd, seed, &self.site, &*self.clock).map(|()| Outcome::Done)
            }
            Action::Await(id) => self.wait_for(id),
            Action::Advance(time) => self.advance(time),
            // At this point every other wait is a time.
            Action::AwaitChecks(_) => Err(WorldError::Unsupported(UNKNOWN_CHECKS.to_owned())),
            Action::Disconnect(name) => {
                self.clients.client(&name)?.disconnect();
                self.settle();
                Ok(Outcome::Done)
            }
            Action::MakeToken { id, client } => self.make_token(id, &client),
            Action::SendRaw(spec) => self.send_raw(&spec),
            Action::SwitchUser(name, identity) => self.clients.switch_user(&name, identity).map(|()| Outcome::Done),
            Action::Drain(name) => self.drain(&name, true),
            Action::Undrain(name) => self.drain(&name, false),
            Action::Configure(spec) => self.configure(&spec),
            Action::Fault(fault) => self.fault(&fault),
        }
    }

    fn add_client(&mut self, spec: ClientSpec) -> Result<Outcome, WorldError> {
        self.clients.check(&spec, &self.site, &self.host)?;
        let net = if let Some(at) = &spec.at {
            self.clients.net(at)?.clone()
        } else {
            HostNet::from_address(Target::source(self.site.front_end(), self.seats)?)
        };
        self.seats += usize::from(spec.at.is_none());
        let own = spec.port.map_or_else(|| net.clone(), |port| net.with_port(port));
        let env = self.hosts.env(&spec.name);
        self.clients.add(NewClient { spec, env, net, own, host: self.host.clone() }, &self.site);
        Ok(Outcome::Done)
    }

    fn wait_for(&mut self, id: RequestId) -> Result<Outcome, WorldError> {
        let answer = self.clients.answer(id)?;
        match self.runtime.block_on(within_limit(answer)) {
            Ok(Ok(answer)) => Ok(Outcome::Answered(Box::new(answer))),
            Ok(Err(_)) => Err(WorldError::Invalid(format!("the client of {id} was ended before its request was"))),
            Err(_) => Err(WorldError::Invalid(format!("{id} is not over after {} s", AWAIT_LIMIT.as_secs()))),
        }
    }

    fn advance(&self, time: Duration) -> Result<Outcome, WorldError> {
        refuse_long(time)?;
        self.runtime.block_on(async { sleep(time).await });
        Ok(Outcome::Done)
    }

    /// Returns the action as this world performs it: a wait for health checks is no longer than necessary.
    fn hurried(&self, action: Action) -> Action {
        match action {
            Action::AwaitChecks(wait) if !self.header.promises.unknown => {
                Action::Advance(wait.hurried(&self.header.promises))
            }
            action => action,
        }
    }

    fn make_token(&mut self, id: TokenId, name: &Name) -> Result<Outcome, WorldError> {
        let token = {
            let _entered = self.runtime.enter();
            self.clients.make_token(id, name)?
        };
        let token = self.runtime.block_on(within_limit(token)).ok().and_then(Result::ok).flatten();
        self.clients.keep_token(id, token.clone());
        Ok(Outcome::Token(token))
    }

    fn send_raw(&mut self, spec: &RawSpec) -> Result<Outcome, WorldError> {
        let bytes = {
            let _entered = self.runtime.enter();
            self.clients.send_raw(spec)?
        };
        let bytes = self.runtime.block_on(within_limit(bytes)).ok().and_then(Result::ok).unwrap_or_default();
        for answer in raw_answers(&bytes) {
            self.journal.record(&spec.client, answer);
        }
        Ok(Outcome::Bytes(bytes))
    }

    fn drain(&mut self, name: &Name, on: bool) -> Result<Outcome, WorldError> {
        if self.is_target {
            return Err(not_ours("be told to drain a server"));
        }
        // This is an error if there is no such backend.
        self.site.drain(name, on)?;
        if let Some(product) = &self.product {
            product.drain(name.as_str(), on).map_err(|error| match error {
                ProductError::Refused { .. } => WorldError::Unsupported(error.to_string()),
                error => invalid(error),
            })?;
        }
        Ok(Outcome::Done)
    }

    /// Gives a server new settings, and restarts it if it is up.
    fn configure(&mut self, spec: &ServerSpec) -> Result<Outcome, WorldError> {
        self.site.configure(spec)?;
        let host = self.site.process(&spec.name)?;
        if self.hosts.is_up(host) {
            self.hosts.gates(host).host().open();
            self.restart_process(&spec.name, host);
        }
        Ok(Outcome::Done)
    }

    /// Waits until the effects of the last action have arrived, such as closes at the other end.
    fn settle(&self) {
        self.runtime.block_on(async { sleep(LAST_CLOSES).await });
    }
}

/// Refuses a time that is longer than this world waits.
fn refuse_long(time: Duration) -> Result<(), WorldError> {
    if time <= LONGEST_WAIT {
        return Ok(());
    }
    let (time, most) = (time.as_secs_f64(), LONGEST_WAIT.as_secs());
    let message = format!("on real sockets time is real: {time} s are not waited for, {most} s are the most");
    Err(WorldError::Unsupported(message))
}

/// Waits for a result of a client, for as long as a request may take. The timer must be created inside the runtime.
async fn within_limit<T>(receiver: oneshot::Receiver<T>) -> Result<Result<T, oneshot::error::RecvError>, Elapsed> {
    timeout(AWAIT_LIMIT, receiver).await
}

/// Starts a product at the front end of a site. Another process may take the port before the product does.
fn start(
    runtime: &Runtime,
    site: &Site<usize>,
    hosts: &WireHosts,
    installed: &Installed,
    supervisor: &Supervisor,
) -> Result<Running, WorldError> {
    // The site has opened the port, so no other process got it. From here on it belongs to the product.
    hosts.switch_off(site.process(&Name::from(BALANCER))?);
    let certificate = site.pki().map(SitePki::site_pem).transpose().map_err(invalid)?;
    let mut tries = 1;
    loop {
        let (servers, certificate) = (&site.farm().backends, certificate.as_deref());
        let running = Running::start(installed.clone(), site.front_end(), servers, certificate, supervisor);
        match runtime.block_on(running) {
            Ok(running) => return Ok(running),
            Err(ProductError::Ended { said, .. }) if tries < TRIES && said.contains("in use") => tries += 1,
            Err(error @ ProductError::Missing { .. }) => return Err(WorldError::Unsupported(error.to_string())),
            Err(error) => return Err(invalid(error)),
        }
    }
}

/// Returns the error for an action on a balancer that somebody else runs.
fn not_ours(what: &str) -> WorldError {
    WorldError::Unsupported(format!("the target cannot {what}: it is not Stickler that runs it"))
}

/// Refuses a topology for which a product or a target would need a configuration that it does not have.
fn refuse_unsupported(topology: &Topology, middle: &Middle) -> Result<(), WorldError> {
    let name = match middle {
        Middle::Ours(_) => return Ok(()),
        Middle::Product(installed, _) => installed.product.name(),
        Middle::Target(..) => "the target",
    };
    let lacking = match topology {
        Topology { tls: Some(_), .. } => match middle {
            Middle::Product(installed, _) if installed.has_certificate() => return Ok(()),
            _ => "TLS: it has no certificate of the site's authority",
        },
        Topology { front: Some(_), .. } => "a second balancer in front of it",
        _ => return Ok(()),
    };
    Err(WorldError::Unsupported(format!("on real sockets, {name} has not {lacking}")))
}

/// Gives the service with the site's usual name the name by which clients refer to the site as well, so that they get
/// tickets for it.
fn name_services(topology: &mut Topology, host: &str) {
    let usual = format!("HTTP/{}", addresses::HOST_HEADER);
    for service in topology.domain.services.iter_mut().filter(|service| service.spns.contains(&usual)) {
        let own = format!("HTTP/{host}");
        if !service.spns.contains(&own) {
            service.spns.push(own);
        }
    }
}

/// Returns the settings with which the site is assembled. The keys of TLS come from the operating system.
fn own_settings(seed: u64, host: &str) -> Settings {
    let names = vec![host.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    Settings {
        seed,
        names,
        iterations: Some(ITERATIONS),
        tls_random: settings::tls_random(),
        tls_keys: None,
        log: None,
    }
}

impl World for WireWorld {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        let mut action = self.hurried(action);
        if let Action::Configure(spec) = &mut action {
            self.site.adapt(spec);
        }
        action.check().map_err(invalid)?;
        self.journal.record(&self.world, What::Action(action.clone()));
        if let Some(backends) = &mut self.backends {
            let is_up = |name: &Name| self.site.process(name).is_ok_and(|host| self.hosts.is_up(host));
            backends.note(&action, is_up);
        }
        let outcome = self.act(action);
        self.inform_balancer();
        if outcome.is_err() {
            self.journal.retract_action();
        }
        if self.journal.is_full() {
            return Err(WorldError::Invalid("there are more events than a run may have: let less time pass".into()));
        }
        outcome
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn promises(&self) -> Promises {
        self.header.promises.clone()
    }

    fn visit(&self, see: &mut dyn FnMut(&Event)) {
        self.journal.visit(see);
    }

    fn finish(mut self: Box<Self>) -> Trace {
        for request in self.clients.unfinished() {
            self.journal.record(&self.world, What::RequestAbandoned { request });
        }
        self.clients.disconnect();
        self.settle();
        if let Some(product) = &mut self.product {
            self.runtime.block_on(product.crash());
        }
        Trace { header: self.header.clone(), events: self.journal.take() }
    }
}

fn invalid(error: impl std::fmt::Display) -> WorldError {
    WorldError::Invalid(error.to_string())
}
