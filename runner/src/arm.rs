//! The trait that builds worlds.

use stickler_model::{BalancerSpec, Topology, World, WorldError};

/// A way to build worlds: the simulator, or real sockets. It can be called as often as needed, from any thread.
pub trait Arm: Send + Sync {
    /// Returns the arm's name in run files and messages, for example `sim`.
    fn name(&self) -> &'static str;

    /// Returns whether the same plan gives the same trace each time.
    fn is_deterministic(&self) -> bool {
        true
    }

    /// Builds a world, which is bound to the calling thread.
    ///
    /// # Errors
    /// [`WorldError`]: the balancer does not exist, the topology is not valid, or this arm does not support them.
    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError>;

    /// Builds the control: a world with an ideal L4 path in place of the balancer. A new connection goes to a backend
    /// that works, and stays there.
    ///
    /// # Errors
    /// [`WorldError`]: the topology is not valid, or this arm has no control.
    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError>;
}
