//! Caddy's configuration, as a Caddyfile: <https://caddyserver.com/docs/caddyfile/concepts>.
//!
//! * `tokens`, `parse`: the language. Variables of the environment, snippets and imports are followed.
//! * `site`: the `reverse_proxy` directives and their sites.
//! * `facts`: the lines as values of a profile.
//! * `directives`: the parts that a run may have. `sandbox`: the copy for a run.
//! * `remedy`: the remedies.

mod directives;
mod facts;
mod parse;
mod remedy;
mod sandbox;
mod site;
mod tokens;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::parse::Directive;
use crate::bounds::check_work;
use crate::{Document, Files, Remedy, Sandbox, Site};

/// A configuration that has been read.
struct Caddy {
    blocks: Vec<Directive>,
    sites: Vec<Site>,
}

/// Reads a file with all that it imports.
///
/// # Errors
/// A file cannot be read or imports itself, there are too many files, or a quote or a block is not closed.
pub fn read(path: &Path, files: &dyn Files, _: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let blocks = parse::read(path, files)?;
    let proxies = site::proxies(&blocks);
    let work =
        proxies.iter().flat_map(site::Proxy::blocks).map(|block| 1 + block.name.len() + block.body().len()).sum();
    check_work(path, work)?;
    let sites = proxies.iter().map(|proxy| facts::site(&blocks, proxy)).collect();
    Ok(Box::new(Caddy { blocks, sites }))
}

impl Document for Caddy {
    fn product(&self) -> &'static str {
        "caddy"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        let (front, back) = self.sites[site].tls;
        let proxies = site::proxies(&self.blocks);
        // TLS towards the servers alone would require clients without TLS.
        sandbox::sandbox(&self.blocks, &proxies[site], (front, front && back))
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.sites[site])
    }
}
