//! Small traces, told event by event.

use std::time::Duration;

use stickler_model::event::{Closed, Credentials};
use stickler_model::payload::Digest;
use stickler_model::site::SiteSpec;
use stickler_model::topology::{Acceptor, Agent, DomainSpec, IisVersion, LinkSpec, Provider, ServerSpec, TlsSpec};
use stickler_model::trace::Promises;
use stickler_model::{
    Action, ClientSpec, Event, Fault, Header, Leg, Name, Payload, Principal, Profile, RequestId, Time, Topology, Trace,
    What,
};
use stickler_oracle::{Grade, Requirement, Verdict, judge};

/// Failed logons after which the domain locks an account.
pub(crate) const LOCKOUT: u32 = 2;

/// A trace in the making. Servers are called `iis1` and `iis2`; a client `alice` is `CORP\alice`.
#[derive(Default)]
pub(crate) struct Story {
    /// Whether clients send their token at once.
    pub(crate) preemptive: bool,
    /// What the balancer declares.
    pub(crate) promises: Promises,
    /// What the header says of the servers.
    pub(crate) servers: Vec<ServerSpec>,
    /// What it says of TLS.
    pub(crate) tls: Option<TlsSpec>,
    pub(crate) events: Vec<Event>,
    /// Nanoseconds that have passed beside those of the events.
    passed: u64,
    requests: Vec<Teller>,
    exchanges: u32,
}

/// What the story knows of a request.
struct Teller {
    client: Name,
    identity: Option<Principal>,
    body: Payload,
}

/// Where an exchange goes: the client's connection, the server, the server's connection.
pub(crate) type Way<'a> = (u32, &'a str, u32);

impl Story {
    /// A GET of a client with valid credentials that asks anonymously first.
    pub(crate) fn start(&mut self, client: &str) -> RequestId {
        self.start_as(client, Credentials::Valid, "GET", &Payload::Empty)
    }

    /// A GET of a client with wrong credentials.
    pub(crate) fn start_wrong(&mut self, client: &str) -> RequestId {
        self.start_as(client, Credentials::Wrong, "GET", &Payload::Empty)
    }

    /// A GET of a client without credentials.
    pub(crate) fn start_anonymous(&mut self, client: &str) -> RequestId {
        self.start_as(client, Credentials::None, "GET", &Payload::Empty)
    }

    /// A POST of a client with valid credentials.
    pub(crate) fn start_post(&mut self, client: &str, body: &Payload) -> RequestId {
        self.start_as(client, Credentials::Valid, "POST", body)
    }

    pub(crate) fn start_as(
        &mut self,
        client: &str,
        credentials: Credentials,
        method: &str,
        body: &Payload,
    ) -> RequestId {
        self.start_for(client, (credentials != Credentials::None).then(|| user(client)), credentials, method, body)
    }

    /// A request in the name of any user.
    pub(crate) fn start_for(
        &mut self,
        client: &str,
        identity: Option<Principal>,
        credentials: Credentials,
        method: &str,
        body: &Payload,
    ) -> RequestId {
        let id = RequestId(self.requests.len() as u32 + 1);
        self.requests.push(Teller { client: client.into(), identity: identity.clone(), body: body.clone() });
        self.see(
            client,
            What::RequestStarted {
                request: id,
                identity,
                credentials,
                preemptive: self.preemptive,
                method: method.into(),
                path: "/".into(),
                length: body.len(),
                digest: body.digest(),
            },
        )
    }

    /// Anonymous, Negotiate and Authenticate leg on one way, then 200; not the end.
    pub(crate) fn handshake(&mut self, id: RequestId, way: Way<'_>) {
        self.exchange(id, way, Leg::Anonymous, 401);
        self.exchange(id, way, Leg::Negotiate, 401);
        self.exchange(id, way, Leg::Authenticate, 200);
    }

    /// A whole request with its handshake.
    pub(crate) fn whole(&mut self, client: &str, way: Way<'_>) -> RequestId {
        let id = self.start(client);
        self.handshake(id, way);
        self.end(id, 200);
        id
    }

    /// One HTTP exchange: sent, received, answered, received. A 200 is the client's own user's.
    pub(crate) fn exchange(&mut self, id: RequestId, way: Way<'_>, leg: Leg, status: u16) {
        let as_user = if status == 200 { self.request(id).identity.clone() } else { None };
        self.exchange_as(id, way, leg, status, as_user);
    }

    /// The same, with the user that the server takes it for.
    pub(crate) fn exchange_as(
        &mut self,
        id: RequestId,
        way: Way<'_>,
        leg: Leg,
        status: u16,
        as_user: Option<Principal>,
    ) {
        self.send(id, way.0, leg);
        self.serve(id, way, leg, status, as_user.clone());
        self.receive(id, way.0, status, Some(id), as_user);
    }

