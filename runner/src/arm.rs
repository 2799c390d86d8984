//! What builds worlds.

use stickler_model::{BalancerSpec, Topology, World, WorldError};

/// A way to build worlds: the simulator, or real sockets. It can be called as often as needed, from any thread.
pub trait Arm: Send + Sync {
    /// The arm's name in run files and messages, `sim`.
    fn name(&self) -> &'static str;

    /// Returns whether the same plan gives the same trace each time.
    fn is_deterministic(&self) -> bool {
        true
    }

    /// Builds a world. It is bound to the thread that asks for it.
    ///
    /// # Errors
    /// [`WorldError`]: the balancer does not exist, the topology makes no sense, or this arm does not support them.
    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError>;

    /// Builds the control: the world in which an ideal L4 path is in place of the balancer. A new connection goes to a
    /// backend that works, and stays there.
    ///
    /// # Errors
    /// [`WorldError`]: the topology makes no sense, or this arm has no control.
    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError>;
}
