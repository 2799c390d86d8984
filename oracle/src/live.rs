//! ID-1 and ID-2, judged while events arrive, from what servers see alone.
//!
//! Real clients carry no request ids, so their senders are not known, and a trace that never ends cannot be judged as a
//! whole. [`Live`] knows a sender only by the name that the sender states ([`What::SenderNamed`]). A request is served
//! as another user if a server takes it for a user other than the named one (see `identity`), and does so because of an
//! earlier request on the same connection and not because of a proof in the request itself. Each answer is judged when
//! it is given, from the state of its connection. Therefore nothing is missed, however long ago the connection was
//! authenticated, and nothing is kept of a connection that has ended.
//!
//! Nobody is accused by mistake:
//! * A request that does not name its sender is not judged: it may come from the user who authenticated the connection.
//! * A sender that has logged on as a different user than the one that it states is not believed from then on
//!   ([`Noticed::Misnamed`]).
//! * A logon on a connection that another user has authenticated is noted ([`Noticed::Shared`]), but proves nothing: a
//!   client may have two users.
//! * Servers that take the user from a header, or consider more than the connection, are not judged, because the proof
//!   that the balancer received is not visible here.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Event, Leg, Name, Principal, Topology, What};

use crate::requests::is_proof;
use crate::requirement::Requirement;

/// The name by which a sender says that it has no credentials.
pub const NOBODY: &str = "-";

/// The maximum number of requests of one connection that wait for their answers; HTTP/2 allows about a hundred.
const MOST_WAITING: usize = 1_000;

/// The maximum number of names, or pairs of names, that are remembered. A sender that invents more names is judged
/// nevertheless.
pub const MOST_NAMES: usize = 10_000;

/// Judges events while they arrive.
#[derive(Debug, Default)]
pub struct Live {
    /// The servers that are judged, which are those that tie users to connections.
    judged: BTreeSet<Name>,
    /// The connections that are open, by server and number.
    connections: BTreeMap<(Name, u32), Connection>,
    /// The senders that logged on as a different user than the one that they state, each with that user.
    misnamed: BTreeSet<(String, String)>,
    /// The logons that were reported on a connection of another user: the server and both users.
    shared: BTreeSet<(Name, String, String)>,
    /// The users who have logged on, by server.
    logged_on: BTreeMap<Name, Vec<Principal>>,
    seen: Seen,
}

/// Counts of what was seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of requests that servers answered.
    pub answered: u64,
    /// The number of these requests that named their sender.
    pub named: u64,
    /// The number of the latter that could have been served as another user, because another user had logged on at the
    /// server before.
    pub tried: u64,
    /// The senders of the requests that are counted in `tried`.
    pub senders: BTreeSet<String>,
    /// The number of requests that were served as another user.
    pub leaked: u64,
    /// The number of times that a sender was served as another user, by sender and user, for the first [`MOST_NAMES`]
    /// pairs.
    pub leaks: BTreeMap<(String, String), u64>,
}

impl Seen {
    fn leak(&mut self, sender: &str, user: &Principal) {
        self.leaked += 1;
        let pair = (sender.to_owned(), user.as_str().to_owned());
        if self.leaks.len() < MOST_NAMES || self.leaks.contains_key(&pair) {
            *self.leaks.entry(pair).or_default() += 1;
        }
    }
}

/// The meaning of an event for the judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// A request was served as another user.
    Leak(Box<Leak>),
    /// The sender with this name has logged on as this user.
    Misnamed {
        /// The name that the sender gives.
        sender: String,
        /// The user as whom it has logged on.
        user: Principal,
    },
    /// A user has logged on over a connection that another user had authenticated.
    Shared {
        /// The server.
        server: Name,
        /// The server's number for the connection.
        connection: u32,
        /// The user who had authenticated the connection.
        before: Principal,
        /// The user who authenticates it now.
        now: Principal,
    },
}

/// A request that was served as another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// ID-1, or ID-2 if the sender says that it has no credentials.
    pub requirement: Requirement,
    /// The name that the sender gives.
    pub sender: String,
    /// The user as whom the server processed the request.
    pub served_as: Principal,
    /// The server.
    pub server: Name,
    /// The server's number for the connection.
    pub connection: u32,
    /// The number of the request on the connection.
    pub number: u32,
    /// The events that prove the leak: the beginning of the connection and the logon that authenticated it, if these
    /// were seen, and the request, its sender and its answer.
    pub events: Vec<Event>,
}

