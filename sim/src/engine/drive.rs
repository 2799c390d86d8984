//! The engine: the loop that moves virtual time, and its owner's handle on hosts, links and faults.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use super::clock::Clock;
use super::hosts::HostId;
use super::net::SimNet;
use super::network::Network;
use super::packet::PacketLog;
use super::park::Park;
use super::router::PacketRouter;
use super::settings::{EngineError, Link, Settings, Stopped};
use super::shared::Shared;

/// The granularity of tokio's timers in nanoseconds: they fire on whole milliseconds only.
const TIMER_TICK: u64 = 1_000_000;

/// The maximum duration of a run, which is the maximum time that an action lets pass. It is well within the limit of
/// tokio's timer wheel (2^36 ms).
const LONGEST_RUN: Duration = Duration::from_hours(366 * 24);

thread_local! {
    static OCCUPIED: Cell<bool> = const { Cell::new(false) };
}

/// A simulated network and the runtime of all its tasks, in virtual time that starts at zero.
///
/// There is one engine per thread, and it is bound to its thread. Time passes only inside
/// [`run_until`](Self::run_until), [`run_until_true`](Self::run_until_true), [`advance`](Self::advance) and
/// [`settle`](Self::settle). A task must call neither these methods nor one that injects a fault: they block in the
/// runtime that runs the task, which panics.
pub struct Engine {
    /// The runtime; `None` only while dropping. Tasks own sockets, so they must be dropped before the kernels.
    runtime: Option<Runtime>,
    driver: Driver,
    clock: Clock,
    shared: Arc<Shared>,
    /// The maximum number of turns.
    most_turns: u64,
    /// Returns whether the run must end.
    exhausted: Box<dyn Fn() -> bool>,
    _one_thread: PhantomData<*const ()>,
}

/// The work that an engine has done: a measure of cost that, unlike wall time, is the same on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of times that all tasks were idle and the engine chose what comes next.
    pub turns: u64,
    /// The number of passes over all kernels' sockets to collect packets.
    pub passes: u64,
    /// The number of packets that left a host.
    pub packets: u64,
}

impl Engine {
    /// Returns a network without hosts, at time zero.
    ///
    /// # Errors
    /// [`EngineError::AnotherEngine`] if this thread already has an engine; [`EngineError::Setting`] if a setting is
    /// out of range.
    pub fn new(settings: &Settings) -> Result<Self, EngineError> {
        if OCCUPIED.get() {
            return Err(EngineError::AnotherEngine);
        }
        let clock = Clock::default();
        let (runtime, park) = Park::runtime(clock.clone())?;
        let (shared, kernels) = Shared::new(settings, clock.clone(), runtime.handle().clone())?;
        let network = Network::new(settings, kernels, Arc::clone(&shared));
        OCCUPIED.set(true);
        Ok(Self {
            runtime: Some(runtime),
            driver: Driver { network, park, sleep: None, turns: 0, clock: clock.clone() },
            clock,
            shared,
            most_turns: settings.turns,
            exhausted: Box::new(|| false),
            _one_thread: PhantomData,
        })
    }

    /// Sets the limit on the work, in [turns](Stats::turns) since the start, in place of [`Settings::turns`].
    pub fn set_most_turns(&mut self, turns: u64) {
        self.most_turns = turns;
    }

    /// Returns the maximum number of turns.
    pub const fn most_turns(&self) -> u64 {
        self.most_turns
    }

    /// Ends the run with [`Stopped::Exhausted`] as soon as `exhausted` returns `true`. The engine calls it whenever all
    /// tasks are idle.
    pub fn exhausted_when(&mut self, exhausted: impl Fn() -> bool + 'static) {
        self.exhausted = Box::new(exhausted);
    }

    /// Returns the simulated time since the start.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Returns a handle on the clock, for recording.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Returns the work that the engine has done so far.
    pub fn stats(&self) -> Stats {
        Stats { turns: self.driver.turns, ..self.driver.network.stats() }
    }

    // Hosts.

    /// Adds a host that is up. This is also possible while the world runs.
    ///
    /// # Errors
    /// [`EngineError::AddressTaken`] or [`EngineError::AddressUnusable`].
    pub fn add_host(&mut self, ip: IpAddr) -> Result<HostId, EngineError> {
        if self.driver.network.is_virtual(ip) {
            return Err(EngineError::AddressTaken(ip));
        }
        self.shared.registry().add_host(ip)
    }

    /// Returns the host with this address.
    pub fn host(&self, ip: IpAddr) -> Option<HostId> {
        self.shared.registry().find(ip)
    }

