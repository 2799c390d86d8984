//! The product nginx, with `http {}` or with `stream {}`.
//!
//! If a profile loads a module (`load_module modules/...`), the path is relative to nginx's prefix, which is the run's
//! folder here. Therefore a template names Debian's `/usr/lib/nginx/modules`.

use super::{Package, Place, Product, ProductError, Running};

pub(super) struct Nginx;

impl Product for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn package(&self) -> Package {
        Package::Debian("nginx-light")
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        // Errors before the configuration is read go to the same log.
        let log = place.folder.join("error.log");
        let own = [place.folder, &log, place.configuration].map(|path| path.display().to_string());
        let [folder, log, configuration] = own;
        ["-p", &folder, "-e", &log, "-c", &configuration, "-g", "daemon off;"].map(str::to_owned).into()
    }

    /// nginx cannot drain: a server that is `down` gets no requests, not even those of a session that it has
    /// (<https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server>), and `drain` exists in the commercial
    /// version only.
    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("only the commercial version has the parameter `drain`")
    }
}
