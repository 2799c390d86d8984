//! The result of reading a configuration: its sites, the settings of each, and the operations on them.

use crate::Place;

/// A configuration that has been read.
pub trait Document {
    /// Returns the name of the product in profiles, for example `haproxy`.
    fn product(&self) -> &'static str;

    /// Returns the sites, in the order of the configuration.
    fn sites(&self) -> &[Site];

    /// Returns the configuration for a run of one site.
    ///
    /// # Panics
    /// The index is not that of a site.
    fn sandbox(&self, site: usize) -> Sandbox;

    /// Returns the place in the configuration for a line of a copy, given by its number, if each line of the copy
    /// corresponds to one of the configuration.
    fn place(&self, line: usize) -> Option<Place> {
        let _ = line;
        None
    }

    /// Returns the remedies for a site that mixes users up, or does not let them log on, the best first.
    ///
    /// # Panics
    /// The index is not that of a site.
    fn remedies(&self, site: usize) -> Vec<Remedy>;
}

/// A front end and the farm to which its requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The name of the site in the configuration, for example `backend iis, behind frontend www`.
    pub name: String,
    /// The shipped profile that applies to everything that the configuration does not set.
    pub base: &'static str,
    /// The line of configuration by which an operator would recognise the site.
    pub config: String,
    /// The sections and keys of the base that do not apply.
    pub without: Vec<&'static str>,
    /// The values that the configuration sets.
    pub facts: Vec<Fact>,
    /// The reasons for the choice of the mechanism, each with its place, or without a place if it is the product's
    /// default.
    pub reasons: Vec<(Option<Place>, String)>,
    /// The parts that may matter and could not be read.
    pub unread: Vec<Unread>,
    /// The number of servers in the farm.
    pub servers: usize,
    /// Whether TLS is used between the clients and the balancer, and between the balancer and the servers.
    pub tls: (bool, bool),
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
}

/// One value of a profile that a configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The key of the value, for example `pool.share`.
    pub key: &'static str,
    /// The value, as TOML.
    pub toml: String,
    /// The line that sets it.
    pub place: Place,
    /// The text of the line, for example `http-reuse always`.
    pub says: String,
}

/// A part of a configuration that may matter for authentication, and that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The line of that part.
    pub place: Place,
    /// The text of that part.
    pub says: String,
    /// Why it may matter.
    pub why: String,
}

/// A configuration that is safe to run beside the product itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The template of the first file, in the form of a profile's `configuration`.
    pub template: String,
    /// The further files of the run's folder, as templates, with their names.
    pub further: Vec<(&'static str, String)>,
    /// The changes, in the order of their places.
    pub changes: Vec<Change>,
}

impl Sandbox {
    /// Returns the template with all files, in the form of a profile's `configuration`. Returns `None` if the text of a
    /// file contains a line `==> NAME <==`, which would begin another file.
    pub fn whole(&self) -> Option<String> {
        let mut texts = std::iter::once(&self.template).chain(self.further.iter().map(|(_, text)| text));
        if texts.any(|text| text.lines().any(|line| line.starts_with("==> "))) {
            return None;
        }
        let mut whole = self.template.clone();
        for (name, text) in &self.further {
            whole.push_str("==> ");
            whole.push_str(name);
            whole.push_str(" <==\n");
            whole.push_str(text);
        }
        Some(whole)
    }
}

/// A line that a configuration for a run replaces or leaves out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The line.
    pub place: Place,
    /// The text of the line.
    pub before: String,
    /// The text in the configuration for the run; `None` if the line is left out.
    pub after: Option<String>,
    /// Why the line is changed.
    pub why: String,
    /// Whether the verdict on the run may differ from that on the whole file because of the change.
    pub matters: bool,
}

/// A remedy for a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A remedy that changes files.
    Edit {
        /// The description of the remedy, as a sentence.
        title: String,
        /// The files that are changed.
        files: Vec<Rewritten>,
    },
    /// A remedy that is not a mere change of files, as a sentence.
    Choice(String),
}

/// A file that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The path of the file, as it was given or included.
    pub path: String,
    /// The text before the change.
    pub before: String,
    /// The text after the change.
    pub after: String,
}
