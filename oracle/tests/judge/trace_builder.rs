//! Builds small traces, event by event.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::event::{Closed, Credentials};
use stickler_model::payload::Digest;
use stickler_model::site::SiteSpec;
use stickler_model::topology::{ControllerSpec, DomainSpec, LinkSpec, Provider, ServerSpec, TlsSpec};
use stickler_model::trace::Promises;
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Event, Fault, Header, Leg, Name, Payload, Principal, Profile, RequestId, Time,
    Topology, Trace, What,
};
use stickler_oracle::{Grade, Party, Requirement, Verdict, judge};

/// The number of failed logons after which the domain locks an account.
pub(crate) const LOCKOUT: u32 = 2;

/// A trace in progress. The servers are called `iis1` and `iis2`. The user of a client `alice` is `CORP\alice`.
#[derive(Default)]
pub(crate) struct TraceBuilder {
    /// Whether clients send their token with the first request.
    pub(crate) preemptive: bool,
    /// What the balancer declares.
    pub(crate) promises: Promises,
    /// The servers in the trace's header.
    pub(crate) servers: Vec<ServerSpec>,
    /// TLS in the trace's header.
    pub(crate) tls: Option<TlsSpec>,
    /// The DCs in the trace's header.
    pub(crate) controllers: Vec<ControllerSpec>,
    /// The latency of each link; `None`: 250 us.
    pub(crate) latency: Option<Duration>,
    /// The jitter of each link.
    pub(crate) jitter: Duration,
    /// The balancer in front of the one under test.
    pub(crate) front: Option<BalancerSpec>,
    /// The path of requests that are started; empty: `/`.
    pub(crate) path: String,
    /// The events so far.
    pub(crate) events: Vec<Event>,
    /// Nanoseconds that have passed in addition to those between events.
    passed: u64,
    requests: Vec<RequestInfo>,
    exchanges: u32,
}

/// What the builder knows about a request.
struct RequestInfo {
    client: Name,
    identity: Option<Principal>,
    body: Payload,
}

/// The path of an HTTP exchange. Connections are numbered by whoever sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    /// The client's number of its connection.
    pub(crate) client_connection: u32,
    /// The server that receives the request.
    pub(crate) server: &'a str,
    /// The server's number of its connection.
    pub(crate) server_connection: u32,
}

/// From a client's first connection to the first connection of `iis1`.
pub(crate) const IIS1: Route<'static> = Route { client_connection: 1, server: "iis1", server_connection: 1 };

/// From a client's first connection to the first connection of `iis2`.
pub(crate) const IIS2: Route<'static> = Route { server: "iis2", ..IIS1 };

/// A request that a client starts.
pub(crate) struct Start<'a> {
    pub(crate) client: &'a str,
    pub(crate) identity: Option<Principal>,
    pub(crate) credentials: Credentials,
    pub(crate) method: &'a str,
    pub(crate) body: Payload,
}

impl<'a> Start<'a> {
    /// A GET in the name of the client's own user, with valid credentials.
    pub(crate) fn by(client: &'a str) -> Self {
        Self {
            client,
            identity: Some(user(client)),
            credentials: Credentials::Valid,
            method: "GET",
            body: Payload::Empty,
        }
    }
}

/// A server's answer to one HTTP request.
pub(crate) struct Answer<'a> {
    /// The id that the HTTP request carried; `None` for an unknown sender.
    pub(crate) request: Option<RequestId>,
    /// Only the server's part of the route counts.
    pub(crate) route: Route<'a>,
    /// The number of the HTTP request on the server's connection.
    pub(crate) number: u32,
    pub(crate) leg: Leg,
    pub(crate) status: u16,
    /// The user that the server takes the request for.
    pub(crate) user: Option<Principal>,
    /// The body that the server received.
    pub(crate) body: Payload,
}

/// A pass-through logon.
#[derive(Clone, Copy)]
pub(crate) struct Logon<'a> {
    /// The server that asks.
    pub(crate) server: &'a str,
    /// The number of the logon on the server's secure channel.
    pub(crate) number: u64,
    /// The account's name without its domain.
    pub(crate) account: &'a str,
    /// NTSTATUS.
    pub(crate) status: u32,
}

