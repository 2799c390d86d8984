//! The mocks and a balancer on real sockets, for real clients.

use std::io::{self, Write as _};
use std::sync::Arc;

use stickler_model::topology::{
    AppPool, Checking, ControllerSpec, ProtectionSpec, Provider, ServerSpec, ServiceSpec, SiteSpec, TlsSpec,
    UpstreamTls, UserSpec,
};
use stickler_model::{BalancerSpec, Topology, escape, standard};
use stickler_report::transcript;
use stickler_site::Balancer;
use stickler_wire::{Options, Site};

use crate::args::{LocalAccount, LocalAccounts, PoolIdentity, Protection, Serve, Tls, TokenChecking, Upstream};
use crate::{Failure, balancers, own_file, supervisor};

/// The balancer that serves where none is named.
const BALANCER: &str = "pin-on-401";

/// The account that the servers share.
const SERVICE: &str = "svc-web";
const SERVICE_PASSWORD: &str = "Svc-web-Pa55word";

/// The names that clients know the balancer by.
const SPNS: [&str; 2] = ["HTTP/localhost", "HTTP/www.corp.example"];

pub(crate) fn serve(arguments: &Serve) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Wrong(format!("cannot start: {error}")))?;
    // Dropping the runtime at the end closes every socket.
    runtime.block_on(async {
        let options = options(arguments)?;
        warn(arguments)?;
        let (topology, balancer) = (options.topology.clone(), options.balancer.spec().to_string());
        let site = Site::start(options).map_err(|error| Failure::Wrong(error.to_string()))?;
        if let Some(file) = &arguments.kerberos.krb5_conf {
            own_file::write(file, &site.kdc.krb5_conf())?;
        }
        if let (Some(file), Some(tls)) = (&arguments.tls.ca_file, &site.tls) {
            own_file::write(file, &tls.authority.pem())?;
        }
        let deaf = |error: io::Error| Failure::Wrong(format!("cannot wait for Ctrl-C: {error}"));
        // Whoever reads the last line of the announcement may send the signal at once.
        let end = end_asked_for().map_err(deaf)?;
        announce(&site, &topology, &balancer, arguments)?;
        end.await.map_err(deaf)?;
        writeln!(io::stdout(), "stopped")?;
        Ok(())
    })
}

/// Says what is open to others than this machine.
fn warn(arguments: &Serve) -> io::Result<()> {
    let open = [(arguments.listen, "the balancer"), (arguments.listen_dc.unwrap_or(arguments.listen), "the DC")];
    let open = &open[..if arguments.listen_dc.is_some() { 2 } else { 1 }];
    for (address, who) in open.iter().filter(|(address, _)| !address.is_loopback()) {
        writeln!(
            io::stderr(),
            "stickler: warning: {who} listens on {address}, beyond this machine and without TLS: whoever reaches it can \
             log on, since the users and passwords are public, and everybody on the way can read"
        )?;
    }
    Ok(())
}

fn options(arguments: &Serve) -> Result<Options, Failure> {
    // A reader that has gone away is no reason to stop serving.
    let print = |line: String| drop(writeln!(io::stdout(), "{}", escape::line(&line)));
    let balancer = Balancer::of(&balancer(arguments)?).map_err(|error| Failure::Wrong(error.to_string()))?;
    let mut options = Options::new(topology(arguments)?, balancer);
    options.address = arguments.listen;
    options.controller_address = arguments.listen_dc;
    options.kdc_port = arguments.kerberos.kdc_port;
    options.port = arguments.port;
    options.seed = arguments.seed;
    options.check_command.clone_from(&arguments.check_command);
    options.supervisor = cfg!(unix).then(supervisor::own).transpose()?;
    options.check_failed = Some(Arc::new(|failure| drop(writeln!(io::stderr(), "stickler: {failure}"))));
    if arguments.log {
        options.log = Some(Arc::new(move |entry| print(entry.to_string())));
    }
    if arguments.transcript {
        options.events = Box::new(move |event| print(transcript::line(&event)));
    }
    Ok(options)
}

