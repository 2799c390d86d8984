//! The kinds of findings, which decide whether two findings are the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_model::event::{Credentials, Decided};
use stickler_model::{Action, Event, Name, Principal, RequestId, Trace, What};
use stickler_oracle::{Cited, Evidence, Requirement};

/// The kind of a finding. Two findings over one balancer are the same if their kinds are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// The balancer violated a MUST, or did not follow a SHOULD.
    Violation {
        /// The requirement.
        requirement: Requirement,
        /// The balancer's last decision about the request that failed; `None` if it made none, as at L4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Decided>,
        /// The role of the client that sent that request.
        sender: Sender,
        /// The user as whom a server processed the request, if the application answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        served_as: Option<ServedAs>,
    },
    /// Stickler, or a balancer from outside, panicked at this place, for example `file.rs:12:5`.
    Panic(String),
    /// The same plan with the same seed gave another trace.
    NotRepeated,
    /// The world rejected a step, which is a defect of the generator.
    Rejected,
    /// The product violates this requirement and its simulation does not, or the other way round.
    ArmsDiffer(Requirement),
}

/// The role of a client that sent a request which failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// A user with valid credentials.
    User,
    /// A user with a wrong password.
    Mistyped,
    /// A client without credentials.
    Anonymous,
    /// A client that sent raw bytes.
    Raw,
    /// No client: the failure is about a backend or an account.
    Nobody,
}

/// The user as whom a server processed a request, in relation to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServedAs {
    /// The sender itself.
    Itself,
    /// Another user.
    Another,
    /// Nobody: the request was anonymous.
    Anonymous,
}

impl Kind {
    /// Returns the kind of a piece of evidence.
    pub(super) fn violation(requirement: Requirement, evidence: &Evidence, trace: &Trace) -> Self {
        let last = evidence.events.last().map_or(trace.events.len(), |last| last + 1);
        let Some(cited) = evidence.about.first() else {
            let after = trace.events[..last].iter().rev().find_map(decision);
            return Self::Violation { requirement, after, sender: Sender::Nobody, served_as: None };
        };
        let (sender, user) = sender(cited, &trace.events);
        let id = match cited {
            Cited::Request { id, .. } => Some(*id),
            Cited::Raw { .. } => None,
        };
        let of_request = |event: &&Event| matches!(event.what, What::Decision { request, .. } if request == id);
        let after = trace.events[..last].iter().rev().find(of_request).and_then(decision);
        let cited_events = evidence.events.iter().filter_map(|&index| trace.events.get(index));
        let served_as = cited_events.rev().find_map(|event| served(event, id, user));
        Self::Violation { requirement, after, sender, served_as }
    }

    /// Returns the kind of a panic from its message, which ends with its place in parentheses.
    pub(super) fn panic(message: &str) -> Self {
        let place = message.rsplit_once('(').map_or(message, |(_, place)| place.trim_end_matches(')'));
        Self::Panic(place.to_owned())
    }

    /// Returns the requirement that was violated, if the finding is about one.
    pub fn requirement(&self) -> Option<Requirement> {
        match self {
            Self::Violation { requirement, .. } | Self::ArmsDiffer(requirement) => Some(*requirement),
            Self::Panic(_) | Self::NotRepeated | Self::Rejected => None,
        }
    }

    /// Returns a name for files that consists of lower-case letters, digits and hyphens, for example
    /// `id-1-user-as-another-reuse`.
    pub fn file_name(&self) -> String {
        let text = match self {
            Self::Violation { requirement, after, sender, served_as } => {
                let served = served_as.map_or(String::new(), |served| format!("-as-{}", word(&served)));
                let after = after.map_or(String::new(), |after| format!("-{after}"));
                format!("{requirement}-{}{served}{after}", word(sender))
            }
            Self::Panic(place) => format!("panic-{place}"),
            Self::NotRepeated => "not-repeated".to_owned(),
            Self::Rejected => "rejected".to_owned(),
            Self::ArmsDiffer(requirement) => format!("differs-{requirement}"),
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(plain).take(100).collect()
    }
}

impl fmt::Display for Kind {
    /// Writes the kind in words, for example `ID-1 (a user, served as another, after "reuse")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation { requirement, after, sender, served_as } => {
                let sender = match sender {
                    Sender::User => "a user",
                    Sender::Mistyped => "a user with a wrong password",
                    Sender::Anonymous => "an anonymous client",
                    Sender::Raw => "a client that sent raw bytes",
                    Sender::Nobody => "no client in particular",
                };
                write!(f, "{requirement} ({sender}")?;
                match served_as {
                    Some(ServedAs::Itself) => write!(f, ", served as itself")?,
                    Some(ServedAs::Another) => write!(f, ", served as another user")?,
                    Some(ServedAs::Anonymous) => write!(f, ", served as nobody")?,
                    None => {}
                }
                after.map_or(Ok(()), |after| write!(f, ", after `{after}`"))?;
                write!(f, ")")
            }
            Self::Panic(place) => write!(f, "a panic at {place}"),
            Self::NotRepeated => write!(f, "a trace that its seed does not repeat"),
            Self::Rejected => write!(f, "a step that the world rejects"),
            Self::ArmsDiffer(requirement) => write!(f, "{requirement} differs between the simulation and the balancer"),
        }
    }
}

/// Returns the word for a value in JSON.
fn word(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned()
}

fn decision(event: &Event) -> Option<Decided> {
    match event.what {
        What::Decision { decision, .. } => Some(decision),
        _ => None,
    }
}

/// Returns the sender of a request, and the user as whom it was sent.
fn sender<'t>(cited: &Cited, events: &'t [Event]) -> (Sender, Option<&'t Principal>) {
    let id = match cited {
        Cited::Request { id, .. } => id,
        Cited::Raw { client, step } => return (Sender::Raw, user_at(client, *step, events)),
    };
    let started = events.iter().find_map(|event| match &event.what {
        What::RequestStarted { request, identity, credentials, .. } if request == id => Some((identity, *credentials)),
        _ => None,
    });
    match started {
        Some((user, Credentials::Valid)) => (Sender::User, user.as_ref()),
        Some((user, Credentials::Wrong)) => (Sender::Mistyped, user.as_ref()),
        Some((_, Credentials::None)) | None => (Sender::Anonymous, None),
    }
}

/// Returns the user at a client when this step is performed.
fn user_at<'t>(client: &Name, step: usize, events: &'t [Event]) -> Option<&'t Principal> {
    let actions = events.iter().filter_map(|event| match &event.what {
        What::Action(action) => Some(action),
        _ => None,
    });
    let sits = |action: &'t Action| match action {
        Action::AddClient(spec) if spec.name == *client => Some(spec.identity.as_ref()),
        Action::SwitchUser(name, identity) if name == client => Some(Some(identity)),
        _ => None,
    };
    actions.take(step).filter_map(sits).fold(None, |_, user| user).map(|identity| &identity.principal)
}

/// Returns the user as whom a server processed this request, if the application ran. `sender` is the user who sent it.
fn served(event: &Event, id: Option<RequestId>, sender: Option<&Principal>) -> Option<ServedAs> {
    let user = match &event.what {
        What::ServerAnswered { request, processed: true, user, .. } if *request == id => user.as_ref(),
        What::RawAnswered { served: Some(_), user, .. } if id.is_none() => user.as_ref(),
        _ => return None,
    };
    Some(match user {
        None => ServedAs::Anonymous,
        Some(user) if Some(user) == sender => ServedAs::Itself,
        Some(_) => ServedAs::Another,
    })
}
