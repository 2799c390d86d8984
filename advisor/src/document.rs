//! A configuration that has been read: its sites, what each of them says, and what can be done with it.

use crate::Place;

/// A configuration that has been read.
pub trait Document {
    /// What profiles call the product: `haproxy`.
    fn product(&self) -> &'static str;

    /// The sites, in the order in which they stand.
    fn sites(&self) -> &[Site];

    /// Returns the configuration for a run of one site.
    ///
    /// # Panics
    /// There is no such site.
    fn sandbox(&self, site: usize) -> Sandbox;

    /// Returns what stands in a line of a copy, by its number, where each line of it stands for one of the configuration's.
    fn place(&self, line: usize) -> Option<Place> {
        let _ = line;
        None
    }

    /// Returns what can be done about a site that mixes users up, or does not let them log on: the best first.
    ///
    /// # Panics
    /// There is no such site.
    fn remedies(&self, site: usize) -> Vec<Remedy>;
}

/// A front end and the farm that its requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What the configuration calls it: `backend iis, behind frontend www`.
    pub name: String,
    /// The shipped profile that holds for what the configuration does not say.
    pub base: &'static str,
    /// The line of configuration that an operator would know it by.
    pub config: String,
    /// What of the base does not hold: sections and keys of it.
    pub without: Vec<&'static str>,
    /// What the configuration says.
    pub facts: Vec<Fact>,
    /// Why it is this mechanism: what decides it, with its place, or without one where it is the product's default.
    pub reasons: Vec<(Option<Place>, String)>,
    /// What may matter, and could not be read.
    pub unread: Vec<Unread>,
    /// How many servers the farm has.
    pub servers: usize,
    /// TLS between the clients and the balancer, and between the balancer and the servers.
    pub tls: (bool, bool),
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
}

/// One value of a profile that a configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which value: `pool.share`.
    pub key: &'static str,
    /// The value, as TOML.
    pub toml: String,
    /// The line that this is about.
    pub place: Place,
    /// What stands there: `http-reuse always`.
    pub says: String,
}

/// Something that may matter for authentication, and that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The line that this is about.
    pub place: Place,
    /// What stands there.
    pub says: String,
    /// Why it may matter.
    pub why: String,
}

/// A configuration that is safe to run beside the product itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// A template, as that of a profile's `configuration`, of the first file.
    pub template: String,
    /// The further files of the run's folder, by their names, as templates.
    pub further: Vec<(&'static str, String)>,
    /// What was changed, in the order of the places.
    pub changes: Vec<Change>,
}

impl Sandbox {
    /// Returns the template with all files, as a profile's `configuration` has them. `None` where the text of a file would begin another
    /// one, by a line `==> NAME <==`.
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

/// What a configuration for a run has in place of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The line that this is about.
    pub place: Place,
    /// What stood there.
    pub before: String,
    /// What stands there in the run; `None`: nothing.
    pub after: Option<String>,
    /// Why.
    pub why: String,
    /// Whether the run's verdict may be another than that of the whole file, because this is left out.
    pub matters: bool,
}

/// Something to do about a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Changed files.
    Edit {
        /// What it does, as a sentence.
        title: String,
        /// The files that are changed.
        files: Vec<Rewritten>,
    },
    /// Something that is no change of files alone, as a sentence.
    Choice(String),
}

/// A file that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The file's path, as it was given or included.
    pub path: String,
    /// Its text before.
    pub before: String,
    /// Its text after.
    pub after: String,
}
