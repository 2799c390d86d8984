//! The limits on a plan, whether it comes from a script or from a run file.
//!
//! Everything that a world performs is within these limits. Therefore a recorded run can be read back, and can be
//! performed in bounded time and memory. [`Action::check`] checks one action by itself.
//! [`Plan::check`](crate::Plan::check) checks the references between actions, and their total size.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::action::CrowdSpec;
use crate::{Action, ClientSpec, Identity, Name, Piece, RawSpec, RequestProblem};

/// The maximum time that one action lets pass: a leap year. It is also the maximum error of a clock.
pub const MAX_TIME: Duration = Duration::from_hours(366 * 24);

/// The maximum duration of a run on the world's clock: a hundred years.
pub const MAX_RUN_TIME: Duration = Duration::from_hours(100 * 366 * 24);

/// The shortest timer of a server or a client. A shorter one is likely to be a mistake in the unit, or an attempt to
/// switch off something that has its own switch.
pub const MIN_TIMER: Duration = Duration::from_millis(1);

/// The longest timer of a server or a client.
pub const MAX_TIMER: Duration = Duration::from_hours(24);

/// The time for which a host keeps the port of a closed connection whose peer does not acknowledge the end. RFC 9293
/// 3.8.3 says that R2 is at least 100 seconds; Linux (`tcp_orphan_retries`) takes about as long.
pub const LINGERS: Duration = Duration::from_secs(100);

/// The longest time that a bare connection waits for more data.
pub const MAX_PATIENCE: Duration = Duration::from_hours(1);

/// The maximum length of a body by recipe ([`Payload::Bytes`](crate::Payload::Bytes)), in bytes.
pub const MAX_BODY: u64 = 1 << 30;

/// The maximum length of the text of a body, and of the raw bytes of one action, in bytes. A plan contains them
/// literally.
pub const MAX_TEXT: usize = 1 << 20;

/// The maximum number of pieces in the raw bytes of one action.
pub const MAX_PIECES: usize = 1_000;

/// The maximum amount of text in all actions of a plan, in bytes, including the memory that the pieces need
/// ([`Action::weight`]).
pub const MAX_PLAN_BYTES: usize = 64 << 20;

/// The maximum number of requests that are started and not yet awaited.
pub const MAX_UNDER_WAY: usize = 10_000;

/// The maximum number of clients in a crowd.
pub const MAX_CROWD: usize = 1_000;

/// The maximum average pause of a client between its requests.
pub const MAX_THINK: Duration = Duration::from_hours(1);

/// The maximum length of the name of a client or a host, in characters.
pub const MAX_NAME: usize = 32;

/// The maximum length of a user's name with its domain, and of a password, in bytes.
pub const MAX_CREDENTIAL: usize = 1_000;

/// The maximum length of the name by which a client refers to the site, in characters (RFC 1035 2.3.4).
const MAX_HOST: usize = 253;

/// The error that reports a time longer than allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {given:?}; it must be at most {most:?}")]
pub struct TooLong {
    /// The name of the time, for the message.
    what: &'static str,
    given: Duration,
    /// The upper limit of the time.
    most: Duration,
}