/// TLS on a client's connection.
#[derive(Clone, Copy)]
pub(crate) struct ClientTls<'a> {
    pub(crate) client: &'a str,
    pub(crate) connection: u32,
    /// The name of the certificate that the client is shown.
    pub(crate) certificate: &'a str,
    pub(crate) http2: bool,
}

impl TraceBuilder {
    /// Starts a trace of a site with `iis1` and `iis2`, both with these settings.
    pub(crate) fn at(site: &SiteSpec) -> Self {
        Self { servers: servers(&[Provider::Negotiate, Provider::Ntlm], site), ..Self::default() }
    }

    /// Starts a GET of a client with valid credentials.
    pub(crate) fn start(&mut self, client: &str) -> RequestId {
        self.start_with(Start::by(client))
    }

    /// Starts a GET of a client with wrong credentials.
    pub(crate) fn start_wrong(&mut self, client: &str) -> RequestId {
        self.start_with(Start { credentials: Credentials::Wrong, ..Start::by(client) })
    }

    /// Starts a GET of a client without credentials.
    pub(crate) fn start_anonymous(&mut self, client: &str) -> RequestId {
        self.start_with(Start { identity: None, credentials: Credentials::None, ..Start::by(client) })
    }

    /// Starts a POST of a client with valid credentials.
    pub(crate) fn start_post(&mut self, client: &str, body: &Payload) -> RequestId {
        self.start_with(Start { method: "POST", body: body.clone(), ..Start::by(client) })
    }

    /// Starts any request.
    pub(crate) fn start_with(&mut self, start: Start<'_>) -> RequestId {
        let id = RequestId(self.requests.len() as u32 + 1);
        let Start { client, identity, credentials, method, body } = start;
        let what = What::RequestStarted {
            request: id,
            identity: identity.clone(),
            credentials,
            preemptive: self.preemptive,
            method: method.into(),
            path: if self.path.is_empty() { "/".into() } else { self.path.clone() },
            length: body.len(),
            digest: body.digest(),
        };
        self.requests.push(RequestInfo { client: client.into(), identity, body });
        self.see(client, what);
        id
    }

    /// Adds an Anonymous, a Negotiate and an Authenticate leg on one route, answered with 200, but not the end.
    pub(crate) fn handshake(&mut self, id: RequestId, route: Route<'_>) {
        self.exchange(id, route, Leg::Anonymous, 401);
        self.exchange(id, route, Leg::Negotiate, 401);
        self.exchange(id, route, Leg::Authenticate, 200);
    }

    /// Adds a whole request with its handshake.
    pub(crate) fn whole(&mut self, client: &str, route: Route<'_>) -> RequestId {
        let id = self.start(client);
        self.handshake(id, route);
        self.end(id, 200);
        id
    }

    /// Adds one HTTP exchange: sent, received, answered, received. A 200 is served as the client's own user.
    pub(crate) fn exchange(&mut self, id: RequestId, route: Route<'_>, leg: Leg, status: u16) {
        let as_user = if status == 200 { self.request(id).identity.clone() } else { None };
        self.exchange_as(id, route, leg, status, as_user);
    }

    /// Adds one HTTP exchange that the server takes for this user.
    pub(crate) fn exchange_as(
        &mut self,
        id: RequestId,
        route: Route<'_>,
        leg: Leg,
        status: u16,
        as_user: Option<Principal>,
    ) {
        self.send(id, route.client_connection, leg);
        self.serve(id, route, leg, status, as_user.clone());
        self.receive(id, route.client_connection, status, Some(id), as_user);
    }

    /// Adds an event: the client sends the request on one of its connections.
    pub(crate) fn send(&mut self, id: RequestId, connection: u32, leg: Leg) {
        let length = self.request(id).body.len();
        self.by_client(id, What::ClientSent { connection, request: id, leg, length });
    }