    /// Returns the network as this host sees it *now*. After a [`restart`](Self::restart), the caller must ask again.
    pub fn net(&self, host: HostId) -> SimNet {
        SimNet::new(&self.shared, host)
    }

    // Time.

    /// Drives the world until `condition` is ready, at most for `limit`.
    ///
    /// The future is polled inside the runtime, beside the tasks. Usually it is a oneshot receiver, or a channel on
    /// which a task answers.
    ///
    /// # Errors
    /// [`Stopped`] says why the run ended before the condition was ready.
    pub fn run_until<F: Future>(&mut self, condition: F, limit: Duration) -> Result<F::Output, Stopped> {
        let mut condition = pin!(condition);
        let value = self.drive(limit, Goal::Future, |cx, _| condition.as_mut().poll(cx))?;
        Ok(value.expect("without another goal, only the condition ends a run well"))
    }

    /// Drives the world until `condition` holds, at most for `limit`. The engine checks it whenever all tasks are idle.
    ///
    /// # Errors
    /// This function returns the same errors as [`run_until`](Self::run_until).
    pub fn run_until_true(&mut self, mut condition: impl FnMut() -> bool, limit: Duration) -> Result<(), Stopped> {
        self.drive(limit, Goal::Predicate, |_, idle| if idle && condition() { Poll::Ready(()) } else { Poll::Pending })
            .map(drop)
    }

    /// Lets `time` pass, whatever happens. Everything that is due exactly at its end has happened by then.
    ///
    /// # Errors
    /// [`Stopped::Panicked`] or [`Stopped::Exhausted`].
    pub fn advance(&mut self, time: Duration) -> Result<(), Stopped> {
        match self.drive(time, Goal::Time, never) {
            Err(stopped @ (Stopped::Panicked(_) | Stopped::Exhausted { .. })) => Err(stopped),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Drives the world until no packet is in transit and all tasks wait, at most for `limit`. Timers and held packets do
    /// not count.
    ///
    /// # Errors
    /// This function returns the same errors as [`run_until`](Self::run_until).
    pub fn settle(&mut self, limit: Duration) -> Result<(), Stopped> {
        self.drive(limit, Goal::Settled, never).map(drop)
    }

    // The network and its faults.

    /// Sets the link for packets from one address to another, in this direction.
    pub fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.driver.network.links.set(from, to, link);
    }

    /// Sets the link of all pairs of addresses that have no link of their own.
    pub fn set_default_link(&mut self, link: Link) {
        self.driver.network.links.set_default(link);
    }

    /// Holds packets that are sent between two addresses from now on, in both directions, which is a partition. Packets
    /// in transit still arrive. Nothing is lost; applications time out by themselves.
    pub fn hold(&mut self, a: IpAddr, b: IpAddr) {
        self.driver.network.links.hold(a, b);
        self.driver.network.links.hold(b, a);
    }

    /// Ends a [`hold`](Self::hold): the held packets leave now, in order.
    pub fn release(&mut self, a: IpAddr, b: IpAddr) {
        self.driver.network.release(a, b);
        self.driver.network.release(b, a);
    }

    /// Forges a RST from one endpoint to the other, as each other sees them. It arrives at once.
    ///
    /// The receiver's application reads `ConnectionReset`; a router obeys the packet like any RST. The endpoint in
    /// whose name it was sent notices only when it sends something.
    pub fn forge_reset(&mut self, from: SocketAddr, to: SocketAddr) {
        self.driver.network.forge_reset(from, to);
    }

    /// Forges a RST to both ends of every connection between two addresses; either may be virtual.
    pub fn reset_between(&mut self, a: IpAddr, b: IpAddr) {
        self.driver.network.reset_between(a, b);
    }

    /// Adds a packet-level balancer at virtual addresses that no host owns.
    ///
    /// # Errors
    /// [`EngineError::AddressTaken`].
    pub fn add_router(&mut self, addresses: &[IpAddr], router: Box<dyn PacketRouter>) -> Result<(), EngineError> {
        if let Some(taken) = addresses.iter().find(|ip| self.host(**ip).is_some()) {
            return Err(EngineError::AddressTaken(*taken));
        }
        self.driver.network.add_router(addresses, router)
    }

    /// Reports every packet on every link to `log` from now on; `None` ends the reports.
    pub fn set_packet_log(&mut self, log: Option<PacketLog>) {
        self.driver.network.log = log;
    }

    /// Ends the host's processes. Its kernel continues, so peers get FIN, or RST if data was unread or still arrives.
    /// Connecting is refused.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn crash(&mut self, host: HostId) -> Result<(), Stopped> {
        let tasks = self.shared.registry().take_down(host, false);
        self.end_tasks(&tasks)
    }

