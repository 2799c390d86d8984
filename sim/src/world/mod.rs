//! The simulated world: clients, a balancer, a farm of IIS servers and a DC on an [`Engine`].
//!
//! * [`SimWorld`]: the [`World`] trait, action by action.
//! * `hosts.rs`: the hosts on which `stickler-site` assembles DCs, servers and a balancer.
//! * `addresses.rs`: the addresses of hosts and clients.
//! * `nat.rs`: a packet-level balancer that asks an L4 policy.

mod addresses;
mod hosts;
mod nat;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_mock_client::{Client, raw_answers};
use stickler_model::action::CrowdSpec;
use stickler_model::bounds::MAX_RUN_TIME;
use stickler_model::topology::ServerSpec;
use stickler_model::trace::{MAX_EVENT_BYTES, MAX_EVENTS, Promises};
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Entropy, Env, Event, Fault, Header, Journal, Name, Outcome, RawSpec, RequestId,
    Time, TokenId, Topology, Trace, What, World, WorldError,
};
use stickler_site::{Backends, Balancer, Clients, NewClient, Site};

use crate::capture::Recorder;
use crate::engine::{Clock, Engine, HostId, Link, Settings, SimNet, Stopped};
use hosts::SimHosts;

/// The maximum time that a request is awaited. The client's own time limit is far below.
const AWAIT_LIMIT: Duration = Duration::from_hours(1);

/// The maximum amount of work in a run, in [turns](crate::engine::Stats) of the engine. A connection to which a request
/// is sent and answered takes about twenty.
const MOST_TURNS: u64 = 10_000_000;

/// The simulated time from which the work of a longer time is estimated.
const SAMPLE: Duration = Duration::from_mins(10);

/// The time that the network may take to carry the last closes when a world ends.
const LAST_PACKETS: Duration = Duration::from_secs(5);

/// The mechanism that serves as the path of a control: it passes bytes between two connections.
const CONTROL: &str = "l4-splice";

/// The calendar time at which every simulated world begins: 2026-01-01 00:00:00 UTC.
const EPOCH: u64 = 1_767_225_600;

/// A world in simulated time. There is one for each thread, to which it is bound.
pub struct SimWorld {
    // This is declared before the engine: objects with sockets are dropped before the network.
    clients: Clients<SimNet>,
    /// The number of hosts of clients so far; several clients can share one.
    seats: usize,
    /// The longest time that a request under way can take, including the pauses before it.
    longest: Duration,
    machines: Site<HostId>,
    engine: Engine,
    journal: Arc<Journal>,
    header: Header,
    clock: Arc<WorldClock>,
    world: Name,
    /// The backends as the balancer of a [control](Self::control) knows them; `None`: the balancer finds out by itself.
    backends: Option<Backends>,
    /// The recorder of packets, if they are captured.
    capture: Option<Recorder>,
}

