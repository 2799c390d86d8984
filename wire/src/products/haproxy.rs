//! HAProxy.
//!
//! Its configuration has an admin socket `{{ folder }}/admin.sock`, and its servers are in the proxy `site`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct HaProxy;

/// The proxy that has the servers.
const PROXY: &str = "site";

/// How long the admin socket may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Product for HaProxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn package(&self) -> Package {
        Package::Debian("haproxy")
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        // `-db`: in the foreground, without a master process.
        ["-db", "-f"].map(str::to_owned).into_iter().chain([place.configuration.display().to_string()]).collect()
    }

    /// The runtime API: <https://docs.haproxy.org/2.6/management.html#9.3-set%20server>.
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError> {
        let state = if on { "drain" } else { "ready" };
        let command = format!("set server {PROXY}/{server} state {state}\n");
        let said = ask(&running.folder().join("admin.sock"), &command);
        let refused = |why| ProductError::Refused { name: self.name(), what: command.trim().to_owned(), why };
        match said {
            Ok(said) if said.trim().is_empty() => Ok(()),
            Ok(said) => Err(refused(said.trim().to_owned())),
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

/// Sends one command to the admin socket, and returns the answer, which is empty where all is well.
fn ask(socket: &Path, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(command.as_bytes())?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
