//! What checks the backends.

use std::sync::Arc;
use std::time::Duration;

use stickler_agents::Monitor;
use stickler_catalogue::Mechanism;
use stickler_lb_core::health::{CheckError, CheckRule};
use stickler_lb_core::{Control, Farm};
use stickler_lb_proxy::UpstreamTls;
use stickler_lb_proxy::health;
use stickler_model::{Env, Identity};
use stickler_net::{Net as _, TokioNet};

use crate::{CheckCommand, Options};

/// What health checks call the site.
const HOST: &str = "localhost";

/// Time that a check by command has beyond its limit, to kill the command and to tell of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Health checks of a farm.
pub(crate) struct Checks {
    rule: CheckRule,
    command: Option<CheckCommand>,
    user: Option<Identity>,
}

impl Checks {
    /// As the options have it, or else the mechanism; `None`: nobody checks.
    pub(crate) fn of(options: &mut Options, mechanism: &Mechanism) -> Result<Option<Self>, CheckError> {
        let (command, user) = (options.check_command.take(), options.topology.monitor.clone());
        let own = options.check.or(mechanism.checks);
        let Some(rule) = own.or_else(|| command.as_ref().map(|_| CheckRule::TCP)) else { return Ok(None) };
        rule.check()?;
        let failed = options.check_failed.take();
        let command = command.map(|program| CheckCommand::new(program, &rule, user.as_ref(), failed));
        Ok(Some(Self { rule, command, user }))
    }

    /// Starts them, over TLS where the backends have it; a command has its own ways.
    pub(crate) fn start(self, env: Env, farm: Farm, control: Control, tls: Option<UpstreamTls>) {
        let Self { rule, command, user } = self;
        if let Some(command) = command {
            // It has the rule's time limit itself, and tells what it heard by then; the other limit is for the rest.
            let patient = CheckRule { timeout: rule.timeout + PATIENCE, ..rule };
            TokioNet.spawn(health::run_with(TokioNet, env, farm, patient, Arc::new(command), control));
            return;
        }
        let agent = user.map(|user| Monitor::agent(TokioNet, env.clone(), HOST, user, tls.clone()));
        TokioNet.spawn(health::run(TokioNet, env, farm, rule, (agent, tls), control));
    }
}
