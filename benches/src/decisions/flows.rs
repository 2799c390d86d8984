//! Decisions at L4: the beginnings and ends of connections.

use std::time::Duration;

use stickler_lb_core::{FiveTuple, L4Decision, L4Policy};
use stickler_model::Time;

use super::{address, shuffled};

/// The time between two decisions. A benchmark reaches no idle limit.
const STEP: Duration = Duration::from_nanos(100);

/// The front end's address and port.
const FRONT: ([u8; 4], u16) = ([10, 0, 0, 80], 80);

/// A policy with its open flows.
pub struct Flows {
    policy: Box<dyn L4Policy>,
    /// The flows that take turns, in the order in which they end and begin again, which is independent of the order in
    /// which they began.
    asking: Vec<FiveTuple>,
    served: usize,
    next: usize,
    now: Time,
}

impl Flows {
    pub(super) fn new(policy: Box<dyn L4Policy>, count: usize, asking: usize) -> Self {
        let flow = |client| FiveTuple { client: address(client, 1024), front: FRONT.into() };
        let takes_turns = shuffled(count).into_iter().take(asking).map(flow).collect();
        let mut flows = Self { policy, asking: takes_turns, served: count, next: 0, now: Time::default() };
        for client in 0..count as u32 {
            flows.connect(flow(client));
        }
        flows
    }

    pub(super) fn served(&self) -> usize {
        self.served
    }

    /// Ends the next flow, and opens a connection of the same client from another port.
    pub(super) fn decide(&mut self) {
        let flow = self.asking[self.next];
        self.policy.closed(self.now, flow);
        let mut again = flow;
        again.client.set_port(flow.client.port().wrapping_add(1).max(1024));
        self.connect(again);
        self.asking[self.next] = again;
        self.next = (self.next + 1) % self.asking.len();
    }

    fn connect(&mut self, flow: FiveTuple) {
        self.now = self.now + STEP;
        let decision = self.policy.connect(self.now, flow);
        assert!(matches!(decision, L4Decision::Backend(_)), "{decision:?}");
        let deadline = self.policy.next_deadline();
        assert!(deadline.is_none(), "no backend goes down");
    }
}
