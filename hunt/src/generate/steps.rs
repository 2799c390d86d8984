//! What happens, step by step.

use std::collections::BTreeSet;
use std::time::Duration;

use stickler_model::topology::Provider;
use stickler_model::{
    Action, ClientSpec, Fault, Name, Payload, Piece, RawSpec, RequestId, RequestSpec, TokenId, Topology, standard,
};

use super::{Draw, Features};

/// What a plan may do next. A fault is mended by what is drawn later, or at the end.
#[derive(Clone, Copy)]
enum Kind {
    Ask,
    Start,
    AwaitAll,
    ShortTime,
    LongTime,
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

/// Short times, in microseconds: within a handshake, and between two.
const SHORT: [u64; 8] = [100, 400, 600, 1_000, 2_000, 2_500, 5_000, 50_000];

/// Long times, in milliseconds: beside and around the 120 s for which IIS keeps an idle connection, and the times for which
/// balancers do.
const LONG: [u64; 7] = [1_000, 5_000, 31_000, 61_000, 70_000, 119_999, 121_000];

/// A time in which every balancer has noticed that everything works again, and every server and client has given up on what
/// it waits for.
const SETTLED: Duration = Duration::from_mins(10);

/// The way in which a server breaks that tells everybody who has a connection to it.
const CRASH: u64 = 0;

/// A request with its handshake takes some fifteen of these.
const STEP: Duration = Duration::from_micros(250);

/// A time in which closes arrive.
const A_MOMENT: Duration = Duration::from_millis(50);

/// The prefix of a part of the site that some balancers have backends of its own for.
const SERVICE: &str = "/api";

/// How long a client reads what comes back for raw bytes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The plan so far, and the state that it leaves the world in.
pub(super) struct Steps<'a> {
    draw: &'a Draw,
    features: &'a Features,
    clients: Vec<ClientSpec>,
    servers: Vec<Name>,
    secured: bool,
    actions: Vec<Action>,
    last_request: u32,
    last_token: u32,
    /// The client that has a connection from the port that clients share.
    at_port: Option<Name>,
    under_way: Vec<RequestId>,
    /// Servers that are down or hang, with what mends them.
    broken: Vec<(Name, Fault)>,
    held: BTreeSet<(Name, Name)>,
    drained: BTreeSet<Name>,
    dc_is_down: bool,
}

impl<'a> Steps<'a> {
    /// Draws the steps of a plan.
    pub(super) fn draw(
        draw: &'a Draw,
        features: &'a Features,
        topology: &Topology,
        clients: Vec<ClientSpec>,
    ) -> Vec<Action> {
        let mut steps = Self {
            draw,
            features,
            actions: clients.iter().cloned().map(Action::AddClient).collect(),
            clients,
            servers: topology.servers.iter().map(|server| server.name.clone()).collect(),
            secured: topology.tls.is_some(),
            last_request: 0,
            last_token: 0,
            at_port: None,
            under_way: Vec::new(),
            broken: Vec::new(),
            held: BTreeSet::new(),
            drained: BTreeSet::new(),
            dc_is_down: false,
        };
        for _ in 0..draw.between(6, 24) {
            let kind = steps.kind();
            steps.add(kind);
        }
        steps.mend_everything();
        steps.everybody_asks_once_more();
        steps.actions
    }

