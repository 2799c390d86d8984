//! The process of a product, and the folder in which it runs.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use stickler_lb_core::Backend;
use stickler_model::escape;
use stickler_net::{Net as _, TokioNet};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::folder::Folder;
use super::{Installed, Place, ProductError, exposure, files};
use crate::{Supervisor, shared_memory};

/// The time that a product may take until it listens.
const START: Duration = Duration::from_secs(10);

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// The file of the site's certificate and key (PEM) in the run's folder.
pub(super) const CERTIFICATE: &str = "site.pem";

/// The maximum length of the end of a product's output that is shown, in bytes.
const SHOWN: usize = 2_000;

/// A running product, in its own process group with its supervisor. When this value is dropped, the product ends with
/// everything that it started, and its folder is removed.
pub(crate) struct Running {
    installed: Installed,
    address: SocketAddr,
    servers: Vec<Backend>,
    // This is dropped before the folder, because processes that still run may write into the folder.
    group: Option<Group>,
    folder: Folder,
    supervisor: Supervisor,
}

/// The process group of a running product.
struct Group {
    child: Child,
    leader: Pid,
}

impl Running {
    /// Writes the configuration, and the site's certificate with its key if there is one, starts the product on
    /// `address`, and waits until it listens there. It may listen on loopback only.
    ///
    /// # Errors
    /// [`ProductError`].
    pub(crate) async fn start(
        installed: Installed,
        address: SocketAddr,
        servers: &[Backend],
        certificate: Option<&str>,
        supervisor: &Supervisor,
    ) -> Result<Self, ProductError> {
        let folder = Folder::new(supervisor).map_err(|error| io("cannot make a folder for the run", error))?;
        let text = installed.configuration(address, servers, folder.path())?;
        if let Some(pem) = certificate {
            let file = folder.path().join(CERTIFICATE);
            files::write_one(&file, pem).map_err(|error| io(&format!("cannot write {}", file.display()), error))?;
        }
        let (servers, supervisor) = (servers.to_vec(), supervisor.clone());
        let mut running = Self { installed, address, servers, group: None, folder, supervisor };
        let file = running.configuration();
        files::write(&file, &text).map_err(|error| io(&format!("cannot write {}", file.display()), error))?;
        running.start_process().await?;
        Ok(running)
    }

    /// Returns the folder of the run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the index of a server among the servers, from 0.
    pub(crate) fn index(&self, server: &str) -> Option<usize> {
        self.servers.iter().position(|backend| backend.name.as_str() == server)
    }

    /// Returns the port of a server.
    pub(crate) fn port(&self, server: &str) -> Option<u16> {
        self.index(server).map(|index| self.servers[index].address.port())
    }

    /// Returns the text of its configuration.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub(crate) fn configuration_text(&self) -> Result<String, ProductError> {
        let file = self.configuration();
        fs::read_to_string(&file).map_err(|error| io(&format!("cannot read {}", file.display()), error))
    }

    /// Starts the process again after it was ended, and waits until it listens.
    ///
    /// # Errors
    /// [`ProductError`].
    pub(crate) async fn start_process(&mut self) -> Result<(), ProductError> {
        let Installed { product, program, .. } = &self.installed;
        let log = self.log();
        let output = || fs::File::options().create(true).append(true).open(&log);
        let output = output().and_then(|out| output().map(|error| (out, error)));
        let (out, error) = output.map_err(|error| io(&format!("cannot write {}", log.display()), error))?;
        let mut command = self.supervisor.command(program);
        let (configuration, folder) = (self.configuration(), self.folder.path());
        let place = Place { address: self.address, folder, configuration: &configuration };
        // Programs that it starts write their temporary files there as well: Varnish has a compiler.
        command.args(product.arguments(&place)).env("TMPDIR", folder).envs(product.environment(folder));
        command.stdout(out).stderr(error).current_dir(self.folder.path()).kill_on_drop(true);
        let child = command.spawn().map_err(|error| io(&format!("cannot start {}", program.display()), error))?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let Some(leader) = leader else { return Err(self.ended("ended at once")) };
        self.group = Some(Group { child, leader });
        self.listens().await?;
        let exposed = exposure::of_group(leader);
        if exposed.is_empty() {
            return Ok(());
        }
        self.crash().await;
        let addresses: Vec<String> = exposed.iter().map(ToString::to_string).collect();
        Err(ProductError::Exposed { name: self.installed.product.name(), addresses: addresses.join(", ") })
    }

    /// Waits until the product listens.
    async fn listens(&mut self) -> Result<(), ProductError> {
        let until = Instant::now() + START;
        loop {
            let is_ready = match self.installed.product.is_ready(self.address) {
                Some(is_ready) => is_ready,
                None => timeout(START, TokioNet.connect(self.address)).await.is_ok_and(|connected| connected.is_ok()),
            };
            if is_ready {
                return Ok(());
            }
            let status = self.group.as_mut().and_then(|group| group.child.try_wait().ok().flatten());
            if let Some(status) = status {
                return Err(self.ended(&format!("ended before it listened on {} ({status})", self.address)));
            }
            if Instant::now() >= until {
                let address = self.address;
                return Err(self.ended(&format!("does not listen on {address} after {} s", START.as_secs())));
            }
            sleep(PAUSE).await;
        }
    }

    /// Ends the process with everything that it started, as a crash does.
    pub(crate) async fn crash(&mut self) {
        if let Some(mut group) = self.group.take() {
            group.kill();
            // The child is killed. The wait prevents a zombie process.
            let _ = group.child.wait().await;
            self.installed.product.ended(self.address);
        }
    }

    /// Returns whether the product has a process that can crash and hang.
    pub(crate) fn has_process(&self) -> bool {
        self.installed.product.has_process()
    }

    /// Stops the process, so that it answers nothing (SIGSTOP), or lets it continue.
    pub(crate) fn hang(&self, on: bool) {
        let Some(group) = &self.group else { return };
        group.signal(if on { Signal::STOP } else { Signal::CONT });
        // The supervisor has to notice when this process ends.
        let _ = kill_process(group.leader, Signal::CONT);
    }

    /// Returns whether the process is running.
    pub(crate) fn is_up(&self) -> bool {
        self.group.is_some()
    }

    /// Takes a server out of service for new sessions, or puts it back.
    ///
    /// # Errors
    /// The product cannot do that.
    pub(crate) fn drain(&self, server: &str, on: bool) -> Result<(), ProductError> {
        self.installed.product.drain(self, server, on)
    }

    /// Returns the path of the configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join(self.installed.product.configuration())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn ended(&self, what: &str) -> ProductError {
        let logs = [self.log(), self.folder.path().join("error.log")];
        let said: String = logs.iter().map(|log| end_of(log)).collect();
        let said = if said.is_empty() { "nothing".to_owned() } else { said };
        ProductError::Ended { name: self.installed.product.name(), what: what.to_owned(), said }
    }
}

impl Group {
    fn kill(&self) {
        shared_memory::remove(self.leader);
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // If no process is left in the group, there is nothing to do.
        let _ = kill_process_group(self.leader, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.group.take().is_some() {
            self.installed.product.ended(self.address);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // The runtime waits for the child, as `kill_on_drop` guarantees.
        self.child.stdin.take();
    }
}

/// Returns the end of a file that a product has written.
fn end_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(file) else { return String::new() };
    // If a product writes more than that, the important part comes first.
    let _ = file.take(1 << 20).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN)..]).into_owned();
    escape::lines(&text).into_owned()
}

fn io(what: &str, error: std::io::Error) -> ProductError {
    ProductError::Io { what: what.to_owned(), error }
}
