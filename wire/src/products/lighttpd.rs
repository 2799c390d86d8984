//! The product lighttpd.

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct Lighttpd;

impl Product for Lighttpd {
    fn name(&self) -> &'static str {
        "lighttpd"
    }

    fn package(&self) -> Package {
        Package::Debian("lighttpd")
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        ["-D", "-f", &place.configuration.display().to_string()].map(str::to_owned).into()
    }

    /// lighttpd cannot drain: nothing in <https://redmine.lighttpd.net/projects/lighttpd/wiki/Docs_ModProxy> takes a
    /// host out.
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("mod_proxy has no means for it")
    }
}
