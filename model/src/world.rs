//! The seam between a script and whatever carries it out.

use crate::action::TokenId;
use crate::trace::Promises;
use crate::{Action, Event, Outcome, RequestId, Time, Trace};

/// A network with clients, a balancer, servers and a DC. `sim` implements it on a simulated network.
///
/// A world is synchronous and owns its runtime. It records each action in its trace before it performs the action, in the
/// form that [`Action::over`] returns for its balancer.
pub trait World {
    /// Performs one action, and returns when it is done.
    ///
    /// # Errors
    /// [`WorldError`]: the action makes no sense here, or this world cannot do it. The world and its trace stay as they
    /// were, unless the run has come to a limit: then the action was performed in part, and nothing more is.
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
    #[error("there is already a client or host called `{0}`")]
    Duplicate(String),
    /// The request was answered and its answer taken, or it was never started.
    #[error("request {0} is not under way")]
    NotStarted(RequestId),
    /// A request or a token of that id exists already.
    #[error("the id {0} is already in use")]
    IdTaken(String),
    /// No step has made that token, or its client had none to offer.
    #[error("the token {0} does not exist: no step made it, or its client had none to offer")]
    NoToken(TokenId),
    /// This world cannot do what is asked, though it makes sense and another one may be able to do it. The run is
    /// skipped, not failed.
    #[error("{0}")]
    Unsupported(String),
    /// The action does not fit the state of the world.
    #[error("{0}")]
    Invalid(String),
}

fn suggestion(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}
