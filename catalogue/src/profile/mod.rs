//! The profiles of products: each is a set of a mechanism's parameters, as data, and every value has its source.
//!
//! The data is in `profiles/*.toml`, several profiles in a file; [`Profile::parse`] reads a user's own file in the same
//! way.
//!
//! * `keys`: every key, with its meaning and the rule that it sets. Three modules follow this one list, each with a
//!   `port`: `read` reads values and their citations, with errors that point to file, line and column; `write` writes a
//!   mechanism as values; `describe` puts the schema into words. `value` has the kinds of values.
//! * `file`: a file's profiles, what they extend, and a profile as a document of its own.
//! * `explain`: how the product treats connections, and what that means for NTLM, as a `description`: sentences and sources.
//!
//! Every value is `{ is = ..., source = "...", evidence = "S" }`, or `{ assumed = ..., why = "not known: ..." }` where
//! the behaviour is not known; or it stands alone, where the profile states one source for all.

mod describe;
mod description;
mod explain;
mod file;
mod keys;
mod port;
mod read;
mod value;
mod write;

use std::fmt;
use std::sync::{Arc, LazyLock};

use stickler_lb_core::Layer;
use stickler_model::BalancerSpec;

pub use self::description::{Assumption, Description, Mark, Sentence};
pub use self::read::ProfileError;
use crate::Mechanism;

/// A product in one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name in scripts and on the command line, for example `haproxy-safe`.
    pub name: String,
    /// The group under which the profile is shown, which is the vendor or the family of products.
    pub group: String,
    /// The name of the product.
    pub product: String,
    /// The versions to which the profile applies.
    pub versions: String,
    /// The line of configuration by which an operator would recognise it.
    pub config: String,
    /// Further notes for operators.
    pub notes: Vec<String>,
    /// The product itself in this configuration, if it can be started.
    pub program: Option<Program>,
    /// Each value and its source, in the order of the schema.
    pub facts: Vec<Fact>,
    mechanism: Mechanism,
    /// The complete profile as a TOML document of its own, including what it inherits.
    toml: Arc<str>,
}

/// A real product, and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The product's name for the arm that starts it, for example `haproxy`.
    pub name: String,
    /// The part of the product's configuration that makes it behave as the profile says, as a template. The arm that
    /// starts it defines what is filled in.
    pub configuration: String,
}

impl Fact {
    /// Returns the value as it is shown: a string without its quotation marks.
    pub fn value(&self) -> &str {
        self.toml.trim_matches('"')
    }
}

/// One value of a profile, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The key of the value, for example `pool.share`.
    pub what: String,
    /// The value, as TOML.
    pub toml: String,
    /// The source of the value.
    pub citation: Citation,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Citation {
    /// The value is known.
    Known {
        /// The source.
        source: String,
        /// The quality of the evidence for the value.
        evidence: Evidence,
    },
    /// The value is not known, and is assumed.
    Assumed {
        /// Why the value is not known, and why this one is assumed.
        why: String,
    },
}

/// The quality of the evidence for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The value was measured, against a mock that keeps state for each TCP connection.
    Measured,
    /// The value was read in the product's source code.
    Source,
    /// The value is in the vendor's documentation.
    Documented,
    /// The value comes from an issue or a pull request.
    Issue,
    /// The value comes from an operator's own configuration file, as `stickler check` reads it.
    Configuration,
    /// The value is remembered, and was not verified.
    Remembered,
}

impl Evidence {
    /// All kinds of evidence, the best first.
    pub const ALL: [Self; 6] =
        [Self::Measured, Self::Source, Self::Documented, Self::Issue, Self::Configuration, Self::Remembered];

    /// Returns the letter for this kind of evidence in a profile.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Measured => "M",
            Self::Source => "S",
            Self::Documented => "D",
            Self::Issue => "I",
            Self::Configuration => "C",
            Self::Remembered => "R",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Measured => "measured",
            Self::Source => "its source",
            Self::Documented => "vendor's documentation",
            Self::Issue => "an issue",
            Self::Configuration => "the configuration",
            Self::Remembered => "remembered, unverified",
        })
    }
}

