//! The timing of the active checks: one task for each backend.

use std::sync::Arc;
use std::time::Duration;

use stickler_lb_core::health::state::{interval, slow_start};
use stickler_lb_core::health::{CheckRule, Health};
use stickler_lb_core::{Backend, Control, Farm};
use stickler_model::Env;
use stickler_net::Net;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::prober::{LogonAgent, Prober, probe};
use crate::UpstreamTls;

/// Checks the backends of a farm by `rule` until the future is dropped, and reports to `control`.
///
/// `agent` logs on for [`stickler_lb_core::health::Probe::Logon`]; `tls` has the settings for backends that speak TLS.
/// Checks have their own connections, on which no client is ever served. Jitter is drawn from `env`. The tasks run in
/// `net`, so they end with its host.
pub async fn run<N: Net>(
    net: N,
    env: Env,
    farm: Farm,
    rule: CheckRule,
    (agent, tls): (Option<Arc<dyn LogonAgent>>, Option<UpstreamTls>),
    control: Control,
) {
    let prober = probe(net.clone(), tls, rule.probe.clone(), agent);
    run_with(net, env, farm, rule, prober, control).await;
}

/// Checks the backends like [`run`], with the caller's own prober instead of the rule's probe.
pub async fn run_with<N: Net>(
    net: N,
    env: Env,
    farm: Farm,
    rule: CheckRule,
    prober: Arc<dyn Prober>,
    control: Control,
) {
    let count = u32::try_from(farm.backends.len()).unwrap_or(u32::MAX).max(1);
    let start = Instant::now();
    let tasks = farm.backends.into_iter().zip(0_u32..).map(|(backend, index)| {
        let checks = Checks {
            backend,
            index: index as usize,
            rule: rule.clone(),
            env: env.clone(),
            prober: Arc::clone(&prober),
            control: control.clone(),
        };
        // The first checks are spread over one interval, so that a large farm is not checked all at once.
        net.spawn(checks.run(start + rule.interval * index / count))
    });
    let _tasks = Tasks(tasks.collect());
    std::future::pending::<()>().await;
}

/// The tasks of all checks, which end when this value is dropped.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// The checks of one backend.
struct Checks {
    backend: Backend,
    index: usize,
    rule: CheckRule,
    env: Env,
    prober: Arc<dyn Prober>,
    control: Control,
}

/// The shortest interval, which no rule can reduce: a check must not prevent the world from advancing.
const SHORTEST: Duration = Duration::from_millis(1);

impl Checks {
    async fn run(self, first: Instant) {
        let mut health = Health::new(self.rule.rise, self.rule.fall);
        let mut next = first;
        // The remaining steps of a slow start; the next step is last.
        let mut steps: Vec<(Instant, u8)> = Vec::new();
        loop {
            let step = steps.last().map(|&(at, _)| at).filter(|&at| at <= next);
            sleep_until(step.unwrap_or(next)).await;
            if let Some((_, percent)) = step.and_then(|_| steps.pop()) {
                self.control.set_share(self.index, percent);
                continue;
            }
            let began = next;
            let random = if self.rule.jitter > 0 { self.env.entropy.below(u64::MAX) } else { 0 };
            // The next check does not begin before this one is over. If this check takes long, the next one starts
            // late.
            let pause = interval(&self.rule, random).max(SHORTEST);
            let probing = self.prober.probe(self.index, &self.backend);
            let passed = timeout(self.rule.timeout, probing).await.unwrap_or(false);
            let now = Instant::now();
            next = if self.rule.after_end { now + pause } else { now.max(began + pause) };
            match health.checked(passed) {
                Some(true) => {
                    steps = slow_start(&self.rule).map(|(after, percent)| (now + after, percent)).collect();
                    steps.reverse();
                    if let Some((_, percent)) = steps.pop() {
                        self.control.set_share(self.index, percent);
                    }
                    self.control.set_health(self.index, true);
                }
                Some(false) => {
                    steps.clear();
                    self.control.set_health(self.index, false);
                }
                None => {}
            }
        }
    }
}
