//! The command line.

mod hunt;
mod script;

#[cfg(unix)]
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stickler_model::Name;
use stickler_model::topology::{ProtectionSpec, Provider};

pub(crate) use hunt::{Hunt, Merge, Shard};
pub(crate) use script::{DocsFormat, Lint, New, Script, ScriptCommand, Watch};

/// Shows, reproducibly, how a load balancer treats Windows authentication.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 as expected, or equal to what is recorded; 1 not, or a plan without a record violates a MUST; 2 a script, a run file or the arguments are wrong; 3 nothing matched, or every run was skipped; 4 a product is missing, or a target is clean in too few requests to say so."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios over balancers in the simulated world, and judge them.
    Run(Run),
    /// Perform the plans of run files again, without their scripts, and compare what is seen with what is recorded.
    Replay(Replay),
    /// Show the shipped scenarios, the balancers and the requirements.
    List(List),
    /// Measure which product keeps which requirement.
    Matrix(Matrix),
    /// Run the same scenarios over profiles in the simulation and over the products themselves, and show where they differ.
    #[cfg(unix)]
    Compare(Compare),
    /// Say whether a balancer keeps users apart, from its own configuration file: run the real product on a safe copy of it, in front
    /// of Stickler's servers, and show which line to change.
    #[cfg(unix)]
    Check(Check),
    /// Look for what nobody has scripted: random plans, changed where they reach something new, judged, and shrunk to the shortest
    /// that shows the same.
    Hunt(Hunt),
    /// Put the shards of a hunt together.
    Merge(Merge),
    /// Say how a product, or a mechanism, treats connections; or what a requirement, a defect or a scenario is, how its violation
    /// shows in the logs of IIS, and what cures it. Each with where that is known from.
    Explain(Explain),
    /// Write scenarios: begin one, find its mistakes, look the language up, and see the verdict after each save.
    Script(Script),
    /// Start mock DC, mock IIS servers and a balancer on real sockets, for real clients.
    ///
    /// Whoever is served as another user is told at once ("LEAK: bob was served as alice"), with what proves it, and so are all of
    /// them at the end (exit code 1). A server cannot know who sent a request without credentials, so the clients have to say
    /// it: curl -H 'x-stickler-user: bob', or '-' for a client without credentials, with every request; or in the query,
    /// /?x-stickler-user=bob, as a browser can. The servers note that name and do nothing else by it. What is sent without it is served all
    /// the same, and not judged: it may be the next request of whoever authenticated the connection.
    Serve(Serve),
    /// Run a program, and kill it and all that it started when standard input ends; or keep a folder until then. Not for use by
    /// hand.
    #[cfg(unix)]
    #[command(hide = true)]
    Supervise(Supervise),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Scripts, folders of scripts (*.star), or names of shipped scenarios or of their groups; all shipped ones by
    /// default.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// A mechanism or a product profile to run over, with defects on top if you like (pin-on-401+B6); may be given more
    /// than once. All mechanisms by default.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Vec<String>,
    /// A file of product profiles of your own (see docs/profile-schema.md); each is run over. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// Where to run: simulated, or on real sockets of this machine, over the real product where the profile says how it is
    /// started (HAProxy, nginx, httpd, Envoy ...), and else over our own balancer.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arm: Arm,
    /// The seed: the same seed gives the same trace, byte for byte; on real sockets, the same requests.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Run each pair with this many seeds, from --seed on.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) repeat: NonZeroU32,
    /// How to show the outcome.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Show the evidence of every run, also of those that ended as expected; by default where there are few.
    #[arg(long)]
    pub(crate) evidence: bool,
    /// Show everything that was seen, with the evidence marked.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// Worlds to run at a time, at most 256; as many as there are cores by default, on real sockets twice as many.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Write a run file for each run into this folder, as SCENARIO/BALANCER/SEED.jsonl. No file is ever overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A balancer that runs already.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Run over a balancer, container or appliance that runs already, and that Stickler neither starts nor configures, with
    /// --arm wire: clients connect here (http://127.0.0.1:8081), and Stickler is the servers behind it (--servers). Requests
    /// carry `Host: www.corp.example`. It is judged by what every balancer has to do; what only some promise (persistence,
    /// health checks) is held against it where --balancer or --profile says what it behaves as. Scenarios that need TLS, or a
    /// balancer that is stopped or drained, are skipped. One scenario runs at a time.
    #[arg(id = "target", long = "target", value_name = "URL", requires = "servers", conflicts_with = "jobs", value_parser = crate::target::url)]
    pub(crate) url: Option<TargetUrl>,
    /// The addresses that the target sends to, separated by commas: Stickler's servers listen there, and nowhere else. A
    /// scenario with fewer servers gets more of the same; one with more is skipped.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', requires = "target")]
    pub(crate) servers: Vec<SocketAddr>,
    /// How long the target may take, before each scenario, until it sends to all servers again; at most an hour.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) settle: Duration,
}

