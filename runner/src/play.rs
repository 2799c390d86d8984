//! The function that performs a plan on an arm.

use stickler_model::{Plan, Trace, WorldError};

use crate::Arm;

/// Why a plan could not be performed to its end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct PlayError {
    /// The index, from 0, of the step that the world could not perform; `None` if the world could not be built.
    pub step: Option<usize>,
    /// The error of the world or of the arm.
    pub error: WorldError,
    /// The trace until then; `None` if there was no world.
    pub trace: Option<Box<Trace>>,
}

/// Performs the steps of a plan in order, on this thread, and returns the trace.
///
/// # Errors
/// [`PlayError`]: the world cannot be built, or cannot perform a step. The error contains the trace until then.
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
