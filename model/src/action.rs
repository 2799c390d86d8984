//! What a plan may ask of a world, as data, so that a run can be printed, shrunk and replayed.

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
/// A step whose result others refer to carries an id, and the caller chooses it. So removing a step from a plan changes
/// no other step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Adds a client. Nothing is connected yet.
    AddClient(ClientSpec),
    /// Starts a request and does not wait.
    Start {
        /// The request's id: no other request of the plan has it.
        id: RequestId,
        /// What is asked for, and by whom.
        request: RequestSpec,
    },
    /// Lets the world run until the request is answered, or has failed. Outcome: [`Outcome::Answered`].
    Await(RequestId),
    /// Several clients ask at the same time, each one request after the other, with pauses in between. Does not wait: each
    /// request is one as [`Start`](Self::Start) starts them, and is awaited by its own id. Outcome: [`Outcome::Done`].
    Crowd(CrowdSpec),
    /// Sends bytes on a bare connection, and reads what comes, until the connection ends or is quiet.
    /// Outcome: [`Outcome::Bytes`].
    SendRaw(RawSpec),
    /// Makes the token with which the client would begin to authenticate under `Negotiate`, and does not send it.
    /// Outcome: [`Outcome::Token`].
    MakeToken {
        /// The token's id: no other token of the plan has it.
        id: TokenId,
        /// The client whose token it is.
        client: Name,
    },
    /// Lets time pass. Outcome: [`Outcome::Done`], as for all below.
    Advance(Duration),
    /// Lets time pass until the balancer's health checks must have noticed a change. How long that is depends on what
    /// the balancer declares, so that one plan fits every balancer; the trace has the [`Advance`](Self::Advance) that
    /// it came to.
    AwaitChecks(CheckWait),
    /// The client closes its connections; it may ask again on new ones.
    Disconnect(Name),
    /// The client's user logs off, and another takes the seat: later requests are this one's. The
    /// client authenticates anew, on the connections that it has.
    SwitchUser(Name, Identity),
    /// The balancer drains this backend: what is bound to it stays, nothing new comes.
    Drain(Name),
    /// The backend is in full use again.
    Undrain(Name),
    /// The server of this name is set up as this says, and IIS is started anew (`iisreset`): its connections end, and so
    /// does what was under way on them. A host that is down stays down, and has the settings when it starts.
    ///
    /// IIS takes up some changes without that (providers of a site, limits). What becomes of open connections then is not
    /// documented for each setting; `iisreset` is what the procedures for all of them end with, so it is what is modelled.
    Configure(Box<ServerSpec>),
    /// Something breaks, or is mended.
    Fault(Fault),
}

/// A wait for the balancer's health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckWait {
    /// The change that the checks have to notice.
    pub change: CheckChange,
    /// How much longer to wait than the time that the balancer declares for it.
    pub extra: Duration,
    /// How long to wait where the balancer declares no checks.
    pub otherwise: Duration,
}

/// A change that health checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckChange {
    /// A backend does not serve any more: `fall` checks in a row fail.
    Down,
    /// A backend serves again: `rise` checks in a row succeed.
    Up,
}

impl CheckWait {
    /// Returns how long the wait is over a balancer that declares this about itself.
    pub fn over(&self, promises: &Promises) -> Duration {
        let Some(checks) = &promises.checks else { return self.otherwise };
        let noticed = match self.change {
            CheckChange::Down => checks.notice_down(),
            CheckChange::Up => checks.notice_up(),
        };
        noticed.saturating_add(self.extra)
    }

    /// Returns how long the wait is where time is real: as long as the balancer declares that it needs, and a little more, and not what a
    /// script adds to be sure.
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
    /// Returns the action as it is over a balancer that declares this about itself: a wait for its health checks becomes
    /// a time. A world performs, and notes in its trace, the action that this returns.
    #[must_use]
    pub fn over(self, promises: &Promises) -> Self {
        match self {
            Self::AwaitChecks(wait) => Self::Advance(wait.over(promises)),
            other => other,
        }
    }
}