/// The address of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetUrl {
    /// As it was given.
    pub(crate) text: String,
    /// As it was looked up.
    pub(crate) address: SocketAddr,
}

/// A number of seconds, `10`, `0.5` or `10s`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let time = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= Duration::from_hours(1)).ok_or_else(|| "a number of seconds, at most 3600".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Run files, as `stickler run --record` writes them.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to perform the plans; as they were recorded, by default. On real sockets no trace is the same twice, and the requirements
    /// that are violated are compared.
    #[arg(long, value_enum)]
    pub(crate) arm: Option<Arm>,
    /// Show everything that was seen.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// In place of comparing: find the shortest plan that shows the same, for each kind of failure that a plan shows, and write it
    /// into --out, as KIND.star and KIND.jsonl.
    #[arg(long, conflicts_with = "transcript")]
    pub(crate) shrink: bool,
    /// The folder for what --shrink writes. No file is ever overwritten.
    #[arg(long, value_name = "DIR", default_value = ".", requires = "shrink")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// Profiles, or the words that they start with (haproxy, gcp); all by default.
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Mechanisms in place of products.
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) mechanisms: bool,
    /// A file of product profiles of your own; they stand after the others, alone if none is named. May be given more
    /// than once.
    #[arg(long, value_name = "FILE", conflicts_with = "mechanisms")]
    pub(crate) profile: Vec<PathBuf>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TableFormat,
    /// Where to run: simulated, or on real sockets of this machine.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arm: Arm,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Run each pair with this many seeds, from --seed on; the worst counts.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) repeat: NonZeroU32,
    /// Worlds to run at a time, at most 256; as many as there are cores by default, on real sockets twice as many.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// Which profiles are compared with their products, and how often.
#[cfg(unix)]
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Profiles whose product can be started, or the words that they start with (haproxy); all of them by default.
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// A file of product profiles of your own (see docs/profile-schema.md), which are compared instead: all of them, or those that
    /// are named. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// Scenarios, or their groups; may be given more than once. All shipped ones by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Trials of each scenario over each product. Few show great differences alone; 200 show those of a tenth.
    #[arg(long, default_value = "3", value_name = "N")]
    pub(crate) trials: NonZeroU32,
    /// Seeds of each scenario over each profile in the simulation.
    #[arg(long, default_value = "10", value_name = "N")]
    pub(crate) seeds: NonZeroU32,
    /// Worlds on real sockets at a time, at most 256; twice as many as there are cores by default.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// How to show the comparison.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Whose configuration is checked, and how.
