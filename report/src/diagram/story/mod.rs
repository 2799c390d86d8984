//! Converts every event of a trace to a row, or to a part of a row.
//!
//! Events that belong together share a row. The start of a request shares a row with the first HTTP request that is
//! sent for it, and its end shares one with the answer. TLS is shown with the connection that it secures, and a
//! balancer's decision with the request that it is about. An action of the script whose effect has rows of its own (a
//! client is added, a request is started) has no row, unless it is evidence.

mod clients;
mod servers;

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::server::ServerSpec;
use stickler_model::{Action, Event, Name, Principal, RequestId, Trace, What};
use stickler_oracle::{Evidence, Verdict};

use super::labels::{self, foreign};
use super::{About, Arrow, Kind, Participant, Row, Step};
use crate::transcript;

/// The host of the balancer under test, in every world.
const BALANCER: &str = "lb";

/// The host of the balancer in front of the one under test, if there is one.
const FRONT: &str = "front";

/// A trace as rows.
pub(super) struct Story {
    /// The participants that events name, in the order of the columns.
    pub(super) participants: Vec<Participant>,
    /// The users that occur.
    pub(super) users: Vec<String>,
    /// The connections that occur.
    pub(super) connections: Vec<Line>,
    /// The rows, in the order of time. `None` stands for a row that has become a part of a later one.
    pub(super) rows: Vec<Option<Draft>>,
}

/// A connection, with the rows that are about it.
pub(super) struct Line {
    pub(super) at: usize,
    pub(super) number: u32,
    /// The row of the opening, or the first row that names the connection.
    pub(super) from: usize,
    /// The row of the end.
    pub(super) until: Option<usize>,
    /// The users to whom the connection is attributed, each with the first row for which this holds.
    pub(super) users: Vec<(usize, Option<usize>)>,
}

/// A row with its subject.
pub(super) struct Draft {
    pub(super) row: Row,
    pub(super) subject: Subject,
}

/// The subject of a row.
#[derive(Default, Clone)]
pub(super) struct Subject {
    /// The client that the row is about.
    pub(super) client: Option<usize>,
    /// The request that the row is about.
    pub(super) request: Option<RequestId>,
    /// The connection that the row is about.
    pub(super) connection: Option<usize>,
    /// Whether the row stays in every diagram.
    pub(super) stays: Stays,
}

/// The conditions under which a row stays although its subject does not matter to the findings.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stays {
    /// The row does not stay.
    #[default]
    No,
    /// The row stays if there is room, such as one that says that time passes.
    WhereThereIsRoom,
    /// The row always stays, such as one about a fault or about a user who takes a seat.
    Always,
}

/// Converts a trace to a story. Every event that belongs to the chosen evidence is a part of a row.
pub(super) fn tell(trace: &Trace, chosen: &[(&Verdict, &Evidence)]) -> Story {
    let mut teller = Teller::new(trace, chosen);
    for (index, event) in trace.events.iter().enumerate() {
        teller.hear(index, event);
    }
    teller.story
}

/// A request, as far as the rows show it.
struct Told {
    client: usize,
    user: Option<usize>,
    /// The method and the path of the request; `None` once a row has shown them.
    heading: Option<String>,
    /// The events that will share the row of the client's next HTTP request or answer, and the text that they add to
    /// it.
    waiting: Vec<usize>,
    extra: String,
    /// The leg that was sent last.
    leg: &'static str,
    /// The row of the balancer's last decision, until it becomes a part of the request's row.
    decision: Option<usize>,
    /// The row of the server's last answer.
    answered: Option<usize>,
    /// The row of the last answer at the client.
    received: Option<usize>,
}

struct Teller<'t> {
    story: Story,
    names: BTreeMap<&'t Name, usize>,
    evidence: BTreeSet<usize>,
    /// The current configuration of each server.
    servers: BTreeMap<&'t Name, &'t ServerSpec>,
    users: BTreeMap<String, usize>,
    /// The current user at each client.
    seats: BTreeMap<usize, Option<usize>>,
    connections: BTreeMap<(usize, u32), usize>,
    requests: BTreeMap<RequestId, Told>,
    /// The request that each client started last, with its position in the order of all requests.
    asking: BTreeMap<usize, (usize, RequestId)>,
    /// The rows in which a DC decided on each logon of a server.
    logons: BTreeMap<(&'t Name, u64), Vec<usize>>,
    /// The first balancer that a request reaches, and the balancer in front of the servers.
    entry: usize,
    exit: usize,
}

