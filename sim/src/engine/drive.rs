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

/// tokio's timers fire on whole milliseconds only.
const TIMER_TICK: u64 = 1_000_000;

/// The longest run: the longest time that an action lets pass, well inside what tokio's timer wheel can hold (2^36 ms).
const LONGEST_RUN: Duration = Duration::from_hours(366 * 24);

thread_local! {
    static OCCUPIED: Cell<bool> = const { Cell::new(false) };
}

/// A simulated network and the runtime of all its tasks, in virtual time that starts at zero.
///
/// One per thread, and bound to it. Time passes only inside [`run_until`](Self::run_until),
/// [`run_until_true`](Self::run_until_true), [`advance`](Self::advance) and
/// [`settle`](Self::settle). None of these, nor a fault, may be called from within a task: they
/// block in the runtime that runs it, which panics.
pub struct Engine {
    /// `None` only while dropping: tasks own sockets, so they go before the kernels do.
    runtime: Option<Runtime>,
    driver: Driver,
    clock: Clock,
    shared: Arc<Shared>,
    /// How many turns there may be.
    most_turns: u64,
    /// Says that the run has to end.
    exhausted: Box<dyn Fn() -> bool>,
    _one_thread: PhantomData<*const ()>,
}

/// How much an engine has done: a measure of cost that, unlike wall time, is the same everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Times that all tasks were idle and the engine chose what comes next.
    pub turns: u64,
    /// Passes over all kernels' sockets to collect packets.
    pub passes: u64,
    /// Packets that left a host.
    pub packets: u64,
}

impl Engine {
    /// A network without hosts, at time zero.
    ///
    /// # Errors
    /// [`EngineError::AnotherEngine`] where this thread has one already; [`EngineError::Setting`].
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

    /// Bounds the work, in [turns](Stats::turns) since the start: [`Settings::turns`] anew.
    pub fn set_most_turns(&mut self, turns: u64) {
        self.most_turns = turns;
    }

    /// How many turns there may be.
    pub const fn most_turns(&self) -> u64 {
        self.most_turns
    }

    /// Ends whatever drives the world with [`Stopped::Exhausted`] as soon as this says so. It is asked whenever all tasks are
    /// idle.
    pub fn exhausted_when(&mut self, exhausted: impl Fn() -> bool + 'static) {
        self.exhausted = Box::new(exhausted);
    }

    /// Simulated time since the start.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// A handle on the clock for whoever records.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What the engine has done so far.
    pub fn stats(&self) -> Stats {
        Stats { turns: self.driver.turns, ..self.driver.network.stats() }
    }

    // Hosts.

    /// Adds a host that is up, also while the world runs.
    ///
    /// # Errors
    /// [`EngineError::AddressTaken`], [`EngineError::AddressUnusable`].
    pub fn add_host(&mut self, ip: IpAddr) -> Result<HostId, EngineError> {
        if self.driver.network.is_virtual(ip) {
            return Err(EngineError::AddressTaken(ip));
        }
        self.shared.registry().add_host(ip)
    }

    /// The host with this address.
    pub fn host(&self, ip: IpAddr) -> Option<HostId> {
        self.shared.registry().find(ip)
    }

    /// The network as this host sees it *now*: after a [`restart`](Self::restart), ask again.
    pub fn net(&self, host: HostId) -> SimNet {
        SimNet::new(&self.shared, host)
    }

    // Time.

    /// Drives the world until `condition` is ready, at most for `limit`.
    ///
    /// The future is polled inside the runtime, beside the tasks; a oneshot receiver or a channel
    /// that a task answers on is the usual one.
    ///
    /// # Errors
    /// [`Stopped`] says why it did not come to that.
    pub fn run_until<F: Future>(&mut self, condition: F, limit: Duration) -> Result<F::Output, Stopped> {
        let mut condition = pin!(condition);
        let value = self.drive(limit, Goal::Future, |cx, _| condition.as_mut().poll(cx))?;
        Ok(value.expect("without another goal, only the condition ends a run well"))
    }

