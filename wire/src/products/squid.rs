//! The product Squid, without a master process.
//!
//! Its shared memory is named after its service, which is the run's folder here, so no other process uses it.
//! [`crate::shared_memory`] removes it.

use super::{Package, Place, Product, ProductError, Running};
use crate::shared_memory;

pub(super) struct Squid;

impl Product for Squid {
    fn name(&self) -> &'static str {
        "squid"
    }

    fn package(&self) -> Package {
        Package::Debian("squid")
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let service = shared_memory::name(place.folder);
        let configuration = place.configuration.display().to_string();
        ["-N", "-n", &service, "-f", &configuration].map(str::to_owned).into()
    }

    /// Squid cannot drain: a peer that is missing from a new configuration (`squid -k reconfigure`) disappears together
    /// with all listening sockets and idle connections, and the cache manager has no action for one peer
    /// (`squidclient mgr:menu` of 5.7).
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("it has no means for one peer")
    }
}
