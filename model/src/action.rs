//! The actions that a plan may ask of a world, as data, so that a run can be printed, shrunk and replayed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::RequestId;
use crate::payload::Digest;
use crate::topology::ServerSpec;
use crate::trace::Promises;
use crate::{ClientSpec, Entropy, Identity, Name, Payload, WorldError};

/// One step of a plan.
///
/// If other steps refer to the result of a step, the caller gives the step an id. Therefore removing a step from a plan
/// changes no other step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Adds a client. Nothing is connected yet.
    AddClient(ClientSpec),
    /// Starts a request, and does not wait for its answer.
    Start {
        /// The request's id, which no other request of the plan has.
        id: RequestId,
        /// The request, with the client that sends it.
        request: RequestSpec,
    },
    /// Lets the world run until the request is answered or has failed. Outcome: [`Outcome::Answered`].
    Await(RequestId),
    /// Several clients send requests at the same time, each one after the other, with pauses in between. The action
    /// does not wait: each request is like one that [`Start`](Self::Start) starts, and is awaited by its own id.
    /// Outcome: [`Outcome::Done`].
    Crowd(CrowdSpec),
    /// Sends bytes on a bare connection and reads the answer until the connection ends or is quiet. Outcome:
    /// [`Outcome::Bytes`].
    SendRaw(RawSpec),
    /// Makes the token with which the client would begin to authenticate under `Negotiate`, but does not send it.
    /// Outcome: [`Outcome::Token`].
    MakeToken {
        /// The token's id, which no other token of the plan has.
        id: TokenId,
        /// The client that the token belongs to.
        client: Name,
    },
    /// Lets time pass. Outcome: [`Outcome::Done`], as for all following actions.
    Advance(Duration),
    /// Lets time pass until the balancer's health checks must have noticed a change. The length of the wait depends on
    /// what the balancer declares, so one plan fits every balancer. The trace contains the resulting
    /// [`Advance`](Self::Advance).
    AwaitChecks(CheckWait),
    /// The client closes its connections. It may send further requests on new ones.
    Disconnect(Name),
    /// The client's user logs off and another user logs on: later requests belong to the new user. The client
    /// authenticates again, on the connections that it has.
    SwitchUser(Name, Identity),
    /// The balancer drains this backend: existing sessions stay, and no new ones arrive.
    Drain(Name),
    /// The balancer uses this backend fully again.
    Undrain(Name),
    /// The server with this name gets these settings, and IIS restarts (`iisreset`): its connections end, together with
    /// the requests on them. A host that is down stays down, and uses the settings when it starts.
    ///
    /// IIS applies some changes without a restart (providers of a site, limits). For some settings, the effect on open
    /// connections is not documented. The documented procedures all end with `iisreset`. Therefore the model restarts
    /// IIS.
    Configure(Box<ServerSpec>),
    /// Injects a fault, or ends one.
    Fault(Fault),
}

/// A wait for the balancer's health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckWait {
    /// The change that the checks must notice.
    pub change: CheckChange,
    /// The time to wait in addition to the time that the balancer declares.
    pub extra: Duration,
    /// The time to wait if the balancer declares no checks.
    pub otherwise: Duration,
}

/// A change of a backend that health checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckChange {
    /// The backend no longer serves: `fall` checks in a row fail.
    Down,
    /// The backend serves again: `rise` checks in a row succeed.
    Up,
}

impl CheckWait {
    /// Returns the length of the wait for a balancer that declares this about itself.
    pub fn over(&self, promises: &Promises) -> Duration {
        let Some(checks) = &promises.checks else { return self.otherwise };
        let noticed = match self.change {
            CheckChange::Down => checks.notice_down(),
            CheckChange::Up => checks.notice_up(),
        };
        noticed.saturating_add(self.extra)
    }

    /// Returns the length of the wait in real time: slightly longer than the time that the balancer declares, without
    /// the margin that a script adds.
    pub fn hurried(&self, promises: &Promises) -> Duration {
        const SLACK: Duration = Duration::from_secs(2);
        if promises.unknown {
            return self.over(promises);
        }
        let exact = Self { extra: Duration::ZERO, otherwise: Duration::ZERO, ..*self };
        let declared = exact.over(promises).max(promises.notice_mended()).saturating_add(SLACK);
        self.over(promises).min(declared)
    }
}

