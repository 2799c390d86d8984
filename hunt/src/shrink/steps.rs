//! Shrinks the steps: fewer steps, in a simpler order.

use stickler_model::{Action, RequestId};

use super::Shrinking;

/// Removes steps, and awaits requests as soon as they are started.
pub(super) fn shrink(shrinking: &mut Shrinking<'_>) {
    remove(shrinking);
    wait_at_once(shrinking);
}

/// Removes ever smaller pieces of the plan, from its end to its beginning (delta debugging, Zeller and Hildebrandt 2002).
fn remove(shrinking: &mut Shrinking<'_>) {
    let mut size = shrinking.plan.steps.len() / 2;
    while size > 0 {
        let mut end = shrinking.plan.steps.len();
        while end > 0 && !shrinking.is_spent() {
            let begin = end.saturating_sub(size);
            let mut steps = shrinking.plan.steps.clone();
            steps.drain(begin..end.min(steps.len()));
            shrinking.take_steps(steps);
            end = begin.min(shrinking.plan.steps.len());
        }
        size /= 2;
    }
}

/// Awaits each request as soon as it is started.
fn wait_at_once(shrinking: &mut Shrinking<'_>) {
    let started: Vec<RequestId> = shrinking.plan.steps.iter().filter_map(started).collect();
    for id in started {
        let mut steps = shrinking.plan.steps.clone();
        steps.retain(|step| !matches!(step, Action::Await(awaited) if *awaited == id));
        if let Some(start) = steps.iter().position(|step| started_is(step, id)) {
            steps.insert(start + 1, Action::Await(id));
            shrinking.take_steps(steps);
        }
    }
}

fn started(step: &Action) -> Option<RequestId> {
    match step {
        Action::Start { id, .. } => Some(*id),
        _ => None,
    }
}

fn started_is(step: &Action, id: RequestId) -> bool {
    started(step) == Some(id)
}