    /// Cuts the host's power: nothing more leaves or reaches the host, and peers are not told.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn power_off(&mut self, host: HostId) -> Result<(), Stopped> {
        let tasks = self.shared.registry().take_down(host, true);
        self.end_tasks(&tasks)
    }

    /// Stops the host's processes: none of its tasks runs, and none of its timers fires. Its kernel continues: it
    /// completes handshakes and acknowledges data, up to its buffers. There is no effect on a host that is down.
    pub fn freeze(&mut self, host: HostId) {
        if self.is_up(host) {
            self.shared.registry().ice(host).freeze();
        }
    }

    /// Lets a frozen host's processes continue where they were stopped; timers that were due in the meantime fire now.
    /// A crash, a loss of power or a restart also ends a freeze.
    pub fn thaw(&mut self, host: HostId) {
        let ice = self.shared.registry().ice(host);
        ice.thaw();
    }

    /// Returns whether the host is frozen.
    pub fn is_frozen(&self, host: HostId) -> bool {
        self.is_up(host) && self.shared.registry().ice(host).is_frozen()
    }

    /// Returns a handle that makes the engine ask its routers for unsolicited work.
    pub fn kick(&self) -> Kick {
        Kick(Arc::clone(&self.shared))
    }

    /// Restarts the host, and returns its network. If the host is still running, it first ends as in a
    /// [`crash`](Self::crash). The restarted host runs no task and listens on no port; packets of its old flows are
    /// answered with RST.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn restart(&mut self, host: HostId) -> Result<SimNet, Stopped> {
        self.crash(host)?;
        self.shared.registry().bring_up(host);
        Ok(self.net(host))
    }

    /// Returns whether the host is up: it has neither crashed nor lost power since its latest start.
    pub fn is_up(&self, host: HostId) -> bool {
        self.shared.registry().is_up(host)
    }

    fn end_tasks(&mut self, tasks: &[tokio::task::AbortHandle]) -> Result<(), Stopped> {
        for task in tasks {
            task.abort();
        }
        // An aborted task is dropped, and thereby closes its sockets, when the scheduler reaches it.
        self.drive(Duration::ZERO, Goal::Idle, never).map(drop)
    }

    /// Runs tasks and moves time until `condition` is ready (`Some`), or the goal is reached (`None`).
    fn drive<T>(
        &mut self,
        limit: Duration,
        goal: Goal,
        mut condition: impl FnMut(&mut Context<'_>, bool) -> Poll<T>,
    ) -> Result<Option<T>, Stopped> {
        let end = self.clock.now().saturating_add(limit.min(LONGEST_RUN));
        let end = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX);
        let runtime = self.runtime.as_ref().expect("only `drop` takes the runtime");
        let (driver, shared) = (&mut self.driver, &self.shared);
        let (most_turns, exhausted) = (self.most_turns, &self.exhausted);
        let mut first = true;
        let result = runtime.block_on(poll_fn(|cx| {
            if std::mem::take(&mut first) {
                driver.park.set_driver(Some(cx.waker().clone()));
            }
            driver.park.forbid_jump();
            let idle = driver.park.take_idle();
            if let Poll::Ready(value) = condition(cx, idle) {
                return Poll::Ready(Ok(Some(value)));
            }
            if !idle {
                return Poll::Pending;
            }
            shared.note_idle();
            if let Some(panic) = shared.take_panic() {
                return Poll::Ready(Err(Stopped::Panicked(panic)));
            }
            // The end of a host must be carried out completely.
            if goal != Goal::Idle && (driver.turns >= most_turns || exhausted()) {
                return Poll::Ready(Err(Stopped::Exhausted { at: driver.clock.now() }));
            }
            match driver.turn(cx, end, goal) {
                Turn::RunTasks => Poll::Pending,
                Turn::Reached => Poll::Ready(Ok(None)),
                Turn::Stopped(stopped) => Poll::Ready(Err(stopped)),
            }
        }));
        self.driver.park.set_driver(None);
        result
    }
}

/// A handle for code that changes the state of a router's policy from outside. The engine asks the routers without it
/// after packets and at deadlines. It can be cloned cheaply.
#[derive(Debug, Clone)]
pub struct Kick(Arc<Shared>);

