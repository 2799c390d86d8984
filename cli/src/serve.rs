//! The mocks and a balancer on real sockets, for real clients.

use std::io::{self, Write as _};
use std::sync::Arc;

use stickler_model::Topology;
use stickler_model::topology::{AppPool, Provider, ServiceSpec, SiteSpec, UserSpec};
use stickler_report::transcript;
use stickler_scenarios::directory;
use stickler_wire::{Options, Site};

use crate::Failure;
use crate::args::{PoolIdentity, Serve};

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
        let options = options(arguments);
        let topology = options.topology.clone();
        let site = Site::start(options).await.map_err(|error| Failure::Wrong(error.to_string()))?;
        if let Some(file) = &arguments.kerberos.krb5_conf {
            std::fs::write(file, site.kdc.krb5_conf())
                .map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", file.display())))?;
        }
        announce(&site, &topology, arguments)?;
        end_asked_for().await.map_err(|error| Failure::Wrong(format!("cannot wait for Ctrl-C: {error}")))?;
        writeln!(io::stdout(), "stopped")?;
        Ok(())
    })
}

fn options(arguments: &Serve) -> Options {
    // A reader that has gone away is no reason to stop serving.
    let print = |line: String| drop(writeln!(io::stdout(), "{line}"));
    let mut options = Options::new(topology(arguments));
    options.address = arguments.listen;
    options.kdc_port = arguments.kerberos.kdc_port;
    options.port = arguments.port;
    options.seed = arguments.seed;
    options.check_command.clone_from(&arguments.check_command);
    options.check_failed = Some(Arc::new(|failure| drop(writeln!(io::stderr(), "stickler: {failure}"))));
    if arguments.log {
        options.log = Some(Arc::new(move |entry| print(entry.to_string())));
    }
    if arguments.transcript {
        options.events = Box::new(move |event| print(transcript::line(&event)));
    }
    options
}

/// The standard site, set up as the arguments say.
fn topology(arguments: &Serve) -> Topology {
    let mut topology = directory::site(&arguments.balancer, arguments.iis);
    let kerberos = &arguments.kerberos;
    let (pool, account) = match kerberos.pool_identity {
        PoolIdentity::Machine => (AppPool::Machine, topology.servers.first().map(|server| format!("{}$", server.name))),
        PoolIdentity::Service => (AppPool::Service(SERVICE.into()), Some(SERVICE.into())),
    };
    let names = SPNS.into_iter().map(str::to_owned).chain(kerberos.spn.iter().cloned());
    let password = SERVICE_PASSWORD.into();
    topology.domain.users.push(UserSpec { name: SERVICE.into(), password, forbidden: false });
    topology.domain.services.extend(account.map(|account| ServiceSpec {
        account,
        spns: names.collect(),
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
            ..SiteSpec::default()
        };
    }
    topology
}

fn announce(site: &Site, topology: &Topology, arguments: &Serve) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "balancer  {:<18} http://{}/", topology.balancer, site.front_end)?;
    for (name, address) in &site.servers {
        writeln!(out, "server    {name:<18} http://{address}/")?;
    }
    writeln!(out, "DC        {:<18} {}", topology.domain.dns, site.dc)?;
    writeln!(out, "KDC       {:<18} {}, TCP and UDP", site.kdc.realm, site.kdc.address)?;
    let domain = &topology.domain.netbios;
    for service in &topology.domain.services {
        writeln!(out, "service   {domain}\\{:<13} {}", service.account, service.spns.join(" "))?;
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
            "try       curl --ntlm -u '{domain}\\{}:{}' http://{}/",
            user.name, user.password, site.front_end
        )?;
    }
    if topology.servers.iter().any(|server| server.providers.iter().any(|provider| *provider != Provider::Ntlm)) {
        try_kerberos(&mut out, site, topology, arguments)?;
    }
    if arguments.log {
        writeln!(out, "{}", stickler_mock_iis::log::FIELDS)?;
    }
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()
}

/// What a client with tickets is to do.
fn try_kerberos(out: &mut impl io::Write, site: &Site, topology: &Topology, arguments: &Serve) -> io::Result<()> {
    let Some(file) = &arguments.kerberos.krb5_conf else {
        return writeln!(out, "          --krb5-conf FILE writes what kinit and curl --negotiate need");
    };
    let environment = format!("KRB5_CONFIG={}", file.display());
    if let Some(user) = topology.domain.users.first() {
        writeln!(out, "try       {environment} kinit {}@{}   # {}", user.name, site.kdc.realm, user.password)?;
    }
    writeln!(out, "          {environment} curl --negotiate -u : http://localhost:{}/", site.front_end.port())
}

/// Ctrl-C, or the signal that service managers and shells send.
async fn end_asked_for() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            biased;
            ended = tokio::signal::ctrl_c() => ended,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
