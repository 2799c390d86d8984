//! The product Caddy.

use std::path::{Path, PathBuf};

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct Caddy;

impl Product for Caddy {
    fn name(&self) -> &'static str {
        "caddy"
    }

    fn package(&self) -> Package {
        Package::Debian("caddy")
    }

    fn version_argument(&self) -> &'static str {
        "version"
    }

    fn configuration(&self) -> &'static str {
        "Caddyfile"
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let configuration = place.configuration.display().to_string();
        ["run", "--adapter", "caddyfile", "--config", &configuration].map(str::to_owned).into()
    }

    /// Caddy saves its configuration in one folder, and certificates in the other
    /// (<https://caddyserver.com/docs/conventions#file-locations>).
    fn environment(&self, folder: &Path) -> Vec<(&'static str, PathBuf)> {
        ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"].map(|name| (name, folder.to_owned())).into()
    }

    /// Caddy cannot drain: an upstream that is missing from a new configuration loses its connections, because each
    /// configuration has its own transports (<https://caddyserver.com/docs/api#post-load>).
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("it takes another configuration instead, and closes all idle connections with the old one")
    }
}
