//! The folder of a hunt, which can be read, resumed and merged with others.
//!
//! | path | holds |
//! |---|---|
//! | `hunt.json` | what is hunted for, and how ([`Description`]): shards of one hunt have the same |
//! | `state.json` | which units are done, which run was the first at each point of coverage, and the number of findings |
//! | `corpus/UNIT-RUN.jsonl` | the plan of each such run, as a run file that holds a plan alone |
//! | `findings/BALANCER/KIND/finding.json` | a finding ([`Record`]) |
//! | `findings/BALANCER/KIND/found.jsonl` | the plan that found it |
//! | `findings/BALANCER/KIND/short.jsonl` | the run of the plan after shrinking |
//! | `findings/BALANCER/KIND/finding.star` | the plan after shrinking as a script |
//! | `lock` | nothing: a process that hunts in this folder holds a lock on it |
//!
//! Each file is replaced as a whole or not at all, so a process that is killed leaves nothing unreadable. Units that are
//! not in `state.json` are made again, with the same results. No content depends on the shard, thread or machine that has
//! found something, or on the time.
//!
//! * `files.rs`: reads and writes single files.
//! * `read.rs`: reads a folder. `write.rs`: writes it.

mod files;
mod read;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stickler_model::BalancerSpec;

use crate::judge::Kind;
use crate::search::Place;

pub use read::{corpus, read};
pub use write::{Folder, finding_folder};

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The version of the generator. Another version draws different plans from the same seed, so its units cannot be
/// merged with those of this version.
pub const GENERATOR: u32 = 2;

/// What a hunt searches, and how. Two folders with the same description are shards of one hunt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The format of the folder, [`FORMAT`].
    pub format: u32,
    /// The version of the generator, [`GENERATOR`].
    pub generator: u32,
    /// The version of Stickler that wrote the folder.
    pub stickler: String,
    /// The seed.
    pub seed: u64,
    /// The name of the arm that plays the plans, for example `sim`.
    pub arm: String,
    /// The balancers.
    pub balancers: Vec<BalancerSpec>,
    /// The number of steps if every plan of that length is played; `None` if plans are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhaustive: Option<u8>,
    /// The features that no plan uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether plans are guided by what earlier plans have reached.
    pub guidance: bool,
    /// The number of runs in a unit; 0 if units differ.
    pub unit: u64,
    /// The number of runs in all shards together; `None` if only time limits the hunt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// Whether declared violations are left out.
    pub undeclared_only: bool,
    /// The digest (SHA-256, in hexadecimal) of the plans with which the hunt began; `None` if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<String>,
}

impl Description {
    /// Returns the name of the first field in which two descriptions differ, with both values; `None` if they are
    /// equal.
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

/// The content of `finding.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The balancer, in the form in which users write it.
    pub balancer: String,
    /// The kind of the finding.
    pub kind: Kind,
    /// Whether the shipped expectations declare the violation.
    pub declared: bool,
    /// The description of what happened, in one sentence.
    pub summary: String,
    /// The run that found it.
    pub place: Place,
    /// The result of shrinking; `None` before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Short>,
}

/// The result of shrinking a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// The description of what happens in the shrunk plan, in one sentence.
    pub summary: String,
    /// The seed of the plan.
    pub seed: u64,
    /// The number of actions in the plan, without the addition of clients.
    pub actions: usize,
    /// The number of the [`SEEDS`](crate::shrink::SEEDS) seeds on which the plan shows the finding; `None` on an arm
    /// that is not deterministic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u64>,
    /// The number of runs that the shrinking took.
    pub runs: u64,
    /// Why there is no script of the finding, since scripts cannot express everything that plans can. `None`: there is
    /// a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_script: Option<String>,
}

/// The error that a folder or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", shown(.path, .problem))]
pub struct FolderError {
    /// The file or the folder.
    pub path: PathBuf,
    /// What is wrong with the file or the folder.
    pub problem: Problem,
}

/// Returns the message about a file or a folder, which names its path once.
fn shown(path: &Path, problem: &Problem) -> String {
    match problem {
        // The error of a run file begins with its path and its line.
        Problem::Plan(error) => error.to_string(),
        problem => format!("{}: {problem}", path.display()),
    }
}

/// What can be wrong with a file or a folder.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system reports an error.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is not JSON of the expected form.
    #[error("the file cannot be read: {0}; it was edited or cut off, or another version of Stickler wrote it")]
    Json(#[from] serde_json::Error),
    /// The folder does not exist.
    #[error("there is no such folder")]
    Missing,
    /// There is a file in place of the folder.
    #[error("it is no folder: name the folder of a hunt, or one with run files")]
    NotAFolder,
    /// The folder contains no hunt.
    #[error("no hunt has written this folder: it has no hunt.json")]
    NoHunt,
    /// The file is not a run file that contains a plan.
    #[error("{0}")]
    Plan(Box<stickler_runner::file::FileError>),
    /// Another version of Stickler has written the file.
    #[error("the folder has {what} {found}, but this version of Stickler reads only {known}")]
    Version {
        /// What differs: `format` or `generator`.
        what: &'static str,
        /// The version that the file states.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// The folder contains a different hunt.
    #[error(
        "the folder holds a different hunt: its `{field}` is {found}, but this hunt has {wanted}; choose another folder"
    )]
    OtherHunt {
        /// The name of the first field that differs.
        field: String,
        /// The value in the folder.
        found: String,
        /// The value of this hunt.
        wanted: String,
    },
    /// Another process is hunting in the folder.
    #[error("another process is hunting in this folder: wait until it ends, or choose another folder")]
    Locked,
    /// The folder contains files that no hunt has written.
    #[error("the folder holds files that no hunt has written: choose an empty folder, or one that a hunt has written")]
    NotEmpty,
    /// The content of the file is not valid.
    #[error("{0}")]
    Wrong(String),
}
