//! Sites with a page that health checks may ask for.

use std::sync::Arc;

use stickler_model::{BalancerSpec, Topology, World, WorldError};
use stickler_runner::Arm;

/// Below it, no logon is needed: an operator's check asks for a page of that kind, which the copy of his configuration names so.
const ANONYMOUS: &str = "/public";

/// An arm whose sites have such pages.
pub(super) struct Prepared(pub(super) Arc<dyn Arm>);

impl Arm for Prepared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is_deterministic(&self) -> bool {
        self.0.is_deterministic()
    }

    fn build(&self, mut topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        for server in &mut topology.servers {
            let paths = &mut server.site.anonymous.paths;
            if !paths.iter().any(|path| path == ANONYMOUS) {
                paths.push(ANONYMOUS.to_owned());
            }
        }
        self.0.build(topology, balancer, seed)
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.0.build_control(topology, seed)
    }
}
