//! Draws the steps of a plan.

use std::time::Duration;

use stickler_model::action::{CheckChange, CheckWait, CrowdSpec};
use stickler_model::{
    Action, ClientSpec, Fault, Name, Payload, Piece, RawSpec, RequestId, RequestSpec, TokenId, Topology, standard,
};

use super::people::is_usual;
use super::situation::{Situation, has_token};
use super::{Draw, Features};

/// The kinds of steps. A fault is repaired by a later step, or at the end.
#[derive(Clone, Copy)]
enum Kind {
    Ask,
    Start,
    Crowd,
    AwaitAll,
    ShortTime,
    LongTime,
    RaceWithClose,
    Pipeline,
    LoggedOnPipeline,
    Disconnect,
    Switch,
    ServerFault,
    ServerFaultMidway,
    MendServer,
    HoldLink,
    ReleaseLink,
    Reset,
    Drain,
    Undrain,
    DcFault,
    MendDc,
}

/// Short times in microseconds: within a handshake, and between two handshakes.
const SHORT: [u64; 8] = [100, 400, 600, 1_000, 2_000, 2_500, 5_000, 50_000];

/// Long times in milliseconds: close to the 120 s for which IIS keeps an idle connection, and to the limits of
/// balancers.
const LONG: [u64; 7] = [1_000, 5_000, 31_000, 61_000, 70_000, 119_999, 121_000];

/// The times after which an idle connection is closed, in seconds: by IIS by default, by servers that differ, and by
/// balancers.
const IDLE: [u64; 5] = [120, 120, 60, 30, 10];

/// A wait after which the balancer has noticed that everything works again, and every server and client has given up
/// its own waits: IIS keeps an idle connection for 120 s, and clients wait for 30 s.
const SETTLED: CheckWait =
    CheckWait { change: CheckChange::Up, extra: Duration::from_secs(130), otherwise: Duration::from_secs(130) };

/// The kind of failure after which the server's host tells every peer that its connection has ended.
const CRASH: u64 = 0;

/// A unit of time; a request with its handshake takes about fifteen of them.
const STEP: Duration = Duration::from_micros(250);

/// A time that is long enough for the closing of a connection to reach the other end.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(50);

/// The prefix of a part of the site for which some balancers have separate backends.
const SERVICE: &str = "/api";

/// The time for which a client reads the answer to raw bytes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The plan so far, and the state of the world after it.
pub(super) struct Steps<'a> {
    draw: &'a Draw,
    features: &'a Features,
    secured: bool,
    actions: Vec<Action>,
    now: Situation,
}

impl<'a> Steps<'a> {
    /// Draws the steps of a plan.
    pub(super) fn draw(
        draw: &'a Draw,
        features: &'a Features,
        topology: &Topology,
        clients: Vec<ClientSpec>,
    ) -> Vec<Action> {
        let people = clients.into_iter().map(Action::AddClient).collect();
        let mut steps = Self::after(draw, features, topology, people);
        let count = if draw.chance(50) { draw.between(2, 8) } else { draw.between(6, 24) };
        steps.add_some(count);
        steps.end()
    }

    /// Continues after these actions, which must make sense.
    pub(super) fn after(draw: &'a Draw, features: &'a Features, topology: &Topology, actions: Vec<Action>) -> Self {
        let mut now = Situation::new(topology);
        for action in &actions {
            now.see(action);
        }
        Self { draw, features, secured: topology.tls.is_some(), actions, now }
    }

    /// Makes later requests and tokens get ids that none of these steps has.
    pub(super) fn number_after(&mut self, steps: &[Action]) {
        for step in steps {
            match step {
                Action::Start { id, .. } => self.now.last_request = self.now.last_request.max(id.0),
                Action::MakeToken { id, .. } => self.now.last_token = self.now.last_token.max(id.0),
                _ => {}
            }
        }
    }

    /// Draws this number of steps.
    pub(super) fn add_some(&mut self, count: u64) {
        for _ in 0..count {
            let kind = self.kind();
            self.add(kind);
        }
    }