#[cfg(unix)]
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 clean; 1 users are mixed up or cannot log on, or the simulation differs; 2 the file or the arguments \
are wrong; 3 nothing could be judged; 4 the product is missing, or what was seen is too little to call it clean."
)]
pub(crate) struct Check {
    /// The configuration file: haproxy.cfg, nginx.conf, httpd.conf, a Caddyfile, envoy.yaml or a file of VCL. It is only read, and
    /// what it includes as well. Of HAProxy, there may be several, and folders with files `*.cfg`, in the order in which HAProxy gets
    /// them (`-f`).
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The product, where the file does not tell.
    #[arg(long, value_name = "NAME", value_parser = language)]
    pub(crate) product: Option<stickler_advisor::Language>,
    /// Check the sites with this text in their names, a backend or a server name, alone; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Vec<String>,
    /// What clients call the site, where the configuration wants another name than www.corp.example.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Only read the file, and say what the simulation makes of it. Nothing is started.
    #[arg(long = "static", conflicts_with = "write")]
    pub(crate) is_static: bool,
    /// Write the changed file to this one, where the changes were seen to cure it. No file is ever overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Do not enter an empty network namespace before the product is started.
    #[arg(long)]
    pub(crate) no_namespace: bool,
    /// Show the events that prove each violation.
    #[arg(long)]
    pub(crate) evidence: bool,
    /// How to show the outcome.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Worlds to run at a time, at most 256; twice as many as there are cores by default.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// A product whose configuration can be read, by its name.
#[cfg(unix)]
fn language(name: &str) -> Result<stickler_advisor::Language, String> {
    stickler_advisor::Language::of_product(name).ok_or_else(|| {
        let known: Vec<&str> = stickler_advisor::Language::ALL.map(stickler_advisor::Language::product).into();
        format!("the products are {}", known.join(", "))
    })
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A product profile, a file of profiles of your own, a mechanism, one with defects, a requirement (ID-1), a defect (B6) or a
    /// scenario, looked for in this order.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// In words; or, of profiles and mechanisms, as the file of a profile, to start one of your own from.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Explanation,
}

/// The arm that scenarios run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arm {
    /// In simulated time: the same seed gives the same trace.
    #[default]
    Sim,
    /// On real sockets of this machine, in real time.
    Wire,
}

/// The form in which something is explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Explanation {
    /// For people.
    #[default]
    Pretty,
    /// A file of profiles, for `--profile`.
    Toml,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The balancer in front of the servers: pin-on-401, or the profile of the file where there is one, by default.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Option<String>,
    /// A file of product profiles of your own (see docs/profile-schema.md). Where it has several, --balancer names one.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// How many IIS servers; 2 by default, or as many as --servers names.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) iis: Option<u32>,
    /// Where the first servers listen, separated by commas, for a balancer of your own in front of them. Others listen on
    /// loopback, on ports that are free.
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
    /// What the servers offer, in order: NTLM, Negotiate, Negotiate:Kerberos, Nego2; may be given more than once.
    /// Negotiate and then NTLM by default, as IIS has it.
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
    /// How to print all that: as text, or as one JSON object per line ("site" first, "leak", "note", "log", "event", and
    /// "verdict" last).
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// What a supervisor is to run.
#[cfg(unix)]
#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// A folder to make, and to remove when standard input ends.
    #[arg(long, value_name = "DIR", conflicts_with = "program", required_unless_present = "program")]
    pub(crate) folder: Option<PathBuf>,
    /// The program.
    pub(crate) program: Option<OsString>,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// What a site of IIS has to do with Kerberos.
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
    /// Whom the application pools run as, and who so has the service names: each server's machine account (the names are
    /// those of the first, and the others refuse its tickets), or the common account svc-web.
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

/// What is between the balancer and the servers, where TLS ends at the balancer.
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
    /// What a token says is checked.
    Allow,
    /// It is checked, and has to be there.
    Require,
}

/// A setting of IIS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Switch {
    /// Whether it is on.
    pub(crate) const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Whom application pools run as.
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

/// How to show something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Pretty,
    /// For programs: one JSON document.
    Json,
}

/// How to show a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// For a terminal: a column for each family of requirements.
    #[default]
    Pretty,
    /// A column for each requirement.
    Markdown,
    /// For programs: one JSON document, with the evidence.
    Json,
    /// One page, with the evidence.
    Html,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
