//! Sites as a configuration wants them: with a page that health checks may ask for, and no more servers than its farm has.

use std::sync::Arc;

use stickler_model::{BalancerSpec, Topology, World, WorldError};
use stickler_runner::Arm;

/// Below it, no logon is needed: an operator's check asks for a page of that kind, which the copy of his configuration names so.
const ANONYMOUS: &str = "/public";

/// An arm whose sites have such pages.
pub(super) struct Prepared {
    pub(super) arm: Arc<dyn Arm>,
    /// How many servers the farm has: what breaks with more of them is no fault of its balancer. 0 where it is not known.
    pub(super) servers: usize,
}

impl Prepared {
    fn limited(&self, mut topology: Topology) -> Topology {
        if self.servers > 0 {
            topology.servers.truncate(self.servers);
        }
        topology
    }
}

impl Arm for Prepared {
    fn name(&self) -> &'static str {
        self.arm.name()
    }

    fn is_deterministic(&self) -> bool {
        self.arm.is_deterministic()
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let mut topology = self.limited(topology);
        for server in &mut topology.servers {
            let paths = &mut server.site.anonymous.paths;
            if !paths.iter().any(|path| path == ANONYMOUS) {
                paths.push(ANONYMOUS.to_owned());
            }
        }
        self.arm.build(topology, balancer, seed)
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.arm.build_control(self.limited(topology), seed)
    }
}