impl Action {
    /// Returns the action in the form that applies to a balancer that declares this about itself: a wait for its health
    /// checks becomes a length of time. A world performs the returned action, and records it in its trace.
    #[must_use]
    pub fn over(self, promises: &Promises) -> Self {
        match self {
            Self::AwaitChecks(wait) => Self::Advance(wait.over(promises)),
            other => other,
        }
    }
}

/// A request that a client is asked to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The client that sends the request.
    pub client: Name,
    /// The method: `GET`, `POST`, `PUT` and so on.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The request's body.
    pub body: Payload,
    /// Header fields that a script adds: claims or forgeries, for example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The way in which the client sends the body.
    #[serde(default, skip_serializing_if = "BodySending::is_default")]
    pub sending: BodySending,
}

/// Clients that send requests at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrowdSpec {
    /// The clients, each once. Their requests belong to the users who are logged on when the crowd starts.
    pub clients: Vec<Name>,
    /// The id of the first client's first request. The ids of that client's other requests follow, then those of the
    /// second client.
    pub first: RequestId,
    /// The number of requests of each client. A client sends its next request when the previous one has been answered
    /// or has failed.
    pub requests: u32,
    /// The average pause of a client before each request. The seed draws a time between zero and twice this value.
    pub think: Duration,
    /// The path and query of the requests, whose method is GET.
    pub path: String,
}

impl CrowdSpec {
    /// Returns the number of requests that the crowd makes in all.
    pub fn count(&self) -> u64 {
        self.clients.len() as u64 * u64::from(self.requests)
    }

    /// Returns the ids of all requests in order: those of the first client, then those of the second, and so on. If
    /// [`Action::check`] accepts the plan, none exceeds the highest number that an id can have.
    pub fn ids(&self) -> impl Iterator<Item = RequestId> + use<> {
        let first = self.first.0;
        (0..self.count()).map(move |number| RequestId(first.saturating_add(u32::try_from(number).unwrap_or(u32::MAX))))
    }

    /// Returns whether the request with this id belongs to the crowd.
    pub fn has(&self, id: RequestId) -> bool {
        id.0.checked_sub(self.first.0).is_some_and(|number| u64::from(number) < self.count())
    }

    /// Draws the pause of a client before a request, which is at most twice `think`. The client's own stream of the
    /// seed is not used, so its tokens are the same as without pauses.
    pub fn pause(&self, seed: u64, client: &Name, id: RequestId) -> Duration {
        let most = u64::try_from(self.think.as_micros() * 2).unwrap_or(u64::MAX);
        let draws = Entropy::new(seed, &format!("{client} pauses before {id}"));
        Duration::from_micros(draws.below(most.saturating_add(1)))
    }

    /// Returns the request that one of the clients sends repeatedly.
    pub fn request(&self, client: &Name) -> RequestSpec {
        RequestSpec::new(client.clone(), "GET", &self.path)
    }
}

/// The way in which a client sends the body of a request. If a field is not set, the client does what its user agent
/// does. If any field is set, the client uses HTTP/1.1, and the settings apply to each leg that carries the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BodySending {
    /// Whether the body is sent in chunks, so that its length is not known in advance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chunked: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<bool>,
    /// The maximum number of bytes per second, at least 1 (curl: `--limit-rate`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_rate: Option<u64>,
}

impl BodySending {
    /// Returns whether every setting is left to the user agent.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RequestSpec {
    /// Returns a request without a body.
    pub fn new(client: Name, method: &str, path: &str) -> Self {
        let (body, headers, sending) = (Payload::Empty, Vec::new(), BodySending::default());
        Self { client, method: method.into(), path: path.into(), body, headers, sending }
    }
}

/// Bytes that a client sends unchanged, on a separate connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpec {
    /// The client whose host sends the bytes.
    pub client: Name,
    /// The bytes, in pieces that are sent one directly after the other. They need not be HTTP.
    pub bytes: Vec<Piece>,
    /// The time without any data after which the client stops reading and closes the connection.
    pub patience: Duration,
}

