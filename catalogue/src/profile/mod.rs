//! Products by name: a set of mechanism parameters each, as data, every value with its source.
//!
//! The data lies in `profiles/*.toml`, several profiles to a file; [`Profile::parse`] reads a user's own file alike.
//!
//! * `keys`: every key that there is, with its meaning and the rule that it sets. Three things follow this one list, each a
//!   `port`: `read` reads values and their citations, with errors that point to file, line and column; `write` writes a
//!   mechanism as values; `describe` puts the schema into words. `value` has the kinds of values.
//! * `file`: a file's profiles, what they extend, and a profile as a document of its own.
//! * `explain`: how the product treats connections, and what that means for NTLM, as a `description`: sentences and sources.
//!
//! Every value is `{ is = ..., source = "...", evidence = "S" }`, or `{ assumed = ..., why = "not known: ..." }` where the
//! behaviour is not known; or it stands alone, where the profile states one source for all.

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
    /// What scripts and the command line call it: `haproxy-safe`.
    pub name: String,
    /// Whose product it is; profiles are shown by it.
    pub group: String,
    /// The product.
    pub product: String,
    /// The versions that it holds for.
    pub versions: String,
    /// The line of configuration that an operator would know it by.
    pub config: String,
    /// What else an operator should know.
    pub notes: Vec<String>,
    /// The product itself in this configuration, where it can be started.
    pub program: Option<Program>,
    /// Each value, and what it rests on, in the schema's order.
    pub facts: Vec<Fact>,
    mechanism: Mechanism,
    /// All of it as a TOML document of its own, with what it inherits.
    toml: Arc<str>,
}

/// A real product, and what it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The product's name for the arm that starts it: `haproxy`.
    pub name: String,
    /// The part of its configuration that makes it behave as the profile says, as a template: the arm that starts it says what
    /// it fills in.
    pub configuration: String,
}

impl Fact {
    /// The value as it is shown: a string without its quotation marks.
    pub fn value(&self) -> &str {
        self.toml.trim_matches('"')
    }
}

/// One value of a profile, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which value: `pool.share`.
    pub what: String,
    /// The value, as TOML.
    pub toml: String,
    /// Why it is so.
    pub citation: Citation,
}

/// What a value rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Citation {
    /// It is known.
    Known {
        /// Where from.
        source: String,
        /// How well.
        evidence: Evidence,
    },
    /// It is not known, and taken to be so.
    Assumed {
        /// Why it is not known, and why this value.
        why: String,
    },
}

/// How well something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Measured, against a mock that keeps state for each TCP connection.
    Measured,
    /// Read in the product's source.
    Source,
    /// The vendor's documentation.
    Documented,
    /// An issue or a pull request.
    Issue,
    /// An operator's own configuration file, as `stickler check` reads it.
    Configuration,
    /// Remembered, and not verified.
    Remembered,
}

impl Evidence {
    /// All kinds, the best first.
    pub const ALL: [Self; 6] =
        [Self::Measured, Self::Source, Self::Documented, Self::Issue, Self::Configuration, Self::Remembered];

    /// The letter that a profile writes.
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

/// All profiles that are shipped, in the order of their groups.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

impl Profile {
    /// The profiles of a file; `path` is its name, for errors. They may extend earlier ones of the file, shipped ones, and
    /// mechanisms.
    ///
    /// # Errors
    /// It is no TOML, has an unknown or contradictory value or one without a source, or a name that is taken.
    pub fn parse(text: &str, path: &str) -> Result<Vec<Self>, ProfileError> {
        file::read(text, path, profiles())
    }

    /// The profile that says what a mechanism does: everything that a mechanism can say, a profile can.
    ///
    /// # Errors
    /// The mechanism's rules contradict themselves; those of the catalogue do not.
    pub fn of_mechanism(mechanism: &Mechanism) -> Result<Self, ProfileError> {
        file::of_mechanism(mechanism)
    }

    /// The profile as a TOML document that [`Profile::parse`] reads, with the source of each value and with what it
    /// inherits.
    pub fn toml(&self) -> &str {
        &self.toml
    }

    /// What it does, as a mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism.clone()
    }

    /// Describes the profile as a balancer under test: with its data, so that a run does not depend on this version's
    /// catalogue.
    pub fn spec(&self) -> BalancerSpec {
        BalancerSpec::Profile { name: self.name.clone(), toml: self.toml.to_string(), defects: Vec::new() }
    }

    /// Where it works.
    pub fn layer(&self) -> Layer {
        self.mechanism.layer
    }

    /// Describes how it treats connections, with numbered sources, what is not known, and what it means for NTLM.
    pub fn describe(&self) -> Description<'_> {
        explain::describe(self)
    }
}

/// The description of what a file of profiles may hold, as Markdown (`docs/profile-schema.md`).
pub fn schema() -> String {
    describe::markdown()
}

/// A summary line for a mechanism that stands for a product.
fn summary(product: &str, versions: &str, config: &str) -> String {
    format!("{product} {versions}: {config}")
}
