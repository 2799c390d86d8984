//! Envoy's configuration, as YAML or JSON:
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/bootstrap/v3/bootstrap.proto>.
//!
//! * `yaml`: the language, with places. Anchors are followed.
//! * `site`: the filters of listeners, and the clusters to which they lead.
//! * `facts`: the fields as values of a profile.
//! * `fields`: the parts that a run may have. `sandbox`: the copy for a run.
//! * `remedy`: the remedies.

mod facts;
mod fields;
mod remedy;
mod sandbox;
mod site;
mod yaml;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::yaml::Yaml;
use crate::bounds::check_work;
use crate::{Document, Files, Remedy, Sandbox, Site};

/// A configuration that has been read.
struct Envoy {
    yaml: Yaml,
    sites: Vec<Site>,
}

/// Reads a file.
///
/// # Errors
/// The file cannot be read, or is not YAML.
pub fn read(path: &Path, files: &dyn Files, _: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let yaml = yaml::read(path, files)?;
    let ways = site::ways(&yaml.root);
    check_work(path, ways.iter().map(|way| way.name().len()).sum())?;
    let sites = ways.iter().map(|way| facts::site(&yaml, way)).collect();
    Ok(Box::new(Envoy { yaml, sites }))
}

impl Document for Envoy {
    fn product(&self) -> &'static str {
        "envoy"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        let Site { tls: (front, back), http2, .. } = self.sites[site];
        let ways = site::ways(&self.yaml.root);
        // TLS towards the servers alone would require clients without TLS.
        sandbox::sandbox(&self.yaml, &ways[site], (front, front && back), http2)
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.yaml, &site::ways(&self.yaml.root)[site], &self.sites[site])
    }
}
