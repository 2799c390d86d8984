//! nginx and HAProxy as child processes, with configurations made for the purpose.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stickler_net::{Net as _, TokioNet};
use tokio::time::{Instant, sleep};

use super::background::runtime;

/// The time within which a product must start.
const START: Duration = Duration::from_secs(10);

/// The maximum length of the part of a child's output that an error shows, in bytes.
const SAID: usize = 2048;

/// A product that can be compared with Stickler's balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// nginx, with one worker.
    Nginx,
    /// HAProxy, with one thread.
    HaProxy,
}

/// A product that runs on loopback until it is dropped.
#[derive(Debug)]
pub struct Peer {
    version: String,
    fronts: Vec<SocketAddr>,
    child: Child,
    directory: PathBuf,
}

/// Why a product does not run.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The product is not installed, which is not an error.
    #[error("{0} is not installed")]
    Missing(&'static str),
    /// The operating system reported an error.
    #[error("{0} failed: {1}")]
    Io(&'static str, io::Error),
    /// The product ended, or did not listen in time.
    #[error("{0} did not start: {1}")]
    Start(&'static str, String),
}

impl Product {
    /// Returns the name of the product, which is also that of its program except for letter case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
        }
    }

    /// Returns the names, as used in the benchmarks, of the ways in which the product can carry a request. Each way has
    /// its own front end.
    pub const fn ways(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["nginx-keepalive"],
            Self::HaProxy => &["haproxy-safe", "haproxy-always", "haproxy-tcp"],
        }
    }

    /// Returns the program, found by `PATH` or in the folders of distributions, and the version that it states.
    fn program(self) -> Result<(PathBuf, String), PeerError> {
        let program = self.name().to_ascii_lowercase();
        for place in [PathBuf::from(&program), Path::new("/usr/sbin").join(&program)] {
            match Command::new(&place).arg("-v").stdin(Stdio::null()).output() {
                Ok(said) => {
                    // nginx prints it on standard error.
                    let said = [said.stdout, said.stderr].concat();
                    let line = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
                    return Ok((place, line));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(PeerError::Io(self.name(), error)),
            }
        }
        Err(PeerError::Missing(self.name()))
    }

    fn configuration(self, fronts: &[SocketAddr], servers: &[SocketAddr]) -> String {
        match self {
            Self::Nginx => nginx(fronts, servers),
            Self::HaProxy => haproxy(self.ways(), fronts, servers),
        }
    }

    fn command(self, program: &Path, directory: &Path, configuration: &Path) -> Command {
        let mut command = Command::new(program);
        match self {
            Self::Nginx => {
                command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(configuration);
            }
            // The program runs in the foreground.
            Self::HaProxy => {
                command.arg("-db").arg("-f").arg(configuration);
            }
        }
        command
    }
}

impl Peer {
    /// Starts the product in front of these servers. It listens when the function returns.
    ///
    /// # Errors
    /// [`PeerError`] says why the product does not run.
    pub fn start(product: Product, servers: &[SocketAddr]) -> Result<Self, PeerError> {
        let (program, version) = product.program()?;
        let failed = |error| PeerError::Io(product.name(), error);
        let directory = std::env::temp_dir().join(format!("stickler-{}-{}", product.name(), std::process::id()));
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let runtime = runtime();
        let fronts = runtime.block_on(free_ports(product.ways().len())).map_err(failed)?;
        let configuration = directory.join("configuration");
        std::fs::write(&configuration, product.configuration(&fronts, servers)).map_err(failed)?;
        let said = directory.join("said");
        let log = std::fs::File::create(&said).map_err(failed)?;
        let mut command = product.command(&program, &directory, &configuration);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut peer = Self { version, fronts, child: command.spawn().map_err(failed)?, directory };
        match runtime.block_on(peer.listens()) {
            Ok(()) => Ok(peer),
            Err(reason) => {
                let said = std::fs::read(&said).unwrap_or_default();
                let said = String::from_utf8_lossy(&said[..said.len().min(SAID)]).into_owned();
                Err(PeerError::Start(product.name(), format!("{reason}; it said: {}", said.trim_end())))
            }
        }
    }

    /// Returns the version that the product states.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the addresses to which clients connect, one for each of [`Product::ways`].
    pub fn fronts(&self) -> &[SocketAddr] {
        &self.fronts
    }

