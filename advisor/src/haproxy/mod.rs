//! HAProxy's configuration: <https://docs.haproxy.org/2.6/configuration.html>.
//!
//! * `words`, `parse`, `conditions`: the language. A file is lines, sections, and what holds in a proxy by its defaults, as far as the
//!   preprocessor's conditions hold.
//! * `site`: which front end leads to which farm.
//! * `facts`: what the lines say, as values of a profile. `settings`: what several of them say together.
//! * `directives`: what a run may have, and why not the rest. `sandbox`: the copy for a run.
//! * `remedy`: what to change.

mod conditions;
mod directives;
mod facts;
mod parse;
mod remedy;
mod sandbox;
mod settings;
mod site;
mod words;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::parse::File;
use self::site::Pair;
use crate::bounds::{Budget, read_first};
use crate::{Document, Files, Place, Remedy, Sandbox, Site};

/// Files that have been read.
struct HaProxy {
    file: File,
    pairs: Vec<Pair>,
    sites: Vec<Site>,
}

/// Reads files, in their order.
///
/// # Errors
/// One cannot be read, a quote does not end, a proxy has no name, or has defaults that are not there, or a further file does not begin
/// with a section.
pub fn read(paths: &[&Path], files: &dyn Files, version: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let mut budget = Budget::new();
    let mut texts = Vec::new();
    for path in paths {
        let (name, text) = read_first(path, files)?;
        let taken = budget.take(text.len());
        taken.map_err(|message| Box::new(Diagnostic::new(&name, "", 0..0, message, None)))?;
        texts.push((name, text));
    }
    let file = File::parse(texts, files, version)?;
    let pairs = site::pairs(&file);
    let sites = pairs.iter().map(|&pair| facts::site(&file, pair, version)).collect();
    Ok(Box::new(HaProxy { file, pairs, sites }))
}

impl Document for HaProxy {
    fn product(&self) -> &'static str {
        "haproxy"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        let (front, back) = self.sites[site].tls;
        // TLS towards the servers alone would need clients without.
        sandbox::sandbox(&self.file, self.pairs[site], (front, front && back))
    }

    fn place(&self, line: usize) -> Option<Place> {
        self.file.place(line.checked_sub(1)?)
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.file, self.pairs[site])
    }
}