impl<'t> Teller<'t> {
    fn new(trace: &'t Trace, chosen: &[(&Verdict, &Evidence)]) -> Self {
        let cast = cast(trace);
        let participants: Vec<Participant> = cast.iter().map(|(kind, name)| participant(trace, *kind, name)).collect();
        let balancers = || (0..participants.len()).filter(|&index| participants[index].kind == Kind::Balancer);
        let (entry, exit) = (balancers().next().unwrap_or(0), balancers().next_back().unwrap_or(0));
        Self {
            names: cast.iter().enumerate().map(|(index, (_, name))| (*name, index)).collect(),
            story: Story { participants, users: Vec::new(), connections: Vec::new(), rows: Vec::new() },
            evidence: chosen.iter().flat_map(|(_, evidence)| evidence.events.iter().copied()).collect(),
            servers: trace.header.topology.servers.iter().map(|server| (&server.name, server)).collect(),
            users: BTreeMap::new(),
            seats: BTreeMap::new(),
            connections: BTreeMap::new(),
            requests: BTreeMap::new(),
            asking: BTreeMap::new(),
            logons: BTreeMap::new(),
            entry,
            exit,
        }
    }

    fn hear(&mut self, index: usize, event: &'t Event) {
        let before = self.story.rows.len();
        let told = match (&event.what, self.names.get(&event.by).copied()) {
            (What::Action(action), _) => self.action(index, event, action),
            (what, Some(by)) => match self.story.participants[by].kind {
                Kind::Client => self.client(index, event, by, what),
                Kind::Server => self.server(index, event, by, what),
                Kind::Balancer => self.balancer(index, event, by, what),
                Kind::Controller => self.controller(index, event, by, what),
            },
            (_, None) => false,
        };
        debug_assert!(told || self.story.rows.len() == before, "what has a row is told");
        if !told && self.evidence.contains(&index) {
            self.note(index, event, None, About::Seen, words(event), Subject::default());
        }
    }

    // The functions below build rows.

    /// Adds a row, and returns its number.
    fn push(&mut self, event: &Event, step: Step, events: Vec<usize>, subject: Subject) -> usize {
        let row = Row { at: event.at, step, proves: Vec::new(), events };
        self.story.rows.push(Some(Draft { row, subject }));
        self.story.rows.len() - 1
    }

    fn arrow(&mut self, event: &Event, arrow: Arrow, events: Vec<usize>, mut subject: Subject) -> usize {
        subject.connection = subject.connection.or(arrow.connection);
        self.push(event, Step::Arrow(arrow), events, subject)
    }

    /// Adds a note over these participants. Without participants, the note is over the observer of the event, or over
    /// all participants if the observer is not one of them. Returns the number of the row.
    fn note(
        &mut self,
        index: usize,
        event: &Event,
        over: Option<(usize, usize)>,
        about: About,
        text: String,
        subject: Subject,
    ) -> usize {
        let (one, other) = over.or_else(|| self.names.get(&event.by).map(|&by| (by, by))).unwrap_or_else(|| {
            let last = self.story.participants.len().saturating_sub(1);
            (0, last)
        });
        let step = Step::Note { from: one.min(other), to: one.max(other), about, text };
        self.push(event, step, vec![index], subject)
    }

    /// Makes an event a part of an existing row and appends the words to its text. Returns whether the row exists.
    fn join(&mut self, row: Option<usize>, index: usize, words: &str) -> bool {
        let Some(Some(draft)) = row.and_then(|row| self.story.rows.get_mut(row)) else { return false };
        draft.row.events.push(index);
        if let (Step::Arrow(Arrow { text, .. }) | Step::Note { text, .. }, false) =
            (&mut draft.row.step, words.is_empty())
        {
            text.push_str(words);
        }
        true
    }

