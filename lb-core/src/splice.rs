//! The byte data plane: splices each downstream connection to one upstream connection, as an [`L4Policy`] decides.
//!
//! On real sockets this stands for network address translation; the simulated world obeys the same policy packet by
//! packet. A splice differs in what it must: it has accepted before it can refuse, and the backend sees its address.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use stickler_model::{Env, Time, What};
use stickler_net::{Net, Stream as _, next_connection};
use tokio::io::{copy, copy_bidirectional_with_sizes, sink};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};

use crate::proxy::instant;
use crate::{Farm, FiveTuple, L4Decision, L4Policy, L4Work};

/// Time to open an upstream connection; then the downstream connection is closed.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes in flight within the splice, each way.
const BUFFER: usize = 16 * 1024;

/// Splices connections from `listener` to backends as the policy decides, until it is dropped.
///
/// Half-closes pass through; when either side breaks, the other is closed. Connections live in tasks of `net`, so they
/// end with its host. Returns only when the listener has failed for good.
pub async fn serve_l4<N: Net>(net: N, listener: N::Listener, env: Env, farm: Farm, policy: Box<dyn L4Policy>) {
    let state = Mutex::new(State { policy, flows: IndexMap::new(), armed: None });
    let splice = Arc::new(Splice { net, env, farm, state, wake: Notify::new() });
    tokio::select! {
        biased;
        () = accept(&splice, &listener) => {}
        () = work(&splice) => {}
    }
}

struct Splice<N> {
    net: N,
    env: Env,
    farm: Farm,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    policy: Box<dyn L4Policy>,
    /// `None` until the flow's task is known.
    flows: IndexMap<FiveTuple, Option<AbortHandle>>,
    armed: Option<Time>,
}

async fn accept<N: Net>(splice: &Arc<Splice<N>>, listener: &N::Listener) {
    while let Some((stream, client)) = next_connection(listener).await {
        // A connection without addresses is gone already.
        let Ok(front) = stream.local_addr() else { continue };
        splice.start(stream, FiveTuple { client, front });
    }
}

/// Does the policy's unsolicited work whenever it is due.
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
    fn start(self: &Arc<Self>, mut stream: N::Stream, flow: FiveTuple) {
        match self.decide(flow) {
            L4Decision::Refuse => {}
            L4Decision::Drop => {
                self.net.spawn(async move {
                    // In silence, and in bounded memory, until the client gives up.
                    let _ = copy(&mut stream, &mut sink()).await;
                });
            }
            L4Decision::Backend(backend) => {
                let ended = Ended { splice: Arc::clone(self), flow };
                let splice = Arc::clone(self);
                let task = self.net.spawn(async move {
                    let _ended = ended;
                    splice.carry(stream, flow, backend).await;
                });
                // Not under the lock, since a task that cannot start is dropped, and reports its end, at once.
                if let Some(entry) = self.lock().flows.get_mut(&flow) {
                    *entry = Some(task);
                }
            }
        }
    }

    fn decide(&self, flow: FiveTuple) -> L4Decision {
        let mut state = self.lock();
        let decision = state.policy.connect(self.env.clock.now(), flow);
        if let L4Decision::Backend(_) = decision {
            state.flows.insert(flow, None);
        }
        self.arm(&mut state);
        decision
    }

    async fn carry(&self, mut downstream: N::Stream, flow: FiveTuple, backend: usize) {
        let Some(backend) = self.farm.backends.get(backend) else { return };
        let Ok(Ok(mut upstream)) = timeout(CONNECT, self.net.connect(backend.address)).await else { return };
        if let Ok(source) = upstream.local_addr() {
            self.env.record(What::FlowOpened { client: flow.client, source, backend: backend.name.clone() });
        }
        // An error on either side drops both, which closes both.
        let _ = copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER, BUFFER).await;
    }

    fn work(&self) -> Option<Time> {
        let mut state = self.lock();
        while let Some(L4Work::CloseFlow(flow)) = state.policy.poll(self.env.clock.now()) {
            if let Some(Some(task)) = state.flows.get(&flow) {
                task.abort();
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
        // A panic in a policy must not take the other flows down with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports the flow's end, however it comes.
struct Ended<N: Net> {
    splice: Arc<Splice<N>>,
    flow: FiveTuple,
}

impl<N: Net> Drop for Ended<N> {
    fn drop(&mut self) {
        let mut state = self.splice.lock();
        state.flows.swap_remove(&self.flow);
        let now = self.splice.env.clock.now();
        state.policy.closed(now, self.flow);
        self.splice.arm(&mut state);
    }
}
