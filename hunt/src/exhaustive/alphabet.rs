//! The letters that plans are made of: what happens in one step.

use std::fmt;
use std::time::Duration;

/// One step of a plan, of which one or a few actions follow. Each makes sense after any others that
/// [`Now::allows`](super::plans::Now::allows) has let pass.
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
    /// Resets every connection between the balancer and a server.
    Reset(Server),
    /// The server crashes; or, where it is down, starts again.
    Crash(Server),
    /// The server crashes, and starts again at once.
    Restart(Server),
    /// The balancer drains the server; or, where it is drained, takes it into use again.
    Drain(Server),
    /// Time passes.
    Wait(Time),
}

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Person {
    /// A user with credentials.
    Alice,
    /// Another one, with credentials and a user agent of the same kind.
    Bob,
    /// A client without credentials.
    Mallory,
}

/// A server, by its number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server(pub u8);

/// How much time passes.
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
            Self::Reset(server) => format!("every connection between the balancer and {server} is reset"),
            Self::Crash(server) => format!("{server} crashes; where it is down, it starts again"),
            Self::Restart(server) => format!("{server} crashes, and starts again at once"),
            Self::Drain(server) => format!("the balancer drains {server}; where it is drained, it is used again"),
            Self::Wait(Time::Packets) => {
                "0.4 ms pass: a packet of a request has arrived, and the next has not".to_owned()
            }
            Self::Wait(Time::Minute) => "70 s pass: longer than many balancers keep what is idle".to_owned(),
            Self::Wait(Time::IdleEnd) => "119.9995 s pass: IIS is about to close what is idle".to_owned(),
        }
    }

    /// Returns the letter with other persons and servers in their places.
    pub(super) fn map(self, person: impl Fn(Person) -> Person, server: impl Fn(Server) -> Server) -> Self {
        match self {
            Self::Get(who) => Self::Get(person(who)),
            Self::Post(who) => Self::Post(person(who)),
            Self::Start(who) => Self::Start(person(who)),
            Self::Hold(who) => Self::Hold(person(who)),
            Self::Disconnect(who) => Self::Disconnect(person(who)),
            Self::Pipeline(who) => Self::Pipeline(person(who)),
            Self::Reset(at) => Self::Reset(server(at)),
            Self::Crash(at) => Self::Crash(server(at)),
            Self::Restart(at) => Self::Restart(server(at)),
            Self::Drain(at) => Self::Drain(server(at)),
            Self::Wait(time) => Self::Wait(time),
        }
    }

    /// Returns the server that the letter is about, where it is about one.
    pub(super) fn server(self) -> Option<Server> {
        match self {
            Self::Reset(server) | Self::Crash(server) | Self::Restart(server) | Self::Drain(server) => Some(server),
            _ => None,
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
            Self::Reset(server) => write!(f, "reset({server})"),
            Self::Crash(server) => write!(f, "crash({server})"),
            Self::Restart(server) => write!(f, "restart({server})"),
            Self::Drain(server) => write!(f, "drain({server})"),
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

impl fmt::Display for Server {
    /// Writes the server's name in the site, `iis1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iis{}", self.0 + 1)
    }
}
