//! Selects the examples that a page shows: a small number that together prove every violated cell.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use stickler_model::topology::Provider;
use stickler_oracle::Requirement;

use crate::matrix::{IDENTITY, LOGON, Matrix, Sighting};

/// A cell that needs an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// The cell that says that users cannot log on at sites with this provider.
    Logon(Provider),
    /// The cell that says that users are mixed up at sites with this provider.
    MixedUp(Provider),
    /// The cell that says that a requirement is violated.
    Requirement(Requirement),
}

/// An example: sightings of the same violation over one or more rows.
pub(super) struct Example<'a> {
    pub(super) requirement: Requirement,
    /// The rows with their sightings, in the order of the rows. There is at least one.
    pub(super) seen: Vec<(usize, &'a Sighting)>,
}

/// The selected examples, in the order of the requirements, and for each cell the example that proves it.
pub(super) struct Picked<'a> {
    pub(super) examples: Vec<Example<'a>>,
    pub(super) proofs: BTreeMap<(usize, Column), usize>,
}

/// The key that sightings of the same example share.
type Alike<'a> = (Requirement, &'a str, &'a str, &'a [String]);

/// The criterion by which two sightings of a violation count as the same example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The evidence: the sightings have the same scenario, the same summary and the same events.
    Evidence,
    /// The scenario alone. The cells about users' logons and identities are ignored.
    Scenario,
}

/// Selects examples until each cell has one.
pub(super) fn pick(matrix: &Matrix, by: By) -> Picked<'_> {
    let mut alike: IndexMap<Alike<'_>, Vec<(usize, &Sighting)>> = IndexMap::new();
    for (row, requirement, sighting) in sightings(matrix) {
        let key = match by {
            By::Evidence => (requirement, &*sighting.scenario, &*sighting.summary, &*sighting.evidence),
            By::Scenario => (requirement, &*sighting.scenario, "", &[][..]),
        };
        let seen = alike.entry(key).or_default();
        // A run with another seed may show the same over the same row.
        if seen.last().is_none_or(|&(last, _)| last != row) {
            seen.push((row, sighting));
        }
    }
    let cells = |(key, seen): (&Alike<'_>, &Vec<(usize, &Sighting)>)| {
        let requirement = key.0;
        seen.iter()
            .flat_map(|&(row, sighting)| columns(requirement, sighting, by).map(move |column| (row, column)))
            .collect::<Vec<_>>()
    };
    let proved: Vec<Vec<(usize, Column)>> = alike.iter().map(cells).collect();
    // A cell is proved by the first example that was selected for it, wherever that example appears on the page.
    let order = match by {
        By::Evidence => simplest(&proved, |index| alike[index][0].1.events),
        By::Scenario => fewest(&proved),
    };
    let mut picked = order.clone();
    picked.sort_by_key(|&index| alike.get_index(index).map(|(key, _)| key.0));
    let place: BTreeMap<usize, usize> = picked.iter().enumerate().map(|(place, &index)| (index, place)).collect();
    let mut proofs = BTreeMap::new();
    for index in order {
        for &cell in &proved[index] {
            proofs.entry(cell).or_insert(place[&index]);
        }
    }
    let example =
        |&index: &usize| alike.get_index(index).map(|(key, seen)| Example { requirement: key.0, seen: seen.clone() });
    Picked { examples: picked.iter().filter_map(example).collect(), proofs }
}

/// Selects the example with the shortest run for each cell, because it is the easiest to understand. `length` returns
/// the length of the run of an example.
fn simplest(proved: &[Vec<(usize, Column)>], length: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..proved.len()).collect();
    order.sort_by_key(|&index| length(index));
    let mut done: BTreeSet<(usize, Column)> = BTreeSet::new();
    // An example is kept if it proves a cell that no shorter example has proved.
    order.retain(|&index| {
        let before = done.len();
        done.extend(&proved[index]);
        done.len() > before
    });
    order
}

/// Selects a few examples: in each step the one that proves the most cells that are still unproved, and the first of
/// several equal ones.
fn fewest(proved: &[Vec<(usize, Column)>]) -> Vec<usize> {
    let mut open: BTreeSet<(usize, Column)> = proved.iter().flatten().copied().collect();
    let mut picked = Vec::new();
    while !open.is_empty() {
        let gain = |index: &usize| proved[*index].iter().filter(|cell| open.contains(cell)).count();
        let Some(best) = (0..proved.len()).min_by_key(|index| Reverse(gain(index))) else { break };
        for cell in &proved[best] {
            open.remove(cell);
        }
        picked.push(best);
    }
    picked
}

/// A scenario that shows a violation of a requirement over some balancers.
pub(crate) struct Shown<'a> {
    pub(crate) requirement: Requirement,
    pub(crate) scenario: &'a str,
    /// The names of the balancers. There is at least one.
    pub(crate) balancers: Vec<&'a str>,
    /// The command that shows the violation over the first of the balancers.
    pub(crate) replay: &'a str,
}

/// Returns a small number of scenarios that together show every violation, in the order of the requirements. Each cell
/// is shown by only one of them.
pub(crate) fn scenarios(matrix: &Matrix) -> Vec<Shown<'_>> {
    let picked = pick(matrix, By::Scenario);
    let shown = picked.examples.iter().enumerate().filter_map(|(index, Example { requirement, seen })| {
        let is_proof = |row: usize| picked.proofs.get(&(row, Column::Requirement(*requirement))) == Some(&index);
        let named: Vec<_> = seen.iter().filter(|&&(row, _)| is_proof(row)).collect();
        let balancers = named.iter().map(|&&(row, _)| &*matrix.rows()[row].subject.name).collect();
        let &&(_, Sighting { scenario, replay, .. }) = named.first()?;
        Some(Shown { requirement: *requirement, scenario, balancers, replay })
    });
    shown.collect()
}

/// Returns every sighting of a violation with its row and requirement, in the order of the rows.
fn sightings(matrix: &Matrix) -> impl Iterator<Item = (usize, Requirement, &Sighting)> {
    matrix.rows().iter().enumerate().flat_map(|(row, it)| {
        it.cells
            .iter()
            .flat_map(move |(&requirement, cell)| cell.broken.iter().map(move |sighting| (row, requirement, sighting)))
    })
}

/// Returns the cells of a row that a sighting proves.
fn columns(requirement: Requirement, sighting: &Sighting, by: By) -> impl Iterator<Item = Column> {
    let users = by == By::Evidence;
    let logon = users && LOGON.contains(&requirement) && sighting.calm;
    let mixed_up = users && IDENTITY.contains(&requirement);
    [
        logon.then_some(Column::Logon(sighting.takes)),
        mixed_up.then_some(Column::MixedUp(sighting.takes)),
        Some(Column::Requirement(requirement)),
    ]
    .into_iter()
    .flatten()
}
