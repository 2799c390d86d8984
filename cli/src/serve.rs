//! The mocks and a balancer on real sockets, for real clients.

use std::io::{self, Write as _};
use std::sync::Arc;

use stickler_model::Topology;
use stickler_report::transcript;
use stickler_scenarios::directory;
use stickler_wire::{Options, Site};

use crate::Failure;
use crate::args::Serve;

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
        announce(&site, &topology, arguments)?;
        end_asked_for().await.map_err(|error| Failure::Wrong(format!("cannot wait for Ctrl-C: {error}")))?;
        writeln!(io::stdout(), "stopped")?;
        Ok(())
    })
}

fn options(arguments: &Serve) -> Options {
    // A reader that has gone away is no reason to stop serving.
    let print = |line: String| drop(writeln!(io::stdout(), "{line}"));
    let mut options = Options::new(directory::site(&arguments.balancer, arguments.iis));
    options.address = arguments.listen;
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

fn announce(site: &Site, topology: &Topology, arguments: &Serve) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "balancer  {:<18} http://{}/", topology.balancer, site.front_end)?;
    for (name, address) in &site.servers {
        writeln!(out, "server    {name:<18} http://{address}/")?;
    }
    writeln!(out, "DC        {:<18} {}", topology.domain.dns, site.dc)?;
    let domain = &topology.domain.netbios;
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
    if arguments.log {
        writeln!(out, "{}", stickler_mock_iis::log::FIELDS)?;
    }
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()
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
