//! The mistakes that a script can make, and the conversion of Starlark's errors to [`Diagnostic`]s.

use starlark::ErrorKind;
use stickler_model::plan::StepProblem;
use stickler_model::{RequestProblem, WorldError};
use stickler_runner::Diagnostic;

use super::place::Place;
use crate::lint;
use crate::nearest::nearest;
use crate::site::{SiteError, Unknown};
use crate::{Scenario, limits};

/// A mistake of a script that Starlark itself does not detect.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    #[error("{0}{hint}", hint = world_hint(.0))]
    World(WorldError),
    #[error("site() may be called only once, and before the first client")]
    SiteTooLate,
    #[error(
        "a loaded file may only define functions and values: put its actions into a function, and call the function"
    )]
    ActsWhileLoaded,
    #[error("{argument} is {given}; it must be from {low} to {high}")]
    OutOfRange { argument: &'static str, given: String, low: u64, high: u64 },
    #[error("number is {0}; it must not be less than 0")]
    Negative(i64),
    #[error("{argument} is {given}; it must be from 0.001 (a millisecond) to {high} seconds")]
    Timer { argument: &'static str, given: String, high: u64 },
    #[error("a client without a user has no password")]
    PasswordOfNobody,
    #[error("every client of a crowd has its own user: remove {0}=, or give a list of clients")]
    OptionOfOne(&'static str),
    #[error("existing clients already have a kind and options: remove these arguments")]
    CrowdOfClients,
    #[error(
        "`{0}` is not in the directory, which can no longer change: let the crowd come before the first action, or give its users to site(users =)"
    )]
    NoAccountForCrowd(String),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Request(#[from] RequestProblem),
    #[error(
        "broken= says in one line why nobody can log on at this site, in at most {} characters",
        crate::site::MAX_REASON
    )]
    BadReason,
    #[error("http2 = True needs tls: clients learn of HTTP/2 by ALPN")]
    Http2WithoutTls,
    #[error("between= is for two balancers, one behind the other, with TLS: give front= and tls= to site()")]
    BetweenWithoutFront,
    #[error("expected {expected}, found {found}")]
    Type { expected: &'static str, found: String },
    #[error("the script takes more than {} steps: is this loop endless?", limits::TICKS)]
    TooManySteps,
    #[error("a script may perform at most {} actions", limits::ACTIONS)]
    TooManyActions,
    #[error(transparent)]
    Step(#[from] StepProblem),
    #[error("a script may print at most {} lines", limits::PRINTED)]
    TooMuchPrinted,
    #[error("the world answered `{0}` to an action that has another kind of outcome")]
    WrongOutcome(&'static str),
}

impl From<ScriptError> for starlark::Error {
    fn from(error: ScriptError) -> Self {
        Self::new_native(error)
    }
}

impl From<Unknown> for starlark::Error {
    fn from(error: Unknown) -> Self {
        ScriptError::from(error).into()
    }
}

impl From<SiteError> for starlark::Error {
    fn from(error: SiteError) -> Self {
        ScriptError::from(error).into()
    }
}

impl From<WorldError> for ScriptError {
    fn from(error: WorldError) -> Self {
        Self::World(error)
    }
}

/// Returns a Starlark error as a diagnostic at its place: that of the innermost expression, or else that of the
/// statement. Where Starlark finds a mistake that the lint knows as well, the message is that of the lint, which has a
/// fitting hint.
pub(super) fn diagnostic(scenario: &Scenario, error: &starlark::Error) -> Diagnostic {
    let place = error.span().map_or_else(Place::statement, Place::of);
    let message = error.without_diagnostic().to_string();
    let message = match error.kind() {
        ErrorKind::Scope(_) | ErrorKind::Value(_) | ErrorKind::Function(_) | ErrorKind::Other(_) => {
            linted(scenario, &place).or_else(|| of_attribute(&message)).unwrap_or(message)
        }
        _ => message,
    };
    place.diagnostic(scenario, message, None)
}

/// Returns the message of the lint about a place in a script or in a file that it loads, if the lint finds an error
/// there.
fn linted(scenario: &Scenario, place: &Place) -> Option<String> {
    let file = match place.file() {
        Some((path, text)) if path != scenario.path() => &Scenario::new("", path, text).ok()?,
        _ => scenario,
    };
    lint::error_at(file, &place.bytes)
}

/// Returns the message about an attribute that a value does not have. It names what the value has, which the lint
/// cannot know unless the type of the value follows from the text.
fn of_attribute(message: &str) -> Option<String> {
    let (typ, rest) = message.strip_prefix("Object of type `")?.split_once("` has no attribute `")?;
    let (name, _) = rest.split_once('`')?;
    lint::no_attribute(typ, name).map(|(message, hint)| format!("{message}; {hint}"))
}

fn world_hint(error: &WorldError) -> String {
    let WorldError::Unknown { name, known, .. } = error else { return String::new() };
    nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