    /// Adds the events of a server that receives the request and answers it.
    pub(crate) fn serve(&mut self, id: RequestId, route: Route<'_>, leg: Leg, status: u16, user: Option<Principal>) {
        let number = self.reach(id, route, leg);
        let body = self.request(id).body.clone();
        self.answer(Answer { request: Some(id), route, number, leg, status, user, body });
    }

    /// Adds an event: the server receives the request. Returns the number of the HTTP request on the server's
    /// connection.
    pub(crate) fn reach(&mut self, id: RequestId, route: Route<'_>, leg: Leg) -> u32 {
        self.exchanges += 1;
        let (number, connection) = (self.exchanges, route.server_connection);
        self.see(route.server, What::ServerReceived { connection, number, request: Some(id), leg });
        number
    }

    /// Adds an event: the server answers. With 200 the application runs; a 401 has the substatus 1.
    pub(crate) fn answer(&mut self, answer: Answer<'_>) {
        let Answer { request, route, number, leg, status, user, body } = answer;
        self.see(
            route.server,
            What::ServerAnswered {
                connection: route.server_connection,
                number,
                request,
                leg,
                status,
                substatus: u16::from(status == 401),
                win32: 0,
                user,
                processed: status == 200,
                length: body.len(),
                digest: body.digest(),
            },
        );
    }

    /// Adds an exchange that ends in 401.3: the user is authenticated and not allowed.
    pub(crate) fn forbid(&mut self, id: RequestId, route: Route<'_>, leg: Leg) {
        self.forbid_as(id, route, leg, self.request(id).identity.clone());
    }

    /// Adds an exchange that ends in 401.3 for this user.
    pub(crate) fn forbid_as(&mut self, id: RequestId, route: Route<'_>, leg: Leg, user: Option<Principal>) {
        self.send(id, route.client_connection, leg);
        let number = self.reach(id, route, leg);
        let digest = Payload::Empty.digest();
        self.see(
            route.server,
            What::ServerAnswered {
                connection: route.server_connection,
                number,
                request: Some(id),
                leg,
                status: 401,
                substatus: 3,
                win32: 5,
                user,
                processed: false,
                length: 0,
                digest,
            },
        );
        self.receive(id, route.client_connection, 401, Some(id), None);
    }

    /// Adds two events: the DC decides on a logon, and the server records the decision for a request.
    pub(crate) fn logon(&mut self, id: RequestId, logon: Logon<'_>) {
        let Logon { server, number: logon, account, status } = logon;
        self.see("dc", What::DcLogon { server: server.into(), logon, account: user(account), status, bad_count: 0 });
        self.see(server, What::ServerLogon { connection: 1, request: Some(id), logon, account: user(account), status });
    }

    /// Adds an event: the client receives an answer, with the id that the server echoed and the user that the page
    /// names.
    pub(crate) fn receive(
        &mut self,
        id: RequestId,
        connection: u32,
        status: u16,
        echoed: Option<RequestId>,
        user: Option<Principal>,
    ) {
        self.by_client(id, What::ClientReceived { connection, request: id, echoed, status, challenge: false, user });
    }

    /// Adds an event: a request ends with this status.
    pub(crate) fn end(&mut self, id: RequestId, status: u16) {
        self.by_client(id, What::RequestEnded { request: id, status: Some(status), error: None });
    }

    /// Adds an event: a request ends without an answer.
    pub(crate) fn fail(&mut self, id: RequestId) {
        self.by_client(id, What::RequestEnded { request: id, status: None, error: Some("connection reset".into()) });
    }

    /// Adds an event: a client's connection is closed.
    pub(crate) fn close(&mut self, client: &str, connection: u32, how: Closed) {
        self.see(client, What::ClientClosed { connection, how });
    }

