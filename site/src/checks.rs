//! The health checks of a farm.

use std::sync::Arc;

use stickler_lb_core::health::CheckRule;
use stickler_lb_core::{Control, Farm};
use stickler_lb_proxy::UpstreamTls;
use stickler_lb_proxy::health::{self, Prober};
use stickler_model::{Env, Identity};
use stickler_net::Net;

use crate::CheckUser;

/// The health checks of a farm, which report their findings to a balancer's [`Control`].
#[derive(Clone)]
pub(crate) struct Checks {
    pub(crate) rule: CheckRule,
    /// The prober that is used instead of the rule's probe, if there is one.
    pub(crate) prober: Option<Arc<dyn Prober>>,
    pub(crate) farm: Farm,
    pub(crate) control: Control,
    /// The account with which a check logs on.
    pub(crate) user: Option<Identity>,
    /// The TLS between the checks and the backends, if there is TLS.
    pub(crate) tls: Option<UpstreamTls>,
    /// The name of the site in `Host`.
    pub(crate) host: String,
}

impl Checks {
    /// Starts the checks on a host.
    pub(crate) fn boot<N: Net>(&self, net: &N, env: Env) {
        let Self { rule, prober, farm, control, user, tls, host } = self.clone();
        for index in 0..farm.backends.len() {
            // The knowledge of a process that has ended is forgotten.
            control.set_health(index, true);
            control.set_share(index, 100);
        }
        if let Some(prober) = prober {
            net.spawn(health::run_with(net.clone(), env, farm, rule, prober, control));
            return;
        }
        let user = user.map(|user| CheckUser::agent(net.clone(), env.clone(), host, user, tls.clone()));
        net.spawn(health::run(net.clone(), env, farm, rule, (user, tls), control));
    }
}
