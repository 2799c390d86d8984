//! Products by name: a set of mechanism parameters each, as data, every value with its source.
//!
//! The data lies in `profiles/*.toml`, several profiles to a file; [`Profile::parse`] reads a user's own file alike.
//!
//! * `schema`: what a file may hold. Every value is `{ is = ..., source = "...", evidence = "S" }`, or
//!   `{ assumed = ..., why = "not known: ..." }` where the behaviour is not known.
//! * `read`: values and their citations, with errors that point to file, line and column.
//! * `build`: from values to rules; what contradicts itself is refused.
//! * `explain`: a paragraph on how the product treats connections, and what that means for NTLM.

mod build;
mod explain;
mod read;
mod schema;

use std::fmt;
use std::sync::LazyLock;

use stickler_lb_core::Layer;

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
    /// Each value, and what it rests on, in the file's order of sections.
    pub facts: Vec<Fact>,
    mechanism: Mechanism,
}

/// One value of a profile, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which value: `pool.share`.
    pub what: &'static str,
    /// As the file has it.
    pub value: String,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub enum Evidence {
    /// Measured, against a mock that keeps state for each TCP connection.
    #[serde(rename = "M")]
    Measured,
    /// Read in the product's source.
    #[serde(rename = "S")]
    Source,
    /// The vendor's documentation.
    #[serde(rename = "D")]
    Documented,
    /// An issue or a pull request.
    #[serde(rename = "I")]
    Issue,
    /// Remembered, and not verified.
    #[serde(rename = "R")]
    Remembered,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Measured => "measured",
            Self::Source => "its source",
            Self::Documented => "vendor's documentation",
            Self::Issue => "an issue",
            Self::Remembered => "remembered, unverified",
        })
    }
}

const FILES: [(&str, &str); 11] = [
    ("profiles/nginx.toml", include_str!("../../profiles/nginx.toml")),
    ("profiles/haproxy.toml", include_str!("../../profiles/haproxy.toml")),
    ("profiles/apache.toml", include_str!("../../profiles/apache.toml")),
    ("profiles/proxies.toml", include_str!("../../profiles/proxies.toml")),
    ("profiles/traefik.toml", include_str!("../../profiles/traefik.toml")),
    ("profiles/envoy.toml", include_str!("../../profiles/envoy.toml")),
    ("profiles/skudonet.toml", include_str!("../../profiles/skudonet.toml")),
    ("profiles/google.toml", include_str!("../../profiles/google.toml")),
    ("profiles/aws.toml", include_str!("../../profiles/aws.toml")),
    ("profiles/azure.toml", include_str!("../../profiles/azure.toml")),
    ("profiles/appliances.toml", include_str!("../../profiles/appliances.toml")),
];

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let read = |&(path, text): &(&str, &str)| {
        Profile::parse(text, path).unwrap_or_else(|error| panic!("a shipped profile is wrong: {error}"))
    };
    FILES.iter().flat_map(read).collect()
});

/// All profiles that are shipped, in the order of their groups.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

impl Profile {
    /// The profiles of a file; `path` is its name, for errors.
    ///
    /// # Errors
    /// It is no TOML, has an unknown or contradictory value or one without a source, or a name that is taken.
    pub fn parse(text: &str, path: &str) -> Result<Vec<Self>, ProfileError> {
        build::file(text, path)
    }

    /// What it does, as a mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism.clone()
    }

    /// Where it works.
    pub fn layer(&self) -> Layer {
        self.mechanism.layer
    }

    /// A paragraph on how it treats connections, with numbered sources, what is not known, and what it means for NTLM.
    /// It follows from the rules: it is an expectation, not a verdict.
    pub fn explain(&self) -> String {
        explain::explain(self)
    }
}

/// A summary line for a mechanism that stands for a product.
fn summary(product: &str, versions: &str, config: &str) -> String {
    format!("{product} {versions}: {config}")
}