impl SimWorld {
    /// Builds the world, and starts its DC, servers and balancer.
    ///
    /// # Errors
    /// [`WorldError`]: the balancer does not exist or is not available in the simulator, the topology is not valid
    /// ([`Topology::check`]), or it uses a name twice.
    pub fn new(topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Self, WorldError> {
        Self::with_balancer(topology, Balancer::of(balancer)?, seed)
    }

    /// Builds the world with a balancer of your own.
    ///
    /// # Errors
    /// [`WorldError`]: the topology is not valid ([`Topology::check`]), or it uses a name twice.
    pub fn with_balancer(topology: Topology, balancer: Balancer, seed: u64) -> Result<Self, WorldError> {
        Self::build(topology, balancer, seed, None)
    }

    /// Builds the same world as [`SimWorld::new`], and records what goes over its links.
    pub(crate) fn captured(
        topology: Topology,
        balancer: &BalancerSpec,
        seed: u64,
        capture: Recorder,
    ) -> Result<Self, WorldError> {
        Self::build(topology, Balancer::of(balancer)?, seed, Some(capture))
    }

    fn build(
        mut topology: Topology,
        balancer: Balancer,
        seed: u64,
        capture: Option<Recorder>,
    ) -> Result<Self, WorldError> {
        let spec = balancer.spec().clone();
        balancer.adapt(&mut topology);
        topology.check().map_err(invalid)?;
        let link = Link::new(topology.link.latency).with_jitter(topology.link.jitter);
        let settings =
            Settings { seed, link, slots: 64 + 8 * topology.servers.len(), turns: MOST_TURNS, ..Settings::default() };
        let mut engine = Engine::new(&settings).map_err(|error| WorldError::Invalid(error.to_string()))?;
        let clock = Arc::new(WorldClock(engine.clock()));
        let journal = Journal::new(Arc::clone(&clock) as Arc<dyn stickler_model::Clock>);
        let full = Arc::clone(&journal);
        engine.exhausted_when(move || full.is_full());
        if let Some(capture) = capture.clone() {
            capture.lock().begin(EPOCH);
            engine.set_packet_log(Some(Box::new(move |record| capture.lock().packet(record))));
        }
        let envs = Envs { clock: Arc::clone(&clock), journal: Arc::clone(&journal), seed };
        let mut hosts = SimHosts { engine: &mut engine, envs: &envs };
        let machines = Site::start(&mut hosts, &topology, balancer, &hosts::settings(seed, capture.as_ref()))?;
        let promises = machines.promises();
        let mut world = Self {
            clients: Clients::new(machines.front_end()),
            seats: 0,
            longest: AWAIT_LIMIT,
            machines,
            engine,
            journal,
            header: Header { seed, balancer: spec, topology, promises },
            clock,
            world: Name::from("world"),
            backends: None,
            capture,
        };
        // All hosts listen before the first client connects.
        world.run(|engine| engine.settle(LAST_PACKETS))?;
        Ok(world)
    }

    /// Builds the control: a world with an ideal L4 path in place of the balancer. A new connection goes, in turn, to one
    /// of the backends that work best at that moment, and stays there. The path knows every fault at once.
    ///
    /// # Errors
    /// [`WorldError`]: the topology has no server, or it uses a name twice.
    pub fn control(topology: Topology, seed: u64) -> Result<Self, WorldError> {
        let backends = Backends::new(&topology);
        let mut world = Self::new(topology, &BalancerSpec::named(CONTROL), seed)?;
        world.backends = Some(backends);
        world.inform_balancer();
        Ok(world)
    }

    /// Tells the balancer of a control which backends work.
    fn inform_balancer(&self) {
        for (name, up) in self.backends.iter().flat_map(Backends::in_use) {
            self.machines.set_health(&name, up);
        }
    }

    /// Returns the underlying engine, for measurements and captures.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Returns a client's user agent and its host's network, for load that no script plays: spawn tasks there that call
    /// [`Client::request`], and drive the [`engine`](Self::engine). Such requests are recorded like any other.
    pub fn client(&self, name: &Name) -> Option<(Client<SimNet>, SimNet)> {
        self.clients.client(name).ok().cloned().zip(self.clients.net(name).ok().cloned())
    }

    /// Takes the events that were recorded so far, which the trace at the end then lacks. Otherwise long runs of load
    /// would fill the memory with them.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.journal.take()
    }

    fn envs(&self) -> Envs {
        Envs { clock: Arc::clone(&self.clock), journal: Arc::clone(&self.journal), seed: self.header.seed }
    }

    fn act(&mut self, action: Action) -> Result<Outcome, WorldError> {
        match action {
            Action::AddClient(spec) => self.add_client(spec),
            Action::Start { id, request } => {
                self.clients.start(id, &request, &self.machines, &*self.clock).map(|()| Outcome::Done)
            }
            Action::Await(id) => self.wait_for(id),
            Action::Crowd(crowd) => self.start_crowd(&crowd),
            Action::Advance(time) => self.advance(time),
            Action::AwaitChecks(wait) => self.act(Action::Advance(wait.over(&self.header.promises))),
            Action::Disconnect(name) => {
                self.clients.client(&name)?.disconnect();
                // The close is in progress, and recorded, when the action ends.
                self.run(|engine| engine.advance(Duration::ZERO)).map(|()| Outcome::Done)
            }
            Action::MakeToken { id, client } => self.make_token(id, &client),
            Action::SendRaw(spec) => self.send_raw(&spec),
            Action::SwitchUser(name, identity) => self.clients.switch_user(&name, identity).map(|()| Outcome::Done),
            Action::Drain(name) => self.machines.drain(&name, true).map(|()| Outcome::Done),
            Action::Undrain(name) => self.machines.drain(&name, false).map(|()| Outcome::Done),
            Action::Configure(spec) => self.configure(&spec),
            Action::Fault(fault) => self.fault(&fault),
        }
    }

    fn add_client(&mut self, spec: ClientSpec) -> Result<Outcome, WorldError> {
        let host = addresses::HOST_HEADER;
        self.clients.check(&spec, &self.machines, host)?;
        spec.port.map_or(Ok(()), SimNet::check_port).map_err(invalid)?;
        let net = if let Some(at) = &spec.at {
            self.clients.net(at)?.clone()
        } else {
            let host = self.engine.add_host(addresses::client(self.seats)?).map_err(invalid)?;
            self.engine.net(host)
        };
        self.seats += usize::from(spec.at.is_none());
        let own = spec.port.map_or(Ok(net.clone()), |port| net.from_port(port)).map_err(invalid)?;
        let env = self.envs().of(&spec.name);
        self.clients.add(NewClient { spec, env, net, own, host: host.to_owned() }, &self.machines);
        Ok(Outcome::Done)
    }

