//! The simulator as an arm.

use stickler_model::{BalancerSpec, Topology, World, WorldError};
use stickler_runner::Arm;
use stickler_site::Balancer;

use crate::SimWorld;

/// The arm that builds simulated worlds with the balancers of the catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimArm;

/// The arm that builds simulated worlds with one balancer that the catalogue does not have.
#[derive(Clone)]
pub struct OwnArm(Balancer);

impl OwnArm {
    /// Returns an arm with this balancer.
    pub fn new(balancer: Balancer) -> Self {
        Self(balancer)
    }

    /// Returns the description of the balancer in traces and reports.
    pub fn balancer(&self) -> &BalancerSpec {
        self.0.spec()
    }
}

impl Arm for SimArm {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::new(topology, balancer, seed)?))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::control(topology, seed)?))
    }
}

impl Arm for OwnArm {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        if balancer != self.balancer() {
            let own = self.balancer();
            return Err(WorldError::Unsupported(format!("this arm has the balancer `{own}` only, not `{balancer}`")));
        }
        Ok(Box::new(SimWorld::with_balancer(topology, self.0.clone(), seed)?))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::control(topology, seed)?))
    }
}