/// A piece of the bytes to send: the bytes themselves, or the result of an earlier step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// These bytes, given as UTF-8 text.
    Text(String),
    /// These bytes, given in JSON as text of hexadecimal digits.
    Bytes(#[serde(with = "crate::text::hexadecimal")] Vec<u8>),
    /// The token that an earlier [`Action::MakeToken`] made, as an `Authorization` field carries it. A plan refers to a
    /// token because the token's bytes depend on the seed.
    Token(TokenId),
}

impl Piece {
    /// Returns the number of bytes in this piece, or 0 for a token, whose length a plan does not know.
    pub fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Token(_) => 0,
        }
    }
}

/// The number of a token that an [`Action::MakeToken`] makes. Numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub u32);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl RawSpec {
    /// Returns a specification that sends these bytes unchanged.
    pub fn new(client: Name, bytes: impl Into<Vec<u8>>, patience: Duration) -> Self {
        let piece = String::from_utf8(bytes.into()).map_or_else(|error| Piece::Bytes(error.into_bytes()), Piece::Text);
        Self { client, bytes: vec![piece], patience }
    }

    /// Returns the bytes to send. Each reference to a token is replaced by the text that `token` returns for it.
    ///
    /// # Errors
    /// [`WorldError::NoToken`]: the bytes refer to a token for which `token` returns nothing.
    pub fn resolve<'t>(&self, token: impl Fn(TokenId) -> Option<&'t str>) -> Result<Vec<u8>, WorldError> {
        let mut bytes = Vec::new();
        for piece in &self.bytes {
            bytes.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Bytes(bytes) => bytes,
                Piece::Token(id) => token(*id).ok_or(WorldError::NoToken(*id))?.as_bytes(),
            });
        }
        Ok(bytes)
    }
}

/// A fault that a plan injects, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The process ends; its host's kernel closes the connections (FIN or RST).
    Crash(Name),
    /// The host loses power: it sends nothing more, and no peer is told.
    PowerLoss(Name),
    /// Starts the host's process again after a crash or a loss of power. Packets on earlier connections are answered
    /// with RST.
    Restart(Name),
    /// The process hangs: the host's kernel still accepts connections, but no process answers.
    Hang(Name),
    /// The process continues where it hung.
    Resume(Name),
    /// Packets between the two hosts are held back, in both directions.
    Hold(Name, Name),
    /// Packets that were held back between the two hosts arrive.
    Release(Name, Name),
    /// A forged RST ends every connection between the two hosts, on both sides.
    Reset(Name, Name),
}

impl Fault {
    /// Returns the name of the script function that injects this fault.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::PowerLoss(_) => "power_loss",
            Self::Restart(_) => "restart",
            Self::Hang(_) => "hang",
            Self::Resume(_) => "resume",
            Self::Hold(..) => "hold",
            Self::Release(..) => "release",
            Self::Reset(..) => "reset",
        }
    }

    /// Returns the names of the hosts and clients concerned, one or two.
    pub fn hosts(&self) -> impl Iterator<Item = &Name> {
        let (one, other) = match self {
            Self::Crash(host) | Self::PowerLoss(host) | Self::Restart(host) | Self::Hang(host) | Self::Resume(host) => {
                (host, None)
            }
            Self::Hold(one, other) | Self::Release(one, other) | Self::Reset(one, other) => (one, Some(other)),
        };
        std::iter::once(one).chain(other)
    }

    /// Returns the names of the hosts and clients concerned, so that they can be changed.
    pub fn hosts_mut(&mut self) -> impl Iterator<Item = &mut Name> {
        let (one, other) = match self {
            Self::Crash(host) | Self::PowerLoss(host) | Self::Restart(host) | Self::Hang(host) | Self::Resume(host) => {
                (host, None)
            }
            Self::Hold(one, other) | Self::Release(one, other) | Self::Reset(one, other) => (one, Some(other)),
        };
        std::iter::once(one).chain(other)
    }
}

