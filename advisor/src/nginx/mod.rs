//! nginx's configuration: <https://nginx.org/en/docs/>.
//!
//! * `words`, `tree`: the language. A configuration consists of directives in blocks, including those of included
//!   files.
//! * `site`: the servers and locations, and the upstreams to which they lead.
//! * `facts`: the directives as values of a profile.
//! * `directives`: the parts that a run may have. `sandbox`: the copy for a run.
//! * `remedy`: the remedies.

mod directives;
mod facts;
mod remedy;
mod sandbox;
mod site;
mod tree;
mod words;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::tree::Tree;
use crate::{Document, Files, Remedy, Sandbox, Site};

/// The paths at which packages have the module of `stream {}`. If none of them exists, it is built into nginx.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
    "/etc/nginx/modules/ngx_stream_module.so",
];

/// A configuration that has been read.
struct Nginx {
    tree: Tree,
    sites: Vec<Site>,
    stream: Option<&'static str>,
}

/// Reads a configuration.
///
/// # Errors
/// A file cannot be read, includes itself, or is not a configuration of nginx.
pub fn read(path: &Path, files: &dyn Files, version: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let tree = tree::read(path, files)?;
    let sites = site::all(&tree.directives);
    let sites = sites.iter().map(|found| facts::site(&tree.directives, found, version)).collect();
    let stream = MODULES.into_iter().find(|module| files.is_there(Path::new(module)));
    Ok(Box::new(Nginx { tree, sites, stream }))
}

impl Document for Nginx {
    fn product(&self) -> &'static str {
        "nginx"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        let (front, back) = self.sites[site].tls;
        // TLS towards the servers alone would require clients without TLS.
        sandbox::sandbox(
            &self.tree.directives,
            &site::all(&self.tree.directives)[site],
            (front, front && back),
            self.stream,
        )
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.tree, &site::all(&self.tree.directives)[site])
    }
}
