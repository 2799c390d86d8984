//! Varnish's configuration, as VCL: <https://varnish-cache.org/docs/7.1/reference/vcl.html>.
//!
//! * `tokens`, `parse`: the language. Includes are expanded; conditions are not evaluated.
//! * `site`: the backend or the director to which requests go.
//! * `facts`: the statements as values of a profile.
//! * `sandbox`: the copy for a run. Its content is written from known statements; nothing else of the file remains.
//! * `remedy`: the remedies.

mod facts;
mod parse;
mod remedy;
mod sandbox;
mod site;
mod tokens;

use std::path::Path;

use stickler_runner::Diagnostic;

use self::parse::Program;
use crate::bounds::check_work;
use crate::{Document, Files, Remedy, Sandbox, Site};

/// A configuration that has been read.
struct Varnish {
    program: Program,
    sites: Vec<Site>,
}

/// Reads a file with all that it includes.
///
/// # Errors
/// A file cannot be read or includes itself, there are too many files, or a string, a comment or a block is not closed.
pub fn read(path: &Path, files: &dyn Files, _: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let program = parse::read(path, files)?;
    check_work(path, site::work(&program))?;
    let sites = site::farms(&program).iter().map(|farm| facts::site(&program, farm)).collect();
    Ok(Box::new(Varnish { program, sites }))
}

impl Document for Varnish {
    fn product(&self) -> &'static str {
        "varnish"
    }

    fn sites(&self) -> &[Site] {
        &self.sites
    }

    fn sandbox(&self, site: usize) -> Sandbox {
        sandbox::sandbox(&self.program, &site::farms(&self.program)[site])
    }

    fn remedies(&self, site: usize) -> Vec<Remedy> {
        remedy::remedies(&self.program, &site::farms(&self.program)[site])
    }
}
