//! The arguments of `serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use stickler_model::Name;
use stickler_model::topology::{ProtectionSpec, Provider};

use super::Format;

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nobody was served as somebody else; 1 somebody was; 2 a file or the arguments are wrong.\n\nExamples:\n  stickler serve --balancer pin-on-401 --port 8080\n  stickler serve --profile mine.toml --krb5-conf krb5.conf --log"
)]
pub(crate) struct Serve {
    /// The balancer in front of the servers: pin-on-401, or the profile of the file where there is one, by default.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Option<String>,
    /// A file of product profiles of your own (see docs/profile-schema.md). Where it has several, --balancer names one.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// The number of IIS servers: 2 by default, or as many as --servers names.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) iis: Option<u32>,
    /// The addresses on which the first servers listen, separated by commas, for your own balancer in front of them. Other servers
    /// listen on free ports of loopback.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',')]
    pub(crate) servers: Vec<SocketAddr>,
    /// The site of this script, or of the shipped scenario of this name, as its site(...) describes it; nothing that the script
    /// does there is done.
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["iis", "provider", "persist_non_ntlm", "pool_identity", "kernel_mode", "app_pool_credentials", "kdc_requires_checksum", "spn", "workgroup", "account", "tls", "http2", "token_checking", "protection_flag"])]
    pub(crate) site: Option<String>,
    /// The balancer's port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The address that the balancer listens on; the servers stay on loopback. The users and passwords are public: leave it
    /// on loopback unless you mean it.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,
    /// The address that the DC and its KDC listen on, for clients elsewhere that want tickets; loopback by default.
    #[arg(long, value_name = "IP")]
    pub(crate) listen_dc: Option<IpAddr>,
    /// The port of the DC's logon service; 0 picks a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) dc_port: u16,
    /// A provider that the servers offer: NTLM, Negotiate, Negotiate:Kerberos or Nego2. May be given more than once, in the order in
    /// which they are offered. By default, as in IIS, Negotiate and then NTLM.
    #[arg(long, value_name = "NAME", value_parser = provider)]
    pub(crate) provider: Vec<Provider>,
    #[command(flatten)]
    pub(crate) kerberos: Kerberos,
    #[command(flatten)]
    pub(crate) accounts: LocalAccounts,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) protection: Protection,
    /// Seeds the servers' challenges.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Check the servers' health by this command in place of the balancer's own check: it gets host, port, URI, user and
    /// the text to find as arguments, and the password in STICKLER_CHECK_PASSWORD; exit 0 is up.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) check_command: Option<PathBuf>,
    /// Print the servers' W3C log.
    #[arg(long)]
    pub(crate) log: bool,
    /// Print what servers, balancer and DC see.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// The form of the output: text, or one JSON object per line ("site" first, then "leak", "note", "log" and "event", and "verdict"
    /// last).
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// The settings of the site that concern Kerberos.
#[derive(Debug, Args)]
pub(crate) struct Kerberos {
    /// The KDC's port, for TCP and UDP; 0 picks a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) kdc_port: u16,
    /// Write a krb5.conf for kinit and curl to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) krb5_conf: Option<PathBuf>,
    /// authPersistNonNTLM: whether a ticket authenticates its connection, as NTLM always does, or its request alone.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) persist_non_ntlm: Switch,
    /// The account as which the application pools run, and which therefore has the service names: the machine account of each server
    /// (the names belong to the first server, and the others refuse its tickets), or the common account svc-web.
    #[arg(long, value_enum, default_value_t = PoolIdentity::Service)]
    pub(crate) pool_identity: PoolIdentity,
    /// useKernelMode: http.sys authenticates, as the machine.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) kernel_mode: Switch,
    /// useAppPoolCredentials: in kernel mode, tickets are decrypted with the pool's key after all. (IIS has it off by
    /// default, and refuses each ticket for a service account until it is on.)
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) app_pool_credentials: Switch,
    /// Whether the KDC refuses a request for a ticket whose authenticator has no checksum, as RFC 4120 and Samba do; one of
    /// Windows takes it, and impacket and minikerberos send none.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    pub(crate) kdc_requires_checksum: Switch,
    /// A service name (SPN) beside HTTP/localhost and HTTP/www.corp.example; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) spn: Vec<String>,
}

