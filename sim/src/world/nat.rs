//! A packet-level balancer that asks an L4 policy.

use std::net::SocketAddr;
use std::time::Duration;

use stickler_lb_core::{Farm, FiveTuple, L4Decision, L4Policy, L4Work};
use stickler_model::{Env, Time, What};

use crate::engine::{Closing, FlowRecord, NatDecision, NatPolicy};

/// Lets a NAT table obey an [`L4Policy`], and notes the flows that it opens. A flow that the policy
/// closes ends with a RST to both sides.
pub(super) struct NatAdapter {
    pub(super) policy: Box<dyn L4Policy>,
    pub(super) farm: Farm,
    pub(super) env: Env,
}

impl NatPolicy for NatAdapter {
    fn connect(&mut self, client: SocketAddr, service: SocketAddr, now: Duration) -> NatDecision {
        match self.policy.connect(time(now), FiveTuple { client, front: service }) {
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
        self.policy.closed(time(now), FiveTuple { client: flow.client, front: flow.service });
    }

    fn poll(&mut self, now: Duration) -> Option<SocketAddr> {
        self.policy.poll(time(now)).map(|L4Work::CloseFlow(flow)| flow.client)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.policy.next_deadline().map(|at| at - Time::default())
    }
}

fn time(now: Duration) -> Time {
    Time::default() + now
}