impl Kick {
    /// Makes the engine poll the routers as soon as all tasks are idle.
    pub fn kick(&self) {
        self.0.kick();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.driver.sleep = None;
        // All tasks end here, so that their sockets close while the kernels still exist.
        drop(self.runtime.take());
        self.shared.close();
        OCCUPIED.set(false);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("now", &self.now()).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What ends a run, apart from its condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// No goal: the condition is a future, which may wait for its own timer.
    Future,
    /// No goal: the condition depends on tasks and packets alone, so the run can be given up early.
    Predicate,
    /// The time limit itself.
    Time,
    /// No packet is under way.
    Settled,
    /// All tasks are idle at the same instant; packets that they sent are not collected.
    Idle,
}

/// The decision of the driver at an idle moment.
enum Turn {
    /// Tasks may have work to do.
    RunTasks,
    /// The goal is reached.
    Reached,
    /// The run ends for this reason.
    Stopped(Stopped),
}

/// The part of the engine that runs inside `block_on` whenever all tasks are idle.
struct Driver {
    network: Network,
    park: Arc<Park>,
    clock: Clock,
    turns: u64,
    /// The sleep that ends a jump if the next packet, or the run's end, comes before the next timer.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    /// Collects packets, and then advances to the next arrival, to the next timer, or to the run's end.
    fn turn(&mut self, cx: &mut Context<'_>, end: u64, goal: Goal) -> Turn {
        self.turns += 1;
        if goal == Goal::Idle {
            return Turn::Reached;
        }
        loop {
            self.network.collect();
            self.network.poll_routers();
            let now = self.clock.nanos();
            let due = self.network.next_arrival();
            if due.is_some_and(|due| due <= now) {
                if self.network.deliver() {
                    return Turn::RunTasks;
                }
                continue;
            }
            if goal == Goal::Settled && due.is_none() {
                return Turn::Reached;
            }
            if now >= end {
                return Turn::Stopped(Stopped::Limit { at: Duration::from_nanos(now) });
            }
            if goal == Goal::Predicate && due.is_none() && no_task_lives() {
                return Turn::Stopped(Stopped::Quiescent);
            }
            // A deadline that has passed without effect waits for the next event that its router sees.
            let deadline = self.network.next_deadline().map_or(u64::MAX, |at| at.as_nanos() as u64);
            let deadline = if deadline > now { deadline } else { u64::MAX };
            if self.pass_time(cx, now, due.unwrap_or(end).min(end).min(deadline)) {
                return Turn::RunTasks;
            }
        }
    }

    /// Advances towards `target` (nanoseconds) as far as no timer can fire before. Returns `true` if a timer may fire
    /// now.
    ///
    /// tokio's timers fire at whole milliseconds since the start, and a paused runtime moves its clock by whole
    /// milliseconds. Hence three steps: within a millisecond the clock is set directly; an incomplete millisecond is
    /// completed first, so that jumps start from a whole one and timers fire exactly when due; and from a whole one,
    /// tokio itself jumps to the next timer, bounded by the driver's sleep until the target's millisecond.
    fn pass_time(&mut self, cx: &mut Context<'_>, now: u64, target: u64) -> bool {
        let tick = target - target % TIMER_TICK;
        if tick <= now {
            self.set_clock(target);
            return false;
        }
        if !now.is_multiple_of(TIMER_TICK) {
            self.set_clock(now.next_multiple_of(TIMER_TICK));
            return true;
        }
        let deadline = self.park.start() + Duration::from_nanos(tick);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().reset(deadline);
        // The sleep is not subject to the poll budget: it must register even if the condition used the budget up.
        // Otherwise the runtime might park without a timer, for ever.
        if pin!(unconstrained(sleep.as_mut())).poll(cx).is_pending() {
            self.park.allow_jump();
        }
        true
    }

    /// Sets the clock within the current millisecond, or to the start of the next. In the latter case the runtime fires
    /// timers before it can be idle again: the yield inside `advance`, which wakes nobody, makes the runtime visit its
    /// timer driver.
    fn set_clock(&mut self, nanos: u64) {
        let step = Duration::from_nanos(nanos - self.clock.nanos());
        let _ = pin!(tokio::time::advance(step)).poll(&mut Context::from_waker(Waker::noop()));
        self.clock.set(nanos);
    }
}

/// Returns whether there is no task left that a timer could wake.
fn no_task_lives() -> bool {
    tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0
}

/// A condition that never becomes true.
fn never(_: &mut Context<'_>, _: bool) -> Poll<()> {
    Poll::Pending
}
