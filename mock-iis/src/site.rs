//! The configuration of one server. It outlives the server's process, so a restarted server continues its numbering and
//! a trace never has two connections with the same number.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::Scheme;
use stickler_auth::kerberos::ap;
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::ntlm::acceptor::{AcceptorConfig, TargetNames};
use stickler_auth::ntlm::wire::Version;
use stickler_model::sync::Lock;
use stickler_model::topology::{
    Acceptor, AnonymousSpec, AppPool, DomainSpec, FileSpec, IisVersion, KeepAlive, Provider, ServerSpec, SiteSpec,
};
use stickler_model::{Name, Principal};
use stickler_netlogon::{ChannelTimeouts, LogonNumbers};
use stickler_tls::ServerTls;

use crate::Sam;
use crate::authn::{AuthConfig, AuthRules};
use crate::codes::LogCodes;
use crate::http_sys::HeadBounds;
use crate::log::Entry;
use crate::protection::Protection;

/// Receives each line of the W3C log.
pub type LogSink = Arc<dyn Fn(&Entry) + Send + Sync>;

/// One server's configuration, and the counters of its connections and logons. IIS calls this a web site.
pub struct WebSite {
    pub(crate) name: Name,
    pub(crate) auth: Arc<AuthConfig>,
    pub(crate) acceptor: Acceptor,
    pub(crate) accounts: Accounts,
    /// The domain of a user who is named without one.
    pub(crate) domain: String,
    pub(crate) forbidden: Vec<Principal>,
    pub(crate) files: Vec<FileSpec>,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) anonymous: AnonymousSpec,
    pub(crate) version: IisVersion,
    /// The limits on the head of a request.
    pub(crate) head: HeadBounds,
    /// The certificate and key for TLS; `None` if the site has no TLS, or if another host terminates it.
    pub(crate) tls: Option<ServerTls>,
    /// The channel binding of the certificate.
    pub(crate) binding: Option<ChannelBinding>,
    spec: SiteSpec,
    /// The maximum number of logons that the server sends to its domain at once.
    pub(crate) max_concurrent_api: u16,
    /// The machine's names in the domain, without and with the DNS suffix.
    hosts: [String; 2],
    pub(crate) limits: ServerLimits,
    pub(crate) log: Option<LogSink>,
    connections: Arc<AtomicU32>,
    pub(crate) logons: Arc<LogonNumbers>,
}

/// The accounts that a server accepts: those of its domain, its own, or both.
pub struct Accounts {
    pub(crate) dc: Option<DcLink>,
    pub(crate) sam: Lock<Sam>,
}

/// The data with which a server reaches the domain controllers.
pub(crate) struct DcLink {
    /// The DCs' addresses, in the order in which they are asked.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The secret of this machine's account in the domain.
    pub(crate) secret: Arc<[u8]>,
}

/// The limits on what a peer may send, and time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The maximum length, in bytes, of a head that is read to its end although http.sys refuses it
    /// ([`SiteSpec::max_request_bytes`]). It is read so that the request is in the trace. A longer head is refused as
    /// soon as it exceeds this length.
    pub head_read: usize,
    /// The maximum length, in bytes, of a body that is read and dropped if its request is answered 401, so that the
    /// connection and its handshake can continue. If the body is longer, the response closes the connection.
    pub drain: u64,
    /// The time for which a connection may lack a complete head before it is closed (IIS: `connectionTimeout`,
    /// `headerWaitTimeout`).
    pub idle: Duration,
    /// The number of clients that an acceptor with a table, or a front end's authenticator, remembers. If there are
    /// more, the one that was unused for the longest time is forgotten.
    pub sessions: NonZeroUsize,
    /// The time that the next part of a body may take before the connection is closed.
    pub body: Duration,
    /// The time that the next part of an answer may wait for the client to read it before the connection is closed
    /// (http.sys: `MinSendRate`, 150 bytes a second). Without this limit, a client that vanishes during an answer would
    /// never be noticed.
    pub send: Duration,
    /// The time that connecting to a DC may take before the next DC is asked.
    pub connect: Duration,
    /// The time that a DC's reply may take before the next DC is asked. The sum of this time and `connect`, over all
    /// DCs, should be less than the time that user agents wait. By default, two DCs that do not answer take 20 s.
    pub logon: Duration,
    /// The time that a logon may wait for others of this server (`MaxConcurrentApi`) before it fails.
    pub logon_queue: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head_read: 64 * 1024,
            drain: 64 * 1024 * 1024,
            idle: Duration::from_mins(2),
            sessions: const { NonZeroUsize::new(10_000).expect("not zero") },
            body: Duration::from_mins(2),
            send: Duration::from_mins(2),
            connect: Duration::from_secs(5),
            logon: Duration::from_secs(10),
            logon_queue: ChannelTimeouts::QUEUE,
        }
    }
}

