//! Performs a plan on an arm.

use stickler_model::{Plan, Trace, WorldError};

use crate::Arm;

/// A plan could not be performed to its end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct PlayError {
    /// The index of the step that the world could not perform, from 0; `None`: the world could not be built.
    pub step: Option<usize>,
    /// Why not.
    pub error: WorldError,
    /// What was seen until then; `None` where there was no world.
    pub trace: Option<Box<Trace>>,
}

/// Performs the steps of a plan in order, on this thread, and returns what was seen.
///
/// # Errors
/// [`PlayError`]: the world cannot be built, or cannot perform a step. What was seen until then is in the error.
pub fn play(plan: &Plan, arm: &dyn Arm) -> Result<Trace, PlayError> {
    let built = arm.build(plan.topology.clone(), &plan.balancer, plan.seed);
    let mut world = built.map_err(|error| PlayError { step: None, error, trace: None })?;
    for (step, action) in plan.steps.iter().enumerate() {
        if let Err(error) = world.perform(action.clone()) {
            return Err(PlayError { step: Some(step), error, trace: Some(Box::new(world.finish())) });
        }
    }
    Ok(world.finish())
}
