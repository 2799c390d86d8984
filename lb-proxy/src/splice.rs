//! The byte data plane: splices each downstream connection to one upstream connection, as an [`L4Policy`] decides.
//!
//! On real sockets the splice takes the place of network address translation; the simulated world obeys the same policy
//! packet by packet. A splice differs in two unavoidable points: it has accepted a connection before it can refuse it,
//! and the backend sees the balancer's address.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use stickler_lb_core::health::PassiveRule;
use stickler_lb_core::{
    Change, Control, Farm, FiveTuple, FlowIdle, FlowIdleEnd, L4Decision, L4Policy, L4Work, ProxyProtocol,
};
use stickler_model::{Env, Time, What};
use stickler_net::{Net, Stream as _, next_connection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional_with_sizes, sink};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};

use crate::clock::instant;
use crate::half_closed::{Directions, Noted};
use crate::health::{Traffic, watch};
use crate::proxy_protocol::{header, read_header};

/// The configuration of a balancer with the byte data plane.
pub struct SpliceConfig {
    /// The backends.
    pub farm: Farm,
    /// The policy that decides.
    pub policy: Box<dyn L4Policy>,
    /// The limits on the resources that a peer may use.
    pub limits: FlowLimits,
    /// The handle on the backends for the operator and the health checks. The caller keeps a clone.
    pub control: Control,
    /// The rule by which connections that cannot be opened take a backend out. `None`: such connections do not.
    pub passive: Option<PassiveRule>,
    /// The version of the PROXY protocol header with which each upstream connection begins (HAProxy `send-proxy`).
    /// `None`: the connection begins with the client's own bytes.
    pub send_proxy: Option<ProxyProtocol>,
    /// Whether each downstream connection must begin with a PROXY protocol header of either version (HAProxy
    /// `accept-proxy`), which then names the client. A connection without a header is closed, because the specification
    /// (section 2) forbids guessing.
    pub accept_proxy: bool,
}

/// The limits on the resources that a peer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowLimits {
    /// The time to open an upstream connection. After that, the downstream connection is closed.
    pub connect: Duration,
    /// The time for the PROXY protocol header that must come first. After that, the downstream connection is closed.
    pub header: Duration,
    /// The time for which one direction of a flow may be quiet once the other has ended. After that, both connections
    /// are closed. A server that lost power never ends its direction (HAProxy has `timeout client-fin` and
    /// `timeout server-fin` for this case).
    pub half_closed: Duration,
    /// The treatment of a flow that carries nothing for a time. `None`: nothing happens. A splice cannot forget a flow
    /// completely, because its two connections accept all bytes that arrive. It reads and drops these bytes instead.
    pub idle: Option<FlowIdle>,
    /// The number of bytes in flight within the splice, in each direction.
    pub buffer: usize,
    /// The maximum number of concurrent downstream connections. Further ones are closed at once.
    pub downstreams: usize,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            header: Duration::from_secs(5),
            // Linux waits this long for the other end of a connection that no process holds any more
            // (`tcp_fin_timeout`).
            half_closed: Duration::from_mins(1),
            idle: None,
            buffer: 16 * 1024,
            downstreams: 65_536,
        }
    }
}

impl SpliceConfig {
    /// Returns the configuration of this policy over this farm, with the default limits and nothing else.
    pub fn new(farm: Farm, policy: Box<dyn L4Policy>) -> Self {
        Self {
            farm,
            policy,
            limits: FlowLimits::default(),
            control: Control::new(),
            passive: None,
            send_proxy: None,
            accept_proxy: false,
        }
    }
}

/// Splices connections from `listener` to the backends that the policy chooses, until the future is dropped.
///
/// Half-closes are passed on, and may last for a limited time. When one side breaks, the other is closed. Connections
/// run in tasks of `net`, so they end with its host. The function returns only when the listener has failed
/// permanently.
pub async fn serve_l4<N: Net>(net: N, listener: N::Listener, env: Env, service: SpliceConfig) {
    let SpliceConfig { farm, policy, limits, control, passive, send_proxy, accept_proxy } = service;
    let traffic = passive.map(|rule| Traffic::new(env.clone(), control.clone(), rule, farm.backends.len()));
    let state = Mutex::new(State { policy, flows: IndexMap::new(), connections: 0, armed: None });
    let splice =
        Arc::new(Splice { net, env, farm, limits, send_proxy, accept_proxy, traffic, state, wake: Notify::new() });
    let told = Arc::downgrade(&splice);
    let _attached = control.attach(move |backend, change| {
        if let Some(splice) = told.upgrade() {
            splice.apply(backend, change);
        }
    });
    tokio::select! {
        biased;
        () = accept(&splice, &listener) => {}
        () = work(&splice) => {}
        () = watch(splice.traffic.as_ref()) => {}
    }
}