/// The balancer that is asked for.
fn balancer(arguments: &Serve) -> Result<BalancerSpec, Failure> {
    let own = balancers::own_profiles(&arguments.profile)?;
    let names: Vec<String> = match (&arguments.balancer, own.is_empty()) {
        (Some(name), _) => vec![name.clone()],
        (None, true) => vec![BALANCER.into()],
        (None, false) => own.iter().map(|profile| profile.name.clone()).collect(),
    };
    match &balancers::named(&names, &own)?[..] {
        [only] => Ok(only.clone()),
        _ => Err(Failure::Wrong(format!("--balancer has to say which of these serves: {}", names.join(", ")))),
    }
}

/// The standard site, set up as the arguments say.
fn topology(arguments: &Serve) -> Result<Topology, Failure> {
    let mut topology = standard::site(arguments.iis);
    let kerberos = &arguments.kerberos;
    let (pool, account) = match kerberos.pool_identity {
        PoolIdentity::Machine => (AppPool::Machine, topology.servers.first().map(|server| format!("{}$", server.name))),
        PoolIdentity::Service => (AppPool::Service(SERVICE.into()), Some(SERVICE.into())),
    };
    let names: Vec<String> = SPNS.into_iter().map(str::to_owned).chain(kerberos.spn.iter().cloned()).collect();
    topology.domain.users.push(UserSpec::new(SERVICE, SERVICE_PASSWORD));
    topology.domain.services.extend(account.map(|account| ServiceSpec {
        account,
        spns: names.clone(),
        trusted_for_delegation: false,
    }));
    for server in &mut topology.servers {
        server.providers.clone_from(&arguments.provider);
        if server.providers.is_empty() {
            server.providers = vec![Provider::Negotiate, Provider::Ntlm];
        }
        server.site = SiteSpec {
            pool: pool.clone(),
            kernel_mode: kerberos.kernel_mode.is_on(),
            app_pool_credentials: kerberos.app_pool_credentials.is_on(),
            persist_non_ntlm: kerberos.persist_non_ntlm.is_on(),
            protection: protection(&arguments.protection, &names),
            ..SiteSpec::default()
        };
    }
    topology.controllers = vec![ControllerSpec {
        requires_checksum: kerberos.kdc_requires_checksum.is_on(),
        ..ControllerSpec::new("dc".into())
    }];
    add_accounts(&mut topology, &arguments.accounts)?;
    topology.tls = tls(&arguments.tls);
    Ok(topology)
}

/// Gives the servers accounts of their own.
fn add_accounts(topology: &mut Topology, arguments: &LocalAccounts) -> Result<(), Failure> {
    let users = topology.domain.users.iter().filter(|user| user.name != SERVICE);
    let users: Vec<UserSpec> = users.filter(|_| arguments.workgroup).cloned().collect();
    for server in &mut topology.servers {
        server.workgroup = arguments.workgroup;
        server.accounts.clone_from(&users);
    }
    for LocalAccount { server, name, password } in &arguments.account {
        let meant = |spec: &ServerSpec| server.as_ref().is_none_or(|server| spec.name.as_str() == server);
        if !topology.servers.iter().any(meant) {
            let server = server.as_deref().unwrap_or_default();
            let known: Vec<&str> = topology.servers.iter().map(|server| server.name.as_str()).collect();
            return Err(Failure::Wrong(format!("there is no server `{server}`; there are: {}", known.join(", "))));
        }
        for spec in topology.servers.iter_mut().filter(|spec| meant(spec)) {
            spec.accounts.retain(|user| !user.name.eq_ignore_ascii_case(name));
            spec.accounts.push(UserSpec::new(name, password));
        }
    }
    Ok(())
}

/// Extended protection, with the site's names in its list as an administrator enters them: a server knows its own alone.
fn protection(arguments: &Protection, names: &[String]) -> ProtectionSpec {
    let checking = match arguments.token_checking {
        None => return ProtectionSpec::default(),
        Some(TokenChecking::None) => Checking::None,
        Some(TokenChecking::Allow) => Checking::Allow,
        Some(TokenChecking::Require) => Checking::Require,
    };
    let flags = arguments.protection_flag.iter().fold(0, |flags, flag| flags | flag);
    ProtectionSpec { checking, flags, service_names: names.to_vec() }
}

fn tls(arguments: &Tls) -> Option<TlsSpec> {
    let upstream = match arguments.upstream? {
        Upstream::Own => UpstreamTls::Own,
        Upstream::Same => UpstreamTls::Same,
        Upstream::Plain => UpstreamTls::Plain,
    };
    Some(TlsSpec { upstream, http2: arguments.http2 })
}

