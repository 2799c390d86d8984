//! Shrinks a plan to the shortest one that shows the same finding.
//!
//! A candidate is a plan from which something was removed. It is accepted if it still shows the finding on the plan's
//! own seed, and on as many of three other seeds as the plan before it. Therefore the result depends on a particular
//! seed no more than the finding itself does.
//!
//! * `steps.rs`: fewer steps, in another order.
//! * `site.rs`: fewer servers, plainer clients, a plainer site.
//! * `values.rs`: simpler values.

mod site;
mod steps;
mod values;

use stickler_model::{Action, Plan};
use stickler_runner::Arm;

use crate::generate::Situation;
use crate::judge::{self, Kind};

/// The number of other seeds with which each candidate is played.
const OTHER_SEEDS: u64 = 3;

/// The number of seeds with which a result is played.
pub const SEEDS: u64 = 100;

/// The result of shrinking a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// The shrunk plan.
    pub plan: Plan,
    /// The number of runs that the shrinking took.
    pub runs: u64,
}

/// Shrinks a plan that shows a finding of this kind, using at most about `most` runs. Returns `None` if the plan does
/// not show it.
pub fn shrink(plan: &Plan, kind: &Kind, arm: &dyn Arm, most: u64) -> Option<Shrunk> {
    let mut shrinking = Shrinking { kind, arm, plan: plan.clone(), on: 0, runs: 0, most };
    shrinking.on = shrinking.shows_on(plan, 0)?;
    loop {
        let before = shrinking.plan.clone();
        steps::shrink(&mut shrinking);
        site::shrink(&mut shrinking);
        values::shrink(&mut shrinking);
        if shrinking.plan == before || shrinking.is_spent() {
            break;
        }
    }
    Some(Shrunk { plan: shrinking.plan, runs: shrinking.runs })
}

/// Returns on how many of the [`SEEDS`] seeds, counted from the plan's own, a plan shows a finding.
pub fn seeds_that_show(plan: &Plan, kind: &Kind, arm: &dyn Arm) -> u64 {
    (0..SEEDS).filter(|&offset| shows(plan, offset, kind, arm)).count() as u64
}

/// Returns the number of actions in a plan as a script counts them: clients belong to the setting, and a request that
/// is awaited at once is one action.
pub fn actions(plan: &Plan) -> usize {
    let is_counted = |(index, action): &(usize, &Action)| match action {
        Action::AddClient(_) => false,
        Action::Await(id) => {
            let before = index.checked_sub(1).map(|before| &plan.steps[before]);
            !matches!(before, Some(Action::Start { id: started, .. }) if started == id)
        }
        _ => true,
    };
    plan.steps.iter().enumerate().filter(is_counted).count()
}

fn shows(plan: &Plan, offset: u64, kind: &Kind, arm: &dyn Arm) -> bool {
    let plan = Plan { seed: plan.seed.wrapping_add(offset), ..plan.clone() };
    judge::judge(&plan, arm).summary(kind).is_some()
}

/// The state of shrinking a plan.
struct Shrinking<'a> {
    kind: &'a Kind,
    arm: &'a dyn Arm,
    plan: Plan,
    /// The number of seeds on which the plan shows the finding.
    on: u64,
    runs: u64,
    most: u64,
}

impl Shrinking<'_> {
    /// Accepts a plan if it shows the finding as often as the current one. Steps that no longer make sense are removed
    /// from it before.
    fn take(&mut self, mut candidate: Plan) -> bool {
        candidate.steps = Situation::sensible(&candidate.topology, candidate.steps);
        if candidate == self.plan || self.is_spent() || candidate.check().is_err() {
            return false;
        }
        match self.shows_on(&candidate, self.on) {
            Some(on) => {
                (self.plan, self.on) = (candidate, on);
                true
            }
            None => false,
        }
    }

    /// Accepts the plan with these steps under the same condition as [`take`](Self::take).
    fn take_steps(&mut self, steps: Vec<Action>) -> bool {
        self.take(Plan { steps, ..self.plan.clone() })
    }

    /// Returns the number of seeds on which a plan shows the finding; `None` if it does not show it on its own seed, or
    /// on fewer seeds than `least`.
    fn shows_on(&mut self, plan: &Plan, least: u64) -> Option<u64> {
        let others = if self.arm.is_deterministic() { OTHER_SEEDS } else { 0 };
        let mut on = 0;
        for offset in 0..=others {
            self.runs += 1;
            on += u64::from(shows(plan, offset, self.kind, self.arm));
            let to_come = others - offset;
            if on == 0 || on + to_come < least {
                return None;
            }
        }
        Some(on)
    }

    fn is_spent(&self) -> bool {
        self.runs >= self.most
    }
}
