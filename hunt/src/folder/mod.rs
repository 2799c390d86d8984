//! What a hunt leaves in a folder, so that it can be read, resumed and put together with others.
//!
//! | path | holds |
//! |---|---|
//! | `hunt.json` | what is hunted for, and how ([`Description`]): shards of one hunt have the same |
//! | `state.json` | which units are done, and which run was the first at each point of coverage |
//! | `corpus/UNIT-RUN.jsonl` | the plan of each such run, as a run file that holds a plan alone |
//! | `findings/BALANCER/KIND/finding.json` | a finding ([`Record`]) |
//! | `findings/BALANCER/KIND/found.jsonl` | the plan that found it |
//! | `findings/BALANCER/KIND/short.jsonl` | the run of the plan that is left of it after shrinking |
//! | `findings/BALANCER/KIND/finding.star` | the same as a script |
//! | `lock` | nothing: whoever hunts in this folder holds a lock on it |
//!
//! Whatever is written replaces a file whole or not at all, so that whoever dies leaves nothing that cannot be read. Units
//! that are not in `state.json` are done again, which changes nothing: they find the same. None of it depends on which shard,
//! thread or machine has found what, or when.
//!
//! * `files.rs`: reads and writes single files.
//! * `read.rs`: reads a folder. `write.rs`: writes it.

mod files;
mod read;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stickler_model::BalancerSpec;

use crate::judge::Kind;
use crate::search::Place;

pub use read::{corpus, read};
pub use write::{Folder, finding_folder};

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The version of the generator: another one draws other plans from the same seed, so that its units cannot be put together
/// with those of this one.
pub const GENERATOR: u32 = 1;

/// What is hunted for, and how. Two folders with the same description are shards of one hunt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`FORMAT`].
    pub format: u32,
    /// [`GENERATOR`].
    pub generator: u32,
    /// The version of Stickler.
    pub stickler: String,
    /// The seed.
    pub seed: u64,
    /// The arm that plays the plans, `sim`.
    pub arm: String,
    /// The balancers.
    pub balancers: Vec<BalancerSpec>,
    /// The steps of plans, where every plan of so many is played; `None`: plans are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhaustive: Option<u8>,
    /// The features that no plan uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether plans are steered by what they reach.
    pub guidance: bool,
    /// The runs of a unit; 0 where units differ.
    pub unit: u64,
    /// The runs of all shards together; `None`: as many as there is time for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// Whether what is declared is left out.
    pub undeclared_only: bool,
    /// The digest (SHA-256, in hexadecimal) of the plans that it began with; `None`: with none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<String>,
}

impl Description {
    /// Returns the name of the first part in which two descriptions differ, with both values; `None` where they are equal.
    pub fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let fields = |description: &Self| match serde_json::to_value(description) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (mine, theirs) = (fields(self), fields(other));
        let shown = |value: Option<&serde_json::Value>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
        let names = mine.keys().chain(theirs.keys().filter(|name| !mine.contains_key(*name)));
        names
            .filter(|name| mine.get(*name) != theirs.get(*name))
            .map(|name| (name.clone(), shown(mine.get(name)), shown(theirs.get(name))))
            .next()
    }
}

/// What `finding.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The balancer, as users call it.
    pub balancer: String,
    /// What was found.
    pub kind: Kind,
    /// Whether the shipped expectations declare it.
    pub declared: bool,
    /// What happened, in one sentence.
    pub summary: String,
    /// The run that found it.
    pub place: Place,
    /// What shrinking left of it; `None` before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Short>,
}

/// What shrinking left of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// What happens in the shrunk plan, in one sentence.
    pub summary: String,
    /// The seed of the plan.
    pub seed: u64,
    /// How many actions the plan has, clients not counted.
    pub actions: usize,
    /// On how many of [`SEEDS`](crate::shrink::SEEDS) seeds it shows the finding; `None` on an arm that no seed repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u64>,
    /// How many runs the shrinking took.
    pub runs: u64,
    /// Why there is no script of it: scripts cannot say everything that plans can. `None`: there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_script: Option<String>,
}

/// Something is wrong with a folder.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct FolderError {
    /// The file or the folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file or a folder.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system says so.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is not JSON of the form that it should have.
    #[error("the file cannot be read: {0}; it was edited or cut off, or another version of Stickler wrote it")]
    Json(#[from] serde_json::Error),
    /// The file is no run file that holds a plan.
    #[error("{0}")]
    Plan(String),
    /// Another version has written the file.
    #[error("the folder has {what} {found}, but this version of Stickler reads only {known}")]
    Version {
        /// `format` or `generator`.
        what: &'static str,
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// The folder holds another hunt.
    #[error(
        "the folder holds a different hunt: its `{field}` is {found}, but this hunt has {wanted}; choose another folder"
    )]
    OtherHunt {
        /// The first part that differs.
        field: String,
        /// Its value there.
        found: String,
        /// Its value here.
        wanted: String,
    },
    /// Another process hunts in the folder.
    #[error("another process is hunting in this folder: wait until it ends, or choose another folder")]
    Locked,
    /// The folder holds something that no hunt has written.
    #[error("the folder holds files that no hunt has written: choose an empty folder, or one that a hunt has written")]
    NotEmpty,
    /// The file says something that cannot be.
    #[error("{0}")]
    Wrong(String),
}
