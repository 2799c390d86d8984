//! The topology of a world: its users, servers, balancer and links.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
pub use crate::server::{CertificateSpec, ServerSpec};
pub use crate::site::{AnonymousSpec, AppPool, Checking, FileSpec, KeepAlive, ProtectionSpec, SiteSpec};
use crate::{BalancerSpec, Name, Principal};

/// Everything that a world is built from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The domain and its users.
    pub domain: DomainSpec,
    /// The servers of the farm: one entry for each backend.
    pub servers: Vec<ServerSpec>,
    /// A second balancer in front of the one under test. Clients connect to it, and its only backend is the balancer
    /// under test. `None`: clients connect to the balancer under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<BalancerSpec>,
    /// The account with which health checks log on, if they do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Identity>,
    /// The properties of every link between two hosts.
    pub link: LinkSpec,
    /// The DCs of the domain, in the order in which servers ask them. Empty: there is one DC, `dc`, without any faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<ControllerSpec>,
    /// A second domain, with its DC `dc-partner`. The `trusts` of the two domains say whether they trust each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerSpec>,
    /// The settings of TLS between the clients and the servers. `None`: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// The reason why nobody can log on at this site over any balancer, as declared by the author of the set-up.
    /// Failures for that reason are the fault of the set-up. `None`: the site is expected to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Topology {
    /// Sets up the IIS servers to trust the component in front of them that authenticates users and names the user in
    /// this header.
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
    /// The NetBIOS name of the domain, for example `CORP`.
    pub netbios: String,
    /// The DNS name of the domain, for example `corp.example`.
    pub dns: String,
    /// The accounts.
    pub users: Vec<UserSpec>,
    /// The number of failed logons after which an account is locked out. `None`: accounts are never locked out.
    pub lockout_threshold: Option<u32>,
    /// The accounts that are services, with their names. A machine always has its `HOST` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// The domains with which this one has a trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusts: Vec<TrustSpec>,
}

/// A domain controller, with its faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerSpec {
    /// The name of the host. The first of the domain's DCs that is not stale has the role of the PDC emulator.
    pub name: Name,
    /// The time that each logon waits at the DC before it is decided. `None`: logons do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Duration>,
    /// The accounts that have not been replicated to the DC yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// The accounts for which the DC has an older password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<String>,
    /// The maximum number of logons that the DC sends to another DC at once (`MaxConcurrentApi`). `None`: the default
    /// of Windows Server 2012 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_api: Option<u16>,
    /// Whether the KDC refuses a ticket request whose authenticator has no checksum of the request
    /// (`KRB_AP_ERR_INAPP_CKSUM`). RFC 4120 3.3.2 requires this, and Samba does it. By default, the KDC accepts such a
    /// request, as a Windows KDC does: impacket and minikerberos send no checksum.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requires_checksum: bool,
}

impl ControllerSpec {
    /// Returns a DC without any faults.
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

    /// Returns whether the DC equals the default DC of a site that specifies none. The rules of its KDC do not matter.
    pub fn is_in_order(&self) -> bool {
        *self == Self { requires_checksum: self.requires_checksum, ..Self::new("dc".into()) }
    }

    /// Returns the maximum number of logons that the DC sends to another DC at once.
    pub fn max_concurrent_api(&self) -> u16 {
        self.max_concurrent_api.unwrap_or(IisVersion::Iis10.max_concurrent_api())
    }

    /// Returns whether the DC's directory is out of date.
    pub fn is_stale(&self) -> bool {
        !self.lacks.is_empty() || !self.outdated.is_empty()
    }
}

/// A second domain, with its own DC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerSpec {
    /// The domain. A trust works if the domains list each other in their `trusts` with the same password; it is broken
    /// if the passwords differ.
    pub domain: DomainSpec,
    /// The NetBIOS name of the domain that the DC claims its users belong to; such a DC vouches for names that are not
    /// its own. `None`: its own domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<String>,
}

impl PartnerSpec {
    /// Returns a partner with another domain and a working trust between the two. The trust is added to `domain` as
    /// well.
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

/// The properties of an account as a Kerberos service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The account: a user such as `svc-web`, or a machine such as `iis1$`.
    pub account: String,
    /// The service principal names (SPNs) of the account, for example `HTTP/www.corp.example`, as `setspn -A` registers
    /// them. A name that another account has too is a duplicate, for which no ticket is issued.
    pub spns: Vec<String>,
    /// Whether the account may act as its users on other hosts (unconstrained delegation).
    #[serde(default)]
    pub trusted_for_delegation: bool,
}

