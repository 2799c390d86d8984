//! The letters of which plans consist. Each letter is an event that happens in one step.

use std::fmt;
use std::time::Duration;

/// The server that faults and drains concern.
pub(super) const STRUCK: &str = "iis1";

/// One step of a plan, which consists of one or a few actions. A letter that needs an earlier one, such as a restart
/// after a crash, is the same letter as the earlier one. Therefore each letter is meaningful after most others. Where
/// it would not be, it does not occur in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Letter {
    /// Requests a page, and waits for the answer.
    Get(Person),
    /// Posts ten bytes to the part of the site for which some balancers have separate backends, and waits for the
    /// answer.
    Post(Person),
    /// Requests a page without waiting for the answer, so that the next letter happens while the request is under way.
    Start(Person),
    /// Requests a page. When the first leg has reached the balancer, the packets after it are held back until the
    /// person acts again, or until the end, so that the next letters happen between two legs of a handshake.
    Hold(Person),
    /// Closes the person's connections.
    Disconnect(Person),
    /// Sends three requests in a row as raw bytes. The first carries the token with which the person would begin to
    /// authenticate.
    Pipeline(Person),
    /// Resets every connection between the balancer and the first server. Servers are alike, so faults of one server
    /// suffice.
    Reset,
    /// The first server crashes or, if it is down, starts again.
    Crash,
    /// The first server crashes and starts again immediately.
    Restart,
    /// The balancer drains the first server or, if it is drained, uses it again.
    Drain,
    /// A length of time passes.
    Wait(Time),
}

/// A person at a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Person {
    /// A user with credentials.
    Alice,
    /// A second user with credentials, and with a user agent of the same kind.
    Bob,
    /// A client without credentials.
    Mallory,
}

/// A length of time that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Time {
    /// 0.4 ms, which is the time between two packets of a request.
    Packets,
    /// 70 s, which is longer than balancers keep idle connections.
    Minute,
    /// 119.9995 s, which ends just before IIS closes idle connections after 120 s.
    IdleEnd,
}

impl Person {
    /// All people.
    pub(super) const ALL: [Self; 3] = [Self::Alice, Self::Bob, Self::Mallory];

    /// The users with credentials.
    pub(super) const USERS: [Self; 2] = [Self::Alice, Self::Bob];

    /// Returns the other user; mallory remains mallory.
    fn exchanged(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
            Self::Mallory => Self::Mallory,
        }
    }

    /// Returns the name of the client, which is that of its user.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Mallory => "mallory",
        }
    }
}

impl Time {
    /// Returns the length of the time.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Packets => Duration::from_micros(400),
            Self::Minute => Duration::from_secs(70),
            Self::IdleEnd => Duration::from_micros(119_999_500),
        }
    }
}

impl Letter {
    /// Returns the meaning of the letter as one sentence, which begins with who or what acts.
    pub fn meaning(self) -> String {
        match self {
            Self::Get(who) => format!("{who} asks for a page, and waits for the answer"),
            Self::Post(who) => format!("{who} posts ten bytes to /api, and waits for the answer"),
            Self::Start(who) => format!("{who} asks for a page, and does not wait"),
            Self::Hold(who) => format!(
                "{who} asks for a page, and what comes after the first leg is held until {who} does something else, or the end"
            ),
            Self::Disconnect(who) => format!("{who} closes its connections"),
            Self::Pipeline(who) => format!("{who} sends three requests in a row behind its first token, as raw bytes"),
            Self::Reset => format!("every connection between the balancer and {STRUCK} is reset"),
            Self::Crash => format!("{STRUCK} crashes; where it is down, it starts again"),
            Self::Restart => format!("{STRUCK} crashes, and starts again at once"),
            Self::Drain => format!("the balancer drains {STRUCK}; where it is drained, it is used again"),
            Self::Wait(Time::Packets) => {
                "0.4 ms pass: a packet of a request has arrived, and the next has not".to_owned()
            }
            Self::Wait(Time::Minute) => "70 s pass: longer than many balancers keep what is idle".to_owned(),
            Self::Wait(Time::IdleEnd) => "119.9995 s pass: IIS is about to close what is idle".to_owned(),
        }
    }

    /// Returns the letter with the two users exchanged.
    pub(super) fn exchanged(self) -> Self {
        match self {
            Self::Get(who) => Self::Get(who.exchanged()),
            Self::Post(who) => Self::Post(who.exchanged()),
            Self::Start(who) => Self::Start(who.exchanged()),
            Self::Hold(who) => Self::Hold(who.exchanged()),
            Self::Disconnect(who) => Self::Disconnect(who.exchanged()),
            Self::Pipeline(who) => Self::Pipeline(who.exchanged()),
            Self::Reset | Self::Crash | Self::Restart | Self::Drain | Self::Wait(_) => self,
        }
    }
}

impl fmt::Display for Letter {
    /// Writes the name of the letter, for example `get(alice)`, `crash(iis1)` or `advance(70)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(who) => write!(f, "get({who})"),
            Self::Post(who) => write!(f, "post({who})"),
            Self::Start(who) => write!(f, "start({who})"),
            Self::Hold(who) => write!(f, "hold({who})"),
            Self::Disconnect(who) => write!(f, "disconnect({who})"),
            Self::Pipeline(who) => write!(f, "pipeline({who})"),
            Self::Reset => write!(f, "reset(lb, {STRUCK})"),
            Self::Crash => write!(f, "crash({STRUCK})"),
            Self::Restart => write!(f, "restart({STRUCK})"),
            Self::Drain => write!(f, "drain({STRUCK})"),
            Self::Wait(Time::Packets) => f.write_str("advance(ms = 0.4)"),
            Self::Wait(Time::Minute) => f.write_str("advance(70)"),
            Self::Wait(Time::IdleEnd) => f.write_str("advance(119.9995)"),
        }
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
