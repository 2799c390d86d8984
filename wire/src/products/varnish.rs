//! The product Varnish.
//!
//! Its manager compiles the VCL with the machine's C compiler, and starts a child that serves. Both are in one process
//! group.

use std::process::Command;

use super::{Package, Place, Product, ProductError, Running, in_path};

pub(super) struct Varnish;

/// The folder within the run's folder in which it works.
const WORK: &str = "work";

impl Product for Varnish {
    fn name(&self) -> &'static str {
        "varnish"
    }

    fn package(&self) -> Package {
        Package::Debian("varnish")
    }

    fn program(&self) -> &'static str {
        "varnishd"
    }

    fn version_argument(&self) -> &'static str {
        "-V"
    }

    /// Its command line interface listens on loopback, for processes that can read the secret in its folder
    /// (<https://varnish-cache.org/docs/7.1/reference/varnishd.html>).
    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let (address, work) = (place.address.to_string(), place.folder.join(WORK).display().to_string());
        let vcl = place.configuration.display().to_string();
        // `-j none`: it runs as the user that starts it, root or not.
        let arguments = ["-F", "-j", "none", "-n", &work, "-a", &address, "-T", "127.0.0.1:0", "-s", "malloc,16m"];
        arguments.into_iter().chain(["-f", &vcl]).map(str::to_owned).collect()
    }

    /// Drains by setting the backend's health: a backend that an administrator declares sick gets nothing new, and a
    /// pipe in progress continues
    /// (<https://varnish-cache.org/docs/7.1/reference/varnish-cli.html#backend-set-health-backend-pattern-auto-healthy-sick>).
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError> {
        let health = if on { "sick" } else { "auto" };
        let refused = |why| ProductError::Refused { name: self.name(), what: format!("call {server} {health}"), why };
        let program = in_path("varnishadm").ok_or_else(|| refused("varnishadm is not installed".into()))?;
        let mut command = Command::new(program);
        command.arg("-n").arg(running.folder().join(WORK));
        let output = command.args(["backend.set_health", &format!("boot.{server}"), health]).output();
        let output = output.map_err(|error| refused(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
