//! The seam between a script and whatever carries it out.

use crate::trace::Promises;
use crate::{Action, Event, Outcome, Time, Trace};

/// A network with clients, a balancer, servers and a DC: simulated, or on real sockets.
///
/// It is synchronous and owns its runtime. It notes each action in its trace before it performs it.
pub trait World {
    /// Performs one action, and returns when it is done.
    ///
    /// # Errors
    /// The action makes no sense here ([`WorldError`]); the world stays as it was.
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError>;

    /// Now.
    fn now(&self) -> Time;

    /// What the balancer declares about itself.
    fn promises(&self) -> Promises;

    /// Shows each event noted so far, in order.
    fn visit(&self, see: &mut dyn FnMut(&Event));

    /// Ends the world: open connections close, and the trace is complete.
    fn finish(self: Box<Self>) -> Trace;
}

/// Why a world cannot perform an action, or cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// A host or client of that name does not exist.
    #[error("there is no {kind} called `{name}`{}", suggestion(.known))]
    Unknown {
        /// `host`, `client`, `balancer` ...
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A client of that name exists already.
    #[error("there is a client or host called `{0}` already")]
    Duplicate(String),
    /// The request was answered and its answer taken, or it was never started.
    #[error("request {0} is not under way")]
    NotStarted(crate::RequestId),
    /// The action does not fit the state of the world.
    #[error("{0}")]
    Invalid(String),
}

fn suggestion(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}