impl ServerLimits {
    pub(crate) fn netlogon(&self) -> ChannelTimeouts {
        ChannelTimeouts { connect: self.connect, reply: self.logon, queue: self.logon_queue }
    }
}

impl Accounts {
    /// Returns the accounts of a domain with one DC, to which the machine is joined.
    pub fn dc(address: SocketAddr, secret: &[u8]) -> Self {
        Self::domain(vec![address], secret)
    }

    /// Returns the accounts of a domain with several DCs, which are asked in this order until one has a final answer
    /// ([`stickler_netlogon::SecureChannel`]).
    pub fn domain(addresses: Vec<SocketAddr>, secret: &[u8]) -> Self {
        Self { dc: Some(DcLink { addresses, secret: secret.into() }), sam: Lock::new(Sam::new("", &[])) }
    }

    /// Returns only local accounts; the machine is in no domain.
    pub fn local(sam: Sam) -> Self {
        Self { dc: None, sam: Lock::new(sam) }
    }

    /// Adds local accounts to a joined machine, for domains that are unknown to its DC.
    #[must_use]
    pub fn with_sam(mut self, sam: Sam) -> Self {
        self.sam = Lock::new(sam);
        self
    }
}

impl WebSite {
    /// Creates the site of a server in a topology. The domain supplies the names in the Challenge and the forbidden
    /// users.
    pub fn new(spec: &ServerSpec, domain: &DomainSpec, accounts: Accounts) -> Self {
        let joined = accounts.dc.is_some();
        let forbidden = domain.users.iter().filter(|user| user.forbidden);
        let machine = spec.name.as_str().to_uppercase();
        let owner = if joined { &domain.netbios } else { &machine };
        let forbidden = forbidden.map(|user| Principal::new(owner, &user.name)).collect();
        let domain_name = owner.clone();
        let auth = AuthConfig {
            schemes: schemes(&spec.providers),
            anonymous: false,
            codes: LogCodes::of(spec.version),
            ntlm: Arc::new(acceptor(spec, domain, joined)),
            kerberos: None,
            kerberos_only: only_kerberos(&spec.providers),
            domains: names_of_realms(domain),
            rules: AuthRules {
                single_request: spec.site.single_request,
                persist_non_ntlm: spec.site.persist_non_ntlm,
                via_ends_persistence: spec.site.via_ends_persistence,
                ..AuthRules::default()
            },
        };
        let site = Self {
            name: spec.name.clone(),
            auth: Arc::new(auth),
            acceptor: spec.acceptor.clone(),
            accounts,
            domain: domain_name,
            forbidden,
            files: spec.site.files.clone(),
            keep_alive: spec.site.keep_alive,
            anonymous: spec.site.anonymous.clone(),
            version: spec.version,
            head: HeadBounds {
                field: spec.site.max_field_length as usize,
                request: spec.site.max_request_bytes as usize,
            },
            tls: None,
            binding: None,
            spec: spec.site.clone(),
            max_concurrent_api: spec.max_concurrent_api(),
            hosts: [spec.name.to_string(), format!("{}.{}", spec.name, domain.dns)],
            limits: ServerLimits { idle: spec.site.connection_timeout, ..ServerLimits::default() },
            log: None,
            connections: Arc::default(),
            logons: Arc::default(),
        };
        site.protected()
    }

    /// Returns the account whose keys [`WebSite::with_kerberos`] needs.
    pub fn ticket_account(&self) -> &AppPool {
        self.spec.ticket_account()
    }

    /// Makes the site accept tickets under `Negotiate`, with the keys of [`WebSite::ticket_account`]. By default it
    /// accepts NTLM only.
    #[must_use]
    pub fn with_kerberos(mut self, keys: ServiceKeys) -> Self {
        let auth = Arc::make_mut(&mut self.auth);
        auth.kerberos = Some(Arc::new(ap::AcceptorConfig::new(keys)));
        self.protected()
    }

    /// Sets the NetBIOS name of another realm's domain, under which the application sees the users of that realm. The
    /// site's own domain is known already.
    #[must_use]
    pub fn with_domain(self, realm: &str, netbios: &str) -> Self {
        self.with_auth(|auth| auth.domains.push((realm.to_uppercase(), netbios.to_owned())))
    }

    /// Serves over TLS only. Extended protection uses the channel binding of the certificate.
    #[must_use]
    pub fn with_tls(self, tls: ServerTls) -> Self {
        let site = self.with_certificate(tls.certificate());
        Self { tls: Some(tls), ..site }
    }

