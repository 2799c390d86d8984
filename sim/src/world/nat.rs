//! A packet-level balancer that asks an L4 policy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stickler_lb_core::{Attached, Farm, FiveTuple, L4Decision, L4Policy, L4Work};
use stickler_lb_proxy::SpliceConfig;
use stickler_model::{Env, Time, What};

use crate::engine::{Closing, Fate, FlowRecord, Kick, NatDecision, NatPolicy};

/// Makes a NAT table obey an [`L4Policy`], and records the flows that it opens.
pub(super) struct NatAdapter {
    policy: SharedPolicy,
    farm: Farm,
    env: Env,
    /// The subscription by which reports of health checks and operators reach the policy as long as the router exists.
    _attached: Attached,
}

/// The policy, which has two callers: packets, and the handle on the backends' states.
type SharedPolicy = Arc<Mutex<Box<dyn L4Policy>>>;

impl NatAdapter {
    /// Returns an adapter that obeys the policy of `service`. Settings of the byte data plane have no effect on
    /// packets.
    pub(super) fn new(service: SpliceConfig, env: Env, kick: Kick) -> Self {
        let SpliceConfig { policy, farm, control, .. } = service;
        let policy = Arc::new(Mutex::new(policy));
        let (told, clock) = (Arc::clone(&policy), Arc::clone(&env.clock));
        let attached = control.attach(move |backend, change| {
            lock(&told).change(clock.now(), backend, change);
            // The flows of a dead backend may have to end.
            kick.kick();
        });
        Self { policy, farm, env, _attached: attached }
    }

    fn policy(&self) -> MutexGuard<'_, Box<dyn L4Policy>> {
        lock(&self.policy)
    }
}

/// Locks the policy. A panic in a policy ends the world's thread, so nobody reads the policy afterwards.
fn lock(policy: &SharedPolicy) -> MutexGuard<'_, Box<dyn L4Policy>> {
    policy.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NatPolicy for NatAdapter {
    fn connect(&mut self, client: SocketAddr, service: SocketAddr, now: Duration) -> NatDecision {
        let decision = self.policy().connect(time(now), FiveTuple { client, front: service });
        match decision {
            L4Decision::Backend(index) => self
                .farm
                .backends
                .get(index)
                .map_or(NatDecision::Refuse, |backend| NatDecision::Backend(backend.address)),
            L4Decision::Refuse => NatDecision::Refuse,
            L4Decision::Drop => NatDecision::Drop,
        }
    }

    fn opened(&mut self, flow: &FlowRecord, _now: Duration) {
        let Some(backend) = self.farm.backends.iter().find(|backend| backend.address == flow.backend) else { return };
        self.env.record(What::FlowOpened { client: flow.client, source: flow.seen_as, backend: backend.name.clone() });
    }

    fn closed(&mut self, flow: &FlowRecord, _how: Closing, now: Duration) {
        self.policy().closed(time(now), FiveTuple { client: flow.client, front: flow.service });
    }

    fn poll(&mut self, now: Duration) -> Option<(SocketAddr, Fate)> {
        let work = self.policy().poll(time(now))?;
        Some(match work {
            L4Work::CloseFlow(flow) => (flow.client, Fate::Reset),
            L4Work::SilenceFlow(flow) => (flow.client, Fate::Silence),
            L4Work::MoveFlow(flow, index) => {
                let backend = self.farm.backends.get(index);
                (flow.client, backend.map_or(Fate::Reset, |backend| Fate::Move(backend.address)))
            }
        })
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.policy().next_deadline().map(|at| at - Time::default())
    }
}

fn time(now: Duration) -> Time {
    Time::default() + now
}
