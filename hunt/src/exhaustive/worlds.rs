//! The worlds in which plans are played.

use std::time::Duration;

use stickler_model::topology::{Http2, Provider, TlsSpec};
use stickler_model::{ClientSpec, Profile, Topology, standard};

use super::alphabet::{Letter, Person, Time};

/// A site with three people in front of it: alice and bob, who have credentials and the same user agent, and mallory,
/// who has none.
#[derive(Debug, Clone)]
pub struct World {
    /// The name of the world.
    pub name: &'static str,
    /// The description of the world, in one line.
    pub summary: &'static str,
    /// The servers and their authentication.
    pub topology: Topology,
    /// Alice, bob and mallory.
    pub people: [ClientSpec; 3],
    /// The letters of the world, in ascending order.
    pub letters: Vec<Letter>,
    /// The time after which the first leg of a handshake on a new connection has reached the balancer, while the
    /// balancer's answer has not left it yet.
    pub(super) first_leg: Duration,
}

/// The port from which everybody connects in the world with a shared port.
const PORT: u16 = 40_000;

/// Returns all worlds. Each has the letters that matter in it; every letter belongs to several worlds.
pub fn worlds() -> Vec<World> {
    vec![
        World {
            name: "ntlm-1",
            summary: "NTLM, one backend; browsers",
            topology: standard::site(1),
            people: people(Profile::BROWSER),
            letters: letters(&[Letter::Post, Letter::Start, Letter::Disconnect], &STRUCK, &TIMES),
            first_leg: BROWSER_LEG,
        },
        World {
            name: "ntlm-2",
            summary: "NTLM, two backends; curl, without cookies",
            topology: standard::site(2),
            people: people(Profile::CURL),
            letters: letters(&[Letter::Start, Letter::Hold, Letter::Disconnect], &STRUCK_OR_DRAINED, &TIMES),
            first_leg: CURL_LEG,
        },
        World {
            name: "kerberos-1",
            summary: "Kerberos that IIS persists on the connection, one backend; browsers",
            topology: kerberos(1),
            people: people(Profile::BROWSER),
            letters: letters(&[Letter::Hold, Letter::Disconnect, Letter::Pipeline], &STRUCK, &LONG_TIMES),
            first_leg: BROWSER_LEG,
        },
        World {
            name: "kerberos-2",
            summary: "Kerberos that IIS persists on the connection, two backends; browsers",
            topology: kerberos(2),
            people: people(Profile::BROWSER),
            letters: letters(&[Letter::Post, Letter::Disconnect, Letter::Pipeline], &STRUCK_OR_DRAINED, &LONG_TIMES),
            first_leg: BROWSER_LEG,
        },
        World {
            name: "http2",
            summary: "NTLM over TLS, one backend; browsers that authenticate over HTTP/2 where it is offered",
            topology: Topology { tls: Some(TlsSpec { http2: true, ..TlsSpec::default() }), ..standard::site(1) },
            people: people(Profile::BROWSER).map(|person| ClientSpec { http2: Http2::Always, ..person }),
            letters: letters(&[Letter::Start, Letter::Disconnect], &STRUCK, &[Time::Packets, Time::Minute]),
            first_leg: BROWSER_LEG,
        },
        World {
            name: "one-port",
            summary: "NTLM, one backend; curl, all at one address and port, one after the other",
            topology: standard::site(1),
            people: people(Profile::CURL).map(at_one_port),
            letters: letters(&[Letter::Disconnect], &STRUCK, &TIMES),
            first_leg: CURL_LEG,
        },
    ]
}

/// The first leg of curl: the connection takes 0.5 ms, and the leg takes 0.25 ms to the balancer.
const CURL_LEG: Duration = Duration::from_micros(900);

/// The first leg of a browser, which first sends a request without credentials and has the 401 after 2 ms.
const BROWSER_LEG: Duration = Duration::from_micros(2_400);

const STRUCK: [Letter; 3] = [Letter::Reset, Letter::Crash, Letter::Restart];

/// The letters about a server. With one backend there is no drain among them, since no backend would be left.
const STRUCK_OR_DRAINED: [Letter; 4] = [Letter::Reset, Letter::Crash, Letter::Restart, Letter::Drain];

/// The times for worlds in which no request is ever in progress, so the time of packets does not matter.
const LONG_TIMES: [Time; 2] = [Time::Minute, Time::IdleEnd];

const TIMES: [Time; 3] = [Time::Packets, Time::Minute, Time::IdleEnd];

/// Returns the letters of a world in ascending order: everybody's requests, the actions of the users, the events of a
/// server, and the times.
fn letters(users: &[fn(Person) -> Letter], servers: &[Letter], times: &[Time]) -> Vec<Letter> {
    let gets = Person::ALL.into_iter().map(Letter::Get);
    let of_users = users.iter().flat_map(|letter| Person::USERS.map(letter));
    let times = times.iter().copied().map(Letter::Wait);
    gets.chain(of_users).chain(servers.iter().copied()).chain(times).collect()
}

fn kerberos(backends: u32) -> Topology {
    let mut topology = standard::site(backends);
    standard::accept_tickets(&mut topology, &[Provider::Negotiate]);
    topology
}

fn people(profile: Profile) -> [ClientSpec; 3] {
    Person::ALL.map(|person| client(person, profile))
}

fn at_one_port(person: ClientSpec) -> ClientSpec {
    let first = Person::Alice.name();
    ClientSpec { port: Some(PORT), at: (person.name.as_str() != first).then(|| first.into()), ..person }
}

fn client(person: Person, profile: Profile) -> ClientSpec {
    let identity = (person != Person::Mallory).then(|| standard::identity(person.name()));
    ClientSpec::new(person.name().into(), profile, identity)
}

impl World {
    /// Returns the world with this name.
    pub fn named(name: &str) -> Option<Self> {
        worlds().into_iter().find(|world| world.name == name)
    }

    /// Returns whether everybody connects from the same port.
    pub(super) fn has_one_port(&self) -> bool {
        self.people.iter().any(|person| person.port.is_some())
    }
}