    /// Drives the world until `condition` holds, at most for `limit`. It is asked whenever all
    /// tasks are idle.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    pub fn run_until_true(&mut self, mut condition: impl FnMut() -> bool, limit: Duration) -> Result<(), Stopped> {
        self.drive(limit, Goal::Predicate, |_, idle| if idle && condition() { Poll::Ready(()) } else { Poll::Pending })
            .map(drop)
    }

    /// Lets `time` pass, whatever happens; what is due exactly at its end has happened then.
    ///
    /// # Errors
    /// [`Stopped::Panicked`], [`Stopped::Exhausted`].
    pub fn advance(&mut self, time: Duration) -> Result<(), Stopped> {
        match self.drive(time, Goal::Time, never) {
            Err(stopped @ (Stopped::Panicked(_) | Stopped::Exhausted { .. })) => Err(stopped),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Drives the world until no packet is under way and all tasks wait, at most for `limit`.
    /// Timers are not waited for, nor packets on hold.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    pub fn settle(&mut self, limit: Duration) -> Result<(), Stopped> {
        self.drive(limit, Goal::Settled, never).map(drop)
    }

    // The network and its faults.

    /// Sets the link for packets from one address to another, in this direction.
    pub fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.driver.network.links.set(from, to, link);
    }

    /// Sets the link of all pairs without one of their own.
    pub fn set_default_link(&mut self, link: Link) {
        self.driver.network.links.set_default(link);
    }

    /// Holds packets sent between two addresses from now on, both ways: a partition. Those under
    /// way still arrive; nothing is lost, applications time out by themselves.
    pub fn hold(&mut self, a: IpAddr, b: IpAddr) {
        self.driver.network.links.hold(a, b);
        self.driver.network.links.hold(b, a);
    }

    /// Ends a [`hold`](Self::hold): the packets held start their way now, in order.
    pub fn release(&mut self, a: IpAddr, b: IpAddr) {
        self.driver.network.release(a, b);
        self.driver.network.release(b, a);
    }

    /// Forges a RST from one endpoint to the other, as each other sees them. It arrives at once.
    ///
    /// The receiver's application reads `ConnectionReset`; a router obeys it as any RST. The
    /// endpoint in whose name it came learns of it only when it sends.
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

    /// Reports every packet on every link to `log` from now on; `None` ends that.
    pub fn set_packet_log(&mut self, log: Option<PacketLog>) {
        self.driver.network.log = log;
    }

    /// Ends the host's processes. Its kernel lives on, so peers get FIN, or RST where data was
    /// unread or still comes; connecting is refused.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn crash(&mut self, host: HostId) -> Result<(), Stopped> {
        let tasks = self.shared.registry().take_down(host, false);
        self.end_tasks(&tasks)
    }

    /// Cuts the host's power: nothing more leaves or reaches it, peers are not told.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn power_off(&mut self, host: HostId) -> Result<(), Stopped> {
        let tasks = self.shared.registry().take_down(host, true);
        self.end_tasks(&tasks)
    }

    /// Stops the host's processes in their tracks: no task of it runs, and no timer of it fires. Its
    /// kernel goes on: it completes handshakes and acknowledges data, up to its buffers. Without
    /// effect on a host that is down.
    pub fn freeze(&mut self, host: HostId) {
        if self.is_up(host) {
            self.shared.registry().ice(host).freeze();
        }
    }

    /// Lets a frozen host's processes go on where they were stopped: timers that were due meanwhile
    /// fire now. A crash, a loss of power or a restart ends a freeze, too.
    pub fn thaw(&mut self, host: HostId) {
        let ice = self.shared.registry().ice(host);
        ice.thaw();
    }

    /// Whether the host is frozen.
    pub fn is_frozen(&self, host: HostId) -> bool {
        self.is_up(host) && self.shared.registry().ice(host).is_frozen()
    }

    /// A handle that makes the engine ask its routers for unsolicited work.
    pub fn kick(&self) -> Kick {
        Kick(Arc::clone(&self.shared))
    }

    /// Starts the host anew, ending first what still runs as a [`crash`](Self::crash) would, and
    /// returns its network. It runs no task and listens nowhere; packets of its old flows meet RST.
    ///
    /// # Errors
    /// [`Stopped::Panicked`].
    pub fn restart(&mut self, host: HostId) -> Result<SimNet, Stopped> {
        self.crash(host)?;
        self.shared.registry().bring_up(host);
        Ok(self.net(host))
    }

    /// Whether the host runs, that is, neither crashed nor lost power since its (re)start.
    pub fn is_up(&self, host: HostId) -> bool {
        self.shared.registry().is_up(host)
    }

    fn end_tasks(&mut self, tasks: &[tokio::task::AbortHandle]) -> Result<(), Stopped> {
        for task in tasks {
            task.abort();
        }
        // An aborted task is dropped, and so closes its sockets, when the scheduler comes to it.
        self.drive(Duration::ZERO, Goal::Idle, never).map(drop)
    }

    /// Runs tasks and moves time until `condition` is ready (`Some`) or the goal is reached (`None`).
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
            // A host's end is work that cannot be left undone.
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

