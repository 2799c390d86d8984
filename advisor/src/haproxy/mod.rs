//! HAProxy's configuration: <https://docs.haproxy.org/2.6/configuration.html>.
//!
//! * `words`, `parse`, `conditions`: the language. A file consists of lines and sections; the settings of a proxy
//!   include its defaults. Lines count only if the preprocessor's conditions are true for them.
//! * `site`: the front ends, and the farms to which they lead.
//! * `facts`: the lines as values of a profile. `settings`: the settings that result from several lines.
//! * `directives`: the parts that a run may have. `sandbox`: the copy for a run.
//! * `remedy`: the remedies.

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
/// A file cannot be read, a quote is not closed, a proxy has no name or names defaults that do not exist, or a further
/// file does not begin with a section.
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
        // TLS towards the servers alone would require clients without TLS.
        sandbox::sandbox(&self.file, self.pairs[site], (front, front && back))
    }

    fn place(&self, line: usize) -> Option<Place> {
        self.file.place(line.checked_sub(1)?)
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.file, self.pairs[site])
    }
}
