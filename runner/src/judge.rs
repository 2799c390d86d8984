//! The function that judges a trace.

use stickler_model::Trace;
use stickler_oracle::Verdict;

use crate::{Arm, control, without_faults};

/// Judges the trace of a run on an arm: by the oracle, which knows only the trace, and then by comparison with runs of the
/// same plan without the balancer, which may clear the balancer, and without the faults, which may accuse it after all.
pub fn judge(trace: &Trace, arm: &dyn Arm) -> Vec<Verdict> {
    let mut verdicts = stickler_oracle::judge(trace);
    control::clear(&mut verdicts, trace, arm);
    without_faults::accuse(&mut verdicts, trace, arm);
    verdicts
}