/// The reason why a plan may not ask for an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionProblem {
    /// The name cannot be a client's or a host's.
    #[error("`{0}` is not a valid name: use at most {MAX_NAME} letters, digits, - and _")]
    Name(String),
    /// No user agent can be asked to send the request.
    #[error(transparent)]
    Request(#[from] RequestProblem),
    /// A time is too long.
    #[error(transparent)]
    Time(#[from] TooLong),
    /// A timer is shorter than [`MIN_TIMER`].
    #[error("{what} is {given:?}; it must be at least {MIN_TIMER:?}")]
    TooShort {
        /// The name of the timer, for the message.
        what: &'static str,
        /// The time that was given.
        given: Duration,
    },
    /// A limit is outside the range that the server accepts.
    #[error("{what} is {given}; it must be from {least} to {most} bytes")]
    Bytes {
        /// The name of the limit, for the message.
        what: &'static str,
        /// The value that was given.
        given: u32,
        /// The smallest value allowed.
        least: u32,
        /// The maximum value allowed.
        most: u32,
    },
    /// A server would take the user, or the client's connection, from a header field that clients send for another
    /// purpose.
    #[error(
        "no server can trust the field `{0}`: choose a name of letters, digits, - and _ that clients do not send for another purpose"
    )]
    TrustedHeader(String),
    /// A user's name or password is too long.
    #[error("a user's name and password must have at most {MAX_CREDENTIAL} bytes each")]
    Credential,
    /// The name by which a client refers to the site is not a valid host name.
    #[error("`{0}` is not a valid host: use at most {MAX_HOST} letters, digits, - and .")]
    Host(String),
    /// A crowd has no clients, or too many.
    #[error("a crowd must have from 1 to {MAX_CROWD} clients, but this one has {0}")]
    Crowd(usize),
    /// A client is in a crowd twice.
    #[error("`{0}` is in the crowd twice: name each client once, since a client sends one request after the other")]
    TwiceInCrowd(Name),
    /// The clients of a crowd make no requests, or too many.
    #[error("the clients of a crowd must make from 1 to {MAX_UNDER_WAY} requests in all, but these make {0}")]
    CrowdRequests(u64),
    /// The ids of a crowd's requests would exceed the highest number.
    #[error("the ids of the requests would exceed {}: begin with a lower id", u32::MAX)]
    CrowdIds,
    /// There are more raw bytes than one action can send.
    #[error("one action can send at most {MAX_TEXT} raw bytes, but this one has {0}: send them in several actions")]
    RawBytes(usize),
    /// The raw bytes consist of too many pieces.
    #[error("raw bytes can consist of at most {MAX_PIECES} pieces (texts and tokens), but these have {0}")]
    Pieces(usize),
}

impl Action {
    /// Checks that a plan may ask for this action, independently of the actions before it.
    ///
    /// # Errors
    /// [`ActionProblem`] names the first part that no plan may ask for.
    pub fn check(&self) -> Result<(), ActionProblem> {
        match self {
            Self::AddClient(client) => client.check(),
            Self::Start { request, .. } => {
                plain(&request.client)?;
                Ok(request.check()?)
            }
            Self::Crowd(crowd) => crowd.check(),
            Self::SendRaw(raw) => {
                plain(&raw.client)?;
                raw.check()
            }
            Self::Advance(time) => Ok(bounded("the time to pass", *time, MAX_TIME)?),
            Self::AwaitChecks(wait) => {
                bounded("`extra`", wait.extra, MAX_TIME)?;
                Ok(bounded("`otherwise`", wait.otherwise, MAX_TIME)?)
            }
            Self::SwitchUser(client, identity) => {
                plain(client)?;
                identity.check()
            }
            Self::MakeToken { client: name, .. } | Self::Disconnect(name) | Self::Drain(name) | Self::Undrain(name) => {
                plain(name)
            }
            Self::Configure(server) => server.check(),
            Self::Fault(fault) => fault.hosts().try_for_each(plain),
            Self::Await(_) => Ok(()),
        }
    }
}

impl ClientSpec {
    fn check(&self) -> Result<(), ActionProblem> {
        plain(&self.name)?;
        self.at.as_ref().map_or(Ok(()), plain)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let is_host = |host: &str| (1..=MAX_HOST).contains(&host.len()) && host.bytes().all(allowed);
        if let Some(host) = self.host.as_deref().filter(|host| !is_host(host)) {
            return Err(ActionProblem::Host(start(host)));
        }
        bounded("`clock_skew`, either way,", Duration::from_secs(self.clock_skew.unsigned_abs()), MAX_TIME)?;
        self.patience.map_or(Ok(()), |time| timer("`patience`", time, MAX_PATIENCE))?;
        self.keep_alive.map_or(Ok(()), |time| timer("`keep_alive`", time, MAX_TIMER))?;
        self.identity.as_ref().map_or(Ok(()), Identity::check)
    }
}

impl Identity {
    fn check(&self) -> Result<(), ActionProblem> {
        let longest = self.principal.as_str().len().max(self.password.len());
        if longest > MAX_CREDENTIAL { Err(ActionProblem::Credential) } else { Ok(()) }
    }
}