struct Splice<N> {
    net: N,
    env: Env,
    farm: Farm,
    limits: FlowLimits,
    send_proxy: Option<ProxyProtocol>,
    accept_proxy: bool,
    traffic: Option<Traffic>,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    policy: Box<dyn L4Policy>,
    flows: IndexMap<FiveTuple, Flow>,
    /// The number of downstream connections, including those that have not become a flow.
    connections: usize,
    armed: Option<Time>,
}

/// A connection that goes to a backend.
struct Flow {
    /// The task; `None` until it is known.
    task: Option<AbortHandle>,
    /// The signal that tells the task to carry nothing more; `None` once it was sent.
    silence: Option<oneshot::Sender<()>>,
}

async fn accept<N: Net>(splice: &Arc<Splice<N>>, listener: &N::Listener) {
    while let Some((stream, client)) = next_connection(listener).await {
        // A connection without addresses is gone already.
        let Ok(front) = stream.local_addr() else { continue };
        let flow = FiveTuple { client, front };
        let Some(counted) = Counted::new(splice) else { continue };
        if splice.accept_proxy {
            splice.net.spawn(after_header(counted, stream, flow));
        } else {
            start(counted, stream, flow);
        }
    }
}

/// Reads the header that names the client, and then starts the flow. A connection that does not name its client is
/// closed.
async fn after_header<N: Net>(counted: Counted<N>, mut stream: N::Stream, flow: FiveTuple) {
    let Ok(Ok(named)) = timeout(counted.0.limits.header, read_header(&mut stream)).await else { return };
    start(counted, stream, FiveTuple { client: named.unwrap_or(flow.client), ..flow });
}

fn start<N: Net>(counted: Counted<N>, mut stream: N::Stream, flow: FiveTuple) {
    let splice = Arc::clone(&counted.0);
    let (silence, silenced) = oneshot::channel();
    match splice.decide(flow, silence) {
        L4Decision::Refuse => {}
        L4Decision::Drop => {
            splice.net.spawn(async move {
                let _counted = counted;
                // All bytes are dropped, in bounded memory, until the client gives up.
                let _ = copy(&mut stream, &mut sink()).await;
            });
        }
        L4Decision::Backend(backend) => {
            let ended = Ended { counted, flow };
            let task = splice.net.spawn(async move { ended.counted.0.carry(stream, flow, backend, silenced).await });
            // The task is not spawned under the lock, since a task that cannot start is dropped and reports its end at
            // once.
            if let Some(entry) = splice.lock().flows.get_mut(&flow) {
                entry.task = Some(task);
            }
        }
    }
}

/// Performs the policy's unsolicited work whenever it is due.
async fn work<N: Net>(splice: &Splice<N>) {
    loop {
        let woken = splice.wake.notified();
        match splice.work() {
            None => woken.await,
            Some(deadline) => tokio::select! {
                biased;
                () = woken => {}
                () = sleep_until(instant(&splice.env, deadline)) => {}
            },
        }
    }
}

impl<N: Net> Splice<N> {
    fn apply(&self, backend: usize, change: Change) {
        let mut state = self.lock();
        let now = self.env.clock.now();
        state.policy.change(now, backend, change);
        self.arm(&mut state);
    }

    fn decide(&self, flow: FiveTuple, silence: oneshot::Sender<()>) -> L4Decision {
        let mut state = self.lock();
        let decision = state.policy.connect(self.env.clock.now(), flow);
        if let L4Decision::Backend(_) = decision {
            state.flows.insert(flow, Flow { task: None, silence: Some(silence) });
        }
        self.arm(&mut state);
        decision
    }

