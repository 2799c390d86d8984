//! The choice of health checks for a site.

use std::sync::Arc;
use std::time::Duration;

use stickler_lb_core::health::{CheckError, CheckRule};
use stickler_site::Balancer;

use crate::{CheckCommand, Options};

/// The time that a check by command has beyond its limit, in order to kill the command and to report it.
const GRACE: Duration = Duration::from_secs(1);

/// Returns the balancer with the health checks that the options ask for, or otherwise with its own.
pub(crate) fn checked(options: &mut Options, balancer: Balancer) -> Result<Balancer, CheckError> {
    let (command, failed) = (options.check_command.take(), options.check_failed.take());
    let supervisor = options.supervisor.take();
    let rule = options.check.take().or(balancer.checks()).or_else(|| command.as_ref().map(|_| CheckRule::TCP));
    let Some(rule) = rule else { return Ok(balancer) };
    rule.check()?;
    let Some(program) = command else { return Ok(balancer.checked(rule)) };
    let command = CheckCommand::new(program, &rule, options.topology.monitor.as_ref(), failed);
    let command = command.supervised(supervisor);
    // The command has the rule's time limit, and reports its output until then; the other limit is for the rest.
    let graceful = CheckRule { timeout: rule.timeout + GRACE, ..rule };
    Ok(balancer.checked_by(graceful, Arc::new(command)))
}