    async fn listens(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        for &front in &self.fronts {
            while TokioNet.connect(front).await.is_err() {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(format!("it ended with {status}"));
                }
                if Instant::now() > until {
                    return Err(format!("it did not listen on {front} within {START:?}"));
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The process has ended, or ends now; its files in the temporary directory do no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Returns ports that are free now. If another process takes one before the child does, the child reports that.
async fn free_ports(count: usize) -> io::Result<Vec<SocketAddr>> {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(TokioNet.bind((Ipv4Addr::LOCALHOST, 0).into()).await?);
    }
    held.iter().map(stickler_net::Listener::local_addr).collect()
}

/// Returns a configuration with one process (`master_process off`), so that ending it ends all of nginx, and with
/// upstream connections that are kept.
fn nginx(fronts: &[SocketAddr], servers: &[SocketAddr]) -> String {
    let mut text = String::from(
        "daemon off;\nmaster_process off;\nworker_processes 1;\nerror_log stderr;\npid nginx.pid;\n\
         events { worker_connections 4096; }\nhttp {\naccess_log off;\nkeepalive_requests 1000000000;\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi;\nupstream farm {\n",
    );
    for server in servers {
        let _ = writeln!(text, "server {server};");
    }
    text.push_str("keepalive 256;\nkeepalive_requests 1000000000;\n}\n");
    for front in fronts {
        let _ = writeln!(
            text,
            "server {{ listen {front} backlog=1024; location / {{ proxy_pass http://farm; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; }} }}"
        );
    }
    text.push_str("}\n");
    text
}

fn haproxy(ways: &[&str], fronts: &[SocketAddr], servers: &[SocketAddr]) -> String {
    let mut text = String::from(
        "global\nnbthread 1\nmaxconn 8192\ndefaults\ntimeout connect 5s\ntimeout client 60s\ntimeout server 60s\n\
         balance roundrobin\n",
    );
    for (way, front) in ways.iter().zip(fronts) {
        let mode = match *way {
            "haproxy-safe" => "mode http\nhttp-reuse safe",
            "haproxy-always" => "mode http\nhttp-reuse always",
            _ => "mode tcp",
        };
        let _ = writeln!(text, "listen {way}\nbind {front}\n{mode}");
        for (index, server) in servers.iter().enumerate() {
            let _ = writeln!(text, "server origin{index} {server}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Connections, Load, Origin};
    use super::*;

    /// Tests each installed product. If products are required, a missing one fails the test.
    #[test]
    fn each_product_that_is_installed_serves_in_each_of_its_ways_and_ends() {
        let origin = Origin::start(2);
        for product in [Product::Nginx, Product::HaProxy] {
            let peer = match Peer::start(product, origin.addresses()) {
                Ok(peer) => peer,
                Err(missing @ PeerError::Missing(_)) if std::env::var_os("STICKLER_REQUIRE_PEERS").is_none() => {
                    eprintln!("SKIPPED: {missing}");
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(peer.fronts().len(), product.ways().len());
            for (way, &front) in product.ways().iter().zip(peer.fronts()) {
                for connections in [Connections::Kept, Connections::Fresh] {
                    assert_eq!(Load::new(front, connections, 2, 5).round(), 10, "{way} {connections:?}");
                }
            }
            let (front, directory) = (peer.fronts()[0], peer.directory.clone());
            drop(peer);
            assert!(runtime().block_on(TokioNet.connect(front)).is_err(), "{} has ended", product.name());
            assert!(!directory.exists());
        }
    }

    #[test]
    fn configurations_name_every_server_and_one_thread() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (fronts, servers) = ([address(1), address(2), address(3)], [address(4), address(5)]);
        let (nginx, haproxy) = (nginx(&fronts[..1], &servers), haproxy(Product::HaProxy.ways(), &fronts, &servers));
        assert!(nginx.contains("worker_processes 1;") && haproxy.contains("nbthread 1\n"));
        assert!(nginx.contains("server 127.0.0.1:4;\nserver 127.0.0.1:5;\n"));
        assert_eq!(haproxy.matches("server origin1 127.0.0.1:5\n").count(), 3);
        assert!(haproxy.contains("listen haproxy-tcp\nbind 127.0.0.1:3\nmode tcp\n"));
    }
}
