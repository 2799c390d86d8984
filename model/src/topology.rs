//! Which users, servers, balancer and links a world has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
pub use crate::server::{CertificateSpec, ServerSpec};
pub use crate::site::{AnonymousSpec, AppPool, Checking, FileSpec, KeepAlive, ProtectionSpec, SiteSpec};
use crate::{BalancerSpec, Name, Principal};

/// Everything a world is built from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The domain and its users.
    pub domain: DomainSpec,
    /// The farm: one entry for each backend.
    pub servers: Vec<ServerSpec>,
    /// A second balancer in front of the one under test. Clients connect to it, and the one under test is its only
    /// backend. `None`: clients connect to the balancer under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<BalancerSpec>,
    /// The account that health checks log on with, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Identity>,
    /// Every link between two hosts.
    pub link: LinkSpec,
    /// The DCs of the domain, in the order in which servers ask them; empty: one, `dc`, which is in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<ControllerSpec>,
    /// A second domain, with its DC `dc-partner`. Whether the two trust each other is said in their `trusts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerSpec>,
    /// TLS, from the clients on; `None`: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Why nobody can log on at this site whatever balancer is in front of it, as whoever set it up declares: what fails
    /// for that reason is the set-up's fault. `None`: it is thought to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Topology {
    /// Sets up its IIS servers to believe whoever authenticates in front of them, and names the user in this header.
    pub fn trust(&mut self, header: &str) {
        for server in self.servers.iter_mut().filter(|server| server.acceptor.is_connection()) {
            server.acceptor = Acceptor::TrustedHeader(header.into());
        }
    }
}

/// An Active Directory domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainSpec {
    /// NetBIOS name, `CORP`.
    pub netbios: String,
    /// DNS name, `corp.example`.
    pub dns: String,
    /// The accounts.
    pub users: Vec<UserSpec>,
    /// Failed logons after which an account is locked out; `None`: never.
    pub lockout_threshold: Option<u32>,
    /// Which accounts are services, and under which names. A machine has its `HOST` names anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// Domains that this one has a trust with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusts: Vec<TrustSpec>,
}

/// A domain controller, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerSpec {
    /// The host's name. The first of the domain's DCs that is not stale holds the role of the PDC emulator.
    pub name: Name,
    /// How long each logon waits at it before it is decided; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Duration>,
    /// Accounts that have not been replicated to it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Accounts of which it has an older password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<String>,
    /// `MaxConcurrentApi`: how many logons it asks another DC for at once. `None`: as Windows Server 2012 and later come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_api: Option<u16>,
    /// Whether its KDC refuses a request for a ticket whose authenticator has no checksum of the request: RFC 4120 3.3.2 and
    /// Samba do (`KRB_AP_ERR_INAPP_CKSUM`). By default it takes one, as Windows' does: impacket and minikerberos send none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requires_checksum: bool,
}

impl ControllerSpec {
    /// One that is in order.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            slow: None,
            lacks: Vec::new(),
            outdated: Vec::new(),
            max_concurrent_api: None,
            requires_checksum: false,
        }
    }

    /// Whether it is the DC of a site that says nothing of DCs, whatever the rules of its KDC.
    pub fn is_in_order(&self) -> bool {
        *self == Self { requires_checksum: self.requires_checksum, ..Self::new("dc".into()) }
    }

    /// How many logons it asks another DC for at once.
    pub fn max_concurrent_api(&self) -> u16 {
        self.max_concurrent_api.unwrap_or(IisVersion::Iis10.max_concurrent_api())
    }

    /// Whether its directory is behind.
    pub fn is_stale(&self) -> bool {
        !self.lacks.is_empty() || !self.outdated.is_empty()
    }
}

/// A second domain, with a DC of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerSpec {
    /// The domain. A trust holds where the domains list each other in their `trusts` with one password; it
    /// is broken where the passwords differ.
    pub domain: DomainSpec,
    /// The NetBIOS name of the domain that its DC claims its users to be of: a DC that vouches for names
    /// which are not its own. `None`: its own domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<String>,
}

impl PartnerSpec {
    /// The partner in order: another domain and a trust between the two, which is added to `domain` as well.
    pub fn trusted(domain: &mut DomainSpec, mut partner: DomainSpec, password: &str) -> Self {
        let trust = |with: &DomainSpec| TrustSpec {
            netbios: with.netbios.clone(),
            dns: with.dns.clone(),
            password: password.to_owned(),
        };
        domain.trusts.push(trust(&partner));
        partner.trusts.push(trust(domain));
        Self { domain: partner, claims: None }
    }
}

/// What an account is as a Kerberos service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The account: a user, `svc-web`, or a machine, `iis1$`.
    pub account: String,
    /// Its service principal names (SPN), `HTTP/www.corp.example`, as `setspn -A` registers them: one
    /// that another account has too is a duplicate, for which no ticket is issued.
    pub spns: Vec<String>,
    /// Whether it may act on other hosts as its users (unconstrained delegation).
    #[serde(default)]
    pub trusted_for_delegation: bool,
}

