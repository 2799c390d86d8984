//! The letters that plans are made of: what happens in one step.

use std::fmt;
use std::time::Duration;

/// The server that is struck.
pub(super) const STRUCK: &str = "iis1";

/// One step of a plan, of which one or a few actions follow. What needs another step before it, such as a restart, is said with
/// that one: so each letter makes sense after most others, and a word never has one where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Letter {
    /// Asks for a page, and waits for the answer.
    Get(Person),
    /// Posts ten bytes to the part of the site that some balancers have backends of its own for, and waits for the answer.
    Post(Person),
    /// Asks for a page, and does not wait: whatever comes next meets a request that is under way.
    Start(Person),
    /// Asks for a page. When the first leg has reached the balancer, what comes after it is held, until the person does something
    /// else, or until the end: whatever comes next happens between two legs of a handshake.
    Hold(Person),
    /// Closes its connections.
    Disconnect(Person),
    /// Sends three requests in a row as raw bytes, the first with the token that the person would begin with.
    Pipeline(Person),
    /// Resets every connection between the balancer and the first server. Servers are alike, so whatever strikes one strikes this
    /// one.
    Reset,
    /// The first server crashes; or, where it is down, starts again.
    Crash,
    /// The first server crashes, and starts again at once.
    Restart,
    /// The balancer drains the first server; or, where it is drained, takes it into use again.
    Drain,
    /// Time passes.
    Wait(Time),
}

/// A person who sits at a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Person {
    /// A user with credentials.
    Alice,
    /// Another one, with credentials and a user agent of the same kind.
    Bob,
    /// A client without credentials.
    Mallory,
}

/// A length of time that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Time {
    /// 0.4 ms: between two of the packets of a request.
    Packets,
    /// 70 s: longer than balancers keep what is idle.
    Minute,
    /// 119.9995 s: until IIS is about to close what is idle, after 120 s.
    IdleEnd,
}

impl Person {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Alice, Self::Bob, Self::Mallory];

    /// Those with credentials.
    pub(super) const USERS: [Self; 2] = [Self::Alice, Self::Bob];

    /// Returns the other user, or mallory.
    fn exchanged(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
            Self::Mallory => Self::Mallory,
        }
    }

    /// Returns the client's name, which is that of its user.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Mallory => "mallory",
        }
    }
}

impl Time {
    /// Returns how long it is.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Packets => Duration::from_micros(400),
            Self::Minute => Duration::from_secs(70),
            Self::IdleEnd => Duration::from_micros(119_999_500),
        }
    }
}

impl Letter {
    /// Returns what the letter means, in one sentence that begins with who or what does it.
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

    /// Returns the letter with the users in each other's place.
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
    /// Writes the letter's name: `get(alice)`, `crash(iis1)`, `advance(70)`.
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