/// The accounts of the servers themselves.
#[derive(Debug, Args)]
pub(crate) struct LocalAccounts {
    /// The servers are in no domain: each has the users as accounts of its own, and there are no tickets.
    #[arg(long)]
    pub(crate) workgroup: bool,
    /// An account of every server, or of one (iis2/alice:Secret), in place of the one that it has; may be given more than once.
    #[arg(long, value_name = "[SERVER/]NAME:PASSWORD", value_parser = account)]
    pub(crate) account: Vec<LocalAccount>,
}

/// An account of one server, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalAccount {
    pub(crate) server: Option<String>,
    pub(crate) name: String,
    pub(crate) password: String,
}

fn account(text: &str) -> Result<LocalAccount, String> {
    let (who, password) = text.split_once(':').ok_or("an account is NAME:PASSWORD, or SERVER/NAME:PASSWORD")?;
    let (server, name) = who.split_once('/').map_or((None, who), |(server, name)| (Some(server.to_owned()), name));
    if !Name::is_plain(name) {
        return Err("the name of an account has letters, digits, - and _, at most 32".to_owned());
    }
    Ok(LocalAccount { server, name: name.to_owned(), password: password.to_owned() })
}

/// TLS of the site.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// Serve over TLS, on loopback alone. A balancer of connections (l4-...) passes it on to the servers; one of requests
    /// ends it, and speaks to the servers over TLS again, with a certificate of each one's own (the default) or the same
    /// as its own, or without (plain).
    #[arg(id = "tls", long = "tls", value_enum, value_name = "UPSTREAM", num_args = 0..=1, default_missing_value = "own")]
    pub(crate) upstream: Option<Upstream>,
    /// Write the authority's certificate, a fresh one, to this file, for curl --cacert.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Offer HTTP/2 to clients.
    #[arg(long, requires = "tls")]
    pub(crate) http2: bool,
}

/// The protection between the balancer and the servers if TLS ends at the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Upstream {
    /// TLS with a certificate of each server's own.
    Own,
    /// TLS with the balancer's certificate.
    Same,
    /// Plain HTTP.
    Plain,
}

/// Extended protection of the sites (EPA).
#[derive(Debug, Args)]
pub(crate) struct Protection {
    /// tokenChecking: whether tokens have to be bound to the certificate, or, without TLS or with the flag Proxy, to a
    /// name of the site: those with a dot, or all of them with the flag AllowDotlessSpn. none by default.
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) token_checking: Option<TokenChecking>,
    /// A flag of extendedProtection: Proxy, NoServiceNameCheck, AllowDotlessSpn, ProxyCohosting; may be given more than
    /// once.
    #[arg(long, value_name = "FLAG", value_parser = protection_flag, requires = "token_checking")]
    pub(crate) protection_flag: Vec<u32>,
}

/// `tokenChecking` of `<extendedProtection>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenChecking {
    /// Tokens are not checked.
    None,
    /// A binding is checked if the token has one.
    Allow,
    /// A token must have a binding, which is checked.
    Require,
}

/// A setting of IIS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Switch {
    /// Returns whether the setting is on.
    pub(crate) const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// The account as which application pools run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolIdentity {
    /// ApplicationPoolIdentity or NetworkService: the machine's account.
    Machine,
    /// A service account that the whole farm shares.
    Service,
}

/// A provider by the name that IIS has for it, in any case.
fn provider(name: &str) -> Result<Provider, String> {
    const PROVIDERS: [(&str, Provider); 4] = [
        ("NTLM", Provider::Ntlm),
        ("Negotiate", Provider::Negotiate),
        ("Negotiate:Kerberos", Provider::NegotiateKerberos),
        ("Nego2", Provider::Nego2),
    ];
    one_of("providers", name, &PROVIDERS)
}

/// A flag of extended protection by the name that IIS has for it, in any case.
fn protection_flag(name: &str) -> Result<u32, String> {
    const FLAGS: [(&str, u32); 4] = [
        ("Proxy", ProtectionSpec::PROXY),
        ("NoServiceNameCheck", ProtectionSpec::NO_SERVICE_NAME_CHECK),
        ("AllowDotlessSpn", ProtectionSpec::ALLOW_DOTLESS_SPN),
        ("ProxyCohosting", ProtectionSpec::PROXY_COHOSTING),
    ];
    one_of("flags", name, &FLAGS)
}

fn one_of<T: Copy>(kind: &str, name: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
        format!("the {kind} are {}", names.join(", "))
    })
}