/// A trust with another domain, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSpec {
    /// The other domain's NetBIOS name.
    pub netbios: String,
    /// Its DNS name.
    pub dns: String,
    /// The trust's password, the same on both sides.
    pub password: String,
}

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The account's name without its domain (`sAMAccountName`).
    pub name: String,
    /// The password. These are accounts of a test directory: it is no secret.
    pub password: String,
    /// Whether the application refuses the user after a good logon (401.3).
    pub forbidden: bool,
    /// How many domain local groups the user is a member of, which make its tickets longer.
    #[serde(default, skip_serializing_if = "is_zero_groups")]
    pub groups: u16,
}

impl UserSpec {
    /// A user of no groups, whom the application lets in.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into(), forbidden: false, groups: 0 }
    }
}

/// What a server ties an authenticated user to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptor {
    /// The TCP connection: IIS.
    #[default]
    Connection,
    /// A key that it looks up in a table of its own: an HTTP filter in front of an application, as the
    /// nginx mailing list describes it.
    Tracked(Tracked),
    /// Nothing: the balancer has authenticated, and names the user in this request header.
    TrustedHeader(String),
    /// It speaks no proper HTTP: a peer on a bare socket.
    Rogue(Rogue),
}

impl Acceptor {
    /// Whether it is IIS.
    pub fn is_connection(&self) -> bool {
        *self == Self::Connection
    }

    /// The request header that it trusts the balancer to set, to the user or to the client's connection.
    pub fn trusted_header(&self) -> Option<&str> {
        match self {
            Self::TrustedHeader(name) | Self::Tracked(Tracked { by: TrackedBy::Header(name), .. }) => Some(name),
            Self::Tracked(_) | Self::Connection | Self::Rogue(_) => None,
        }
    }
}

/// An acceptor with a table of authenticated clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracked {
    /// The key of its table.
    pub by: TrackedBy,
    /// What it checks on each request beside the key.
    pub check: TrackedCheck,
}

/// The key of a table of authenticated clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedBy {
    /// Address and port of the TCP connection's other end.
    Peer,
    /// The value of this request header, which the proxy sets to the client's address and port
    /// (`Jespa-Connection-Id`); the TCP connection's other end where there is none.
    Header(String),
}

/// What an acceptor with a table checks on each request beside its key: the cures of the mailing list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedCheck {
    /// Nothing.
    #[default]
    Nothing,
    /// The client's address (`X-Forwarded-For`, last entry) is that of the handshake.
    ClientAddress,
    /// The request carries the token (a cookie) that the handshake's last answer gave out.
    Token,
}

/// A backend that misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rogue {
    /// Answers bytes that are not HTTP, and keeps the connection open.
    Garbage,
    /// Sends half a head, and closes.
    HalfHead,
    /// Announces a body, sends half of it, and closes.
    HalfBody,
    /// Sends more than `Content-Length` announces, and keeps the connection open.
    WrongLength,
    /// Answers with a header section without end.
    HeaderFlood,
    /// Accepts, and never answers.
    Silent,
    /// Closes each connection as soon as a request has come.
    Closes,
}

/// A provider of Windows authentication, as IIS lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Provider {
    /// `WWW-Authenticate: NTLM`.
    #[serde(rename = "NTLM")]
    Ntlm,
    /// `WWW-Authenticate: Negotiate`.
    Negotiate,
    /// The same on the wire, with Kerberos alone behind it. IIS asks for `useKernelMode` off with it.
    #[serde(rename = "Negotiate:Kerberos")]
    NegotiateKerberos,
    /// `WWW-Authenticate: Nego2` (MS-N2HT): as `Negotiate`, under a name that balancers rarely know.
    Nego2,
}

/// A generation of IIS, for what differs in its log (`reference: Microsoft, HTTP status codes in IIS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IisVersion {
    /// IIS 6: an anonymous request logs `401 2 2148074254`, as the walk-throughs of the field show.
    Iis6,
    /// IIS 7 to 10: an anonymous request logs `401 2 5`.
    #[default]
    Iis10,
}

impl IisVersion {
    /// `MaxConcurrentApi` of a member server as its version of Windows comes: 2 before Windows Server 2012, and 10 since
    /// (Microsoft, KB 2688798 "Performance tuning for NTLM authentication by using the MaxConcurrentApi setting").
    pub const fn max_concurrent_api(self) -> u16 {
        match self {
            Self::Iis6 => 2,
            Self::Iis10 => 10,
        }
    }
}

/// TLS on the way from the clients to the servers. All certificates are of one authority, which everybody trusts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// What is between the balancer and the servers.
    pub upstream: UpstreamTls,
    /// Whether HTTP/2 is offered (by ALPN): by the servers, and by each balancer at which TLS ends. Whether such a balancer
    /// takes the servers' offer is its own affair; most speak HTTP/1.1 to them.
    #[serde(default)]
    pub http2: bool,
    /// What is between a second balancer in front ([`Topology::front`]) and the one under test, where TLS ends at the first.
    #[serde(default, skip_serializing_if = "BetweenTls::is_again")]
    pub between: BetweenTls,
}

