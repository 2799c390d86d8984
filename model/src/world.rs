//! The interface between a script and the world that performs its actions.

use crate::action::TokenId;
use crate::trace::Promises;
use crate::{Action, Event, Outcome, RequestId, Time, Trace};

/// A network with clients, a balancer, servers and a DC. `sim` implements the trait on a simulated network, and `wire`
/// on real sockets.
///
/// A world is synchronous and owns its runtime. It records each action in its trace before it performs the action, in
/// the form that [`Action::over`] returns for its balancer.
pub trait World {
    /// Performs one action, and returns when it is done.
    ///
    /// # Errors
    /// [`WorldError`]: the action is not valid here, or this world cannot perform it. The world and its trace stay
    /// unchanged, unless the run has reached a limit: then the action was performed in part, and the world performs no
    /// more.
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError>;

    /// Returns the current time.
    fn now(&self) -> Time;

    /// Returns what the balancer declares about itself.
    fn promises(&self) -> Promises;

    /// Passes each event recorded so far to `see`, in order.
    fn visit(&self, see: &mut dyn FnMut(&Event));

    /// Ends the world: open connections close, and the trace is complete.
    fn finish(self: Box<Self>) -> Trace;
}

/// The reason why a world cannot perform an action, or cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No host or client has this name.
    #[error("there is no {kind} called `{name}`{}", suggestion(.known))]
    Unknown {
        /// The kind of the thing that is missing: `host`, `client`, `balancer` and so on.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A client with that name exists already.
    #[error("there is already a client or host called `{0}`")]
    Duplicate(String),
    /// The request was never started, or its answer was taken already.
    #[error("request {0} is not under way")]
    NotStarted(RequestId),
    /// A request or a token with that id exists already.
    #[error("the id {0} is already in use")]
    IdTaken(String),
    /// No step has made that token, or its client had none to offer.
    #[error("the token {0} does not exist: no step made it, or its client had none to offer")]
    NoToken(TokenId),
    /// This world cannot perform the action, although the action is valid and another world may be able to perform it.
    /// The run is skipped and does not fail.
    #[error("{0}")]
    Unsupported(String),
    /// The action does not fit the state of the world.
    #[error("{0}")]
    Invalid(String),
}

fn suggestion(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}