    /// Draws what happens next, of what the features and the state of the world allow.
    fn kind(&self) -> Kind {
        let features = self.features;
        let weight = |allowed: bool, weight: u64| if allowed { weight } else { 0 };
        let farm = self.servers.len() > 1;
        self.draw.weighted(&[
            (12, Kind::Ask),
            (weight(features.at_once, 8), Kind::Start),
            (weight(!self.under_way.is_empty(), 5), Kind::AwaitAll),
            (6, Kind::ShortTime),
            (weight(features.long_times, 4), Kind::LongTime),
            (weight(features.pipelines && !self.secured, 3), Kind::Pipeline),
            (weight(features.logged_on_pipelines && features.kerberos && !self.secured, 3), Kind::LoggedOnPipeline),
            (weight(features.disconnects, 3), Kind::Disconnect),
            (weight(features.switches, 2), Kind::Switch),
            (weight(features.server_faults && self.broken.len() < self.servers.len(), 3), Kind::ServerFault),
            (
                weight(features.server_faults && features.at_once && self.broken.len() < self.servers.len(), 3),
                Kind::ServerFaultMidway,
            ),
            (weight(!self.broken.is_empty(), 3), Kind::MendServer),
            (weight(features.held_links && self.held.len() < 2, 2), Kind::HoldLink),
            (weight(!self.held.is_empty(), 4), Kind::ReleaseLink),
            (weight(features.resets, 2), Kind::Reset),
            (weight(features.drains && farm && self.drained.is_empty(), 2), Kind::Drain),
            (weight(!self.drained.is_empty(), 2), Kind::Undrain),
            (weight(features.dc_faults && !self.dc_is_down, 1), Kind::DcFault),
            (weight(self.dc_is_down, 3), Kind::MendDc),
        ])
    }

    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Ask => {
                let id = self.start();
                self.actions.push(Action::Await(id));
            }
            Kind::Start => {
                let id = self.start();
                self.under_way.push(id);
            }
            Kind::AwaitAll => self.await_all(),
            Kind::ShortTime => self.advance(Duration::from_micros(*self.draw.one_of(&SHORT))),
            Kind::LongTime => self.advance(Duration::from_millis(*self.draw.one_of(&LONG))),
            Kind::Pipeline => self.pipeline(),
            Kind::LoggedOnPipeline => self.logged_on_pipeline(),
            Kind::Disconnect => {
                let client = self.client().name.clone();
                self.actions.push(Action::Disconnect(client));
            }
            Kind::Switch => self.switch_user(),
            Kind::ServerFault => self.break_server(self.draw.between(0, 2)),
            Kind::ServerFaultMidway => {
                let id = self.start();
                self.under_way.push(id);
                self.advance(STEP * self.draw.between(6, 16) as u32);
                self.break_server(CRASH);
            }
            Kind::MendServer => self.mend_server(),
            Kind::HoldLink => self.hold_link(),
            Kind::ReleaseLink => self.release_link(),
            Kind::Reset => {
                let (a, b) = self.link();
                self.actions.push(Action::Fault(Fault::Reset(a, b)));
            }
            Kind::Drain => {
                let server = self.draw.one_of(&self.servers).clone();
                self.drained.insert(server.clone());
                self.actions.push(Action::Drain(server));
            }
            Kind::Undrain => self.undrain(),
            Kind::DcFault => {
                self.dc_is_down = true;
                self.actions.push(Action::Fault(Fault::Crash(dc())));
            }
            Kind::MendDc => self.mend_dc(),
        }
    }

    fn client(&self) -> &ClientSpec {
        self.draw.one_of(&self.clients)
    }

    fn start(&mut self) -> RequestId {
        let client = self.client().name.clone();
        self.start_by(client)
    }

    fn start_by(&mut self, client: Name) -> RequestId {
        self.leave_port_to(&client);
        self.last_request += 1;
        let service = if self.features.services && self.draw.chance(40) { SERVICE } else { "" };
        let (id, path) = (RequestId(self.last_request), format!("{service}/{}", self.last_request));
        let mut request = RequestSpec::new(client, "GET", &path);
        if self.features.bodies && self.draw.chance(40) {
            (*self.draw.one_of(&["POST", "PUT"])).clone_into(&mut request.method);
            request.body = Payload::Bytes(*self.draw.one_of(&[10, 3_000, 50_000]));
        }
        self.actions.push(Action::Start { id, request });
        id
    }

    /// Closes the connections of the client that has the port which this one connects from too.
    fn leave_port_to(&mut self, client: &Name) {
        if !self.clients.iter().any(|spec| spec.name == *client && spec.port.is_some()) {
            return;
        }
        if let Some(other) = self.at_port.replace(client.clone()).filter(|other| other != client) {
            self.await_all();
            self.actions.push(Action::Disconnect(other));
            self.advance(A_MOMENT);
        }
    }

    fn await_all(&mut self) {
        self.actions.extend(self.under_way.drain(..).map(Action::Await));
    }

    fn advance(&mut self, time: Duration) {
        self.actions.push(Action::Advance(time));
    }

    /// Requests without credentials, one after the other on a connection of their own.
    fn pipeline(&mut self) {
        let client = self.client().name.clone();
        let count = self.draw.between(1, 3);
        let request = |number: u64| {
            let close = if number == count { "Connection: close\r\n" } else { "" };
            format!("GET /echo/{number} HTTP/1.1\r\nHost: www.corp.example\r\n{close}\r\n")
        };
        let text: String = (1..=count).map(request).collect();
        self.actions.push(Action::SendRaw(RawSpec::new(client, text, PATIENCE)));
    }

    /// Requests behind a client's first token, on a connection of their own. The client has one in any case: where it gets no
    /// ticket, it begins with NTLM.
    fn logged_on_pipeline(&mut self) {
        let has_token = |spec: &&ClientSpec| spec.identity.is_some() && spec.has_ntlm_for(Provider::Negotiate);
        let able: Vec<Name> = self.clients.iter().filter(has_token).map(|spec| spec.name.clone()).collect();
        if able.is_empty() {
            return;
        }
        let client = self.draw.one_of(&able).clone();
        self.last_token += 1;
        let id = TokenId(self.last_token);
        self.actions.push(Action::MakeToken { id, client: client.clone() });
        let head = "HTTP/1.1\r\nHost: www.corp.example\r\n";
        let first = format!("GET /echo/1 {head}Authorization: ");
        let rest = format!("\r\n\r\nGET /echo/2 {head}\r\nGET /echo/3 {head}Connection: close\r\n\r\n");
        let bytes = vec![Piece::Text(first), Piece::Token(id), Piece::Text(rest)];
        self.actions.push(Action::SendRaw(RawSpec { client, bytes, patience: PATIENCE }));
    }

    fn switch_user(&mut self) {
        let client = self.client().name.clone();
        let user = *self.draw.one_of(&["alice", "bob", "erin"]);
        self.actions.push(Action::SwitchUser(client, standard::identity(user)));
    }

    /// Breaks a server that is well in one of three ways, of which the first is a crash.
    fn break_server(&mut self, how: u64) {
        let is_well = |server: &&Name| self.broken.iter().all(|(name, _)| name != *server);
        let well: Vec<Name> = self.servers.iter().filter(is_well).cloned().collect();
        let server = self.draw.one_of(&well).clone();
        let (fault, mends) = match how {
            CRASH => (Fault::Crash(server.clone()), Fault::Restart(server.clone())),
            1 => (Fault::PowerLoss(server.clone()), Fault::Restart(server.clone())),
            _ => (Fault::Hang(server.clone()), Fault::Resume(server.clone())),
        };
        self.broken.push((server, mends));
        self.actions.push(Action::Fault(fault));
    }

    fn mend_server(&mut self) {
        if let Some((_, mends)) = self.broken.pop() {
            self.actions.push(Action::Fault(mends));
        }
    }

    /// Two hosts with a link that matters: a client and the balancer, the balancer and a server, a server and the DC.
    fn link(&self) -> (Name, Name) {
        let (lb, server) = (Name::from("lb"), self.draw.one_of(&self.servers).clone());
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
        if self.held.insert((a.clone(), b.clone())) {
            self.actions.push(Action::Fault(Fault::Hold(a, b)));
        }
    }

    fn release_link(&mut self) {
        if let Some((a, b)) = self.held.pop_first() {
            self.actions.push(Action::Fault(Fault::Release(a, b)));
        }
    }

    fn undrain(&mut self) {
        if let Some(server) = self.drained.pop_first() {
            self.actions.push(Action::Undrain(server));
        }
    }

    fn mend_dc(&mut self) {
        if std::mem::take(&mut self.dc_is_down) {
            self.actions.push(Action::Fault(Fault::Restart(dc())));
        }
    }

    fn mend_everything(&mut self) {
        while !self.held.is_empty() {
            self.release_link();
        }
        while !self.broken.is_empty() {
            self.mend_server();
        }
        self.undrain();
        self.mend_dc();
        self.await_all();
        self.advance(SETTLED);
    }

    fn everybody_asks_once_more(&mut self) {
        for client in self.clients.clone() {
            let id = self.start_by(client.name);
            self.actions.push(Action::Await(id));
        }
    }
}

fn dc() -> Name {
    Name::from("dc")
}
