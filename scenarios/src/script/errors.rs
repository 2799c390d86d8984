//! What a script can do wrong, and Starlark's errors as [`Diagnostic`]s.

use stickler_model::plan::StepProblem;
use stickler_model::{RequestProblem, WorldError};
use stickler_runner::Diagnostic;

use crate::suite::nearest;
use crate::{Scenario, limits};

/// What a script can do wrong that Starlark cannot know of.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    #[error("{0}{hint}", hint = world_hint(.0))]
    World(WorldError),
    #[error("site() stands before the first client, and once")]
    SiteTooLate,
    #[error("{argument} is {given}; it must be from {low} to {high}")]
    OutOfRange { argument: &'static str, given: String, low: u64, high: u64 },
    #[error("{argument} is {given}; it must be from 0.001 (a millisecond) to {high} seconds")]
    Timer { argument: &'static str, given: String, high: u64 },
    #[error("there is no {kind} `{given}`{}", hint(.given, .known))]
    Unknown { kind: &'static str, given: String, known: Vec<String> },
    #[error("there is no user `{user}` in the directory{}; give password= to try the name all the same, or user = None for nobody", hint(.user, .known))]
    NoSuchUser { user: String, known: Vec<String> },
    #[error("a client without a user has no password")]
    PasswordOfNobody,
    #[error("every client of a crowd has a user of its own: leave {0}= out, or give a list of clients")]
    OptionOfOne(&'static str),
    #[error("clients that are there already have their kind and their options: leave these out")]
    CrowdOfClients,
    #[error(
        "`{0}` is not in the directory, which cannot grow any more: let the crowd come before the first action, or give its users to site(users =)"
    )]
    NoAccountForCrowd(String),
    #[error("`{0}` is not a name: use letters, digits, - and _, at most 32")]
    BadName(String),
    #[error(transparent)]
    Request(#[from] RequestProblem),
    #[error(
        "broken= says in one line why nobody can log on at this site, in at most {} characters",
        super::globals::MAX_REASON
    )]
    BadReason,
    #[error("http2 = True needs tls: clients learn of HTTP/2 by ALPN")]
    Http2WithoutTls,
    #[error("a server shows a certificate only over TLS: give tls= to site(), or leave certificate= out")]
    CertificateWithoutTls,
    #[error("`{0}` is not the path of an anonymous part: it begins with /")]
    AnonymousPath(String),
    #[error("expected {expected}, found {found}")]
    Type { expected: &'static str, found: String },
    #[error("the script takes more than {} steps: is this loop endless?", limits::TICKS)]
    TooManySteps,
    #[error("a script may perform {} actions", limits::ACTIONS)]
    TooManyActions,
    #[error(transparent)]
    Step(#[from] StepProblem),
    #[error("a script may print {} lines", limits::PRINTED)]
    TooMuchPrinted,
    #[error("the world answered `{0}` to an action that has another kind of outcome")]
    WrongOutcome(&'static str),
}

impl From<ScriptError> for starlark::Error {
    fn from(error: ScriptError) -> Self {
        Self::new_native(error)
    }
}

impl From<WorldError> for ScriptError {
    fn from(error: WorldError) -> Self {
        Self::World(error)
    }
}

/// A Starlark error at its place: that of the innermost expression, or else of the statement.
pub(super) fn diagnostic(scenario: &Scenario, error: &starlark::Error) -> Diagnostic {
    let bytes = error.span().map_or_else(super::statement, |at| super::bytes(at.span));
    scenario.diagnostic(bytes, error.without_diagnostic().to_string(), None)
}

/// `; did you mean ...? There are: ...`
fn hint(given: &str, known: &[String]) -> String {
    let near = nearest(given, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    near.unwrap_or_else(|| format!("; there are: {}", known.join(", ")))
}

fn world_hint(error: &WorldError) -> String {
    let WorldError::Unknown { name, known, .. } = error else { return String::new() };
    nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