    /// Adds a fault of the script.
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.act(Action::Fault(fault));
    }

    /// Adds an action of the script.
    pub(crate) fn act(&mut self, action: Action) {
        self.see("world", What::Action(action));
    }

    /// Lets whole seconds pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.passed += seconds * 1_000_000_000;
    }

    /// Lets microseconds pass.
    pub(crate) fn pass_micros(&mut self, micros: u64) {
        self.passed += micros * 1_000;
    }

    /// Makes the next event happen at the time of the last one. Some time must have passed before.
    pub(crate) fn at_once(&mut self) {
        self.passed -= 1_000;
    }

    /// Adds an event: the client opens a connection.
    pub(crate) fn connect(&mut self, client: &str, connection: u32) {
        let local = ([10, 0, 0, 1], 50_000).into();
        self.see(client, What::ClientConnected { connection, local });
    }

    /// Adds the events of a client that opens a connection and sends its first request on it, with a handshake.
    pub(crate) fn arrive(&mut self, client: &str, route: Route<'_>) -> RequestId {
        self.connect(client, route.client_connection);
        self.whole(client, route)
    }

    /// Adds a whole request without a token, served as the client's user.
    pub(crate) fn again(&mut self, client: &str, route: Route<'_>) -> RequestId {
        let id = self.start(client);
        self.exchange(id, route, Leg::Anonymous, 200);
        self.end(id, 200);
        id
    }

    /// Adds a whole request that the balancer itself answers.
    pub(crate) fn turned_away(&mut self, client: &str, connection: u32, status: u16) -> RequestId {
        let id = self.start(client);
        self.send(id, connection, Leg::Anonymous);
        self.receive(id, connection, status, None, None);
        self.end(id, status);
        id
    }

    /// Adds an event: a server answers an unknown sender, such as a health check. The request is an Authenticate leg if
    /// the server takes the sender for a user, and otherwise has no token.
    pub(crate) fn check(&mut self, server: &str, connection: u32, status: u16, user: Option<Principal>) {
        let leg = if user.is_some() { Leg::Authenticate } else { Leg::Anonymous };
        self.exchanges += 1;
        let number = self.exchanges;
        self.see(server, What::ServerReceived { connection, number, request: None, leg });
        let route = Route { client_connection: 0, server, server_connection: connection };
        self.answer(Answer { request: None, route, number, leg, status, user, body: Payload::Empty });
    }

    /// Adds any event.
    pub(crate) fn see(&mut self, by: &str, what: What) {
        let at = Time(self.events.len() as u64 * 1_000 + self.passed);
        self.events.push(Event { at, by: by.into(), what });
    }

    /// Adds a client with this user agent, which may use Kerberos or not.
    pub(crate) fn add_client(&mut self, name: &str, agent: Agent, no_kerberos: bool) {
        let profile = Profile { agent, ..Profile::BROWSER };
        self.act(Action::AddClient(ClientSpec { no_kerberos, ..ClientSpec::new(name.into(), profile, None) }));
    }

    /// Adds an exchange with a ticket that the server accepts, but not the end.
    pub(crate) fn ticket(&mut self, id: RequestId, route: Route<'_>) {
        self.present(id, route, 0, 200);
    }

    /// Adds an exchange with a ticket. The server's check of the ticket gives this error (0 if it is valid), and the
    /// answer has this status.
    pub(crate) fn present(&mut self, id: RequestId, route: Route<'_>, error: u32, status: u16) {
        let (leg, connection) = (Leg::Ticket, route.server_connection);
        self.send(id, route.client_connection, leg);
        let user = self.request(id).identity.clone().filter(|_| error == 0);
        let number = self.reach(id, route, leg);
        let service = "HTTP/www.corp.example".into();
        let checked = What::ServerTicket { connection, request: Some(id), client: user.clone(), service, error };
        self.see(route.server, checked);
        let body = Payload::Empty;
        self.answer(Answer { request: Some(id), route, number, leg, status, user: user.clone(), body });
        self.receive(id, route.client_connection, status, Some(id), user);
    }

    /// Adds a whole request of a client that sends a ticket with its first request.
    pub(crate) fn whole_ticket(&mut self, client: &str, route: Route<'_>) -> RequestId {
        let id = self.start(client);
        self.ticket(id, route);
        self.end(id, 200);
        id
    }

    /// Adds an event: a client establishes TLS on its connection.
    pub(crate) fn secure(&mut self, tls: ClientTls<'_>) {
        let ClientTls { client, connection, certificate, http2 } = tls;
        self.see(client, What::ClientSecured { connection, certificate: digest(certificate), http2 });
    }

    /// Adds an event: a server establishes TLS on its connection, with the certificate of this name.
    pub(crate) fn secure_server(&mut self, server: &str, connection: u32, certificate: &str) {
        self.see(server, What::ServerSecured { connection, certificate: digest(certificate) });
    }

    /// Returns the trace so far.
    pub(crate) fn build(&self) -> Trace {
        let mut trace = trace_of(self.events.clone());
        trace.header.promises = self.promises.clone();
        trace.header.topology.servers.clone_from(&self.servers);
        trace.header.topology.tls = self.tls;
        trace.header.topology.controllers.clone_from(&self.controllers);
        trace.header.topology.front.clone_from(&self.front);
        if let Some(latency) = self.latency {
            trace.header.topology.link.latency = latency;
        }
        trace.header.topology.link.jitter = self.jitter;
        trace
    }

    /// Returns all verdicts on the trace so far.
    pub(crate) fn judge(&self) -> Vec<Verdict> {
        judge(&self.build())
    }

    /// Returns the verdict by one requirement.
    pub(crate) fn verdict(&self, requirement: Requirement) -> Verdict {
        self.judge().into_iter().find(|verdict| verdict.requirement == requirement).unwrap()
    }

    /// Returns the grade by one requirement.
    pub(crate) fn grade(&self, requirement: Requirement) -> Grade {
        self.verdict(requirement).grade
    }

    /// Returns the summary of the only piece of evidence against one requirement.
    #[track_caller]
    pub(crate) fn summary(&self, requirement: Requirement) -> String {
        let verdict = self.verdict(requirement);
        assert_eq!(verdict.evidence.len(), 1, "{verdict:#?}");
        let events = &verdict.evidence[0].events;
        assert!(!events.is_empty() && events.is_sorted() && events.iter().all(|&event| event < self.events.len()));
        verdict.evidence[0].summary.clone()
    }

    /// Returns the grade by one requirement, and who is at fault for the first piece of evidence, if there is one.
    pub(crate) fn blame(&self, requirement: Requirement) -> (Grade, Option<Party>) {
        let verdict = self.verdict(requirement);
        (verdict.grade, verdict.evidence.first().map(|evidence| evidence.fault))
    }

    fn by_client(&mut self, id: RequestId, what: What) {
        let client = self.request(id).client.clone();
        self.see(client.as_str(), what);
    }

    fn request(&self, id: RequestId) -> &RequestInfo {
        &self.requests[id.0 as usize - 1]
    }
}

