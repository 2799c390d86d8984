//! The worlds in which plans are played.

use std::time::Duration;

use stickler_model::topology::{AppPool, Http2, Provider, ServiceSpec, TlsSpec};
use stickler_model::{ClientSpec, Profile, Topology, standard};

use super::alphabet::{Letter, Person, Server, Time};

/// A site with three people in front of it: alice and bob, who have credentials and the same user agent, and mallory, who has
/// none.
#[derive(Debug, Clone)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// The servers, and how they authenticate.
    pub topology: Topology,
    /// Alice, bob and mallory.
    pub people: [ClientSpec; 3],
    /// The time after which the first leg of a handshake that begins on a new connection has reached the balancer, and the
    /// balancer's answer has not left it.
    pub(super) first_leg: Duration,
}

/// The account that the application pools run as where the site takes Kerberos.
const SERVICE: &str = "svc-web";

/// The port from which everybody connects in the world where people share one.
const PORT: u16 = 40_000;

/// Returns all worlds.
pub fn worlds() -> Vec<World> {
    vec![
        ntlm("ntlm-1", "NTLM, one backend; browsers", 1, Profile::BROWSER),
        ntlm("ntlm-2", "NTLM, two backends; curl, without cookies", 2, Profile::CURL),
        kerberos("kerberos-1", "Kerberos that IIS persists on the connection, one backend; browsers", 1),
        kerberos("kerberos-2", "Kerberos that IIS persists on the connection, two backends; browsers", 2),
        http2(),
        one_port(),
    ]
}

fn ntlm(name: &'static str, summary: &'static str, backends: u32, profile: Profile) -> World {
    let people = Person::ALL.map(|person| client(person, profile));
    let first_leg = if profile == Profile::BROWSER { BROWSER_LEG } else { CURL_LEG };
    World { name, summary, topology: standard::site(backends), people, first_leg }
}

/// A connection takes 0.5 ms, and the leg 0.25 ms to the balancer.
const CURL_LEG: Duration = Duration::from_micros(900);

/// A browser asks without credentials first, and has the 401 after 2 ms.
const BROWSER_LEG: Duration = Duration::from_micros(2_400);

fn kerberos(name: &'static str, summary: &'static str, backends: u32) -> World {
    let mut world = ntlm(name, summary, backends, Profile::BROWSER);
    let topology = &mut world.topology;
    topology.domain.users.push(standard::account(SERVICE.to_owned()));
    topology.domain.services.push(ServiceSpec {
        account: SERVICE.to_owned(),
        spns: vec!["HTTP/www.corp.example".to_owned()],
        trusted_for_delegation: false,
    });
    for server in &mut topology.servers {
        server.providers = vec![Provider::Negotiate];
        server.site.pool = AppPool::Service(SERVICE.to_owned());
        server.site.kernel_mode = false;
    }
    world
}

fn http2() -> World {
    let summary = "NTLM over TLS, one backend; browsers that authenticate over HTTP/2 where it is offered";
    let mut world = ntlm("http2", summary, 1, Profile::BROWSER);
    world.topology.tls = Some(TlsSpec { http2: true, ..TlsSpec::default() });
    world.people.iter_mut().for_each(|person| person.http2 = Http2::Always);
    world
}

fn one_port() -> World {
    let summary = "NTLM, one backend; curl, all at one address and port, one after the other";
    let mut world = ntlm("one-port", summary, 1, Profile::CURL);
    for person in &mut world.people {
        person.port = Some(PORT);
        person.at = (person.name.as_str() != Person::Alice.name()).then(|| Person::Alice.name().into());
    }
    world
}

fn client(person: Person, profile: Profile) -> ClientSpec {
    let identity = (person != Person::Mallory).then(|| standard::identity(person.name()));
    ClientSpec::new(person.name().into(), profile, identity)
}

impl World {
    /// Returns the letters that make sense in this world, in ascending order.
    pub fn letters(&self) -> Vec<Letter> {
        let mut letters: Vec<Letter> = Person::ALL.map(Letter::Get).into();
        let users = |letter: fn(Person) -> Letter| Person::USERS.into_iter().map(letter);
        letters.extend(users(Letter::Post));
        // Where people share a port, one has a connection at a time.
        if !self.has_one_port() {
            letters.extend(users(Letter::Start).chain(users(Letter::Hold)));
        }
        letters.extend(users(Letter::Disconnect));
        let takes_tokens = self.topology.servers.iter().all(|server| server.providers.contains(&Provider::Negotiate));
        if takes_tokens && self.topology.tls.is_none() {
            letters.extend(users(Letter::Pipeline));
        }
        // Servers are alike: whatever strikes one strikes the first.
        let first = Server(0);
        letters.extend([Letter::Reset(first), Letter::Crash(first), Letter::Restart(first)]);
        // With one backend, a drain leaves none.
        if self.topology.servers.len() > 1 {
            letters.push(Letter::Drain(first));
        }
        letters.extend([Time::Packets, Time::Minute, Time::IdleEnd].map(Letter::Wait));
        letters
    }

    /// Returns whether everybody connects from one port.
    pub(super) fn has_one_port(&self) -> bool {
        self.people.iter().any(|person| person.port.is_some())
    }
}
