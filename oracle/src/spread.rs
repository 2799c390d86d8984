//! ST-4: load is spread.
//!
//! ST-4 applies where a bound is declared. It is put to the test, once, by a trace with at least two backends in which
//! at least as many units were spread as there are backends. Units are counted up to the first fault or drain, because
//! afterwards backends may differ in what they can take, and up to the first bytes that a client sends as they are, because
//! these are spread as well, and nobody knows how many units they are. Requests of unknown senders (such as health checks)
//! do not count. It is violated if a backend got more than its share of the units plus the declared tolerance. The evidence is
//! the units beyond that.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::trace::SpreadUnit;
use stickler_model::{Name, RequestId, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::verdict::Failure;

/// Judges ST-4.
pub(crate) fn st4_load_is_spread(index: &Index<'_>) -> Finding {
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
        // Whole units, rounded down: a unit cannot be split.
        let with_percent = total as u128 * weight(backend) * (100 + u128::from(spread.percent));
        let share = usize::try_from(with_percent / (100 * weights).max(1)).unwrap_or(usize::MAX);
        let allowed = share.saturating_add(spread.units as usize);
        if let Some(beyond) = events.get(allowed..).filter(|beyond| !beyond.is_empty()) {
            let unit = match spread.unit {
                SpreadUnit::Requests => "requests",
                SpreadUnit::Connections => "connections",
            };
            let summary = format!("{backend} got {} of {total} {unit}, not the {allowed} it may", events.len());
            finding.violate(Failure::Uneven, index.cited_by(beyond), summary, beyond.to_vec());
        }
    }
    finding
}

/// Returns the events at which each backend received a unit.
fn units<'t>(index: &Index<'t>, unit: SpreadUnit) -> BTreeMap<&'t Name, Vec<usize>> {
    let bytes = index.raw.iter().next().map(|send| send.event);
    let until = index.farm.first_change().into_iter().chain(bytes).min().unwrap_or(index.event_count());
    let mut got: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    let mut sent_on: BTreeMap<RequestId, (&Name, u32)> = BTreeMap::new();
    let mut counted: BTreeSet<(&Name, u32)> = BTreeSet::new();
    for (event, seen) in index.events().take(until) {
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
