//! The shortest plan that shows the same.
//!
//! A candidate is a plan with something taken away. It is taken where it still shows the finding on the plan's own seed, and on
//! as many of three other seeds as the plan before it: what is left does not depend on the luck of one seed more than the
//! finding itself does.
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

/// Other seeds that each candidate is played with.
const OTHER_SEEDS: u64 = 3;

/// Seeds that a result is played with.
pub const SEEDS: u64 = 100;

/// A plan that was shrunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// How many runs that took.
    pub runs: u64,
}

/// Shrinks a plan that shows a finding of this kind, with about `most` runs at the most. Returns `None` where the plan does not
/// show it.
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

/// Returns on how many of the [`SEEDS`] seeds, from the plan's own on, a plan shows a finding.
pub fn seeds_that_show(plan: &Plan, kind: &Kind, arm: &dyn Arm) -> u64 {
    (0..SEEDS).filter(|&offset| shows(plan, offset, kind, arm)).count() as u64
}

/// Returns how many actions a plan has, as a script counts them: clients are part of the setting, and a request that is
/// waited for at once is one action.
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

/// A plan that gets smaller.
struct Shrinking<'a> {
    kind: &'a Kind,
    arm: &'a dyn Arm,
    plan: Plan,
    /// On how many of the seeds it shows the finding.
    on: u64,
    runs: u64,
    most: u64,
}

impl Shrinking<'_> {
    /// Takes a plan if it shows the finding as often as the present one. What no longer makes sense in it is left out before.
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

    /// Takes the plan with other steps, as [`take`](Self::take) does.
    fn take_steps(&mut self, steps: Vec<Action>) -> bool {
        self.take(Plan { steps, ..self.plan.clone() })
    }

    /// Returns on how many seeds a plan shows the finding; `None` where it does not on its own one, or on fewer than `least`.
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