/// A server's connection.
#[derive(Debug, Default)]
struct Connection {
    accepted: Option<Event>,
    /// The answer that authenticated the connection, and the user.
    identity: Option<(Event, Principal)>,
    /// The requests without an answer, by number.
    waiting: BTreeMap<u32, Waiting>,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    received: Event,
    named: Option<(Event, String)>,
}

impl Live {
    /// Returns a judge of the servers of a site. The site's settings determine the names of its users.
    pub fn new(topology: &Topology) -> Self {
        let ties = topology.servers.iter().filter(|server| server.acceptor.is_connection());
        Self { judged: ties.map(|server| server.name.clone()).collect(), ..Self::default() }
    }

    /// Returns the counts of what was seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes an event into account, and returns its meaning. The events of one connection must arrive in their order.
    pub fn see(&mut self, event: &Event) -> Option<Noticed> {
        if !self.judged.contains(&event.by) {
            return None;
        }
        let at = |connection: u32| (event.by.clone(), connection);
        match &event.what {
            What::ServerAccepted { connection, .. } => {
                let accepted = Some(event.clone());
                self.connections.insert(at(*connection), Connection { accepted, ..Connection::default() });
            }
            What::ServerReceived { connection, number, .. } => {
                let waiting = &mut self.connections.entry(at(*connection)).or_default().waiting;
                if waiting.len() == MOST_WAITING {
                    waiting.pop_first();
                }
                waiting.insert(*number, Waiting { received: event.clone(), named: None });
            }
            What::SenderNamed { connection, number, name } => {
                let connection = self.connections.get_mut(&at(*connection));
                if let Some(waiting) = connection.and_then(|connection| connection.waiting.get_mut(number)) {
                    waiting.named = Some((event.clone(), name.clone()));
                }
            }
            What::ServerAnswered { connection, number, leg, status, substatus, user, processed, .. } => {
                let waiting = self.connections.entry(at(*connection)).or_default().waiting.remove(number);
                // As in `Answered::taken_for`.
                let taken = user.as_ref().filter(|_| *processed || *status == 404 || *substatus == 3);
                return self.answered(event, (*connection, *number), *leg, taken, waiting);
            }
            What::ServerClosed { connection, .. } => _ = self.connections.remove(&at(*connection)),
            _ => {}
        }
        None
    }

    fn answered(
        &mut self,
        event: &Event,
        at: (u32, u32),
        leg: Leg,
        taken: Option<&Principal>,
        waiting: Option<Waiting>,
    ) -> Option<Noticed> {
        let named = waiting.as_ref().and_then(|waiting| waiting.named.as_ref()).map(|(_, name)| name.clone());
        self.count(&event.by, named.as_deref());
        let user = taken?;
        if is_proof(leg) {
            return self.logged_on(event, at.0, user, named);
        }
        let name = named.filter(|name| !is_name_of(name, user, &event.by))?;
        if self.misnamed.contains(&(folded(&name), folded(user.as_str()))) {
            return None;
        }
        self.seen.leak(&name, user);
        let connection = self.connections.get(&(event.by.clone(), at.0));
        let accepted = connection.and_then(|connection| connection.accepted.clone());
        let logon = connection.and_then(|connection| connection.identity.clone()).filter(|(_, owner)| owner == user);
        let request =
            waiting.into_iter().flat_map(|waiting| [Some(waiting.received), waiting.named.map(|(event, _)| event)]);
        let events = [accepted, logon.map(|(event, _)| event)].into_iter().chain(request).flatten();
        Some(Noticed::Leak(Box::new(Leak {
            requirement: if name == NOBODY { Requirement::Id2 } else { Requirement::Id1 },
            sender: name,
            served_as: user.clone(),
            server: event.by.clone(),
            connection: at.0,
            number: at.1,
            events: events.chain([event.clone()]).collect(),
        })))
    }