/// What a balancer in front of another has between it and that, where TLS ends at the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetweenTls {
    /// TLS again. It wants the site's name of whoever ends that: the other balancer, or a server behind it.
    #[default]
    Again,
    /// Plain HTTP, which the other balancer may secure again towards the servers.
    Plain,
}

impl BetweenTls {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_again(&self) -> bool {
        *self == Self::Again
    }
}

/// What a balancer at which TLS ends has between it and the servers. One that passes bytes or packets on passes TLS
/// on too (passthrough): then the clients meet the server's certificate, whatever is said here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamTls {
    /// TLS again, with a certificate of each server's own (re-encryption, bridging).
    #[default]
    Own,
    /// TLS again, where servers and balancer have the same certificate and key.
    Same,
    /// Plain HTTP (termination, offloading).
    Plain,
}

/// A link between any two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// One way.
    pub latency: Duration,
    /// A packet takes up to this much longer, drawn from the seed; flows stay first-in first-out.
    pub jitter: Duration,
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self { latency: Duration::from_micros(250), jitter: Duration::ZERO }
    }
}

/// One client: a user agent, on a host of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// The client's name.
    pub name: Name,
    /// How its user agent behaves.
    pub profile: Profile,
    /// Who sits at it; `None`: nobody, it never authenticates.
    pub identity: Option<Identity>,
    /// The client whose host it shares, and so its address; `None`: it has a host of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Name>,
    /// The port that it connects from, as behind a NAT that uses few; `None`: a fresh one for each
    /// connection. With a port it has one connection at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether it may not use Kerberos, though its user agent could.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_kerberos: bool,
    /// Whether it hands servers a ticket-granting ticket, to act on its user's behalf.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delegates: bool,
    /// Seconds that its clock is ahead of the world's; negative: behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_skew: i64,
    /// What it calls the site, in `Host` and in the name of the service that it wants a ticket for; `None`: by the
    /// site's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it does with HTTP/2, where TLS offers that.
    #[serde(default, skip_serializing_if = "Http2::is_never")]
    pub http2: Http2,
    /// How long it waits for the answer to a request, all legs of it, before it gives up; `None`: as long as its user
    /// agent does, [`ClientSpec::PATIENCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Duration>,
    /// How long it keeps an idle connection before it closes that; `None`: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Duration>,
}

impl ClientSpec {
    /// How long a client waits for an answer unless it says otherwise. Real ones differ (curl: for ever, Chromium: 300 s);
    /// this is short, so that what never comes is seen soon.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// A client on a host of its own.
    pub fn new(name: Name, profile: Profile, identity: Option<Identity>) -> Self {
        Self {
            name,
            profile,
            identity,
            at: None,
            port: None,
            no_kerberos: false,
            delegates: false,
            clock_skew: 0,
            host: None,
            http2: Http2::Never,
            patience: None,
            keep_alive: None,
        }
    }
}

/// What a client does with HTTP/2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// It does not speak it.
    #[default]
    Never,
    /// It speaks it until it meets a challenge of NTLM or Negotiate: then it goes over to HTTP/1.1 (Chromium, source).
    UntilChallenged,
    /// It authenticates over HTTP/2, and goes over to HTTP/1.1 only where a server asks for that
    /// (`HTTP_1_1_REQUIRED`, RFC 9113 7).
    Always,
}

impl Http2 {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_zero_groups(value: &u16) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Credentials that a client was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Who the user claims to be.
    pub principal: Principal,
    /// The password typed, right or wrong.
    pub password: String,
}

/// How a user agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Which product it follows.
    pub agent: Agent,
    /// Whether it closes the connection after a first 401 without a challenge and starts the
    /// handshake on a new one, as the walk-through of the field describes for old browsers.
    pub close_after_first_401: bool,
    /// Whether it keeps cookies, and sends them back.
    #[serde(default)]
    pub cookies: bool,
    /// Whether it says `Connection: close` on the leg that proves who its user is, and closes the connection after the
    /// answer, as a client does that wants one page.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closes_with_proof: bool,
    /// Whether it opens a second connection beside its first, which is idle until a request needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preconnects: bool,
}

impl Profile {
    /// curl without a cookie jar.
    pub const CURL: Self = Self::of(Agent::Curl);
    /// curl with `--negotiate`.
    pub const CURL_NEGOTIATE: Self = Self::of(Agent::CurlNegotiate);
    /// A browser.
    pub const BROWSER: Self = Self::of(Agent::Browser);

    /// Returns the profile of a user agent as it comes.
    pub const fn of(agent: Agent) -> Self {
        let behaviour = agent.behaviour();
        Self {
            agent,
            close_after_first_401: false,
            cookies: behaviour.cookies,
            closes_with_proof: false,
            preconnects: behaviour.preconnects,
        }
    }
}