    /// Makes a decision a part of the arrow that it is about. Returns whether the arrow exists.
    fn comment(&mut self, row: Option<usize>, index: usize, words: &str) -> bool {
        let Some(Some(draft)) = row.and_then(|row| self.story.rows.get_mut(row)) else { return false };
        let Step::Arrow(Arrow { aside, .. }) = &mut draft.row.step else { return false };
        draft.row.events.push(index);
        aside.push_str(if aside.is_empty() { "" } else { ", " });
        aside.push_str(words);
        true
    }

    /// Removes a row and returns it, so that it can become a part of another one.
    fn take(&mut self, row: Option<usize>) -> Option<Draft> {
        self.story.rows.get_mut(row?)?.take()
    }

    // The functions below number users and connections.

    /// Returns the number of a user.
    fn user(&mut self, principal: Option<&Principal>) -> Option<usize> {
        let principal = principal?;
        let next = self.story.users.len();
        let number = *self.users.entry(principal.as_str().to_ascii_lowercase()).or_insert(next);
        if number == next {
            self.story.users.push(foreign(principal.as_str()));
        }
        Some(number)
    }

    /// Returns the connection with this number at a participant. It is new if no event has named it before.
    fn connection(&mut self, at: usize, number: u32) -> usize {
        match self.connections.get(&(at, number)) {
            Some(&connection) => connection,
            None => self.connect(at, number),
        }
    }

    /// Adds a connection with this number at a participant, and returns it. The connection begins with the next row.
    fn connect(&mut self, at: usize, number: u32) -> usize {
        let from = self.story.rows.len();
        let users = match self.seats.get(&at) {
            Some(user) => vec![(from, *user)],
            None => Vec::new(),
        };
        self.story.connections.push(Line { at, number, from, until: None, users });
        let connection = self.story.connections.len() - 1;
        self.connections.insert((at, number), connection);
        connection
    }

    /// Attributes a connection to a user from this row on.
    fn takes(&mut self, connection: usize, row: usize, user: Option<usize>) {
        let users = &mut self.story.connections[connection].users;
        if users.last().and_then(|(_, user)| *user) != user {
            users.push((row, user));
        }
    }

    /// Adds a row for the end of the connection with this number, and returns `true`.
    fn ends(&mut self, index: usize, event: &Event, at: usize, number: u32, how: &str) -> bool {
        let connection = self.connection(at, number);
        let client = (self.story.participants[at].kind == Kind::Client).then_some(at);
        let subject = Subject { client, connection: Some(connection), ..Subject::default() };
        let row = self.push(event, Step::Closed { connection, text: how.to_owned() }, vec![index], subject);
        self.story.connections[connection].until = Some(row);
        self.connections.remove(&(at, number));
        true
    }

    /// Makes TLS on a connection a part of the row of its opening. Returns whether that row exists.
    fn secured(&mut self, index: usize, at: usize, number: u32, words: &str) -> bool {
        let connection = self.connection(at, number);
        let from = self.story.connections[connection].from;
        self.join(Some(from), index, words)
    }

    fn about(&self, request: Option<RequestId>) -> Subject {
        let client = request.and_then(|request| self.requests.get(&request)).map(|told| told.client);
        Subject { client, request: request.filter(|_| client.is_some()), ..Subject::default() }
    }