const FILES: [(&str, &str); 12] = [
    ("profiles/nginx.toml", include_str!("../../profiles/nginx.toml")),
    ("profiles/haproxy.toml", include_str!("../../profiles/haproxy.toml")),
    ("profiles/apache.toml", include_str!("../../profiles/apache.toml")),
    ("profiles/proxies.toml", include_str!("../../profiles/proxies.toml")),
    ("profiles/traefik.toml", include_str!("../../profiles/traefik.toml")),
    ("profiles/envoy.toml", include_str!("../../profiles/envoy.toml")),
    ("profiles/linux.toml", include_str!("../../profiles/linux.toml")),
    ("profiles/skudonet.toml", include_str!("../../profiles/skudonet.toml")),
    ("profiles/google.toml", include_str!("../../profiles/google.toml")),
    ("profiles/aws.toml", include_str!("../../profiles/aws.toml")),
    ("profiles/azure.toml", include_str!("../../profiles/azure.toml")),
    ("profiles/appliances.toml", include_str!("../../profiles/appliances.toml")),
];

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (path, text) in FILES {
        let file = file::read(text, path, &all).unwrap_or_else(|error| panic!("a shipped profile is wrong: {error}"));
        all.extend(file);
    }
    all
});

/// Returns all profiles that are shipped, in the order of their groups.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

/// Returns the names of all profiles that are shipped, without reading the rest of them: most commands need no more, and
/// reading takes milliseconds.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().flat_map(|&(_, text)| text.split("[[profile]]").skip(1)).filter_map(|profile| {
        let mut values = profile.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        values.next()
    })
}

impl Profile {
    /// Reads the profiles of a file; `path` is its name, for errors. They may extend earlier ones in the file, shipped
    /// ones, and mechanisms.
    ///
    /// # Errors
    /// The file is not TOML, has an unknown or contradictory value, a value without a source, or a name that is already
    /// in use.
    pub fn parse(text: &str, path: &str) -> Result<Vec<Self>, ProfileError> {
        file::read(text, path, profiles())
    }

    /// Returns the profile that expresses a mechanism. A profile can express everything that a mechanism can.
    ///
    /// # Errors
    /// The mechanism's rules contradict one another. Those of the catalogue do not.
    pub fn of_mechanism(mechanism: &Mechanism) -> Result<Self, ProfileError> {
        file::of_mechanism(mechanism)
    }

    /// Returns the profile as a TOML document that [`Profile::parse`] reads, with the source of each value and with
    /// everything that it inherits.
    pub fn toml(&self) -> &str {
        &self.toml
    }

    /// Returns the behaviour of the profile as a mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism.clone()
    }

    /// Describes the profile as a balancer under test. The description contains the profile's data, so a run does not
    /// depend on this version's catalogue.
    pub fn spec(&self) -> BalancerSpec {
        BalancerSpec::Profile { name: self.name.clone(), toml: self.toml.to_string(), defects: Vec::new() }
    }

    /// Returns the layer at which the profile works.
    pub fn layer(&self) -> Layer {
        self.mechanism.layer
    }

    /// Describes how the product treats connections, with numbered sources, what is not known, and what it means for
    /// NTLM. The text follows from the rules: it is an expectation and not a verdict.
    pub fn describe(&self) -> Description<'_> {
        explain::describe(self)
    }
}

/// Returns the description of everything that a file of profiles may contain, as Markdown (`docs/profile-schema.md`).
pub fn schema() -> String {
    describe::markdown()
}

/// Returns a summary line for a mechanism that represents a product.
fn summary(product: &str, versions: &str, config: &str) -> String {
    format!("{product} {versions}: {config}")
}