/// A trust with another domain, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSpec {
    /// The NetBIOS name of the other domain.
    pub netbios: String,
    /// The DNS name of the other domain.
    pub dns: String,
    /// The password of the trust, which must be the same on both sides.
    pub password: String,
}

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The account's name without its domain (`sAMAccountName`).
    pub name: String,
    /// The password. It is not a secret, because the accounts belong to a test directory.
    pub password: String,
    /// Whether the application refuses the user after a successful logon (401.3).
    pub forbidden: bool,
    /// The number of domain local groups of which the user is a member. Groups make the user's tickets longer.
    #[serde(default, skip_serializing_if = "is_zero_groups")]
    pub groups: u16,
}

impl UserSpec {
    /// Returns a user in no groups, whom the application admits.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into(), forbidden: false, groups: 0 }
    }
}

/// The connection or key that a server ties an authenticated user to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptor {
    /// The TCP connection, as in IIS.
    #[default]
    Connection,
    /// A key that the server looks up in its own table: an HTTP filter in front of an application, as described on the
    /// nginx mailing list.
    Tracked(Tracked),
    /// No connection or key: the balancer has authenticated the user, and names the user in this request header.
    TrustedHeader(String),
    /// No connection or key, because the server does not speak proper HTTP: it is a peer on a bare socket.
    Rogue(Rogue),
}

impl Acceptor {
    /// Returns whether the server is IIS.
    pub fn is_connection(&self) -> bool {
        *self == Self::Connection
    }

    /// Returns the request header that the server trusts the balancer to set, to the user or to the client's
    /// connection.
    pub fn trusted_header(&self) -> Option<&str> {
        match self {
            Self::TrustedHeader(name) | Self::Tracked(Tracked { by: TrackedBy::Header(name), .. }) => Some(name),
            Self::Tracked(_) | Self::Connection | Self::Rogue(_) => None,
        }
    }
}

/// An acceptor that looks clients up in a table of authenticated clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracked {
    /// The key of the table.
    pub by: TrackedBy,
    /// The check that the acceptor makes on each request in addition to the key.
    pub check: TrackedCheck,
}

/// The key of a table of authenticated clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedBy {
    /// The address and port of the TCP connection's peer.
    Peer,
    /// The value of this request header, which the proxy sets to the client's address and port (`Jespa-Connection-Id`).
    /// Without the header, the key is the TCP connection's peer.
    Header(String),
}

/// The check that an acceptor with a table makes on each request in addition to the key. The checks are the remedies
/// that were suggested on the mailing list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackedCheck {
    /// The acceptor checks nothing else.
    #[default]
    Nothing,
    /// The client's address (last entry of `X-Forwarded-For`) must be the one of the handshake.
    ClientAddress,
    /// The request must carry the token (a cookie) that the last answer of the handshake set.
    Token,
}

/// A backend that misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rogue {
    /// The backend answers with bytes that are not HTTP, and keeps the connection open.
    Garbage,
    /// The backend sends half of a head, and closes.
    HalfHead,
    /// The backend announces a body, sends half of it, and closes.
    HalfBody,
    /// The backend sends more than `Content-Length` announces, and keeps the connection open.
    WrongLength,
    /// The backend answers with an endless header section.
    HeaderFlood,
    /// The backend accepts connections and never answers.
    Silent,
    /// The backend closes each connection as soon as a request has arrived.
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
    /// `WWW-Authenticate: Negotiate` with Kerberos as its only package (`Negotiate:Kerberos`). IIS requires that
    /// `useKernelMode` is off for this provider.
    #[serde(rename = "Negotiate:Kerberos")]
    NegotiateKerberos,
    /// `WWW-Authenticate: Nego2` (MS-N2HT), which is `Negotiate` under a name that balancers rarely recognise.
    Nego2,
}

/// A generation of IIS, which determines the codes in its log (Microsoft, "HTTP status codes in IIS").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IisVersion {
    /// IIS 6: an anonymous request logs `401 2 2148074254`, as published walk-throughs show.
    Iis6,
    /// IIS 7 to 10: an anonymous request logs `401 2 5`.
    #[default]
    Iis10,
}

impl IisVersion {
    /// Returns the default `MaxConcurrentApi` of a member server with this version of Windows: 2 before Windows Server
    /// 2012, and 10 since then (Microsoft, KB 2688798 "Performance tuning for NTLM authentication by using the
    /// MaxConcurrentApi setting").
    pub const fn max_concurrent_api(self) -> u16 {
        match self {
            Self::Iis6 => 2,
            Self::Iis10 => 10,
        }
    }
}

