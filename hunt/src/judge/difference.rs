//! The differences between two arms: requirements that one violates and the other does not.

use std::collections::BTreeSet;

use stickler_model::Plan;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, End};

use super::{Judged, Kind, judge};

/// The number of seeds of the simulation, and of repetitions on real sockets, before the two arms count as different.
const REPETITIONS: u64 = 5;

/// Returns the requirements that a balancer violates each time on real sockets and never in its simulation, or the
/// other way round. A violation that occurs only sometimes is no difference, because real sockets have races of their
/// own.
pub fn differences(plan: &Plan, first: &Judged, wire: &dyn Arm, simulation: &dyn Arm) -> Vec<(Kind, String)> {
    let Some(once) = violated(first) else { return Vec::new() };
    let Some(simulated) = tally(plan, simulation) else { return Vec::new() };
    let suspected = simulated.ever.symmetric_difference(&once).next().is_some();
    if !suspected {
        return Vec::new();
    }
    let Some(real) = tally(plan, wire) else { return Vec::new() };
    let always_real = real.always.intersection(&once).filter(|requirement| !simulated.ever.contains(requirement));
    let always_simulated =
        simulated.always.iter().filter(|requirement| !once.contains(requirement) && !real.ever.contains(requirement));
    let differs = |requirement: &Requirement, does: &str, does_not: &str| {
        let summary = format!("{requirement} is violated {does} each time, and {does_not} never");
        (Kind::ArmsDiffer(*requirement), summary)
    };
    let real = always_real.map(|requirement| differs(requirement, "on real sockets", "in the simulation"));
    let simulated = always_simulated.map(|requirement| differs(requirement, "in the simulation", "on real sockets"));
    real.chain(simulated).collect()
}

/// The violations in several runs of a plan.
struct Tally {
    ever: BTreeSet<Requirement>,
    always: BTreeSet<Requirement>,
}

/// Plays a plan several times. Returns `None` if the arm cannot play it.
fn tally(plan: &Plan, arm: &dyn Arm) -> Option<Tally> {
    let mut tally: Option<Tally> = None;
    for offset in 0..REPETITIONS {
        let violated = violated(&judge(&Plan { seed: plan.seed.wrapping_add(offset), ..plan.clone() }, arm))?;
        tally = Some(match tally {
            None => Tally { ever: violated.clone(), always: violated },
            Some(Tally { ever, always }) => Tally { ever: &ever | &violated, always: &always & &violated },
        });
    }
    tally
}

/// Returns the MUST requirements that were violated; `None` if the plan was not performed to its end.
fn violated(judged: &Judged) -> Option<BTreeSet<Requirement>> {
    let run = judged.run.as_ref().filter(|run| run.end == End::Complete)?;
    Some(run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect())
}
