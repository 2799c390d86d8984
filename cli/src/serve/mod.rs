//! Serves the mocks and a balancer on real sockets, for real clients.
//!
//! * `site`: the site that the arguments describe, or that of a script.
//! * `watch`: prints events, identity leaks and a verdict while the site is served.
//! * `announce`: prints the addresses of the site, and commands to try.

mod announce;
mod site;
mod watch;

use std::io::{self, Write as _};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_site::Balancer;
use stickler_wire::{Options, Site};

use crate::args::{Format, Serve};
use crate::{Failure, balancers, interrupt, own_file, supervisor};
use watch::Watch;

/// The name of the default balancer.
const BALANCER: &str = "pin-on-401";

pub(crate) fn serve(arguments: &Serve) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Wrong(format!("cannot start: {error}")))?;
    // Dropping the runtime at the end closes every socket.
    runtime.block_on(async {
        let (options, watch) = options(arguments)?;
        warn(arguments)?;
        let (topology, balancer) = (options.topology.clone(), options.balancer.spec().to_string());
        if topology.tls.is_none() && arguments.tls.ca_file.is_some() {
            return Err(Failure::Wrong("--ca-file needs --tls, or a --site with TLS: there is no authority".into()));
        }
        let site = Site::start(options).map_err(|error| Failure::Wrong(error.to_string()))?;
        if let Some(file) = &arguments.kerberos.krb5_conf {
            own_file::write(file, &site.kdc.krb5_conf())?;
        }
        if let (Some(file), Some(tls)) = (&arguments.tls.ca_file, &site.tls) {
            own_file::write(file, &tls.authority.pem())?;
        }
        let deaf = |error: io::Error| Failure::Wrong(format!("cannot wait for Ctrl-C: {error}"));
        // A program that reads the last line of the announcement may send the signal at once.
        let end = interrupt::asked_for().map_err(deaf)?;
        match arguments.format {
            Format::Pretty => announce::announce(&site, &topology, &balancer, arguments)?,
            Format::Json => watch::print_json("site", &announce::value(&site, &topology, &balancer)),
        }
        end.await.map_err(deaf)?;
        let mixed_up = watch.conclude();
        if arguments.format == Format::Pretty {
            writeln!(io::stdout(), "stopped")?;
        }
        if mixed_up { Err(Failure::NotAsExpected) } else { Ok(()) }
    })
}

/// Warns of addresses that other machines can reach.
fn warn(arguments: &Serve) -> io::Result<()> {
    let dc = arguments.listen_dc.map(|address| (address, "the DC"));
    let servers = arguments.servers.iter().map(|server| (server.ip(), "a server"));
    let open = [(arguments.listen, "the balancer")].into_iter().chain(dc).chain(servers);
    for (address, who) in open.filter(|(address, _)| !address.is_loopback()) {
        writeln!(
            io::stderr(),
            "stickler: warning: {who} listens on {address}, beyond this machine and without TLS: whoever reaches it can \
             log on, since the users and passwords are public, and everybody on the way can read"
        )?;
    }
    Ok(())
}

/// Returns the options of the site to start, and its watch.
fn options(arguments: &Serve) -> Result<(Options, Arc<Watch>), Failure> {
    let balancer = Balancer::of(&balancer(arguments)?).map_err(|error| Failure::Wrong(error.to_string()))?;
    let mut topology = site::topology(arguments)?;
    balancer.adapt(&mut topology);
    let watch = Arc::new(Watch::new(&topology, arguments.format, arguments.transcript));
    let mut options = Options::new(topology, balancer);
    options.address = arguments.listen;
    options.controller_address = arguments.listen_dc;
    options.servers.clone_from(&arguments.servers);
    options.dc_port = arguments.dc_port;
    options.kdc_port = arguments.kerberos.kdc_port;
    options.port = arguments.port;
    options.seed = arguments.seed;
    options.check_command.clone_from(&arguments.check_command);
    options.supervisor = cfg!(unix).then(supervisor::own).transpose()?;
    options.check_failed = Some(Arc::new(|failure| drop(writeln!(io::stderr(), "stickler: {failure}"))));
    if arguments.log {
        let watch = Arc::clone(&watch);
        options.log = Some(Arc::new(move |entry| watch.log(&entry.to_string())));
    }
    let sees = Arc::clone(&watch);
    options.events = Box::new(move |event| sees.see(&event));
    Ok((options, watch))
}

/// Returns the requested balancer.
fn balancer(arguments: &Serve) -> Result<BalancerSpec, Failure> {
    let own = balancers::own_profiles(&arguments.profile)?;
    let names: Vec<String> = match (&arguments.balancer, own.is_empty()) {
        (Some(name), _) => vec![name.clone()],
        (None, true) => vec![BALANCER.into()],
        (None, false) => own.iter().map(|profile| profile.name.clone()).collect(),
    };
    match &balancers::named(&names, &own)?[..] {
        [only] => Ok(only.clone()),
        _ => Err(Failure::Wrong(format!("--balancer has to select one of these: {}", names.join(", ")))),
    }
}
