//! The product HAProxy.
//!
//! Its configuration must have an admin socket `{{ folder }}/admin.sock`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct HaProxy;

/// The command that asks for all servers of all proxies.
const STATES: &str = "show servers state\n";

/// The maximum length of an answer that is read from the admin socket, in bytes.
const LONGEST: u64 = 1 << 20;

/// The time that the admin socket may take.
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

    /// Drains with the runtime API: <https://docs.haproxy.org/2.6/management.html#9.3-set%20server>.
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError> {
        let state = if on { "drain" } else { "ready" };
        let socket = running.folder().join("admin.sock");
        let refused = |what: &str, why| ProductError::Refused { name: self.name(), what: what.to_owned(), why };
        let servers = ask(&socket, STATES).map_err(|error| refused(STATES.trim(), error.to_string()))?;
        for name in running.port(server).iter().flat_map(|&port| with_port(&servers, port)) {
            let command = format!("set server {name} state {state}\n");
            match ask(&socket, &command) {
                Ok(said) if said.trim().is_empty() => {}
                Ok(said) => return Err(refused(command.trim(), said.trim().to_owned())),
                Err(error) => return Err(refused(command.trim(), error.to_string())),
            }
        }
        Ok(())
    }
}

/// Returns the servers with this port in any proxy, as `PROXY/SERVER`. The columns of a line are documented in
/// <https://docs.haproxy.org/2.6/management.html#9.3-show%20servers%20state>.
fn with_port(states: &str, port: u16) -> Vec<String> {
    let port = port.to_string();
    let lines = states.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|words| words.get(18) == Some(&&*port)).map(|words| format!("{}/{}", words[1], words[3])).collect()
}

/// Sends one command to the admin socket, and returns the answer, which is empty on success.
fn ask(socket: &Path, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(command.as_bytes())?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_by_their_ports() {
        let states = "1\n# be_id be_name srv_id srv_name srv_addr ...\n\
            3 iis 1 web1 127.0.0.1 2 0 1 1 5 6 3 7 6 0 0 0 - 9001 - 0 0 - - 0\n\
            3 iis 2 web2 127.0.0.1 2 0 1 1 5 6 3 7 6 0 0 0 - 9002 - 0 0 - - 0\n\
            4 api 1 first 127.0.0.1 2 0 1 1 5 6 3 7 6 0 0 0 - 9001 - 0 0 - - 0\n\n";
        assert_eq!(with_port(states, 9001), ["iis/web1", "api/first"]);
        assert!(with_port(states, 80).is_empty());
    }
}