    pub(crate) fn send(&mut self, id: RequestId, connection: u32, leg: Leg) {
        let length = self.request(id).body.len();
        self.by_client(id, What::ClientSent { connection, request: id, leg, length });
    }

    /// The server receives and answers.
    pub(crate) fn serve(&mut self, id: RequestId, way: Way<'_>, leg: Leg, status: u16, as_user: Option<Principal>) {
        let number = self.reach(id, way, leg);
        let body = self.request(id).body.clone();
        self.answer(Some(id), way, number, leg, status, as_user, &body);
    }

    /// The server receives; the request's number on the connection comes back.
    pub(crate) fn reach(&mut self, id: RequestId, (_, server, connection): Way<'_>, leg: Leg) -> u32 {
        self.exchanges += 1;
        let number = self.exchanges;
        self.see(server, What::ServerReceived { connection, number, request: Some(id), leg });
        number
    }

    #[expect(clippy::too_many_arguments, reason = "an event has that many fields")]
    pub(crate) fn answer(
        &mut self,
        request: Option<RequestId>,
        (_, server, connection): Way<'_>,
        number: u32,
        leg: Leg,
        status: u16,
        user: Option<Principal>,
        body: &Payload,
    ) {
        self.see(
            server,
            What::ServerAnswered {
                connection,
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

    /// A 401.3: authenticated, and not allowed.
    pub(crate) fn forbid(&mut self, id: RequestId, (on, server, connection): Way<'_>, leg: Leg) {
        self.send(id, on, leg);
        let number = self.reach(id, (on, server, connection), leg);
        let user = self.request(id).identity.clone();
        let digest = Payload::Empty.digest();
        self.see(
            server,
            What::ServerAnswered {
                connection,
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
        self.receive(id, on, 401, Some(id), None);
    }

    /// The DC decides, and the server notes it.
    pub(crate) fn logon(&mut self, id: RequestId, server: &str, logon: u64, account: &str, status: u32) {
        self.see("dc", What::DcLogon { server: server.into(), logon, account: user(account), status, bad_count: 0 });
        self.see(server, What::ServerLogon { connection: 1, request: Some(id), logon, account: user(account), status });
    }

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

    pub(crate) fn end(&mut self, id: RequestId, status: u16) {
        self.by_client(id, What::RequestEnded { request: id, status: Some(status), error: None });
    }

    pub(crate) fn fail(&mut self, id: RequestId) {
        self.by_client(id, What::RequestEnded { request: id, status: None, error: Some("connection reset".into()) });
    }

    pub(crate) fn close(&mut self, client: &str, connection: u32, how: Closed) {
        self.see(client, What::ClientClosed { connection, how });
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.act(Action::Fault(fault));
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.see("world", What::Action(action));
    }

    /// Lets whole seconds pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.passed += seconds * 1_000_000_000;
    }

    /// The client opens a connection.
    pub(crate) fn connect(&mut self, client: &str, connection: u32) {
        let local = ([10, 0, 0, 1], 50_000).into();
        self.see(client, What::ClientConnected { connection, local });
    }

    /// A client's first request on a new connection, handshake and all.
    pub(crate) fn arrive(&mut self, client: &str, way: Way<'_>) -> RequestId {
        self.connect(client, way.0);
        self.whole(client, way)
    }

    /// One more request without a token, served as the client's user.
    pub(crate) fn again(&mut self, client: &str, way: Way<'_>) -> RequestId {
        let id = self.start(client);
        self.exchange(id, way, Leg::Anonymous, 200);
        self.end(id, 200);
        id
    }

    /// A request that the balancer answers by itself.
    pub(crate) fn turned_away(&mut self, client: &str, connection: u32, status: u16) -> RequestId {
        let id = self.start(client);
        self.send(id, connection, Leg::Anonymous);
        self.receive(id, connection, status, None, None);
        self.end(id, status);
        id
    }

    /// A server answers an unknown sender, a health check: the Authenticate leg for 200, else without a token.
    pub(crate) fn check(&mut self, server: &str, connection: u32, status: u16, as_user: Option<Principal>) {
        let leg = if as_user.is_some() { Leg::Authenticate } else { Leg::Anonymous };
        self.exchanges += 1;
        let number = self.exchanges;
        self.see(server, What::ServerReceived { connection, number, request: None, leg });
        self.answer(None, (0, server, connection), number, leg, status, as_user, &Payload::Empty);
    }

    /// Adds any event; gives back the id of the latest request.
    pub(crate) fn see(&mut self, by: &str, what: What) -> RequestId {
        let at = Time(self.events.len() as u64 * 1_000 + self.passed);
        self.events.push(Event { at, by: by.into(), what });
        RequestId(self.requests.len() as u32)
    }

    /// A story at this site.
    pub(crate) fn at(site: &SiteSpec) -> Self {
        Self { servers: servers(&[Provider::Negotiate, Provider::Ntlm], site), ..Self::default() }
    }

    /// A browser, or curl, that may use Kerberos or not.
    pub(crate) fn add_client(&mut self, name: &str, agent: Agent, no_kerberos: bool) {
        let profile = Profile { agent, ..Profile::BROWSER };
        self.act(Action::AddClient(ClientSpec { no_kerberos, ..ClientSpec::new(name.into(), profile, None) }));
    }

    /// A request with a ticket alone, which the server accepts; not the end.
    pub(crate) fn ticket(&mut self, id: RequestId, way: Way<'_>) {
        self.present(id, way, 0, 200);
    }

    /// A request with a ticket, on which the server decides so.
    pub(crate) fn present(&mut self, id: RequestId, (on, server, connection): Way<'_>, error: u32, status: u16) {
        self.send(id, on, Leg::Ticket);
        let client = self.request(id).identity.clone().filter(|_| error == 0);
        let number = self.reach(id, (on, server, connection), Leg::Ticket);
        let service = "HTTP/www.corp.example".into();
        self.see(server, What::ServerTicket { connection, request: Some(id), client: client.clone(), service, error });
        self.answer(Some(id), (on, server, connection), number, Leg::Ticket, status, client.clone(), &Payload::Empty);
        self.receive(id, on, status, Some(id), client);
    }

    /// A whole request of a client that sends a ticket at once.
    pub(crate) fn whole_ticket(&mut self, client: &str, way: Way<'_>) -> RequestId {
        let id = self.start(client);
        self.ticket(id, way);
        self.end(id, 200);
        id
    }

    /// The client has TLS on its connection, and was shown the certificate of that name.
    pub(crate) fn secure(&mut self, client: &str, connection: u32, certificate: &str, http2: bool) {
        let certificate = digest(certificate);
        self.see(client, What::ClientSecured { connection, certificate, http2 });
    }

    /// The server has TLS on its connection, and shows the certificate of that name.
    pub(crate) fn secure_server(&mut self, server: &str, connection: u32, certificate: &str) {
        let certificate = digest(certificate);
        self.see(server, What::ServerSecured { connection, certificate });
    }

    pub(crate) fn trace(&self) -> Trace {
        let mut trace = trace(self.events.clone());
        trace.header.promises = self.promises.clone();
        trace.header.topology.servers.clone_from(&self.servers);
        trace.header.topology.tls = self.tls;
        trace
    }

    pub(crate) fn judge(&self) -> Vec<Verdict> {
        judge(&self.trace())
    }

    /// The verdict on one requirement.
    pub(crate) fn verdict(&self, requirement: Requirement) -> Verdict {
        self.judge().into_iter().find(|verdict| verdict.requirement == requirement).unwrap()
    }

    pub(crate) fn grade(&self, requirement: Requirement) -> Grade {
        self.verdict(requirement).grade
    }

    /// The only piece of evidence against one requirement.
    #[track_caller]
    pub(crate) fn summary(&self, requirement: Requirement) -> String {
        let verdict = self.verdict(requirement);
        assert_eq!(verdict.evidence.len(), 1, "{verdict:#?}");
        let events = &verdict.evidence[0].events;
        assert!(!events.is_empty() && events.is_sorted() && events.iter().all(|&event| event < self.events.len()));
        verdict.evidence[0].summary.clone()
    }

    fn by_client(&mut self, id: RequestId, what: What) {
        let client = self.request(id).client.clone();
        self.see(client.as_str(), what);
    }

    fn request(&self, id: RequestId) -> &Teller {
        &self.requests[id.0 as usize - 1]
    }
}

pub(crate) fn user(name: &str) -> Principal {
    Principal::new("CORP", name)
}

/// The digest of the certificate of that name.
pub(crate) fn digest(certificate: &str) -> Digest {
    Payload::Text(certificate.into()).digest()
}

/// `iis1` and `iis2`, set up alike.
pub(crate) fn servers(providers: &[Provider], site: &SiteSpec) -> Vec<ServerSpec> {
    let server = |name: &str| ServerSpec {
        name: name.into(),
        providers: providers.to_vec(),
        version: IisVersion::Iis10,
        acceptor: Acceptor::Connection,
        site: site.clone(),
    };
    vec![server("iis1"), server("iis2")]
}

pub(crate) fn trace(events: Vec<Event>) -> Trace {
    let domain = DomainSpec {
        netbios: "CORP".into(),
        dns: "corp.example".into(),
        users: Vec::new(),
        lockout_threshold: Some(LOCKOUT),
        ..DomainSpec::default()
    };
    let link = LinkSpec { latency: Duration::from_micros(250), jitter: Duration::ZERO };
    let topology = Topology { domain, balancer: "any".into(), link, ..Topology::default() };
    Trace { header: Header { seed: 1, topology, promises: Promises::default() }, events }
}
