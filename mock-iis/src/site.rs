//! A site: how one server is set up. It outlives the server's process, so that a restarted server
//! goes on numbering where it stopped, and a trace never has two connections of one number.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::Scheme;
use stickler_auth::kerberos::ap;
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::ntlm::acceptor::{AcceptorConfig, TargetNames};
use stickler_auth::ntlm::wire::Version;
use stickler_model::topology::{Acceptor, AppPool, DomainSpec, FileSpec, KeepAlive, Provider, ServerSpec, SiteSpec};
use stickler_model::{Name, Principal};
use stickler_net::tls::{self, ServerTls};
use stickler_netlogon::LogonNumbers;

use crate::Sam;
use crate::authn::{AuthConfig, AuthRules};
use crate::codes::LogCodes;
use crate::log::Entry;
use crate::protection::Protection;

/// Takes each line of the W3C log.
pub type LogSink = Arc<dyn Fn(&Entry) + Send + Sync>;

/// One server's configuration, and the counters of its connections and logons.
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
    /// What its connections have TLS with.
    pub(crate) tls: Option<ServerTls>,
    /// That of the certificate.
    pub(crate) binding: Option<ChannelBinding>,
    spec: SiteSpec,
    /// Names that the machine goes by in the domain.
    hosts: [String; 2],
    pub(crate) limits: ServerLimits,
    pub(crate) log: Option<LogSink>,
    connections: AtomicU32,
    pub(crate) logons: Arc<LogonNumbers>,
}

/// Where the server has its accounts from.
pub struct Accounts {
    pub(crate) dc: Option<DcLink>,
    pub(crate) sam: Mutex<Sam>,
}

/// The way to the domain controllers.
pub(crate) struct DcLink {
    /// Where they listen, in the order in which they are asked.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The secret of this machine's account in the domain.
    pub(crate) secret: Arc<[u8]>,
}

/// Bounds on what a peer may send, and how long anything may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// A request's head in bytes, more of which is answered 400 (http.sys: `MaxFieldLength` and
    /// `MaxRequestBytes`, 16 KiB).
    pub head: usize,
    /// A head in bytes that is not even read to its end: 431, and the connection is closed.
    pub head_read: usize,
    /// Body of a request that is answered 401, in bytes: up to this it is read and dropped, so that the
    /// connection, and the handshake with it, goes on; beyond it, the answer closes the connection.
    pub drain: u64,
    /// A connection without a whole head for this long is closed (IIS: `connectionTimeout`, `headerWaitTimeout`).
    pub idle: Duration,
    /// Clients that an acceptor with a table, or a gate, remembers: beyond them, the one unused for longest goes.
    pub sessions: NonZeroUsize,
    /// A body whose next part takes longer than this ends its connection.
    pub body: Duration,
    /// Connecting to a DC, after which the next one is asked.
    pub connect: Duration,
    /// A DC's reply, after which the next one is asked. With `connect`, over all DCs, it should stay below
    /// what user agents wait: two DCs of which none answers take 20 s by default.
    pub logon: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            head_read: 64 * 1024,
            drain: 64 * 1024 * 1024,
            idle: Duration::from_mins(2),
            sessions: const { NonZeroUsize::new(10_000).expect("not zero") },
            body: Duration::from_mins(2),
            connect: Duration::from_secs(5),
            logon: Duration::from_secs(10),
        }
    }
}

impl ServerLimits {
    pub(crate) fn netlogon(&self) -> stickler_netlogon::ChannelTimeouts {
        stickler_netlogon::ChannelTimeouts { connect: self.connect, reply: self.logon }
    }
}

impl Accounts {
    /// The accounts of a domain with one DC: the machine is joined.
    pub fn dc(address: SocketAddr, secret: &[u8]) -> Self {
        Self::domain(vec![address], secret)
    }

    /// The accounts of a domain with several DCs, which are asked in this order until one knows
    /// ([`stickler_netlogon::SecureChannel`]).
    pub fn domain(addresses: Vec<SocketAddr>, secret: &[u8]) -> Self {
        Self { dc: Some(DcLink { addresses, secret: secret.into() }), sam: Mutex::new(Sam::new("", &[])) }
    }

    /// Local accounts alone: the machine is in no domain.
    pub fn local(sam: Sam) -> Self {
        Self { dc: None, sam: Mutex::new(sam) }
    }

    /// Adds local accounts to a joined machine, for domains that its DC does not know.
    #[must_use]
    pub fn with_sam(mut self, sam: Sam) -> Self {
        self.sam = Mutex::new(sam);
        self
    }
}