/// What a client is to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// Who asks.
    pub client: Name,
    /// `GET`, `POST`, `PUT` ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The request's body.
    pub body: Payload,
    /// Fields that the client adds by itself: what it claims, or forges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// How the body is sent.
    #[serde(default, skip_serializing_if = "BodySending::is_default")]
    pub sending: BodySending,
}

/// Clients that ask at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrowdSpec {
    /// The clients, each once. What they ask is asked by whoever sits at them when the crowd starts.
    pub clients: Vec<Name>,
    /// The id of the first request of the first client. The ids of its other requests follow, then those of the second client.
    pub first: RequestId,
    /// How many requests each client makes. It makes one when the one before has its answer, or has failed.
    pub requests: u32,
    /// How long a client pauses before each request, on average: the seed draws a time between nothing and twice this.
    pub think: Duration,
    /// The path and query that is asked for, with GET.
    pub path: String,
}

impl CrowdSpec {
    /// Returns how many requests the crowd makes in all.
    pub fn count(&self) -> u64 {
        self.clients.len() as u64 * u64::from(self.requests)
    }

    /// Returns the ids of all requests, in order: those of the first client, then those of the second. None is past the
    /// highest number that an id can have, if the plan is one that [`Action::check`] passes.
    pub fn ids(&self) -> impl Iterator<Item = RequestId> + use<> {
        let first = self.first.0;
        (0..self.count()).map(move |number| RequestId(first.saturating_add(u32::try_from(number).unwrap_or(u32::MAX))))
    }

    /// Returns whether a request of this id is the crowd's.
    pub fn has(&self, id: RequestId) -> bool {
        id.0.checked_sub(self.first.0).is_some_and(|number| u64::from(number) < self.count())
    }

    /// Draws how long a client pauses before a request, twice `think` at the most. The client's own stream of the seed is not
    /// touched, so that its tokens are what they would be without pauses.
    pub fn pause(&self, seed: u64, client: &Name, id: RequestId) -> Duration {
        let most = u64::try_from(self.think.as_micros() * 2).unwrap_or(u64::MAX);
        let draws = Entropy::new(seed, &format!("{client} pauses before {id}"));
        Duration::from_micros(draws.below(most.saturating_add(1)))
    }

    /// Returns the request that one of the clients makes again and again.
    pub fn request(&self, client: &Name) -> RequestSpec {
        RequestSpec::new(client.clone(), "GET", &self.path)
    }
}

/// How a client sends the body of a request. What is not stated is as its user agent does it. Anything else makes the
/// client use HTTP/1.1, and holds for each leg that carries the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BodySending {
    /// Whether it goes in chunks, so that its length is not known in advance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chunked: bool,
    /// Whether the client waits for `100 Continue` first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<bool>,
    /// The most bytes per second, at least 1 (curl: `--limit-rate`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_rate: Option<u64>,
}

impl BodySending {
    /// Returns whether everything is as the user agent does it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RequestSpec {
    /// A request without a body.
    pub fn new(client: Name, method: &str, path: &str) -> Self {
        let (body, headers, sending) = (Payload::Empty, Vec::new(), BodySending::default());
        Self { client, method: method.into(), path: path.into(), body, headers, sending }
    }
}

/// Bytes that a client sends as they are, on a connection of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpec {
    /// The client from whose host they are sent.
    pub client: Name,
    /// The bytes, in pieces that are sent without anything in between. They need not be HTTP.
    pub bytes: Vec<Piece>,
    /// The client stops reading, and closes, when nothing has come for this long.
    pub patience: Duration,
}

/// Bytes to send: given as they are, or as the result of an earlier step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// These bytes, which are UTF-8.
    Text(String),
    /// These bytes; text of hexadecimal digits in JSON.
    Bytes(#[serde(with = "crate::text::hexadecimal")] Vec<u8>),
    /// The token that an earlier [`Action::MakeToken`] made, as `Authorization` carries it. A plan refers to a token
    /// because its bytes are others with another seed.
    Token(TokenId),
}

impl Piece {
    /// Returns how many bytes it gives; 0 for a token, whose length a plan does not know.
    pub fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Token(_) => 0,
        }
    }
}