/// Formats the fault as part of a sentence, for example "iis1 crashes".
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(host) => write!(f, "{host} crashes"),
            Self::PowerLoss(host) => write!(f, "{host} loses power"),
            Self::Restart(host) => write!(f, "{host} starts again"),
            Self::Hang(host) => write!(f, "{host} hangs"),
            Self::Resume(host) => write!(f, "{host} goes on"),
            Self::Hold(one, other) => write!(f, "packets between {one} and {other} wait"),
            Self::Release(one, other) => write!(f, "packets held between {one} and {other} arrive"),
            Self::Reset(one, other) => write!(f, "connections between {one} and {other} are reset"),
        }
    }
}

/// The result of an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request's answer, or the error that it ended with.
    Answered(Box<Answer>),
    /// The bytes that were received, at most 64 KiB.
    Bytes(Vec<u8>),
    /// The token with its scheme, as an `Authorization` field carries it; `None` if the client has none to offer.
    Token(Option<String>),
    /// The action was performed and has no further result.
    Done,
}

/// The result of a request, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The id of the request.
    pub request: RequestId,
    /// The final status; `None` if no answer came.
    pub status: Option<u16>,
    /// The reason why there is no answer; `None` if there is one.
    pub error: Option<String>,
    /// The number of HTTP requests that were sent for it, counting all legs.
    pub requests: u32,
    /// The time from start to end on the world's clock.
    pub elapsed: Duration,
    /// The application's report, if the application answered.
    pub application: Option<AppAnswer>,
    /// The length of the answer's body in bytes.
    pub body_length: u64,
    /// The digest of the answer's body.
    pub body_digest: Digest,
    /// The fields of the answer's head, in order. Bytes that are not text are left out of a value. At most
    /// [`MAX_ANSWER_HEAD`] bytes are kept, and the rest is left out. Traces do not contain the fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// The maximum size of the header fields that an [`Answer`] keeps, names and values together, in bytes.
pub const MAX_ANSWER_HEAD: usize = 64 << 10;

/// The mock application's report on a request, which it sends as JSON: `LOGON_USER` and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppAnswer {
    /// The backend's name.
    pub server: Name,
    /// The backend's number for the TCP connection, from 1.
    pub connection: u32,
    /// The request's number on that connection, from 1.
    pub number: u32,
    /// The user as the application sees it; `None` for an anonymous request.
    pub user: Option<crate::Principal>,
    /// The request's method.
    pub method: String,
    /// The request's path and query.
    pub path: String,
    /// The length of the request's body in bytes.
    pub length: u64,
    /// The digest of the request's body.
    pub digest: Digest,
    /// The user whom a second server would see if the application asked it on behalf of the user; `None` if the path
    /// does not ask for that. The value `anonymous` means that the application cannot act as the user on another host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Checks;

    #[test]
    fn a_wait_for_checks_lasts_as_long_as_the_balancer_declares() {
        let second = Duration::from_secs(1);
        let checks = Checks { interval: 2 * second, after_end: false, timeout: second, rise: 2, fall: 3, user: None };
        let with = Promises { checks: Some(checks), ..Promises::default() };
        let wait = |change| CheckWait { change, extra: second, otherwise: 30 * second };
        let down = Action::AwaitChecks(wait(CheckChange::Down));
        assert_eq!(wait(CheckChange::Up).hurried(&with), Duration::from_secs(6), "no longer than the wait itself");
        assert_eq!(wait(CheckChange::Up).hurried(&Promises::default()), Duration::from_secs(2), "nothing is checked");
        let forgets = Promises { out_after_failures: Some(10 * second), ..Promises::default() };
        assert_eq!(wait(CheckChange::Up).hurried(&forgets), Duration::from_secs(12));
        let unknown = Promises { unknown: true, ..Promises::default() };
        assert_eq!(wait(CheckChange::Up).hurried(&unknown), Duration::from_secs(30));
        assert_eq!(down.clone().over(&with), Action::Advance(8 * second));
        assert_eq!(Action::AwaitChecks(wait(CheckChange::Up)).over(&with), Action::Advance(6 * second));
        assert_eq!(down.over(&Promises::default()), Action::Advance(30 * second));
        let other = Action::Disconnect("alice".into());
        assert_eq!(other.clone().over(&with), other);
    }
}
