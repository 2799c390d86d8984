//! A network of the check's own, so that nothing of it can reach, or be reached from, the operator's network.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Says to the program that was started inside that it is.
const INSIDE: &str = "STICKLER_CHECK_NAMESPACE";

/// Where the product runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    /// In a namespace with nothing but loopback.
    Own,
    /// In the operator's network; why.
    Shared(String),
}

/// Makes this program, from its beginning, run in an empty network namespace. Returns where it runs: inside, or else here because there
/// is no way in.
pub(super) fn enter(wanted: bool) -> Network {
    if env::var_os(INSIDE).is_some() {
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

/// A command that runs what is added to it in an empty network namespace, whose loopback is up.
fn namespace(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command
}
