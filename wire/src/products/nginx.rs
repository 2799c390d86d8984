//! nginx.

use std::path::Path;

use super::{Product, ProductError, Running};

pub(super) struct Nginx;

impl Product for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn package(&self) -> &'static str {
        "nginx-light"
    }

    fn arguments(&self, configuration: &Path, folder: &Path) -> Vec<String> {
        // Errors before the configuration is read go to the same log.
        let log = folder.join("error.log");
        let own = [folder.display().to_string(), log.display().to_string(), configuration.display().to_string()];
        let [folder, log, configuration] = own;
        ["-p", &folder, "-e", &log, "-c", &configuration, "-g", "daemon off;"].map(str::to_owned).into()
    }

    /// A server that is `down` gets no request, of a session that it has neither
    /// (<https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server>); `drain` is of the commercial version.
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        let why = "only the commercial version has the parameter `drain`".to_owned();
        Err(ProductError::Refused { name: self.name(), what: "drain a server".into(), why })
    }
}
