//! ST-4: load is spread.
//!
//! It applies where a bound is declared, and is put to the test, once, by a trace with two backends
//! or more in which at least as many units were spread as there are backends. Units are counted up
//! to the first fault or drain, for afterwards backends may differ in what they can take; requests of
//! unknown senders (health checks among them) do not count. It is not followed when a backend got
//! more than its share of the units and what is allowed on top. The evidence is what it got beyond.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::trace::SpreadUnit;
use stickler_model::{Name, RequestId, What};

use crate::index::Index;
use crate::judge::Finding;

/// ST-4.
pub(crate) fn load_is_spread(index: &Index<'_>) -> Finding {
    let Some(spread) = &index.promises().spread else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    let got = units(index, spread.unit);
    let total: usize = got.values().map(Vec::len).sum();
    let backends = index.farm.backends().count();
    if backends < 2 || total < backends {
        return finding;
    }
    finding.exercise();
    let special: BTreeMap<&Name, u32> = spread.weights.iter().map(|(name, weight)| (name, *weight)).collect();
    let weight = |name: &Name| special.get(name).map_or(1, |&weight| u128::from(weight));
    let weights: u128 = index.farm.backends().map(weight).sum();
    for (backend, events) in &got {
        // Whole units, rounded down: nobody gets a part of one.
        let with_percent = total as u128 * weight(backend) * (100 + u128::from(spread.percent));
        let share = usize::try_from(with_percent / (100 * weights).max(1)).unwrap_or(usize::MAX);
        let allowed = share.saturating_add(spread.units as usize);
        if let Some(beyond) = events.get(allowed..).filter(|beyond| !beyond.is_empty()) {
            let unit = match spread.unit {
                SpreadUnit::Requests => "requests",
                SpreadUnit::Connections => "connections",
            };
            let summary = format!("{backend} got {} of {total} {unit}, not the {allowed} it may", events.len());
            finding.violate(summary, beyond.to_vec());
        }
    }
    finding
}

/// Of each backend: where it received a unit.
fn units<'t>(index: &Index<'t>, unit: SpreadUnit) -> BTreeMap<&'t Name, Vec<usize>> {
    let until = index.farm.first_change().unwrap_or(index.trace.events.len());
    let mut got: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    let mut sent_on: BTreeMap<RequestId, (&Name, u32)> = BTreeMap::new();
    let mut counted: BTreeSet<(&Name, u32)> = BTreeSet::new();
    for (event, seen) in index.trace.events.iter().enumerate().take(until) {
        match &seen.what {
            What::ClientSent { connection, request, .. } => {
                sent_on.insert(*request, (&seen.by, *connection));
            }
            What::ServerReceived { request, .. } => {
                let Some(on) = request.and_then(|id| sent_on.get(&id)) else { continue };
                if unit == SpreadUnit::Requests || counted.insert(*on) {
                    got.entry(&seen.by).or_default().push(event);
                }
            }
            _ => {}
        }
    }
    got
}
