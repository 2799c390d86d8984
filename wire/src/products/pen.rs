//! The product pen, which distinguishes clients by their addresses.
//!
//! Its configuration has a line `server N ...` for each server, in their order, and its process id is in
//! `{{ folder }}/pen.pid`.

use std::fs::{self, File};
use std::io::{self, Write as _};

use rustix::process::{Pid, Signal, kill_process};

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct Pen;

/// The file in which it writes its process id.
const PID: &str = "pen.pid";

/// The time for which a server is out of service, in seconds, which is longer than any run.
const LONG: u32 = 86_400;

impl Product for Pen {
    fn name(&self) -> &'static str {
        "pen"
    }

    fn package(&self) -> Package {
        Package::Debian("pen")
    }

    /// Returns an unknown option, because pen prints its version above its usage then.
    fn version_argument(&self) -> &'static str {
        "-V"
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let (pid, configuration) = (place.folder.join(PID), place.configuration);
        let [pid, configuration] = [pid.display().to_string(), configuration.display().to_string()];
        ["-f", "-p", &pid, "-F", &configuration, &place.address.to_string()].map(str::to_owned).into()
    }

    /// Drains by the blacklist: a server on it gets no new sessions, and keeps its existing ones. SIGHUP makes pen read its
    /// configuration again (pen(1), penctl(1): `server N blacklist T`). Its control port would require a user other than
    /// root.
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError> {
        let what = format!("blacklist {server}");
        let refused = |why: String| ProductError::Refused { name: self.name(), what: what.clone(), why };
        let index = running.index(server).ok_or_else(|| refused("it has no such server".into()))?;
        let seconds = if on { LONG } else { 0 };
        blacklist(running, index, seconds).map_err(|error| refused(error.to_string()))
    }
}

fn blacklist(running: &Running, index: usize, seconds: u32) -> io::Result<()> {
    let pid = fs::read_to_string(running.folder().join(PID))?;
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("its process id cannot be read"))?;
    let mut file = File::options().append(true).open(running.configuration())?;
    writeln!(file, "server {index} blacklist {seconds}")?;
    Ok(kill_process(pid, Signal::HUP)?)
}