/// TLS between the clients and the servers. One authority issues all certificates, and every host trusts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// The protocol that the balancer uses towards the servers.
    pub upstream: UpstreamTls,
    /// Whether HTTP/2 is offered by ALPN. The servers offer it, and so does each balancer at which TLS ends. Whether
    /// such a balancer accepts the servers' offer is the balancer's own decision; most speak HTTP/1.1 to the servers.
    #[serde(default)]
    pub http2: bool,
    /// The protocol that a second balancer in front ([`Topology::front`]) uses towards the one under test, if TLS ends
    /// at the first.
    #[serde(default, skip_serializing_if = "BetweenTls::is_again")]
    pub between: BetweenTls,
}

/// The protocol that a balancer in front of another uses towards the other one, if TLS ends at the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetweenTls {
    /// TLS. The first balancer expects the site's name in the certificate of its TLS peer, which is the other balancer
    /// or a server behind it.
    #[default]
    Again,
    /// Plain HTTP, which the other balancer may encrypt again towards the servers.
    Plain,
}

impl BetweenTls {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_again(&self) -> bool {
        *self == Self::Again
    }
}

/// The protocol that a balancer at which TLS ends uses towards the servers. A balancer that passes on bytes or packets
/// passes TLS on as well (passthrough). Clients then see the server's certificate, and this setting has no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamTls {
    /// TLS, with a separate certificate for each server (re-encryption, bridging).
    #[default]
    Own,
    /// TLS, with the same certificate and key on servers and balancer.
    Same,
    /// Plain HTTP (termination, offloading).
    Plain,
}

/// The properties of a link between any two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// The latency in one direction.
    pub latency: Duration,
    /// The maximum additional latency of a packet, drawn from the seed. The packets of a flow keep their order.
    pub jitter: Duration,
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self { latency: Duration::from_micros(250), jitter: Duration::ZERO }
    }
}

/// One client: a user agent, on its own host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// The client's name.
    pub name: Name,
    /// The behaviour of its user agent.
    pub profile: Profile,
    /// The user at the client. `None`: the client never authenticates.
    pub identity: Option<Identity>,
    /// The client with which this one shares a host, and therefore an address. `None`: the client has a host of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Name>,
    /// The source port of the client's connections, as behind a NAT that uses few ports. `None`: each connection has a
    /// new port. With a fixed port the client has one connection at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether the client is forbidden to use Kerberos although its user agent could.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_kerberos: bool,
    /// Whether the client gives servers a ticket-granting ticket, so that they can act on behalf of its user.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delegates: bool,
    /// The number of seconds by which the client's clock is ahead of the world's; negative if it is behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_skew: i64,
    /// The name by which the client refers to the site, in `Host` and in the name of the service when it requests a
    /// ticket. `None`: the site's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The way in which the client uses HTTP/2 if TLS offers it.
    #[serde(default, skip_serializing_if = "Http2::is_never")]
    pub http2: Http2,
    /// The time that the client waits for the answer to a request, including all legs, before it gives up. `None`: the
    /// default, [`ClientSpec::PATIENCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Duration>,
    /// The time after which the client closes an idle connection. `None`: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Duration>,
}

impl ClientSpec {
    /// The default time that a client waits for an answer. Real clients differ: curl waits for ever, and Chromium waits
    /// 300 s. This time is short, so that a missing answer is noticed soon.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Returns a client on its own host.
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

/// The way in which a client uses HTTP/2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// The client does not speak HTTP/2.
    #[default]
    Never,
    /// The client speaks HTTP/2 until it receives a challenge for NTLM or Negotiate, and then changes to HTTP/1.1
    /// (source code of Chromium).
    UntilChallenged,
    /// The client authenticates over HTTP/2, and changes to HTTP/1.1 only if a server asks for that
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

/// The credentials that a client was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The user whom the client claims to be.
    pub principal: Principal,
    /// The password that was typed, right or wrong.
    pub password: String,
}

/// The behaviour of a user agent, with the settings that a script can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The product that the user agent imitates.
    pub agent: Agent,
    /// Whether the client closes the connection after a first 401 without a challenge and starts the handshake on a new
    /// one, as a published walk-through describes for old browsers.
    pub close_after_first_401: bool,
    /// Whether the client keeps cookies and sends them back.
    #[serde(default)]
    pub cookies: bool,
    /// Whether the client sends `Connection: close` on the leg that proves who its user is, and closes the connection
    /// after the answer. A client that needs only one page does so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closes_with_proof: bool,
    /// Whether the client opens a second connection beside its first, which is idle until a request needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preconnects: bool,
}

impl Profile {
    /// The profile of curl without a cookie jar.
    pub const CURL: Self = Self::of(Agent::Curl);
    /// The profile of curl with `--negotiate`.
    pub const CURL_NEGOTIATE: Self = Self::of(Agent::CurlNegotiate);
    /// The profile of a browser.
    pub const BROWSER: Self = Self::of(Agent::Browser);

    /// Returns the default profile of a user agent.
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
