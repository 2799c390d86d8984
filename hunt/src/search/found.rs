//! The findings of a hunt, merged from its units.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stickler_model::Plan;

use super::Unit;
use crate::judge::{Kind, Point};

/// The place of a run in a hunt. Of all runs that show the same finding, the one with the lowest place is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Place {
    /// The number of the unit, from 0.
    pub unit: u64,
    /// The number of the run in its unit, from 0.
    pub run: u64,
}

impl From<(u64, u64)> for Place {
    fn from((unit, run): (u64, u64)) -> Self {
        Self { unit, run }
    }
}

impl From<Place> for (u64, u64) {
    fn from(place: Place) -> Self {
        (place.unit, place.run)
    }
}

/// Something that a hunt has found, with the first plan that shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The kind of the finding.
    pub kind: Kind,
    /// Whether the shipped expectations declare that the balancer violates this requirement at such a site.
    pub declared: bool,
    /// The description of what happened, in one sentence.
    pub summary: String,
    /// The run that found it.
    pub place: Place,
    /// The plan that shows it.
    pub plan: Plan,
}

impl Finding {
    /// Returns the balancer and the kind. Two findings are the same if these are equal.
    pub fn key(&self) -> Key {
        (self.plan.balancer.to_string(), self.kind.clone())
    }
}

/// The balancer, in the form in which users write it, and the kind of a finding.
pub type Key = (String, Kind);

/// The merged results of units. The result does not depend on the order in which they are added, or on whether one is
/// added twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The units, each with the number of runs that it has made.
    pub units: BTreeMap<u64, u64>,
    /// The points that were reached by each balancer, each with the first run that reached it.
    pub coverage: BTreeMap<String, BTreeMap<Point, Place>>,
    /// The plans of those runs.
    pub corpus: BTreeMap<Place, Plan>,
    /// The findings.
    pub findings: BTreeMap<Key, Finding>,
}

impl Found {
    /// Adds the results of a unit.
    pub fn add(&mut self, unit: Unit) {
        let at = |run: u64| Place { unit: unit.number, run };
        self.units.entry(unit.number).and_modify(|runs| *runs = unit.runs.max(*runs)).or_insert(unit.runs);
        let coverage = unit.coverage.into_iter().map(|(point, run)| (point, at(run)));
        reach(self.coverage.entry(unit.balancer).or_default(), coverage);
        self.corpus.extend(unit.corpus.into_iter().map(|(run, plan)| (at(run), plan)));
        unit.findings.into_iter().for_each(|finding| self.keep(finding));
        self.forget_what_is_reached_earlier();
    }

    /// Adds the results of another shard of the same hunt.
    pub fn merge(&mut self, other: Self) {
        for (unit, runs) in other.units {
            self.units.entry(unit).and_modify(|known| *known = runs.max(*known)).or_insert(runs);
        }
        for (balancer, coverage) in other.coverage {
            reach(self.coverage.entry(balancer).or_default(), coverage);
        }
        self.corpus.extend(other.corpus);
        other.findings.into_values().for_each(|finding| self.keep(finding));
        self.forget_what_is_reached_earlier();
    }

    /// Keeps a finding, unless an earlier run has the same finding.
    fn keep(&mut self, finding: Finding) {
        let key = finding.key();
        if self.findings.get(&key).is_none_or(|known| finding.place < known.place) {
            self.findings.insert(key, finding);
        }
    }

    /// Removes plans that are not the first to reach any point.
    fn forget_what_is_reached_earlier(&mut self) {
        let first: std::collections::BTreeSet<Place> =
            self.coverage.values().flat_map(|points| points.values().copied()).collect();
        self.corpus.retain(|place, _| first.contains(place));
    }

    /// Returns the number of runs that were made.
    pub fn runs(&self) -> u64 {
        self.units.values().sum()
    }

    /// Returns the number of points of coverage over all balancers.
    pub fn points(&self) -> usize {
        self.coverage.values().map(BTreeMap::len).sum()
    }
}

/// Records points, each with its earliest place.
fn reach(known: &mut BTreeMap<Point, Place>, points: impl IntoIterator<Item = (Point, Place)>) {
    for (point, place) in points {
        known.entry(point).and_modify(|first| *first = place.min(*first)).or_insert(place);
    }
}
