//! Runs this program in a separate network namespace, so that it can neither reach the operator's network nor be reached
//! from there.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use stickler_catalogue::{Profile, profiles};
use stickler_model::BalancerSpec;

/// The environment variable that tells a program that it was started inside the namespace.
const INSIDE: &str = "STICKLER_NAMESPACE";

/// The network in which the product runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// A network namespace with nothing but loopback.
    Own,
    /// The operator's network. The text is the reason why no namespace is used.
    Shared(String),
}

/// Starts this program again in an empty network namespace. Returns the network in which it runs: its own inside the
/// namespace, or the operator's network if no namespace can be entered.
pub(crate) fn enter(wanted: bool) -> Network {
    if env::var_os(INSIDE).is_some() && stickler_wire::is_own_network() {
        return Network::Own;
    }
    if !wanted {
        return Network::Shared("as asked for".into());
    }
    let Ok(own) = env::current_exe() else { return Network::Shared("this program cannot be found".into()) };
    // The superuser needs no user namespace, but other users do.
    for options in [&["--net"][..], &["--net", "--map-root-user"]] {
        let mut attempt = namespace(options);
        attempt.args(["true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if attempt.status().is_ok_and(|status| status.success()) {
            let mut command = namespace(options);
            command.arg(own).args(env::args_os().skip(1)).env(INSIDE, "1");
            // `exec` returns only if it fails.
            return Network::Shared(format!("unshare: {}", command.exec()));
        }
    }
    Network::Shared("`unshare --net` with `ip link set lo up` does not work here".into())
}

/// Enters a namespace if one of these balancers is a product that changes its network. If no namespace can be entered,
/// the runs of that product report it.
pub(crate) fn enter_for<'a>(balancers: impl IntoIterator<Item = &'a BalancerSpec>) {
    if balancers.into_iter().filter_map(program).any(|program| stickler_wire::needs_own_network(&program)) {
        enter(true);
    }
}

/// Returns the name of the program of a balancer's product.
fn program(balancer: &BalancerSpec) -> Option<String> {
    let of = |profile: &Profile| profile.program.as_ref().map(|program| program.name.clone());
    match balancer {
        BalancerSpec::Mechanism { name, .. } => profiles().iter().find(|profile| profile.name == *name).and_then(of),
        BalancerSpec::Profile { name, toml, .. } => Profile::parse(toml, name).ok()?.first().and_then(of),
        _ => None,
    }
}

/// Returns a command that runs its further arguments in an empty network namespace whose loopback is up.
fn namespace(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command
}
