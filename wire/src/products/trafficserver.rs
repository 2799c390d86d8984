//! The product Apache Traffic Server: the worker alone, without the manager that would restart it.
//!
//! Its configuration includes all further files; among them, `runroot.yaml` says where its folders are.

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct TrafficServer;

impl Product for TrafficServer {
    fn name(&self) -> &'static str {
        "trafficserver"
    }

    fn package(&self) -> Package {
        Package::Debian("trafficserver")
    }

    fn program(&self) -> &'static str {
        "traffic_server"
    }

    fn version_argument(&self) -> &'static str {
        "-V"
    }

    fn configuration(&self) -> &'static str {
        "records.config"
    }

    /// Returns the arguments for the run root of
    /// <https://docs.trafficserver.apache.org/en/9.2.x/admin-guide/installation/index.en.html>.
    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        vec![format!("--run-root={}", place.folder.join("runroot.yaml").display())]
    }

    /// Traffic Server cannot drain: `traffic_ctl host down` talks to `traffic_manager`, which is not running
    /// (<https://docs.trafficserver.apache.org/en/9.2.x/appendices/command-line/traffic_ctl.en.html>).
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("`traffic_ctl host down` needs traffic_manager, which is not started here")
    }
}
