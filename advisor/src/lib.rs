//! Reads a product's configuration, and determines which mechanism it is and why, line by line. Creates a copy that is
//! safe to run on the operator's own host, and suggests what to change.
//!
//! A file is read, and the result is the profile that it amounts to, with the line that decides this:
//!
//! ```
//! use std::path::Path;
//!
//! use stickler_advisor::{Language, Texts, read};
//!
//! let text = "\
//! defaults
//!     mode http
//!     http-reuse always
//! listen www
//!     bind :80
//!     server iis1 10.0.0.1:80
//! ";
//! let files = Texts::new(&[("haproxy.cfg", text)]);
//! let document = read(Language::HaProxy, &[Path::new("haproxy.cfg")], &files, None).unwrap();
//! let site = &document.sites()[0];
//! assert_eq!(site.base, "haproxy-always");
//!
//! let (place, why) = &site.reasons[1];                          // the first is that of `mode http`
//! assert_eq!(place.as_ref().unwrap().to_string(), "haproxy.cfg:3");
//! assert_eq!(why, "http-reuse always: an idle connection to a server may serve any client's request");
//! ```
//!
//! ```text
//! file ──▶ Document ──▶ Site ──▶ profile (facts with their lines) ──▶ the simulation
//!             │  └────▶ Sandbox (a template, and what was changed) ──▶ the real product
//!             └───────▶ Remedy (a changed file, as a unified diff) ──▶ both of them again
//! ```
//!
//! * [`read()`]: reads a file with all that it includes. The result is a [`Document`] for every product.
//! * [`Site`]: a front end with its farm. Its [`Fact`]s become values of a profile ([`Site::profile`]).
//! * [`Sandbox`]: the configuration for a run. Nothing in it executes a program, loads code, writes outside of the run's
//!   folder or contacts another address. Statements that are not known to be safe are left out and reported.
//! * [`Remedy`]: a change that cures a site that mixes users up, or on which they cannot log on.
//! * [`haproxy`], [`nginx`], [`httpd`], [`caddy`], [`envoy`], [`varnish`]: the products, each with its language, its
//!   facts, its list of what is allowed and its remedies.
//!
//! Nothing here starts a program. Files are read through [`Files`], which reads only regular files of bounded length.

mod bounds;
pub mod caddy;
mod diff;
mod document;
mod draft;
pub mod envoy;
mod files;
pub mod haproxy;
pub mod httpd;
pub mod nginx;
mod place;
mod profile;
mod reasons;
mod source;
mod template;
mod value;
pub mod varnish;

use std::path::Path;

use stickler_runner::Diagnostic;

pub use diff::{Replaced, replaced, unified};
pub use document::{Change, Document, Fact, Remedy, Rewritten, Sandbox, Site, Unread};
pub use files::{Disk, Files, Instead, Texts};
pub use place::Place;

/// The products whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// HAProxy's `haproxy.cfg`.
    HaProxy,
    /// nginx's `nginx.conf`.
    Nginx,
    /// Apache httpd's `httpd.conf`, or Debian's `apache2.conf`.
    Httpd,
    /// Caddy's `Caddyfile`.
    Caddy,
    /// Envoy's `envoy.yaml`.
    Envoy,
    /// Varnish's VCL.
    Varnish,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 6] = [Self::HaProxy, Self::Nginx, Self::Httpd, Self::Caddy, Self::Envoy, Self::Varnish];

    /// Returns the name of the product in profiles, for example `haproxy`.
    pub const fn product(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Httpd => "httpd",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Varnish => "varnish",
        }
    }

    /// Returns the language in which the product with this name is configured.
    pub fn of_product(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.product() == name)
    }

    /// Guesses the language of a text by the words with which its lines begin. Returns `None` if none of them is
    /// typical.
    pub fn guess(text: &str) -> Option<Self> {
        let mut lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.find_map(|line| match line.split_whitespace().next().unwrap_or_default() {
            "global" | "defaults" | "frontend" | "backend" | "listen" => Some(Self::HaProxy),
            "http" | "events" | "stream" | "server" | "upstream" | "http{" | "events{" | "stream{" => Some(Self::Nginx),
            "ServerRoot" | "LoadModule" | "Define" | "DefaultRuntimeDir" | "Listen" | "ServerName" | "Mutex"
            | "PidFile" | "ProxyPass" => Some(Self::Httpd),
            word if word.starts_with("<IfModule") || word.starts_with("<VirtualHost") || word.starts_with("<Proxy") => {
                Some(Self::Httpd)
            }
            "vcl" | "sub" => Some(Self::Varnish),
            "static_resources:" | "admin:" | "node:" | "dynamic_resources:" => Some(Self::Envoy),
            "reverse_proxy" | "{" => Some(Self::Caddy),
            // A site or a snippet has a block, and a name with a dot or a colon.
            word if line.trim_end().ends_with('{') && (word.starts_with('(') || word.contains(['.', ':'])) => {
                Some(Self::Caddy)
            }
            _ => None,
        })
    }
}

/// Reads a configuration: a file with everything that it includes, or several files of HAProxy, in their order.
/// `version` is the version of the product that is to run it, since defaults can depend on it.
///
/// # Errors
/// A file cannot be read, or is not in this language; the error has the place. Several files were given for a product
/// that reads only one.
pub fn read(
    language: Language,
    paths: &[&Path],
    files: &dyn Files,
    version: Option<&str>,
) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let only = || {
        let [path] = paths else {
            let second = paths.get(1).map_or_else(String::new, |path| path.display().to_string());
            let message =
                "HAProxy alone reads several files; of another product, name the one that includes the others";
            return Err(Box::new(Diagnostic::new(&second, "", 0..0, message.into(), None)));
        };
        Ok(*path)
    };
    match language {
        Language::HaProxy => haproxy::read(paths, files, version),
        Language::Nginx => nginx::read(only()?, files, version),
        Language::Httpd => httpd::read(only()?, files, version),
        Language::Caddy => caddy::read(only()?, files, version),
        Language::Envoy => envoy::read(only()?, files, version),
        Language::Varnish => varnish::read(only()?, files, version),
    }
}
