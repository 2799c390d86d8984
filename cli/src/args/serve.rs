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
    after_help = "Exit codes: 0 no user was served as another; 1 some user was; 2 a file or the arguments are wrong.\n\nExamples:\n  stickler serve --balancer pin-on-401 --port 8080\n  stickler serve --profile mine.toml --krb5-conf krb5.conf --log"
)]
pub(crate) struct Serve {
    /// The balancer in front of the servers. The default is pin-on-401, or the profile of the file if one is given.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Option<String>,
    /// A file with your own product profiles (see docs/profile-schema.md). If it has several, --balancer names one.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// The number of IIS servers: 2 by default, or as many as --servers names.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) iis: Option<u32>,
    /// The addresses on which the first servers listen, separated by commas, for your own balancer in front of them. Other servers
    /// listen on free ports of loopback.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',')]
    pub(crate) servers: Vec<SocketAddr>,
    /// The site of this script, or of the shipped scenario of this name, as its site(...) describes it. The script's actions
    /// are not performed.
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["iis", "provider", "persist_non_ntlm", "pool_identity", "kernel_mode", "app_pool_credentials", "kdc_requires_checksum", "spn", "workgroup", "account", "tls", "http2", "token_checking", "protection_flag"])]
    pub(crate) site: Option<String>,
    /// The balancer's port; 0 selects a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The address on which the balancer listens; the servers stay on loopback. The users and passwords are public, so leave it
    /// on loopback unless you know the risk.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,
    /// The address on which the DC and its KDC listen, for clients on other machines that need tickets; loopback by default.
    #[arg(long, value_name = "IP")]
    pub(crate) listen_dc: Option<IpAddr>,
    /// The port of the DC's logon service; 0 selects a free one.
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
    /// The seed of the servers' challenges.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Check the servers' health by this command instead of the balancer's own check. It gets host, port, URI, user and the
    /// text to find as arguments, and the password in STICKLER_CHECK_PASSWORD; exit code 0 means up.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) check_command: Option<PathBuf>,
    /// Print the servers' W3C log.
    #[arg(long)]
    pub(crate) log: bool,
    /// Print the events of servers, balancer and DC.
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
    /// The KDC's port, for TCP and UDP; 0 selects a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) kdc_port: u16,
    /// Write a krb5.conf for kinit and curl to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) krb5_conf: Option<PathBuf>,
    /// authPersistNonNTLM: whether a ticket authenticates its connection, as NTLM always does, or only its request.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) persist_non_ntlm: Switch,
    /// The account as which the application pools run, and which therefore has the service names: the machine account of each server
    /// (the names belong to the first server, and the others refuse its tickets), or the common account svc-web.
    #[arg(long, value_enum, default_value_t = PoolIdentity::Service)]
    pub(crate) pool_identity: PoolIdentity,
    /// useKernelMode: http.sys authenticates, with the machine's account.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) kernel_mode: Switch,
    /// useAppPoolCredentials: in kernel mode, tickets are nevertheless decrypted with the pool's key. (This is off by default
    /// in IIS, which then refuses each ticket for a service account.)
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) app_pool_credentials: Switch,
    /// Whether the KDC refuses a request for a ticket whose authenticator has no checksum, as RFC 4120 and Samba do. A
    /// Windows KDC accepts it, and impacket and minikerberos send none.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    pub(crate) kdc_requires_checksum: Switch,
    /// A service name (SPN) in addition to HTTP/localhost and HTTP/www.corp.example; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) spn: Vec<String>,
}

/// The accounts of the servers themselves.
#[derive(Debug, Args)]
pub(crate) struct LocalAccounts {
    /// The servers are in no domain: each has the users as local accounts, and there are no tickets.
    #[arg(long)]
    pub(crate) workgroup: bool,
    /// An account of every server, or of one (iis2/alice:Secret), which replaces the server's account; may be given more than once.
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

/// The TLS of the site.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// Serve over TLS, on loopback only. A layer 4 balancer (l4-...) passes it on to the servers. A layer 7 balancer
    /// terminates it, and connects to the servers over TLS again, with each server's own certificate (the default) or with
    /// the same as its own, or without TLS (plain).
    #[arg(id = "tls", long = "tls", value_enum, value_name = "UPSTREAM", num_args = 0..=1, default_missing_value = "own")]
    pub(crate) upstream: Option<Upstream>,
    /// Write the authority's certificate, which is created anew, to this file, for curl --cacert.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Offer HTTP/2 to clients.
    #[arg(long, requires = "tls")]
    pub(crate) http2: bool,
}

/// The protection between the balancer and the servers if TLS ends at the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Upstream {
    /// TLS with each server's own certificate.
    Own,
    /// TLS with the balancer's certificate.
    Same,
    /// Plain HTTP.
    Plain,
}

/// The extended protection of the sites (EPA).
#[derive(Debug, Args)]
pub(crate) struct Protection {
    /// tokenChecking: whether tokens have to be bound to the certificate, or, without TLS or with the flag Proxy, to a name
    /// of the site: to names with a dot, or to all of them with the flag AllowDotlessSpn. The default is none.
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

/// The account that application pools run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolIdentity {
    /// ApplicationPoolIdentity or NetworkService: the machine's account.
    Machine,
    /// A service account that the whole farm shares.
    Service,
}

/// Returns a provider by its name in IIS, in upper or lower case.
fn provider(name: &str) -> Result<Provider, String> {
    const PROVIDERS: [(&str, Provider); 4] = [
        ("NTLM", Provider::Ntlm),
        ("Negotiate", Provider::Negotiate),
        ("Negotiate:Kerberos", Provider::NegotiateKerberos),
        ("Nego2", Provider::Nego2),
    ];
    one_of("providers", name, &PROVIDERS)
}

/// Returns a flag of extended protection by its name in IIS, in upper or lower case.
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