    fn start_crowd(&mut self, crowd: &CrowdSpec) -> Result<Outcome, WorldError> {
        self.clients.start_crowd(crowd, self.header.seed, &self.machines, &*self.clock)?;
        // The longest drawn pause is twice the given one.
        let time = (AWAIT_LIMIT + crowd.think * 2).saturating_mul(crowd.requests);
        self.longest = self.longest.max(time);
        Ok(Outcome::Done)
    }

    fn advance(&mut self, time: Duration) -> Result<Outcome, WorldError> {
        if self.now().since_start().saturating_add(time) > MAX_RUN_TIME {
            let years = MAX_RUN_TIME.as_secs() / (366 * 24 * 60 * 60);
            return Err(WorldError::Invalid(format!("a run lasts {years} years at most: let less time pass")));
        }
        // Work that follows a request, such as closing idle connections, ends in the first sample. Continuous work shows in
        // the second one.
        let Some(rest) = time.checked_sub(SAMPLE * 6) else {
            return self.run(|engine| engine.advance(time)).map(|()| Outcome::Done);
        };
        self.run(|engine| engine.advance(SAMPLE))?;
        let before = self.engine.stats().turns;
        self.run(|engine| engine.advance(SAMPLE))?;
        let rest = rest + SAMPLE * 4;
        self.check_work(self.engine.stats().turns - before, rest)?;
        self.run(|engine| engine.advance(rest)).map(|()| Outcome::Done)
    }

    /// Refuses a time in which more work would be done than a run may do, at once instead of after minutes. `turns` is
    /// the work of one [`SAMPLE`] of it.
    fn check_work(&self, turns: u64, time: Duration) -> Result<(), WorldError> {
        let samples = time.as_secs() / SAMPLE.as_secs();
        let (most, all) = (self.engine.most_turns(), turns.saturating_mul(samples));
        if self.engine.stats().turns.saturating_add(all) <= most {
            return Ok(());
        }
        Err(WorldError::Invalid(format!(
            "{most} steps of the simulation are the most of a run, and the {} s that are left to pass take about {all}, as \
             the last {} s took {turns}: let less time pass, or have fewer health checks",
            time.as_secs(),
            SAMPLE.as_secs(),
        )))
    }

    fn wait_for(&mut self, id: RequestId) -> Result<Outcome, WorldError> {
        let (answer, longest) = (self.clients.answer(id)?, self.longest);
        match self.run(|engine| engine.run_until(answer, longest))? {
            Ok(answer) => Ok(Outcome::Answered(Box::new(answer))),
            Err(_) => Err(WorldError::Invalid(format!("the client of {id} was ended before its request was"))),
        }
    }

    fn make_token(&mut self, id: TokenId, name: &Name) -> Result<Outcome, WorldError> {
        let token = self.clients.make_token(id, name)?;
        let token = self.run(|engine| engine.run_until(token, AWAIT_LIMIT))?.ok().flatten();
        self.clients.keep_token(id, token.clone());
        Ok(Outcome::Token(token))
    }

    fn send_raw(&mut self, spec: &RawSpec) -> Result<Outcome, WorldError> {
        let bytes = self.clients.send_raw(spec)?;
        let bytes = self.run(|engine| engine.run_until(bytes, AWAIT_LIMIT))?.unwrap_or_default();
        for answer in raw_answers(&bytes) {
            self.journal.record(&spec.client, answer);
        }
        Ok(Outcome::Bytes(bytes))
    }

    /// Gives a server new settings, and restarts it if it is up.
    fn configure(&mut self, spec: &ServerSpec) -> Result<Outcome, WorldError> {
        self.machines.configure(spec)?;
        let host = self.machines.process(&spec.name)?;
        if self.engine.is_up(host) {
            // A process that hangs is ended as well.
            self.engine.thaw(host);
            self.run(|engine| engine.crash(host))?;
            self.start_process(&spec.name, host)?;
        }
        Ok(Outcome::Done)
    }

    /// Starts the process of a host that is down. Its port is open when the method returns.
    fn start_process(&mut self, name: &Name, host: HostId) -> Result<(), WorldError> {
        self.run(|engine| engine.restart(host))?;
        let envs = self.envs();
        self.machines.boot(&SimHosts { engine: &mut self.engine, envs: &envs }, name);
        self.run(|engine| engine.advance(Duration::ZERO))
    }