/// The number of a token that an [`Action::MakeToken`] makes. From 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub u32);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl RawSpec {
    /// Bytes as they are.
    pub fn new(client: Name, bytes: impl Into<Vec<u8>>, patience: Duration) -> Self {
        let piece = String::from_utf8(bytes.into()).map_or_else(|error| Piece::Bytes(error.into_bytes()), Piece::Text);
        Self { client, bytes: vec![piece], patience }
    }

    /// Returns the bytes to send, with what `token` knows in place of the references.
    ///
    /// # Errors
    /// [`WorldError::NoToken`]: `token` does not know a token that the bytes refer to.
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

/// Something that breaks, or is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The process ends; its host's kernel closes the connections (FIN or RST).
    Crash(Name),
    /// The host falls silent; nobody is told.
    PowerLoss(Name),
    /// Starts the host's process again, after either. Connections from before meet RST.
    Restart(Name),
    /// The process stops in its tracks: the host's kernel still accepts connections, and nobody answers.
    Hang(Name),
    /// The process goes on where it was stopped.
    Resume(Name),
    /// Packets between the two hosts wait, in both directions.
    Hold(Name, Name),
    /// Packets held between the two hosts arrive.
    Release(Name, Name),
    /// A forged RST ends every connection between the two hosts, on both sides.
    Reset(Name, Name),
}

impl Fault {
    /// Returns what scripts call it.
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

    /// Returns the hosts and clients that it is about, one or two.
    pub fn hosts(&self) -> impl Iterator<Item = &Name> {
        let (one, other) = match self {
            Self::Crash(host) | Self::PowerLoss(host) | Self::Restart(host) | Self::Hang(host) | Self::Resume(host) => {
                (host, None)
            }
            Self::Hold(one, other) | Self::Release(one, other) | Self::Reset(one, other) => (one, Some(other)),
        };
        std::iter::once(one).chain(other)
    }

    /// Returns the same, to be changed.
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

/// What happens, as part of a sentence: "iis1 crashes".
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

/// What came of an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request has its answer, or its error.
    Answered(Box<Answer>),
    /// What came back, 64 KiB at most.
    Bytes(Vec<u8>),
    /// The token, as `Authorization` carries it with its scheme; `None` where the client has none to offer.
    Token(Option<String>),
    /// There is nothing more to say.
    Done,
}

/// How a request ended, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which request.
    pub request: RequestId,
    /// The final status; `None` where no answer came.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// HTTP requests sent for it, all legs.
    pub requests: u32,
    /// From start to end, on the world's clock.
    pub elapsed: Duration,
    /// What the application said, where it answered.
    pub application: Option<AppAnswer>,
    /// Length of the answer's body in bytes.
    pub body_length: u64,
    /// Digest of the answer's body.
    pub body_digest: Digest,
    /// The fields of the answer's head, in order; of one that is not text, what is. [`MAX_ANSWER_HEAD`] bytes at most, the
    /// rest is left out. No trace has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// The most that an [`Answer`] keeps of the fields of its head, names and values together, in bytes.
pub const MAX_ANSWER_HEAD: usize = 64 << 10;

/// What the mock application tells of a request, as JSON: `LOGON_USER` and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppAnswer {
    /// The backend's name.
    pub server: Name,
    /// The backend's number of the TCP connection, from 1.
    pub connection: u32,
    /// The request's number on that connection, from 1.
    pub number: u32,
    /// The user as the application sees it; `None`: anonymous.
    pub user: Option<crate::Principal>,
    /// The request's method.
    pub method: String,
    /// The request's path and query.
    pub path: String,
    /// Length of the request's body in bytes.
    pub length: u64,
    /// Digest of the request's body.
    pub digest: Digest,
    /// Whom a second server would see if the application asked it in the user's name; `None` where the
    /// path does not ask for that. `anonymous`: the application cannot act as the user elsewhere.
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
        let checks = Checks { interval: 2 * second, timeout: second, rise: 2, fall: 3, user: None };
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