    /// Declares that connections use TLS with this certificate (DER), which another host terminates.
    #[must_use]
    pub fn with_certificate(self, certificate: &[u8]) -> Self {
        self.with_binding(ChannelBinding::tls_server_end_point(&stickler_tls::end_point(certificate)))
    }

    /// Declares that connections use TLS with this channel binding, which another host terminates.
    #[must_use]
    pub fn with_binding(mut self, binding: ChannelBinding) -> Self {
        self.binding = Some(binding);
        self.protected()
    }

    /// Updates the extended protection settings of both packages.
    fn protected(mut self) -> Self {
        let protection = Protection::of(&self.spec.protection, self.binding.is_some(), &self.hosts);
        let auth = Arc::make_mut(&mut self.auth);
        protection.apply(Arc::make_mut(&mut auth.ntlm), auth.kerberos.as_mut().map(Arc::make_mut));
        self
    }

    /// Changes the configuration of the site's authentication.
    #[must_use]
    pub fn with_auth(mut self, change: impl FnOnce(&mut AuthConfig)) -> Self {
        change(Arc::make_mut(&mut self.auth));
        self
    }

    /// Changes the acceptor, which determines the connection or key that a user is tied to.
    #[must_use]
    pub fn with_acceptor(mut self, acceptor: Acceptor) -> Self {
        self.acceptor = acceptor;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends each line of the log to `sink`. Without a sink, no lines are produced.
    #[must_use]
    pub fn with_log(mut self, sink: LogSink) -> Self {
        self.log = Some(sink);
        self
    }

    /// Continues the numbering of connections and logons from the site that this one replaces on the same server.
    #[must_use]
    pub fn in_place_of(mut self, before: &Self) -> Self {
        self.connections = Arc::clone(&before.connections);
        self.logons = Arc::clone(&before.logons);
        self
    }

    /// Returns the certificate that the server shows; `None` if it serves without TLS.
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// Returns the server's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the machine's NetBIOS name, which is its name in upper case.
    pub fn machine(&self) -> String {
        self.name.as_str().to_uppercase()
    }

    /// Returns whether http.sys authenticates (`useKernelMode`, since IIS 7).
    pub(crate) fn kernel_mode(&self) -> bool {
        self.spec.kernel_mode && self.version != IisVersion::Iis6
    }

    /// Returns the number of bytes of a head that are read.
    pub(crate) fn head_read(&self) -> usize {
        self.limits.head_read.max(self.head.request)
    }

    /// Returns the number for a new connection, counted from 1.
    pub(crate) fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// Returns the realms and NetBIOS names of the domain and of the domains that it trusts.
fn names_of_realms(domain: &DomainSpec) -> Vec<(String, String)> {
    let trusted = domain.trusts.iter().map(|trust| (&trust.dns, &trust.netbios));
    let all = std::iter::once((&domain.dns, &domain.netbios)).chain(trusted);
    all.map(|(dns, netbios)| (dns.to_uppercase(), netbios.clone())).collect()
}

fn only_kerberos(providers: &[Provider]) -> bool {
    providers.contains(&Provider::NegotiateKerberos) && !providers.contains(&Provider::Negotiate)
}

/// Returns the schemes of the providers, each once. `Negotiate:Kerberos` is `Negotiate` on the wire.
fn schemes(providers: &[Provider]) -> Vec<Scheme> {
    let mut schemes = Vec::new();
    for provider in providers {
        let scheme = match provider {
            Provider::Ntlm => Scheme::Ntlm,
            Provider::Negotiate | Provider::NegotiateKerberos => Scheme::Negotiate,
            Provider::Nego2 => Scheme::Nego2,
        };
        if !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    schemes
}

fn acceptor(spec: &ServerSpec, domain: &DomainSpec, joined: bool) -> AcceptorConfig {
    let (server, machine) = (&spec.name, spec.machine());
    let dns = |name: &str| if joined { name.to_owned() } else { String::new() };
    AcceptorConfig {
        names: TargetNames {
            netbios_domain: if joined { domain.netbios.clone() } else { machine.clone() },
            netbios_computer: machine,
            dns_computer: if joined { format!("{server}.{}", domain.dns) } else { server.to_string() },
            dns_domain: dns(&domain.dns),
            dns_tree: dns(&domain.dns),
        },
        joined,
        version: match spec.version {
            // Windows Server 2003.
            IisVersion::Iis6 => Version::new(5, 2, 3790),
            // Windows Server 2022.
            IisVersion::Iis10 => Version::new(10, 0, 20_348),
        },
        ..AcceptorConfig::default()
    }
}
