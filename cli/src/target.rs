//! A balancer that runs already: its address, the balancer as which it is declared to behave, and the requirements that
//! are not judged.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, Run};

use crate::args::{self, TargetUrl};
use crate::{Failure, balancers};

/// Returns the target as a balancer of runs, with its address and the balancer as which it is declared to behave.
///
/// # Errors
/// More than one balancer is named, or a name or a profile is wrong.
pub(crate) fn spec(url: &TargetUrl, arguments: &args::Run) -> Result<BalancerSpec, Failure> {
    let own = balancers::own_profiles(&arguments.balancers.profile)?;
    let known = !arguments.balancers.balancer.is_empty() || !own.is_empty();
    let like = if known { balancers::find(&arguments.balancers.balancer, &own)? } else { Vec::new() };
    match <[_; 1]>::try_from(like) {
        Ok([like]) => Ok(BalancerSpec::Target { address: url.address, like: Some(Box::new(like)) }),
        Err(none) if none.is_empty() => Ok(BalancerSpec::Target { address: url.address, like: None }),
        Err(several) => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::Wrong(format!("the target can behave as only one of these: {}", names.join(", "))))
        }
    }
}

/// Returns the arm with the target, after a test that the target reaches the servers.
#[cfg(unix)]
pub(crate) fn arm(url: &TargetUrl, spec: &BalancerSpec, arguments: &args::Run) -> Result<Arc<dyn Arm>, Failure> {
    use stickler_model::standard;

    if arguments.arm != args::Arm::Wire {
        return Err(Failure::Wrong("a target is on real sockets: --arm wire".into()));
    }
    let wrong = |error: stickler_model::WorldError| Failure::Wrong(error.to_string());
    let args::Target { servers, settle, .. } = &arguments.target;
    let target = stickler_wire::Target::open(url.address, servers.clone(), *settle).map_err(wrong)?;
    let arm = stickler_wire::WireArm::new(crate::supervisor::own()?, false).with_target(target);
    // An error of the target is reported once, and not by each scenario.
    drop(arm.build(standard::site(1), spec, arguments.seeds.seed).map_err(wrong)?);
    Ok(Arc::new(arm))
}

/// Returns an error, because this system has no worlds on real sockets.
#[cfg(not(unix))]
pub(crate) fn arm(_: &TargetUrl, _: &BalancerSpec, _: &args::Run) -> Result<Arc<dyn Arm>, Failure> {
    Err(Failure::Wrong("a target needs a Unix system".into()))
}

/// Returns a message about the requirements that were not judged because the promises of the target are not known;
/// `None` if there are none.
pub(crate) fn not_applicable(runs: &[Run]) -> Option<String> {
    let unknown = runs.iter().filter(|run| run.trace.as_ref().is_some_and(|trace| trace.header.promises.unknown));
    let ids: BTreeSet<Requirement> =
        unknown.flat_map(|run| run.graded(Grade::NotApplicable)).map(|verdict| verdict.requirement).collect();
    let ids: Vec<&str> = ids.into_iter().map(Requirement::id).collect();
    (!ids.is_empty()).then(|| {
        format!(
            "not applicable: {} (the promises of the target are not known, or the scenarios have no TLS: --balancer, --profile)",
            ids.join(" ")
        )
    })
}

/// Reads the URL of a target, such as `http://127.0.0.1:8081`, and resolves its name.
pub(crate) fn url(text: &str) -> Result<TargetUrl, String> {
    let (scheme, rest) = text.split_once("://").ok_or("a target is a URL, such as http://127.0.0.1:8081")?;
    if scheme.eq_ignore_ascii_case("https") {
        return Err(
            "the clients do not trust a target's certificate: give the address of a listener without TLS".into()
        );
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if !scheme.eq_ignore_ascii_case("http") || authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
        return Err("a target consists only of http://, a host and a port, such as http://127.0.0.1:8081".into());
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let mut found = with_port.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
    let address: SocketAddr = found.next().ok_or_else(|| format!("{authority} has no address"))?;
    Ok(TargetUrl { text: text.to_owned(), address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_without_a_path() {
        for (text, address) in [
            ("http://127.0.0.1:8081", "127.0.0.1:8081"),
            ("HTTP://127.0.0.1/", "127.0.0.1:80"),
            ("http://[::1]:8081/", "[::1]:8081"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(url(text).map(|url| url.address.to_string()).as_deref(), Ok(address));
        }
        for (text, why) in [
            ("127.0.0.1:8081", "is a URL"),
            ("https://127.0.0.1", "without TLS"),
            ("http://127.0.0.1/app", "consists only of"),
            ("http://user@127.0.0.1", "consists only of"),
            ("http://", "consists only of"),
            ("ftp://127.0.0.1", "consists only of"),
            ("http://127.0.0.1:port", "127.0.0.1:port"),
        ] {
            assert!(url(text).is_err_and(|error| error.contains(why)), "{text}");
        }
    }
}