impl CrowdSpec {
    fn check(&self) -> Result<(), ActionProblem> {
        let Some(client) = self.clients.first().filter(|_| self.clients.len() <= MAX_CROWD) else {
            return Err(ActionProblem::Crowd(self.clients.len()));
        };
        self.clients.iter().try_for_each(plain)?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.clients.iter().find(|client| !seen.insert(*client)) {
            return Err(ActionProblem::TwiceInCrowd(twice.clone()));
        }
        let count = self.count();
        if !(1..=MAX_UNDER_WAY as u64).contains(&count) {
            return Err(ActionProblem::CrowdRequests(count));
        }
        if u64::from(self.first.0) + count - 1 > u32::MAX.into() {
            return Err(ActionProblem::CrowdIds);
        }
        bounded("the time between requests", self.think, MAX_THINK)?;
        Ok(self.request(client).check()?)
    }
}

impl RawSpec {
    fn check(&self) -> Result<(), ActionProblem> {
        bounded("`patience`", self.patience, MAX_PATIENCE)?;
        if self.bytes.len() > MAX_PIECES {
            return Err(ActionProblem::Pieces(self.bytes.len()));
        }
        let length = self.bytes.iter().map(Piece::length).sum();
        if length > MAX_TEXT { Err(ActionProblem::RawBytes(length)) } else { Ok(()) }
    }
}

fn plain(name: &Name) -> Result<(), ActionProblem> {
    if Name::is_plain(name.as_str()) { Ok(()) } else { Err(ActionProblem::Name(start(name.as_str()))) }
}

/// Checks that a time is at most `most`. `what` names it in an error.
pub(crate) fn bounded(what: &'static str, given: Duration, most: Duration) -> Result<(), TooLong> {
    if given > most { Err(TooLong { what, given, most }) } else { Ok(()) }
}

/// Checks that a timer is at least [`MIN_TIMER`] and at most `most`. `what` names it in an error.
pub(crate) fn timer(what: &'static str, given: Duration, most: Duration) -> Result<(), ActionProblem> {
    bounded(what, given, most)?;
    if given < MIN_TIMER { Err(ActionProblem::TooShort { what, given }) } else { Ok(()) }
}

/// Checks that a number of bytes is within a range. `what` names it in an error.
pub(crate) fn within(what: &'static str, given: u32, range: RangeInclusive<u32>) -> Result<(), ActionProblem> {
    let (least, most) = range.clone().into_inner();
    if range.contains(&given) { Ok(()) } else { Err(ActionProblem::Bytes { what, given, least, most }) }
}