fn announce(site: &Site, topology: &Topology, balancer: &str, arguments: &Serve) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let curl = Curl::of(site, arguments);
    writeln!(out, "balancer  {balancer:<18} {}://{}/", curl.scheme, site.front_end)?;
    let scheme = if site.tls.as_ref().is_some_and(|tls| tls.servers) { "https" } else { "http" };
    for (name, address) in &site.servers {
        writeln!(out, "server    {name:<18} {scheme}://{address}/")?;
    }
    let workgroup = arguments.accounts.workgroup;
    let domain = if workgroup { "." } else { &topology.domain.netbios };
    if workgroup {
        writeln!(out, "no domain {:<18} each server has the users as accounts of its own", "")?;
    } else {
        writeln!(out, "DC        {:<18} {}", topology.domain.dns, site.dc)?;
        writeln!(out, "KDC       {:<18} {}, TCP and UDP", site.kdc.realm, site.kdc.address)?;
        for service in &topology.domain.services {
            writeln!(out, "service   {domain}\\{:<13} {}", service.account, service.spns.join(" "))?;
        }
    }
    for LocalAccount { server, name, password } in &arguments.accounts.account {
        writeln!(out, "account   {}/{name} {password}", server.as_deref().unwrap_or("every server"))?;
    }
    for user in topology.domain.users.iter().take_while(|user| !user.name.ends_with("01")) {
        let note = if user.forbidden { "  (the application refuses this user)" } else { "" };
        writeln!(out, "user      {domain}\\{:<13} {}{note}", user.name, user.password)?;
    }
    let numbered = topology.domain.users.iter().filter(|user| user.name.starts_with("user")).count();
    writeln!(out, "          and {numbered} more: user01 to user{numbered:02}, passwords User01-Pa55word and so on")?;
    if let Some(user) = topology.domain.users.first() {
        writeln!(
            out,
            "try       {} --ntlm -u '{domain}\\{}:{}' {}://{}/",
            curl.command, user.name, user.password, curl.scheme, site.front_end
        )?;
    }
    if topology.servers.iter().any(ServerSpec::takes_tickets) {
        try_kerberos(&mut out, &curl, site, topology, arguments)?;
    }
    if site.tls.is_some() && arguments.tls.ca_file.is_none() {
        writeln!(
            out,
            "          --ca-file FILE writes the authority's certificate, for curl --cacert in place of --insecure"
        )?;
    }
    if arguments.log {
        writeln!(out, "{}", stickler_mock_iis::log::FIELDS)?;
    }
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()
}

/// What a client with tickets is to do.
fn try_kerberos(
    out: &mut impl io::Write,
    curl: &Curl,
    site: &Site,
    topology: &Topology,
    arguments: &Serve,
) -> io::Result<()> {
    let Some(file) = &arguments.kerberos.krb5_conf else {
        return writeln!(out, "          --krb5-conf FILE writes what kinit and curl --negotiate need");
    };
    let environment = format!("KRB5_CONFIG={}", file.display());
    if let Some(user) = topology.domain.users.first() {
        writeln!(out, "try       {environment} kinit {}@{}   # {}", user.name, site.kdc.realm, user.password)?;
    }
    let (Curl { command, scheme }, port) = (curl, site.front_end.port());
    writeln!(out, "          {environment} {command} --negotiate -u : {scheme}://localhost:{port}/")
}

/// How curl reaches the balancer.
struct Curl {
    command: String,
    scheme: &'static str,
}

impl Curl {
    fn of(site: &Site, arguments: &Serve) -> Self {
        let command = match (&site.tls, &arguments.tls.ca_file) {
            (Some(_), Some(file)) => format!("curl --cacert {}", file.display()),
            // Without the authority's certificate curl checks nothing (-k).
            (Some(_), None) => "curl --insecure".to_owned(),
            (None, _) => "curl".to_owned(),
        };
        Self { command, scheme: if site.tls.is_some() { "https" } else { "http" } }
    }
}

/// Listens for Ctrl-C and for the signal that service managers and shells send. The result ends when one of them comes.
#[cfg(unix)]
fn end_asked_for() -> io::Result<impl Future<Output = io::Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// Listens for Ctrl-C. The result ends when it comes.
#[cfg(not(unix))]
fn end_asked_for() -> io::Result<impl Future<Output = io::Result<()>>> {
    Ok(tokio::signal::ctrl_c())
}
