//! The run without its faults: it determines whether a failure needs the fault that seems to explain it.
//!
//! The oracle excuses a failure of a request that an injected fault may have touched. Whether the fault caused it, a trace
//! cannot always say: nobody sees to which backend a balancer would have sent a request that reached none. Where runs are
//! deterministic, the question has an answer: the plan is performed once more over the same balancer, without its faults
//! and without its changes of settings, and is judged in the same way. If the balancer is at fault there for the same
//! failure of the same request, then it is at fault here as well. A balancer that keeps the requirement without faults is
//! accused of nothing new.

use std::collections::BTreeMap;

use stickler_model::{Action, Plan, RequestId, Trace, What};
use stickler_oracle::{Cited, Evidence, Party, Verdict};

use crate::control::BY_STATUS;
use crate::{Arm, control, play};

/// Puts the failures that happen without the injected faults as well down to the balancer.
pub(crate) fn accuse(verdicts: &mut [Verdict], trace: &Trace, arm: &dyn Arm) {
    let is_excused =
        |verdict: &&mut Verdict| BY_STATUS.contains(&verdict.requirement) && verdict.evidence.iter().any(is_by_fault);
    let mut excused = verdicts.iter_mut().filter(is_excused).peekable();
    if excused.peek().is_none() || !arm.is_deterministic() {
        return;
    }
    let Some(plan) = without_faults(trace) else { return };
    let Ok(without) = play(&plan, arm) else { return };
    let mut found = stickler_oracle::judge(&without);
    control::clear(&mut found, &without, arm);
    let (with, without) = (statuses(trace), statuses(&without));
    for verdict in excused {
        let alike = found.iter().filter(|found| found.requirement == verdict.requirement);
        let alike: Vec<&Evidence> = alike.flat_map(Verdict::against_balancer).collect();
        verdict.accuse("and the same happens without the injected faults", |evidence| {
            let ends_alike = |id: RequestId| with.get(&id) == without.get(&id);
            is_by_fault(evidence)
                && requests(evidence).is_some_and(|mut ids| ids.all(ends_alike))
                && alike.iter().any(|found| found.is_like(evidence))
        });
    }
}

fn is_by_fault(evidence: &Evidence) -> bool {
    evidence.fault == Party::InjectedFault
}

/// Returns the plan of a run without the faults that it injects; `None` if it injects none.
fn without_faults(trace: &Trace) -> Option<Plan> {
    let mut plan = trace.plan();
    let steps = plan.steps.len();
    plan.steps.retain(|step| !matches!(step, Action::Fault(_) | Action::Configure(_)));
    (plan.steps.len() < steps).then_some(plan)
}

/// Returns the requests that evidence is about; `None` if it is about raw bytes, which are known by their place in a plan.
fn requests(evidence: &Evidence) -> Option<impl Iterator<Item = RequestId>> {
    let ids = evidence.about.iter().map(|cited| match cited {
        Cited::Request { id, .. } => Some(*id),
        Cited::Raw { .. } => None,
    });
    ids.collect::<Option<Vec<RequestId>>>().map(Vec::into_iter)
}

/// Returns the status that each request ended with; `None` for a request without an answer.
fn statuses(trace: &Trace) -> BTreeMap<RequestId, Option<u16>> {
    let ended = trace.events.iter().filter_map(|event| match event.what {
        What::RequestEnded { request, status, .. } => Some((request, status)),
        _ => None,
    });
    ended.collect()
}