    /// Returns all steps drawn so far.
    pub(super) fn so_far(self) -> Vec<Action> {
        self.actions
    }

    /// Repairs all faults, lets every client send one more request, and returns all steps.
    pub(super) fn end(mut self) -> Vec<Action> {
        self.mend_everything();
        self.everybody_asks_once_more();
        self.actions
    }

    /// Ends a plan that may already have an end: nothing is added if no fault is in effect and no request is under way.
    pub(super) fn end_if_open(self) -> Vec<Action> {
        if self.now.is_settled() { self.actions } else { self.end() }
    }

    fn push(&mut self, action: Action) {
        self.now.see(&action);
        self.actions.push(action);
    }

    /// Draws the kind of the next step from those that the features and the state of the world allow.
    fn kind(&self) -> Kind {
        let features = self.features;
        let weight = |allowed: bool, weight: u64| if allowed { weight } else { 0 };
        let farm = self.now.servers.len() > 1;
        let has_well = !self.now.well().is_empty();
        self.draw.weighted(&[
            (12, Kind::Ask),
            (weight(features.at_once, 8), Kind::Start),
            (weight(features.crowds && !self.now.has_shared_port(), 3), Kind::Crowd),
            (weight(!self.now.under_way.is_empty(), 5), Kind::AwaitAll),
            (6, Kind::ShortTime),
            (weight(features.long_times, 4), Kind::LongTime),
            (weight(features.long_times, 2), Kind::RaceWithClose),
            (weight(features.pipelines && !self.secured, 3), Kind::Pipeline),
            (weight(features.logged_on_pipelines && features.kerberos && !self.secured, 3), Kind::LoggedOnPipeline),
            (weight(features.disconnects, 3), Kind::Disconnect),
            (weight(features.switches, 2), Kind::Switch),
            (weight(features.server_faults && has_well, 3), Kind::ServerFault),
            (weight(features.server_faults && has_well, 4), Kind::ServerFaultMidway),
            (weight(!self.now.broken.is_empty(), 3), Kind::MendServer),
            (weight(features.held_links && self.now.held.len() < 2, 2), Kind::HoldLink),
            (weight(!self.now.held.is_empty(), 4), Kind::ReleaseLink),
            (weight(features.resets, 2), Kind::Reset),
            (weight(features.drains && farm && self.now.drained.is_empty(), 2), Kind::Drain),
            (weight(!self.now.drained.is_empty(), 2), Kind::Undrain),
            (weight(features.dc_faults && !self.now.dc_is_down, 1), Kind::DcFault),
            (weight(self.now.dc_is_down, 3), Kind::MendDc),
        ])
    }

    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Ask => {
                let id = self.start();
                self.push(Action::Await(id));
            }
            Kind::Start => {
                self.start();
            }
            Kind::Crowd => self.crowd(),
            Kind::AwaitAll => self.await_all(),
            Kind::ShortTime => self.advance(Duration::from_micros(*self.draw.one_of(&SHORT))),
            Kind::LongTime => self.advance(Duration::from_millis(*self.draw.one_of(&LONG))),
            Kind::RaceWithClose => self.race_with_close(),
            Kind::Pipeline => self.pipeline(),
            Kind::LoggedOnPipeline => self.logged_on_pipeline(),
            Kind::Disconnect => {
                let client = self.client().name.clone();
                self.push(Action::Disconnect(client));
            }
            Kind::Switch => self.switch_user(),
            Kind::ServerFault => self.break_server(self.draw.between(0, 2)),
            Kind::ServerFaultMidway => {
                self.start();
                self.advance(STEP * self.draw.between(6, 16) as u32);
                self.break_server(CRASH);
            }
            Kind::MendServer => self.mend_server(),
            Kind::HoldLink => self.hold_link(),
            Kind::ReleaseLink => self.release_link(),
            Kind::Reset => {
                let (a, b) = self.link();
                self.push(Action::Fault(Fault::Reset(a, b)));
            }
            Kind::Drain => {
                let server = self.draw.one_of(&self.now.servers).clone();
                self.push(Action::Drain(server));
            }
            Kind::Undrain => self.undrain(),
            Kind::DcFault => self.push(Action::Fault(Fault::Crash(dc()))),
            Kind::MendDc => self.mend_dc(),
        }
    }

    fn client(&self) -> &ClientSpec {
        self.draw.one_of(&self.now.clients)
    }

    fn start(&mut self) -> RequestId {
        let client = self.client().name.clone();
        self.start_by(client)
    }

    fn start_by(&mut self, client: Name) -> RequestId {
        self.leave_port_to(&client);
        let number = self.now.last_request + 1;
        let service = if self.features.services && self.draw.chance(40) { SERVICE } else { "" };
        let (id, path) = (RequestId(number), format!("{service}/{number}"));
        let mut request = RequestSpec::new(client, "GET", &path);
        if self.features.bodies && self.draw.chance(40) {
            (*self.draw.one_of(&["POST", "PUT"])).clone_into(&mut request.method);
            request.body = Payload::Bytes(*self.draw.one_of(&[10, 3_000, 50_000]));
        }
        self.push(Action::Start { id, request });
        id
    }

    /// Adds a step in which everybody sends a few requests at the same time, with short pauses.
    fn crowd(&mut self) {
        let crowd = CrowdSpec {
            clients: self.now.clients.iter().map(|spec| spec.name.clone()).collect(),
            first: RequestId(self.now.last_request + 1),
            requests: self.draw.between(1, 4) as u32,
            think: Duration::from_millis(*self.draw.one_of(&[0, 1, 5])),
            path: "/".to_owned(),
        };
        self.push(Action::Crowd(crowd));
        self.await_all();
    }

    /// Adds a request, and a second request of the same client at about the time at which its connection has been idle
    /// for too long.
    fn race_with_close(&mut self) {
        let client = self.client().name.clone();
        let first = self.start_by(client.clone());
        self.push(Action::Await(first));
        let idle = Duration::from_secs(*self.draw.one_of(&IDLE));
        self.advance(idle.saturating_sub(STEP * self.draw.between(0, 6) as u32));
        let second = self.start_by(client);
        self.push(Action::Await(second));
    }

    /// Closes the connections of the client that occupies the port from which this one connects too.
    fn leave_port_to(&mut self, client: &Name) {
        if let Some(other) = self.now.in_the_way_of(client) {
            self.await_all();
            self.push(Action::Disconnect(other));
            self.advance(A_MOMENT);
        }
    }

    fn await_all(&mut self) {
        for id in self.now.under_way.clone() {
            self.push(Action::Await(id));
        }
    }

    fn advance(&mut self, time: Duration) {
        self.push(Action::Advance(time));
    }

    /// Adds requests without credentials that are sent one after the other on a separate connection.
    fn pipeline(&mut self) {
        let client = self.client().name.clone();
        let count = self.draw.between(1, 3);
        let request = |number: u64| {
            let close = if number == count { "Connection: close\r\n" } else { "" };
            format!("GET /echo/{number} HTTP/1.1\r\nHost: www.corp.example\r\n{close}\r\n")
        };
        let text: String = (1..=count).map(request).collect();
        self.push(Action::SendRaw(RawSpec::new(client, text, PATIENCE)));
    }

    /// Adds requests behind a client's first token, on a separate connection. The client always has a token: if it gets no
    /// ticket, it begins with NTLM.
    fn logged_on_pipeline(&mut self) {
        let able: Vec<Name> =
            self.now.clients.iter().filter(|spec| has_token(spec)).map(|spec| spec.name.clone()).collect();
        if able.is_empty() {
            return;
        }
        let client = self.draw.one_of(&able).clone();
        let id = TokenId(self.now.last_token + 1);
        self.push(Action::MakeToken { id, client: client.clone() });
        self.push(Action::SendRaw(behind_token(client, id)));
    }

    /// Lets another user take over a client. Programs that are started separately for each user, such as curl, are
    /// excluded: they would keep their connections here, and with them the identity of the previous user, which is not
    /// the fault of any balancer.
    fn switch_user(&mut self) {
        let seats: Vec<Name> =
            self.now.clients.iter().filter(|spec| is_usual(spec.profile.agent)).map(|spec| spec.name.clone()).collect();
        if !seats.is_empty() {
            let user = *self.draw.one_of(&["alice", "bob", "erin"]);
            self.push(Action::SwitchUser(self.draw.one_of(&seats).clone(), standard::identity(user)));
        }
    }

    /// Makes a server that is up fail, in one of three ways, of which the first is a crash.
    fn break_server(&mut self, how: u64) {
        let server = self.draw.one_of(&self.now.well()).clone();
        self.push(Action::Fault(match how {
            CRASH => Fault::Crash(server),
            // A connection to a silent host occupies the port that clients share until the kernel gives it up.
            1 if !self.now.has_shared_port() => Fault::PowerLoss(server),
            1 => Fault::Crash(server),
            _ => Fault::Hang(server),
        }));
    }

    fn mend_server(&mut self) {
        if let Some((_, mends)) = self.now.broken.last().cloned() {
            self.push(Action::Fault(mends));
        }
    }

    /// Draws two hosts whose link matters: a client and the balancer, the balancer and a server, or a server and the
    /// DC.
    fn link(&self) -> (Name, Name) {
        let (lb, server) = (Name::from("lb"), self.draw.one_of(&self.now.servers).clone());
        match self.draw.between(0, 2) {
            0 => {
                let client = self.client();
                (client.at.clone().unwrap_or_else(|| client.name.clone()), lb)
            }
            1 => (lb, server),
            _ => (server, dc()),
        }
    }

    fn hold_link(&mut self) {
        let (a, b) = self.link();
        if !self.now.held.contains(&(a.clone(), b.clone())) {
            self.push(Action::Fault(Fault::Hold(a, b)));
        }
    }

    fn release_link(&mut self) {
        if let Some((a, b)) = self.now.held.first().cloned() {
            self.push(Action::Fault(Fault::Release(a, b)));
        }
    }

    fn undrain(&mut self) {
        if let Some(server) = self.now.drained.first().cloned() {
            self.push(Action::Undrain(server));
        }
    }

    fn mend_dc(&mut self) {
        if self.now.dc_is_down {
            self.push(Action::Fault(Fault::Restart(dc())));
        }
    }

    /// Repairs all faults, and waits until the balancer has noticed.
    fn mend_everything(&mut self) {
        while !self.now.held.is_empty() {
            self.release_link();
        }
        while !self.now.broken.is_empty() {
            self.mend_server();
        }
        while !self.now.drained.is_empty() {
            self.undrain();
        }
        self.mend_dc();
        self.await_all();
        if self.now.something_broke || (self.features.long_times && self.draw.chance(50)) {
            self.push(Action::AwaitChecks(SETTLED));
        }
    }

    fn everybody_asks_once_more(&mut self) {
        for client in self.now.clients.clone() {
            let id = self.start_by(client.name);
            self.push(Action::Await(id));
        }
    }
}

/// Returns three requests in a row as raw bytes for a separate connection. The first carries this token.
pub(crate) fn behind_token(client: Name, token: TokenId) -> RawSpec {
    let head = "HTTP/1.1\r\nHost: www.corp.example\r\n";
    let first = format!("GET /echo/1 {head}Authorization: ");
    let rest = format!("\r\n\r\nGET /echo/2 {head}\r\nGET /echo/3 {head}Connection: close\r\n\r\n");
    let bytes = vec![Piece::Text(first), Piece::Token(token), Piece::Text(rest)];
    RawSpec { client, bytes, patience: PATIENCE }
}

fn dc() -> Name {
    Name::from("dc")
}
