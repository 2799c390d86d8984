//! Real products: how each is found, configured, started, drained and ended.
//!
//! * [`Product`]: what has to be known of a product, one file for each.
//! * [`Installed`]: a product that was found on this machine.
//! * `running.rs`: its process. `folder.rs`: the folder that it has for itself.
//!
//! The configuration is the profile's own ([`Program`]): a template, which gets `address` (where clients connect), `servers`
//! (each with `name`, `address`, `host` and `port`) and `folder` (the run's folder, for sockets and temporary files; in it is
//! `site.pem`, the site's certificate and key, where clients use TLS).

mod exposure;
mod folder;
mod haproxy;
mod nginx;
mod running;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;
use stickler_catalogue::profile::Program;
use stickler_lb_core::Backend;

pub(crate) use running::Running;

/// What has to be known of a product. The program stays in the foreground when it is started so.
pub(crate) trait Product: Sync {
    /// What profiles call it.
    fn name(&self) -> &'static str;

    /// The Debian package that has it.
    fn package(&self) -> &'static str;

    /// The file of the program, without its folder.
    fn program(&self) -> &'static str {
        self.name()
    }

    /// The argument that makes it print its version.
    fn version_argument(&self) -> &'static str {
        "-v"
    }

    /// The arguments with which it runs in the foreground, with this configuration and in this folder.
    fn arguments(&self, configuration: &Path, folder: &Path) -> Vec<String>;

    /// Takes a server out of service for new sessions, or puts it back, by the product's own means.
    ///
    /// # Errors
    /// Why it cannot, as a sentence.
    fn drain(&self, running: &Running, server: &str, on: bool) -> Result<(), ProductError>;
}

/// The products that can be started.
const PRODUCTS: [&dyn Product; 2] = [&haproxy::HaProxy, &nginx::Nginx];

/// Where programs are that `PATH` need not name: servers' programs are not for every user.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Why a product is not to be had, or does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// There is no such product here.
    #[error("there is no product called `{0}` that can be started; there are: {known}", known = known())]
    Unknown(String),
    /// It is not installed.
    #[error("{name} is not installed: on Debian, it is in the package `{package}`")]
    Missing {
        /// The product.
        name: &'static str,
        /// The package of Debian that has it.
        package: &'static str,
    },
    /// The template of its configuration is wrong.
    #[error("the configuration of {name} is no template that can be filled in: {error}")]
    Template {
        /// The product.
        name: &'static str,
        /// Why.
        error: minijinja::Error,
    },
    /// It ended, or does not listen in time.
    #[error("{name} {what}; it said: {said}")]
    Ended {
        /// The product.
        name: &'static str,
        /// What it did.
        what: String,
        /// The end of its output.
        said: String,
    },
    /// It listens beyond loopback, and was ended at once.
    #[error("{name} listens on {addresses}, which is beyond loopback, and was ended")]
    Exposed {
        /// The product.
        name: &'static str,
        /// The addresses.
        addresses: String,
    },
    /// It cannot be told what to do.
    #[error("{name} cannot {what}: {why}")]
    Refused {
        /// The product.
        name: &'static str,
        /// What it was told.
        what: String,
        /// Why not.
        why: String,
    },
    /// The operating system refuses something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        error: std::io::Error,
    },
}

fn known() -> String {
    PRODUCTS.map(Product::name).join(", ")
}

/// A product on this machine, and the template of its configuration.
#[derive(Clone)]
pub(crate) struct Installed {
    pub(crate) product: &'static dyn Product,
    pub(crate) program: PathBuf,
    /// What the program says of its version; `None` where it says nothing that can be read.
    pub(crate) version: Option<String>,
    template: String,
}

impl Installed {
    /// Finds the product of a profile.
    ///
    /// # Errors
    /// [`ProductError::Unknown`], [`ProductError::Missing`].
    pub(crate) fn find(program: &Program) -> Result<Self, ProductError> {
        let product = PRODUCTS.into_iter().find(|product| product.name() == program.name);
        let product = product.ok_or_else(|| ProductError::Unknown(program.name.clone()))?;
        let missing = ProductError::Missing { name: product.name(), package: product.package() };
        let path = find(product.program()).ok_or(missing)?;
        let version = version(&path, product.version_argument());
        Ok(Self { product, program: path, version, template: program.configuration.clone() })
    }

    /// Whether its configuration has the site's certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.template.contains(running::CERTIFICATE)
    }

    /// The configuration for these addresses.
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
        let values = Values { address: address.to_string(), servers, folder: folder.display().to_string() };
        environment.render_str(&self.template, Value::from(Serde(values))).map_err(wrong)
    }
}

/// What a template is filled in with.
#[derive(Serialize)]
struct Values<'a> {
    address: String,
    servers: Vec<Server<'a>>,
    folder: String,
}

/// A server, as a template sees it.
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

/// The program of this name in `PATH`, or where servers' programs are.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The first number with a dot in what the program says of its version.
fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    // nginx says it on the error stream.
    let said = [output.stdout, output.stderr].concat();
    first_version(&String::from_utf8_lossy(&said))
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
    fn the_version_is_read_from_what_each_product_says() {
        for (said, version) in [
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", Some("2.6.12")),
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
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
        assert_eq!(error, "there is no product called `bigip` that can be started; there are: haproxy, nginx");
    }
}