/// For who changes the state of a router's policy from outside: packets and deadlines say by
/// themselves when there is something to do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kick(Arc<Shared>);

impl Kick {
    /// Has the routers polled as soon as all tasks are idle.
    pub fn kick(&self) {
        self.0.kick();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.driver.sleep = None;
        // Ends all tasks, whose sockets close while the kernels are still there.
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

/// What a run aims at besides its condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Nothing: the condition is a future, which may wait for a timer of its own.
    Future,
    /// Nothing: the condition depends on tasks and packets alone, so it can be given up early.
    Predicate,
    /// The limit itself.
    Time,
    /// No packet under way.
    Settled,
    /// All tasks idle, at the same instant; what they sent is not collected.
    Idle,
}

/// What the driver decided at an idle moment.
enum Turn {
    /// Tasks may have something to do.
    RunTasks,
    /// The goal is reached.
    Reached,
    /// The run ends otherwise.
    Stopped(Stopped),
}

/// The part of the engine that runs inside `block_on`, whenever all tasks are idle.
struct Driver {
    network: Network,
    park: Arc<Park>,
    clock: Clock,
    turns: u64,
    /// Ends a jump where the next packet, or the run's end, comes before the next timer.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    /// Collects packets, then moves on to the next arrival, timer or the run's end.
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
            // One that has passed and still stands waits for what its router hears next.
            let deadline = self.network.next_deadline().map_or(u64::MAX, |at| at.as_nanos() as u64);
            let deadline = if deadline > now { deadline } else { u64::MAX };
            if self.pass_time(cx, now, due.unwrap_or(end).min(end).min(deadline)) {
                return Turn::RunTasks;
            }
        }
    }

    /// Moves towards `target` (nanoseconds), as far as no timer can fire before; `true` where one
    /// may fire now.
    ///
    /// tokio's timers fire at whole milliseconds since the start, and a paused runtime moves its
    /// clock by whole milliseconds. Hence three steps: within a millisecond the clock is set
    /// directly; a broken millisecond is completed first, so that jumps start from a whole one and
    /// timers fire exactly when due; and from a whole one tokio itself jumps to the next timer,
    /// bounded by a sleep of ours until the target's millisecond.
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
        // Unconstrained: it must register even where the condition used up the poll's budget, or
        // the runtime might park without a timer, for ever.
        if pin!(unconstrained(sleep.as_mut())).poll(cx).is_pending() {
            self.park.allow_jump();
        }
        true
    }

    /// Sets the clock within the current millisecond or to the start of the next. In the latter
    /// case the runtime fires timers before it can be idle again: the yield inside `advance`, which
    /// wakes nobody, makes it visit its timer driver.
    fn set_clock(&mut self, nanos: u64) {
        let step = Duration::from_nanos(nanos - self.clock.nanos());
        let _ = pin!(tokio::time::advance(step)).poll(&mut Context::from_waker(Waker::noop()));
        self.clock.set(nanos);
    }
}

/// Whether no task is left that a timer could wake.
fn no_task_lives() -> bool {
    tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0
}

/// A condition that never comes true.
fn never(_: &mut Context<'_>, _: bool) -> Poll<()> {
    Poll::Pending
}