impl WebSite {
    /// A site as the topology has it: the domain gives the names in the Challenge and the forbidden users.
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
            ntlm: Arc::new(acceptor(&spec.name, domain, joined)),
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
            tls: None,
            binding: None,
            spec: spec.site.clone(),
            hosts: [spec.name.to_string(), format!("{}.{}", spec.name, domain.dns)],
            limits: ServerLimits::default(),
            log: None,
            connections: AtomicU32::new(0),
            logons: Arc::default(),
        };
        site.protected()
    }

    /// The account whose keys [`WebSite::with_kerberos`] is to be given.
    pub fn ticket_account(&self) -> &AppPool {
        self.spec.ticket_account()
    }

    /// Accepts tickets under `Negotiate`, with the keys of [`WebSite::ticket_account`]. Without, there is
    /// NTLM alone.
    #[must_use]
    pub fn with_kerberos(mut self, keys: ServiceKeys) -> Self {
        let auth = Arc::make_mut(&mut self.auth);
        auth.kerberos = Some(Arc::new(ap::AcceptorConfig::new(keys)));
        self.protected()
    }

    /// Names the users of another realm by their domain's NetBIOS name; those of the site's own domain
    /// are known.
    #[must_use]
    pub fn with_domain(self, realm: &str, netbios: &str) -> Self {
        self.with_auth(|auth| auth.domains.push((realm.to_uppercase(), netbios.to_owned())))
    }

    /// Serves over TLS alone; extended protection compares with the binding of its certificate.
    #[must_use]
    pub fn with_tls(self, tls: ServerTls) -> Self {
        let site = self.with_certificate(tls.certificate());
        Self { tls: Some(tls), ..site }
    }

    /// Says that connections have TLS with this certificate (DER), and that somebody else sees to it.
    #[must_use]
    pub fn with_certificate(self, certificate: &[u8]) -> Self {
        self.with_binding(ChannelBinding::tls_server_end_point(&tls::end_point(certificate)))
    }

    /// Says that connections have TLS, with a certificate of this binding, and that somebody else sees to it.
    #[must_use]
    pub fn with_binding(mut self, binding: ChannelBinding) -> Self {
        self.binding = Some(binding);
        self.protected()
    }

    /// The same, with what extended protection comes to in either package.
    fn protected(mut self) -> Self {
        let protection = Protection::of(&self.spec.protection, self.binding.is_some(), &self.hosts);
        let auth = Arc::make_mut(&mut self.auth);
        protection.apply(Arc::make_mut(&mut auth.ntlm), auth.kerberos.as_mut().map(Arc::make_mut));
        self
    }

    /// Changes how the site authenticates.
    #[must_use]
    pub fn with_auth(mut self, change: impl FnOnce(&mut AuthConfig)) -> Self {
        change(Arc::make_mut(&mut self.auth));
        self
    }

    /// Changes what the server ties a user to.
    #[must_use]
    pub fn with_acceptor(mut self, acceptor: Acceptor) -> Self {
        self.acceptor = acceptor;
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends each line of the log to `sink`. Without a sink, no line is made.
    #[must_use]
    pub fn with_log(mut self, sink: LogSink) -> Self {
        self.log = Some(sink);
        self
    }

    /// The server's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The machine's NetBIOS name: its name in upper case.
    pub fn machine(&self) -> String {
        self.name.as_str().to_uppercase()
    }

    /// The number of a connection just accepted, from 1.
    pub(crate) fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// The NetBIOS names of the domain and those that it trusts, by realm.
fn names_of_realms(domain: &DomainSpec) -> Vec<(String, String)> {
    let trusted = domain.trusts.iter().map(|trust| (&trust.dns, &trust.netbios));
    let all = std::iter::once((&domain.dns, &domain.netbios)).chain(trusted);
    all.map(|(dns, netbios)| (dns.to_uppercase(), netbios.clone())).collect()
}

fn only_kerberos(providers: &[Provider]) -> bool {
    providers.contains(&Provider::NegotiateKerberos) && !providers.contains(&Provider::Negotiate)
}

/// `Negotiate:Kerberos` is `Negotiate` on the wire; a scheme is offered once.
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

fn acceptor(server: &Name, domain: &DomainSpec, joined: bool) -> AcceptorConfig {
    let machine = server.as_str().to_uppercase();
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
        // Windows Server 2022.
        version: Version::new(10, 0, 20_348),
        ..AcceptorConfig::default()
    }
}
