//! The adapter that connects the complete proxy with Stickler.

use stickler_conformance::ForeignProxy;
use stickler_conformance::lb_core::{Control, Farm};
use stickler_conformance::model::Env;
use stickler_conformance::net::Net;

/// Runs [`example_balancer::forward`].
pub(crate) struct Forward;

impl ForeignProxy for Forward {
    async fn serve<N: Net>(&self, net: N, listener: N::Listener, _: Env, farm: Farm, control: Control) {
        example_balancer::forward(net, listener, farm, control).await;
    }
}
