//! Apache httpd's configuration: <https://httpd.apache.org/docs/2.4/configuring.html>.
//!
//! * `lines`, `parse`: the language. Includes, variables, conditions and macros are expanded, which results in a tree
//!   of directives.
//! * `route`: the directives that lead to farms, and the settings that apply there.
//! * `facts`: the directives as values of a profile.
//! * `directives`: the parts that a run may have. `sandbox`: the copy for a run.
//! * `remedy`: the remedies.

mod directives;
mod facts;
mod lines;
mod parse;
mod remedy;
mod route;
mod sandbox;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::parse::Configuration;
use crate::bounds::check_work;
use crate::{Document, Files, Remedy, Sandbox, Site};

/// A configuration that has been read.
struct Httpd {
    configuration: Configuration,
    sites: Vec<Site>,
}

/// Reads a file with all that it includes.
///
/// # Errors
/// A file cannot be read or includes itself, there are too many files, or a section or a macro is not closed.
pub fn read(path: &Path, files: &dyn Files, version: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let configuration = parse::read(path, files, version)?;
    let routes = route::routes(&configuration);
    check_work(path, route::work(&configuration, &routes))?;
    let sites = routes.iter().map(|route| facts::site(&configuration, route)).collect();
    Ok(Box::new(Httpd { configuration, sites }))
}

impl Document for Httpd {
    fn product(&self) -> &'static str {
        "httpd"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        let (front, back) = self.sites[site].tls;
        let routes = route::routes(&self.configuration);
        // TLS towards the servers alone would require clients without TLS.
        sandbox::sandbox(&self.configuration, &routes[site], (front, front && back))
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.sites[site])
    }
}