    /// Records that a server has accepted a proof that came with the request.
    fn logged_on(
        &mut self,
        event: &Event,
        connection: u32,
        user: &Principal,
        named: Option<String>,
    ) -> Option<Noticed> {
        let users = self.logged_on.entry(event.by.clone()).or_default();
        if !users.contains(user) {
            users.push(user.clone());
        }
        let state = self.connections.entry((event.by.clone(), connection)).or_default();
        let before = state.identity.replace((event.clone(), user.clone())).map(|(_, before)| before);
        if let Some(sender) = named.filter(|name| !is_name_of(name, user, &event.by)) {
            let new = remember(&mut self.misnamed, (folded(&sender), folded(user.as_str())));
            return new.then(|| Noticed::Misnamed { sender, user: user.clone() });
        }
        let before = before.filter(|before| before != user)?;
        let server = event.by.clone();
        let new = remember(&mut self.shared, (server.clone(), folded(before.as_str()), folded(user.as_str())));
        new.then(|| Noticed::Shared { server, connection, before, now: user.clone() })
    }

    /// Counts an answer.
    fn count(&mut self, server: &Name, named: Option<&str>) {
        self.seen.answered += 1;
        let Some(name) = named else { return };
        self.seen.named += 1;
        let mut others = self.logged_on.get(server).into_iter().flatten();
        if others.any(|user| !is_name_of(name, user, server)) {
            self.seen.tried += 1;
            remember(&mut self.seen.senders, folded(name));
        }
    }
}

