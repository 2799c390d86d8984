//! A network namespace of this program's own, so that nothing of it can reach, or be reached from, the operator's network.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use stickler_catalogue::{Profile, profiles};
use stickler_model::BalancerSpec;

/// Says to the program that was started inside that it is.
const INSIDE: &str = "STICKLER_NAMESPACE";

/// Where the product runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// In a namespace with nothing but loopback.
    Own,
    /// In the operator's network; why.
    Shared(String),
}

/// Makes this program, from its beginning, run in an empty network namespace. Returns where it runs: inside, or else here because there
/// is no way in.
pub(crate) fn enter(wanted: bool) -> Network {
    if env::var_os(INSIDE).is_some() && stickler_wire::is_own_network() {
        return Network::Own;
    }
    if !wanted {
        return Network::Shared("as asked for".into());
    }
    let Ok(own) = env::current_exe() else { return Network::Shared("this program cannot be found".into()) };
    // The superuser needs no user namespace, and everybody else does.
    for options in [&["--net"][..], &["--net", "--map-root-user"]] {
        let mut attempt = namespace(options);
        attempt.args(["true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if attempt.status().is_ok_and(|status| status.success()) {
            let mut command = namespace(options);
            command.arg(own).args(env::args_os().skip(1)).env(INSIDE, "1");
            // It returns only where it fails.
            return Network::Shared(format!("unshare: {}", command.exec()));
        }
    }
    Network::Shared("`unshare --net` with `ip link set lo up` does not work here".into())
}

/// Enters a namespace where a product that one of these balancers is changes the network that it is in. Where there is no way in,
/// its runs say so.
pub(crate) fn enter_for<'a>(balancers: impl IntoIterator<Item = &'a BalancerSpec>) {
    if balancers.into_iter().filter_map(program).any(|program| stickler_wire::needs_own_network(&program)) {
        enter(true);
    }
}

/// The program of the product that a balancer is.
fn program(balancer: &BalancerSpec) -> Option<String> {
    let of = |profile: &Profile| profile.program.as_ref().map(|program| program.name.clone());
    match balancer {
        BalancerSpec::Mechanism { name, .. } => profiles().iter().find(|profile| profile.name == *name).and_then(of),
        BalancerSpec::Profile { name, toml, .. } => Profile::parse(toml, name).ok()?.first().and_then(of),
        _ => None,
    }
}

/// A command that runs what is added to it in an empty network namespace, whose loopback is up.
fn namespace(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command
}