/// Returns the user of this name in the domain `CORP`.
pub(crate) fn user(name: &str) -> Principal {
    Principal::new("CORP", name)
}

/// Returns the digest of the certificate of this name.
pub(crate) fn digest(certificate: &str) -> Digest {
    Payload::Text(certificate.into()).digest()
}

/// Returns `iis1` and `iis2` with the same settings.
pub(crate) fn servers(providers: &[Provider], site: &SiteSpec) -> Vec<ServerSpec> {
    let server = |name: &str| ServerSpec {
        providers: providers.to_vec(),
        site: site.clone(),
        ..stickler_model::standard::server(name.into())
    };
    vec![server("iis1"), server("iis2")]
}

/// Returns a trace with these events, in which nothing is promised and the header describes no server.
pub(crate) fn trace_of(events: Vec<Event>) -> Trace {
    let domain = DomainSpec {
        netbios: "CORP".into(),
        dns: "corp.example".into(),
        users: Vec::new(),
        lockout_threshold: Some(LOCKOUT),
        ..DomainSpec::default()
    };
    let link = LinkSpec { latency: Duration::from_micros(250), jitter: Duration::ZERO };
    let topology = Topology { domain, link, ..Topology::default() };
    Trace {
        header: Header { seed: 1, balancer: BalancerSpec::named("any"), topology, promises: Promises::default() },
        events,
    }
}