    /// Adds a row for an action of the script, unless the effect of the action has rows of its own. Returns whether
    /// there is a row.
    fn action(&mut self, index: usize, event: &'t Event, action: &'t Action) -> bool {
        let of = |teller: &Self, name: &Name| teller.names.get(name).map(|&at| (at, at));
        let everybody = Subject { stays: Stays::Always, ..Subject::default() };
        let (over, about, subject) = match action {
            Action::AddClient(client) => {
                let user = self.user(client.identity.as_ref().map(|identity| &identity.principal));
                if let Some(&at) = self.names.get(&client.name) {
                    self.seats.insert(at, user);
                    self.story.participants[at].user = user;
                    client.profile.agent.name().clone_into(&mut self.story.participants[at].detail);
                }
                return false;
            }
            Action::Start { .. } | Action::Await(_) | Action::Disconnect(_) => return false,
            Action::SwitchUser(client, identity) => {
                let Some(&at) = self.names.get(client) else { return false };
                let user = self.user(Some(&identity.principal));
                self.seats.insert(at, user);
                let row = self.story.rows.len();
                let theirs: Vec<usize> =
                    self.connections.iter().filter(|((of, _), _)| *of == at).map(|(_, &one)| one).collect();
                for connection in theirs {
                    self.takes(connection, row, user);
                }
                (Some((at, at)), About::Action, Subject { client: Some(at), ..everybody })
            }
            Action::MakeToken { client, .. } => {
                let over = of(self, client);
                (over, About::Action, Subject { client: over.map(|(at, _)| at), ..Subject::default() })
            }
            Action::SendRaw(raw) => return self.sends_raw(index, event, raw),
            Action::Configure(server) => {
                self.servers.insert(&server.name, server);
                (of(self, &server.name), About::Fault, everybody)
            }
            Action::Drain(host) | Action::Undrain(host) => (of(self, host), About::Action, everybody),
            Action::Fault(fault) => {
                let mut hosts = fault.hosts().filter_map(|host| self.names.get(host).copied());
                let one = hosts.next();
                (one.map(|one| (one, hosts.next().unwrap_or(one))), About::Fault, everybody)
            }
            Action::Advance(_) | Action::AwaitChecks(_) | Action::Crowd(_) => {
                (None, About::Action, Subject { stays: Stays::WhereThereIsRoom, ..everybody })
            }
        };
        self.note(index, event, over, about, words(event), subject);
        true
    }
}

/// Returns the text of an event in a transcript.
fn words(event: &Event) -> String {
    labels::sentence(&transcript::words(event))
}

/// Returns the participants that a trace names, in the order of the columns. Each kind has the order of the header or
/// of first appearance.
fn cast(trace: &Trace) -> Vec<(Kind, &Name)> {
    let mut kinds: Vec<(Kind, &Name)> = Vec::new();
    let topology = &trace.header.topology;
    kinds.extend(topology.servers.iter().map(|server| (Kind::Server, &server.name)));
    kinds.extend(topology.controllers.iter().map(|controller| (Kind::Controller, &controller.name)));
    for event in &trace.events {
        match &event.what {
            What::Action(Action::AddClient(client)) => kinds.push((Kind::Client, &client.name)),
            What::DcLogon { .. } | What::DcPassedOn { .. } | What::DcTicket { .. } => {
                kinds.push((Kind::Controller, &event.by));
            }
            What::Decision { .. } | What::FlowOpened { .. } => kinds.push((Kind::Balancer, &event.by)),
            What::RequestStarted { .. } | What::ClientConnected { .. } => kinds.push((Kind::Client, &event.by)),
            What::ServerAccepted { .. } | What::ServerReceived { .. } => kinds.push((Kind::Server, &event.by)),
            _ => {}
        }
    }
    let mut known = BTreeSet::new();
    kinds.retain(|(_, name)| known.insert(*name));
    for (name, is_there) in [(&*LB, true), (&*IN_FRONT, topology.front.is_some())] {
        if is_there && !known.contains(name) {
            kinds.push((Kind::Balancer, name));
        }
    }
    // The balancer in front comes first.
    kinds.sort_by_key(|(kind, name)| (*kind, *kind == Kind::Balancer && name.as_str() != FRONT));
    kinds
}

static LB: std::sync::LazyLock<Name> = std::sync::LazyLock::new(|| Name::from(BALANCER));
static IN_FRONT: std::sync::LazyLock<Name> = std::sync::LazyLock::new(|| Name::from(FRONT));

fn participant(trace: &Trace, kind: Kind, name: &Name) -> Participant {
    let header = &trace.header;
    let detail = match (kind, &header.topology.front) {
        (Kind::Balancer, Some(front)) if name.as_str() == FRONT => foreign(&front.to_string()),
        (Kind::Balancer, _) => foreign(&header.balancer.to_string()),
        _ => String::new(),
    };
    Participant { name: foreign(name.as_str()), kind, detail, user: None }
}
