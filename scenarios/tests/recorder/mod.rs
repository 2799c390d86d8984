//! An arm that records the actions as a script asks for them. A trace is not enough, since it shows a wait for checks
//! only as time that passes.

use std::sync::{Arc, Mutex};

use stickler_model::trace::Promises;
use stickler_model::{Action, BalancerSpec, Event, Outcome, Plan, Time, Topology, Trace, World, WorldError};
use stickler_runner::Arm;

/// The plan that a script asks for, as far as it has been played.
pub(crate) type Recorded = Arc<Mutex<Option<Plan>>>;

struct Recorder {
    arm: Arc<dyn Arm>,
    plan: Recorded,
}

/// Returns an arm that behaves like the given one, and the place where it stores the plan.
pub(crate) fn over(arm: Arc<dyn Arm>) -> (Arc<dyn Arm>, Recorded) {
    let plan = Recorded::default();
    (Arc::new(Recorder { arm, plan: Arc::clone(&plan) }), plan)
}

struct Recording {
    world: Box<dyn World>,
    plan: Recorded,
}

impl Arm for Recorder {
    fn name(&self) -> &'static str {
        self.arm.name()
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let plan = Plan { seed, balancer: balancer.clone(), topology: topology.clone(), steps: Vec::new() };
        *self.plan.lock().unwrap() = Some(plan);
        let world = self.arm.build(topology, balancer, seed)?;
        Ok(Box::new(Recording { world, plan: Arc::clone(&self.plan) }))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.arm.build_control(topology, seed)
    }
}

impl World for Recording {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        let outcome = self.world.perform(action.clone())?;
        self.plan.lock().unwrap().as_mut().unwrap().steps.push(action);
        Ok(outcome)
    }

    fn now(&self) -> Time {
        self.world.now()
    }

    fn promises(&self) -> Promises {
        self.world.promises()
    }

    fn visit(&self, see: &mut dyn FnMut(&Event)) {
        self.world.visit(see);
    }

    /// Returns the trace without its events, so that no time is spent on judging them.
    fn finish(self: Box<Self>) -> Trace {
        Trace { events: Vec::new(), ..self.world.finish() }
    }
}
