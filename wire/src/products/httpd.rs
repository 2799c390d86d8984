//! The product Apache httpd, with the MPM that the profile's configuration loads.
//!
//! `mod_slotmem_shm` makes POSIX shared memory for a balancer's state, whose name APR derives from a path in the run's
//! folder: [`crate::shared_memory`] removes it.

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct Httpd;

impl Product for Httpd {
    fn name(&self) -> &'static str {
        "httpd"
    }

    fn package(&self) -> Package {
        Package::Debian("apache2")
    }

    fn program(&self) -> &'static str {
        "apache2"
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        ["-f", &place.configuration.display().to_string(), "-DFOREGROUND"].map(str::to_owned).into()
    }

    /// httpd cannot drain: only the balancer manager sets a member's status `N` (drain), and its forms require a nonce
    /// from the preceding page (<https://httpd.apache.org/docs/2.4/mod/mod_proxy_balancer.html#balancer_manager>).
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("only the pages of the balancer manager set the status `drain`, and they are not served here")
    }
}
