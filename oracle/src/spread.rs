//! ST-4: load is spread.
//!
//! ST-4 applies where a bound is declared. It is put to the test, once, by a trace with at least two backends in which
//! at least as many units were spread as there are backends. Units are counted up to the first fault or drain, because
//! afterwards backends may differ in what they can take, and up to the first bytes that a client sends unchanged,
//! because these are spread as well, and their number of units is not known. Requests of unknown senders (such as
//! health checks) do not count. It is violated if a backend got more than its share of the units plus the declared
//! tolerance. The evidence is the units beyond that.
//!
//! A client's connection counts at the backend of its first request. A connection without requests, which Chromium
//! opens in advance, may have taken a turn at any backend, and no event shows at which. Therefore the share includes
//! these connections.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::trace::SpreadUnit;
use stickler_model::{Name, RequestId, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::verdict::Failure;

/// Judges ST-4.
pub(crate) fn st4_load_is_spread(index: &Index<'_>) -> Finding {
    let Some(spread) = &index.promises().spread else { return Finding::not_applicable() };
    // The connections that are spread are those of the balancer in front, which no event shows.
    if spread.unit == SpreadUnit::Connections && index.topology().front.is_some() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let Units { got, unseen } = units(index, spread.unit);
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
        let with_percent = (total + unseen) as u128 * weight(backend) * (100 + u128::from(spread.percent));
        let share = usize::try_from(with_percent / (100 * weights).max(1)).unwrap_or(usize::MAX);
        let allowed = share.saturating_add(spread.units as usize);
        if let Some(beyond) = events.get(allowed..).filter(|beyond| !beyond.is_empty()) {
            let unit = match spread.unit {
                SpreadUnit::Requests => "requests",
                SpreadUnit::Connections => "connections",
            };
            let summary =
                format!("{backend} got {} of {total} {unit}, although at most {allowed} are allowed", events.len());
            finding.violate(Failure::Uneven, index.cited_by(beyond), summary, beyond.to_vec());
        }
    }
    finding
}

/// The units that were spread.
struct Units<'t> {
    /// The events at which each backend received a unit.
    got: BTreeMap<&'t Name, Vec<usize>>,
    /// The units whose backend is not known: clients' connections that carried no request.
    unseen: usize,
}

/// Returns the units that were spread before anything changed.
fn units<'t>(index: &Index<'t>, unit: SpreadUnit) -> Units<'t> {
    let bytes = index.raw.iter().next().map(|send| send.event);
    let until = index.farm.first_change().into_iter().chain(bytes).min().unwrap_or(index.event_count());
    let mut got: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    let mut sent_on: BTreeMap<RequestId, (&Name, u32)> = BTreeMap::new();
    let mut counted: BTreeSet<(&Name, u32)> = BTreeSet::new();
    let mut opened: BTreeSet<(&Name, u32)> = BTreeSet::new();
    for (event, seen) in index.events().take(until) {
        match &seen.what {
            What::ClientConnected { connection, .. } => {
                opened.insert((&seen.by, *connection));
            }
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
    let unseen = if unit == SpreadUnit::Connections { opened.difference(&counted).count() } else { 0 };
    Units { got, unseen }
}