    fn fault(&mut self, fault: &Fault) -> Result<Outcome, WorldError> {
        match fault {
            Fault::Crash(name) => {
                let host = self.machines.process(name)?;
                self.run(|engine| engine.crash(host))?;
            }
            Fault::PowerLoss(name) => {
                let host = self.machines.process(name)?;
                self.run(|engine| engine.power_off(host))?;
            }
            Fault::Restart(name) => {
                let host = self.machines.process(name)?;
                self.start_process(name, host)?;
            }
            Fault::Hang(name) => {
                let host = self.machines.process(name)?;
                if !self.engine.is_up(host) {
                    return Err(WorldError::Invalid(format!("`{name}` is down: restart it before it can hang")));
                }
                self.engine.freeze(host);
            }
            Fault::Resume(name) => {
                let host = self.machines.process(name)?;
                self.engine.thaw(host);
            }
            Fault::Hold(a, b) => {
                let (a, b) = (self.address(a)?, self.address(b)?);
                self.engine.hold(a, b);
            }
            Fault::Release(a, b) => {
                let (a, b) = (self.address(a)?, self.address(b)?);
                self.engine.release(a, b);
            }
            Fault::Reset(a, b) => {
                let (a, b) = (self.address(a)?, self.address(b)?);
                self.engine.reset_between(a, b);
                // Both ends have the packet when the action ends.
                self.run(|engine| engine.advance(Duration::ZERO))?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Gives the capture the names of all hosts, and the keys of all accounts.
    fn end_capture(&self) {
        let Some(capture) = &self.capture else { return };
        let mut names: BTreeMap<IpAddr, Vec<Name>> = BTreeMap::new();
        for name in self.machines.names().chain(self.clients.names()) {
            if let Ok(ip) = self.address(name) {
                names.entry(ip).or_default().push(name.clone());
            }
        }
        capture.lock().end(names, self.machines.domains().keytab());
    }

    /// Returns the address of a host or client.
    fn address(&self, name: &Name) -> Result<IpAddr, WorldError> {
        if let Some(ip) = self.machines.address(name) {
            return Ok(ip);
        }
        self.clients.net(name).map(SimNet::ip).map_err(|_| {
            let known = self.machines.names().chain(self.clients.names()).map(Name::to_string).collect();
            WorldError::Unknown { kind: "host or client", name: name.to_string(), known }
        })
    }

    fn run<T>(&mut self, drive: impl FnOnce(&mut Engine) -> Result<T, Stopped>) -> Result<T, WorldError> {
        drive(&mut self.engine).map_err(|stopped| {
            let Stopped::Exhausted { at } = stopped else { return invalid(stopped) };
            let most = if self.journal.is_full() {
                format!("{MAX_EVENTS} events, or {} MiB of them, are the most", MAX_EVENT_BYTES >> 20)
            } else {
                format!("{} steps of the simulation are the most", self.engine.most_turns())
            };
            WorldError::Invalid(format!(
                "{most} of a run, and there are more after {at:?} of simulated time: let less time pass, have fewer health \
                 checks, or send less"
            ))
        })
    }
}

impl World for SimWorld {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        let mut action = action.over(&self.header.promises);
        if let Action::Configure(spec) = &mut action {
            self.machines.adapt(spec);
        }
        action.check().map_err(invalid)?;
        self.journal.record(&self.world, What::Action(action.clone()));
        let is_up = |name: &Name| self.machines.process(name).is_ok_and(|host| self.engine.is_up(host));
        if let Some(backends) = &mut self.backends {
            backends.note(&action, is_up);
        }
        let outcome = self.act(action);
        self.inform_balancer();
        if outcome.is_err() {
            self.journal.retract_action();
        }
        outcome
    }

    fn now(&self) -> Time {
        stickler_model::Clock::now(&*self.clock)
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
        // If a task panicked during the last closes, the trace is still complete without them.
        let _ = self.engine.settle(LAST_PACKETS);
        self.end_capture();
        Trace { header: self.header.clone(), events: self.journal.take() }
    }
}

/// The common parts of the [`Env`] of every host and client.
struct Envs {
    clock: Arc<WorldClock>,
    journal: Arc<Journal>,
    seed: u64,
}

impl Envs {
    fn of(&self, name: &Name) -> Env {
        Env {
            name: name.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn stickler_model::Clock>,
            entropy: Entropy::new(self.seed, name.as_str()),
            journal: Arc::clone(&self.journal),
        }
    }
}

/// The engine's time as the clock of the model.
struct WorldClock(Clock);

impl stickler_model::Clock for WorldClock {
    fn now(&self) -> Time {
        Time(self.0.nanos())
    }

    fn epoch(&self) -> u64 {
        EPOCH
    }
}

fn invalid(error: impl std::fmt::Display) -> WorldError {
    WorldError::Invalid(error.to_string())
}