/// Returns whether a name refers to this user of a server: `bob`, `CORP\bob` or `bob@corp.example`. The part after the
/// @ is not compared. The domain is not compared either if the user is a local account, because each server gives that
/// domain its own name.
fn is_name_of(name: &str, user: &Principal, server: &Name) -> bool {
    if name.contains('\\') && !user.domain().eq_ignore_ascii_case(server.as_str()) {
        return name.eq_ignore_ascii_case(user.as_str());
    }
    let short = name.rsplit('\\').next().unwrap_or_default();
    let short = short.split('@').next().unwrap_or_default();
    short.eq_ignore_ascii_case(user.user())
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Adds a value unless the set is full, and returns whether the value is new.
fn remember<T: Ord>(set: &mut BTreeSet<T>, value: T) -> bool {
    if set.contains(&value) {
        return false;
    }
    if set.len() < MOST_NAMES {
        set.insert(value);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use stickler_model::event::Closed;
    use stickler_model::topology::Acceptor;
    use stickler_model::{Payload, Time, standard};

    use super::*;

    /// A site with one server, and what the judge reports about its events.
    struct Bench {
        live: Live,
        time: u64,
        numbers: BTreeMap<u32, u32>,
    }

    impl Bench {
        fn new() -> Self {
            Self { live: Live::new(&standard::site(1)), time: 0, numbers: BTreeMap::new() }
        }

        fn see(&mut self, what: What) -> Option<Noticed> {
            self.time += 1;
            self.live.see(&Event { at: Time(self.time), by: "iis1".into(), what })
        }

        fn accept(&mut self, connection: u32) {
            let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
            assert_eq!(self.see(What::ServerAccepted { connection, peer }), None);
        }

        /// Sends a request that the server processes as this user and answers.
        fn ask(&mut self, connection: u32, named: Option<&str>, leg: Leg, user: Option<&str>) -> Option<Noticed> {
            let number = *self.numbers.entry(connection).and_modify(|number| *number += 1).or_insert(1);
            assert_eq!(self.see(What::ServerReceived { connection, number, request: None, leg }), None);
            if let Some(name) = named {
                assert_eq!(self.see(What::SenderNamed { connection, number, name: name.into() }), None);
            }
            let status = if user.is_some() { 200 } else { 401 };
            self.answer((connection, number), leg, (status, 0), user)
        }

        /// Answers a request, which the application processes only with the status 200.
        fn answer(
            &mut self,
            (connection, number): (u32, u32),
            leg: Leg,
            (status, substatus): (u16, u16),
            user: Option<&str>,
        ) -> Option<Noticed> {
            self.see(What::ServerAnswered {
                connection,
                number,
                request: None,
                leg,
                status,
                substatus,
                win32: 0,
                user: user.map(|user| Principal::new("CORP", user)),
                processed: status == 200,
                length: 0,
                digest: Payload::Empty.digest(),
            })
        }

        /// Returns a bench on which alice has logged on over connection 1, by three legs.
        fn with_alice() -> Self {
            let mut bench = Self::new();
            bench.accept(1);
            for (leg, user) in [(Leg::Anonymous, None), (Leg::Negotiate, None), (Leg::Authenticate, Some("alice"))] {
                assert_eq!(bench.ask(1, None, leg, user), None);
            }
            bench
        }
    }

    fn leak(noticed: Option<Noticed>) -> Leak {
        match noticed {
            Some(Noticed::Leak(leak)) => *leak,
            other => panic!("{other:?} is no leak"),
        }
    }

    #[test]
    fn who_is_served_as_another_user_is_told_at_once_with_the_evidence() {
        let mut bench = Bench::with_alice();
        let leak = leak(bench.ask(1, Some("bob"), Leg::Anonymous, Some("alice")));
        assert_eq!((leak.requirement, leak.sender.as_str(), leak.served_as.user()), (Requirement::Id1, "bob", "alice"));
        assert_eq!((leak.server.as_str(), leak.connection, leak.number), ("iis1", 1, 4));
        // The connection is accepted, alice's logon is answered, the request is received and named and answered.
        let times: Vec<u64> = leak.events.iter().map(|event| event.at.0).collect();
        assert_eq!(times, [1, 7, 8, 9, 10]);
        assert_eq!(bench.live.seen().leaks, BTreeMap::from([(("bob".into(), "CORP\\alice".into()), 1)]));
    }

    #[test]
    fn who_is_refused_as_another_user_is_taken_for_that_user_and_who_is_asked_to_log_on_is_not() {
        for (status, substatus, expected) in [(401, 3, true), (404, 0, true), (401, 1, false)] {
            let mut bench = Bench::with_alice();
            let (connection, number, leg) = (1, 9, Leg::Anonymous);
            bench.see(What::ServerReceived { connection, number, request: None, leg });
            bench.see(What::SenderNamed { connection, number, name: "bob".into() });
            let noticed = bench.answer((connection, number), leg, (status, substatus), Some("alice"));
            assert_eq!(noticed.is_some(), expected, "{status}.{substatus}");
        }
    }

    #[test]
    fn who_has_no_credentials_is_nobody() {
        let mut bench = Bench::with_alice();
        assert_eq!(leak(bench.ask(1, Some("-"), Leg::Anonymous, Some("alice"))).requirement, Requirement::Id2);
        assert_eq!(bench.ask(1, Some("-"), Leg::Anonymous, None), None, "whoever is asked to log on is not served");
    }

    #[test]
    fn nobody_is_accused_of_what_the_sender_may_have_done() {
        let mut bench = Bench::with_alice();
        assert_eq!(bench.ask(1, None, Leg::Anonymous, Some("alice")), None, "it may be alice");
        for name in ["alice", "ALICE", "CORP\\alice", "alice@corp.example"] {
            assert_eq!(bench.ask(1, Some(name), Leg::Anonymous, Some("alice")), None, "{name} is alice");
        }
        assert!(bench.ask(1, Some("PARTNER\\alice"), Leg::Anonymous, Some("alice")).is_some(), "of another domain");
    }

    #[test]
    fn a_servers_own_account_is_the_users_whatever_the_server_calls_it() {
        let local = Principal::new("IIS1", "alice");
        for (name, server, same) in [
            ("CORP\\alice", "iis1", true),
            ("CORP\\bob", "iis1", false),
            ("alice", "iis1", true),
            ("CORP\\alice", "iis2", false),
        ] {
            assert_eq!(is_name_of(name, &local, &server.into()), same, "{name} at {server}");
        }
    }

    #[test]
    fn a_proof_of_its_own_is_no_leak_and_shows_who_is_not_to_be_believed() {
        let mut bench = Bench::with_alice();
        let noticed = bench.ask(1, Some("bob"), Leg::Authenticate, Some("alice"));
        let user = Principal::new("CORP", "alice");
        assert_eq!(noticed, Some(Noticed::Misnamed { sender: "bob".into(), user }));
        assert_eq!(bench.ask(1, Some("bob"), Leg::Anonymous, Some("alice")), None, "it is alice, whatever it says");
        assert_eq!(bench.ask(1, Some("bob"), Leg::Ticket, Some("alice")), None, "that is said once");
        assert!(bench.ask(1, Some("carol"), Leg::Anonymous, Some("alice")).is_some(), "of carol nothing is known");
    }

    #[test]
    fn two_users_of_one_connection_are_noted_and_prove_nothing() {
        let mut bench = Bench::with_alice();
        let noticed = bench.ask(1, None, Leg::Authenticate, Some("bob"));
        let (before, now) = (Principal::new("CORP", "alice"), Principal::new("CORP", "bob"));
        assert_eq!(noticed, Some(Noticed::Shared { server: "iis1".into(), connection: 1, before, now }));
        assert_eq!(bench.ask(1, None, Leg::Anonymous, Some("bob")), None);
        assert!(bench.live.seen().leaks.is_empty());
        // From here on the connection is bob's.
        assert_eq!(leak(bench.ask(1, Some("alice"), Leg::Anonymous, Some("bob"))).served_as.user(), "bob");
    }

    #[test]
    fn a_number_that_comes_again_after_the_end_is_another_connection() {
        let mut bench = Bench::with_alice();
        bench.see(What::ServerClosed { connection: 1, how: Closed::ByPeer });
        assert!(bench.live.connections.is_empty(), "nothing is kept of it");
        bench.numbers.clear();
        bench.accept(1);
        let leak = leak(bench.ask(1, Some("bob"), Leg::Anonymous, Some("alice")));
        assert_eq!(leak.events.len(), 4, "nobody has seen why it is alice's: {leak:?}");
    }

    #[test]
    fn requests_count_once_they_could_have_been_served_as_others() {
        let mut bench = Bench::new();
        bench.accept(1);
        bench.ask(1, Some("bob"), Leg::Anonymous, None);
        bench.ask(1, Some("alice"), Leg::Authenticate, Some("alice"));
        bench.ask(1, Some("alice"), Leg::Anonymous, Some("alice"));
        bench.ask(1, None, Leg::Anonymous, None);
        let seen = bench.live.seen().clone();
        assert_eq!((seen.answered, seen.named, seen.tried), (4, 3, 0), "nobody else had logged on");
        bench.ask(1, Some("bob"), Leg::Anonymous, None);
        bench.ask(1, Some("-"), Leg::Anonymous, None);
        let seen = bench.live.seen();
        assert_eq!((seen.tried, seen.senders.len()), (2, 2));
    }

    #[test]
    fn what_is_kept_of_a_connection_is_bounded() {
        let mut bench = Bench::new();
        for number in 1..=MOST_WAITING as u32 + 10 {
            bench.see(What::ServerReceived { connection: 1, number, request: None, leg: Leg::Anonymous });
        }
        assert_eq!(bench.live.connections[&("iis1".into(), 1)].waiting.len(), MOST_WAITING);
    }

    #[test]
    fn leaks_are_counted_by_pair_up_to_a_limit_and_in_all_without_one() {
        let mut seen = Seen::default();
        let alice = Principal::new("CORP", "alice");
        for sender in 0..=MOST_NAMES {
            seen.leak(&format!("sender{sender}"), &alice);
        }
        seen.leak("sender0", &alice);
        assert_eq!((seen.leaked, seen.leaks.len()), (MOST_NAMES as u64 + 2, MOST_NAMES));
        assert_eq!(seen.leaks[&("sender0".into(), r"CORP\alice".into())], 2, "who is known already still counts");
    }

    #[test]
    fn names_are_remembered_up_to_a_limit_and_are_new_once() {
        let mut names = BTreeSet::new();
        assert!(remember(&mut names, 0) && !remember(&mut names, 0));
        assert!((1..=MOST_NAMES).all(|name| remember(&mut names, name)), "who invents more names is judged as well");
        assert_eq!(names.len(), MOST_NAMES);
    }

    #[test]
    fn a_server_that_believes_a_header_is_not_judged() {
        let mut topology = standard::site(1);
        topology.servers[0].acceptor = Acceptor::TrustedHeader("X-User".into());
        let mut bench = Bench { live: Live::new(&topology), ..Bench::new() };
        assert_eq!(bench.ask(1, Some("bob"), Leg::Anonymous, Some("alice")), None);
        assert_eq!(bench.live.seen(), &Seen::default());
    }
}