/// Returns the start of a text that may be very long.
fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{CheckChange, CheckWait};
    use crate::{Fault, Payload, Principal, Profile, RequestId, RequestSpec};

    fn client(change: impl FnOnce(&mut ClientSpec)) -> Action {
        let mut spec = ClientSpec::new("alice".into(), Profile::BROWSER, None);
        change(&mut spec);
        Action::AddClient(spec)
    }

    fn identity(name: usize, password: usize) -> Identity {
        Identity { principal: Principal::new("A", &"b".repeat(name - 2)), password: "c".repeat(password) }
    }

    fn raw(bytes: Vec<Piece>, patience: Duration) -> Action {
        Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience })
    }

    fn post(body: Payload) -> Action {
        let request = RequestSpec { body, ..RequestSpec::new("alice".into(), "POST", "/") };
        Action::Start { id: RequestId(1), request }
    }

    /// Asserts that the first action is allowed, and that the second is refused with a message that contains `why`.
    fn bound(most: &Action, more: &Action, why: &str) {
        assert_eq!(most.check(), Ok(()));
        let said = more.check().expect_err("it is past the bound").to_string();
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn times_are_bounded() {
        let nanosecond = Duration::from_nanos(1);
        bound(&Action::Advance(MAX_TIME), &Action::Advance(MAX_TIME + nanosecond), "the time to pass is 31622400.");
        let wait = |extra, otherwise| Action::AwaitChecks(CheckWait { change: CheckChange::Up, extra, otherwise });
        bound(&wait(MAX_TIME, MAX_TIME), &wait(MAX_TIME + nanosecond, nanosecond), "`extra` is");
        bound(&wait(MAX_TIME, MAX_TIME), &wait(nanosecond, Duration::MAX), "`otherwise` is");
        bound(&raw(Vec::new(), MAX_PATIENCE), &raw(Vec::new(), Duration::MAX), "`patience` is");
        let skewed = |skew| client(|spec| spec.clock_skew = skew);
        bound(&skewed(-31_622_400), &skewed(-31_622_401), "`clock_skew`, either way, is");
        bound(&skewed(31_622_400), &skewed(i64::MIN), "`clock_skew`, either way, is");
    }

    #[test]
    fn raw_bytes_and_bodies_are_bounded() {
        let second = Duration::from_secs(1);
        let text = |length| Piece::Text("x".repeat(length));
        let two = |more: usize| raw(vec![text(MAX_TEXT - 5), Piece::Bytes(vec![0xff; 5 + more])], second);
        bound(&two(0), &two(1), "at most 1048576 raw bytes, but this one has 1048577");
        bound(
            &raw(vec![text(0); MAX_PIECES], second),
            &raw(vec![text(0); MAX_PIECES + 1], second),
            "but these have 1001",
        );
        let said = |length| post(Payload::Text("x".repeat(length)));
        bound(&said(MAX_TEXT), &said(MAX_TEXT + 1), "with bytes_of()");
        bound(&post(Payload::Bytes(MAX_BODY)), &post(Payload::Bytes(MAX_BODY + 1)), "at most 1073741824 bytes");
    }

    #[test]
    fn crowds_are_bounded() {
        let crowd = |change: &dyn Fn(&mut CrowdSpec)| {
            let clients = (1..=10).map(|number| Name::from(format!("user{number}"))).collect();
            let (first, think, path) = (RequestId(1), Duration::ZERO, "/".to_owned());
            let mut spec = CrowdSpec { clients, first, requests: 6, think, path };
            change(&mut spec);
            Action::Crowd(spec)
        };
        let of = |count: usize| {
            let clients: Vec<_> = (1..=count).map(|number| Name::from(format!("user{number}"))).collect();
            crowd(&move |spec| spec.clients.clone_from(&clients))
        };
        bound(&of(MAX_CROWD), &of(MAX_CROWD + 1), "from 1 to 1000 clients, but this one has 1001");
        bound(&of(1), &of(0), "but this one has 0");
        let twice = crowd(&|spec| spec.clients[4] = "user2".into());
        bound(&crowd(&|_| ()), &twice, "`user2` is in the crowd twice");
        bound(&of(2), &crowd(&|spec| spec.clients[1] = "a b".into()), "is not a valid name");
        let asking = |requests| crowd(&move |spec| spec.requests = requests);
        bound(&asking(1_000), &asking(1_001), "from 1 to 10000 requests in all, but these make 10010");
        bound(&asking(1), &asking(0), "but these make 0");
        bound(&asking(1), &asking(u32::MAX), "but these make 42949672950");
        let from = |first| crowd(&move |spec| spec.first = RequestId(first));
        bound(&from(u32::MAX - 59), &from(u32::MAX - 58), "would exceed 4294967295");
        let thinking = |think| crowd(&move |spec| spec.think = think);
        bound(&thinking(MAX_THINK), &thinking(MAX_THINK + Duration::from_nanos(1)), "the time between requests is");
        let path = |path: &'static str| crowd(&move |spec| path.clone_into(&mut spec.path));
        bound(&path("/inbox?a=b"), &path("x y"), "is not a path");
    }

    #[test]
    fn names_and_credentials_are_bounded() {
        let named = |name: &str| client(|spec| spec.name = name.into());
        for name in ["", "a b", "ü", "a\n", &"x".repeat(33)] {
            bound(&named(&"x".repeat(32)), &named(name), "is not a valid name");
            bound(&Action::Drain("iis1".into()), &Action::Drain(name.into()), "is not a valid name");
            let hold = |other: &str| Action::Fault(Fault::Hold("lb".into(), other.into()));
            bound(&hold("iis1"), &hold(name), "is not a valid name");
            let ask =
                |client: &str| Action::Start { id: RequestId(1), request: RequestSpec::new(client.into(), "GET", "/") };
            bound(&ask("alice"), &ask(name), "is not a valid name");
        }
        let hosted = |host: &str| client(|spec| spec.host = Some(host.into()));
        for host in ["", "a/b", "a\r\n", &"x".repeat(254)] {
            bound(&hosted("www.corp.example"), &hosted(host), "is not a valid host");
        }
        let seated = |name, password| client(|spec| spec.identity = Some(identity(name, password)));
        bound(&seated(1_000, 1_000), &seated(1_001, 1), "at most 1000 bytes each");
        let switched = |name, password| Action::SwitchUser("alice".into(), identity(name, password));
        bound(&switched(1_000, 1_000), &switched(3, 1_001), "at most 1000 bytes each");
    }
}