    async fn carry(&self, mut downstream: N::Stream, flow: FiveTuple, index: usize, silenced: oneshot::Receiver<()>) {
        let Some(backend) = self.farm.backends.get(index) else { return };
        if let Some(traffic) = &self.traffic {
            traffic.sent(index, true);
        }
        let connecting = timeout(self.limits.connect, self.net.connect(backend.address));
        let connected = connecting.await.ok().and_then(Result::ok);
        if let Some(traffic) = &self.traffic {
            if connected.is_some() { traffic.succeeded(index) } else { traffic.failed(index) }
        }
        let Some(mut upstream) = connected else { return };
        if let Ok(source) = upstream.local_addr() {
            self.env.record(What::FlowOpened { client: flow.client, source, backend: backend.name.clone() });
        }
        if let Some(version) = self.send_proxy
            && upstream.write_all(&header(version, flow.client, flow.front)).await.is_err()
        {
            return;
        }
        let (buffer, directions) = (self.limits.buffer, Arc::new(Directions::default()));
        let end = {
            let mut ends = (Noted::new(&mut downstream, &directions), Noted::new(&mut upstream, &directions));
            // An error on either side drops both connections, which closes them.
            tokio::select! {
                biased;
                Ok(()) = silenced => FlowIdleEnd::Silent,
                _ = copy_bidirectional_with_sizes(&mut ends.0, &mut ends.1, buffer, buffer) => FlowIdleEnd::Closed,
                () = directions.half_closed_for(self.limits.half_closed) => FlowIdleEnd::Closed,
                () = directions.idle_for(self.limits.idle.map(|idle| idle.after)) => {
                    self.limits.idle.map_or(FlowIdleEnd::Closed, |idle| idle.then)
                }
            }
        };
        part(downstream, upstream, end).await;
    }

    fn work(&self) -> Option<Time> {
        let mut state = self.lock();
        while let Some(work) = state.policy.poll(self.env.clock.now()) {
            match work {
                // A splice cannot move a flow, because the new backend has no connection for it. The flow ends instead.
                L4Work::CloseFlow(flow) | L4Work::MoveFlow(flow, _) => {
                    if let Some(Flow { task: Some(task), .. }) = state.flows.get(&flow) {
                        task.abort();
                    }
                }
                L4Work::SilenceFlow(flow) => {
                    if let Some(flow) = state.flows.get_mut(&flow) {
                        // The task may have ended already.
                        let _ = flow.silence.take().map(|silence| silence.send(()));
                    }
                }
            }
        }
        state.armed = state.policy.next_deadline();
        state.armed
    }

    fn arm(&self, state: &mut State) {
        let next = state.policy.next_deadline();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a policy must not affect the other flows.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flow in this way. Its connections are closed when the function returns.
async fn part<S: AsyncRead + Unpin>(mut downstream: S, mut upstream: S, end: FlowIdleEnd) {
    match end {
        FlowIdleEnd::Closed => {}
        FlowIdleEnd::ResetOnNext => {
            let (mut one, mut other) = ([0], [0]);
            // The flow ends with the next bytes or the next end from either side.
            tokio::select! {
                biased;
                _ = downstream.read(&mut one) => {}
                _ = upstream.read(&mut other) => {}
            }
        }
        FlowIdleEnd::Silent => {
            let (mut nowhere, mut nor_here) = (sink(), sink());
            let unheard = async {
                let _ = copy(&mut upstream, &mut nor_here).await;
                std::future::pending::<()>().await;
            };
            // All bytes that arrive are dropped, until the client gives up.
            tokio::select! {
                biased;
                _ = copy(&mut downstream, &mut nowhere) => {}
                () = unheard => {}
            }
        }
    }
}

/// Counts a downstream connection against the limit for as long as this value lives.
struct Counted<N: Net>(Arc<Splice<N>>);

impl<N: Net> Counted<N> {
    fn new(splice: &Arc<Splice<N>>) -> Option<Self> {
        let mut state = splice.lock();
        let fits = state.connections < splice.limits.downstreams;
        state.connections += usize::from(fits);
        fits.then(|| Self(Arc::clone(splice)))
    }
}

impl<N: Net> Drop for Counted<N> {
    fn drop(&mut self) {
        self.0.lock().connections -= 1;
    }
}

/// Reports the end of the flow in any case.
struct Ended<N: Net> {
    counted: Counted<N>,
    flow: FiveTuple,
}

impl<N: Net> Drop for Ended<N> {
    fn drop(&mut self) {
        let splice = &self.counted.0;
        let mut state = splice.lock();
        state.flows.swap_remove(&self.flow);
        state.policy.closed(splice.env.clock.now(), self.flow);
        splice.arm(&mut state);
    }
}
