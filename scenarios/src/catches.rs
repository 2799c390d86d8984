//! The scenarios that catch each defect (`scripts/defects.toml`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use stickler_oracle::Requirement;

/// A scenario that catches a defect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catch {
    /// The mechanism on which the defect is put. Without it, the scenario is clean over this mechanism.
    pub on: String,
    /// The name of the scenario.
    pub scenario: String,
    /// The requirement that the defect breaks.
    pub requirement: Requirement,
}

static CATCHES: LazyLock<BTreeMap<String, Vec<Catch>>> = LazyLock::new(|| {
    toml::from_str(include_str!("../scripts/defects.toml"))
        .unwrap_or_else(|error| panic!("scripts/defects.toml is wrong: {error}"))
});

/// Returns the scenarios that catch the defect of this id, such as `B6`. The result is empty if there is no such
/// defect.
pub fn catches(defect: &str) -> &'static [Catch] {
    CATCHES.get(defect).map_or(&[], Vec::as_slice)
}
