//! The availability of the backends, according to the script's own actions: faults and drains.
//!
//! A backend is *up* while no fault and no drain affects it. A crash or a power loss lasts until the restart, a hang
//! until the process resumes, a held link until its release, a drain until it is revoked. A reset has no duration, but
//! a backend that had one is not up throughout the time around it. A fault that concerns no backend (the DC, the
//! balancer, a link to a client) stands *elsewhere*, and can explain what no backend explains.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Action, Fault, Name, What};

use crate::requests::Requests;

/// The backends over time. A `usize` is an index into the trace's events.
pub(crate) struct Farm<'t> {
    backends: BTreeMap<&'t Name, Backend>,
    /// Where faults elsewhere changed, and whether any stood from then on, in order.
    elsewhere: Vec<(usize, bool)>,
    /// From when all backends were down, and where the first came back, in order.
    without_backends: Vec<(usize, Option<usize>)>,
}

/// The condition of one backend, and its changes in order.
#[derive(Default)]
struct Backend {
    now: Condition,
    changes: Vec<(usize, Condition)>,
}

/// What keeps a backend from serving. Each `usize` is the event at which this began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The backend crashed, hangs or lost power.
    pub(crate) down: Option<usize>,
    /// The backend is being drained.
    pub(crate) draining: Option<usize>,
    /// The number of links to the backend that are held.
    held: u32,
}

impl Condition {
    fn is_up(self) -> bool {
        self.down.is_none() && self.draining.is_none() && self.held == 0
    }
}

impl<'t> Farm<'t> {
    /// Reads a trace. The backends are those of the topology, and every other host that acted as a server.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let mut farm = Self { backends: BTreeMap::new(), elsewhere: Vec::new(), without_backends: Vec::new() };
        farm.backends.extend(requests.topology().servers.iter().map(|server| (&server.name, Backend::default())));
        for (_, event) in requests.events() {
            if matches!(event.what, What::ServerAccepted { .. } | What::ServerReceived { .. }) {
                farm.backends.entry(&event.by).or_default();
            }
        }
        let mut standing = Standing::default();
        for (position, event) in requests.events() {
            if let What::Action(action) = &event.what {
                farm.act(position, action, &mut standing);
            }
        }
        farm
    }

    /// Returns the names of the backends, sorted.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &'t Name> {
        self.backends.keys().copied()
    }

    /// Returns the condition of a backend just before this event.
    pub(crate) fn condition(&self, backend: &Name, event: usize) -> Condition {
        let changes = self.backends.get(backend).map_or(&[][..], |backend| &backend.changes);
        let after = changes.partition_point(|&(change, _)| change < event);
        after.checked_sub(1).map_or(Condition::default(), |last| changes[last].1)
    }

    /// Returns whether nothing affected the backend from one event to the other, both included.
    pub(crate) fn is_up(&self, backend: &Name, from: usize, to: usize) -> bool {
        self.condition(backend, from).is_up() && !self.changed(backend, from, to)
    }

    /// Returns whether the backend was down or cut off just before this event.
    pub(crate) fn is_away(&self, backend: &Name, event: usize) -> bool {
        let condition = self.condition(backend, event);
        condition.down.is_some() || condition.held > 0
    }

    /// Returns whether a fault or a drain concerned the backend from one event to the other, both included.
    pub(crate) fn changed(&self, backend: &Name, from: usize, to: usize) -> bool {
        self.backends.get(backend).is_some_and(|backend| changed(&backend.changes, from, to))
    }

    /// Returns a backend other than this one that was up from one event to the other, both included.
    pub(crate) fn other_up(&self, backend: &Name, from: usize, to: usize) -> Option<&'t Name> {
        self.backends().find(|&other| other != backend && self.is_up(other, from, to))
    }

    /// Returns whether no fault stood elsewhere from one event to the other, both included.
    pub(crate) fn is_quiet_elsewhere(&self, from: usize, to: usize) -> bool {
        let before = self.elsewhere.partition_point(|&(change, _)| change < from);
        let stood = before.checked_sub(1).is_some_and(|last| self.elsewhere[last].1);
        !stood && !changed(&self.elsewhere, from, to)
    }

    /// Returns since when all backends have been down just before this event, and where the first comes back; `None` if
    /// one is not down then.
    pub(crate) fn without_backends(&self, event: usize) -> Option<(usize, Option<usize>)> {
        let last = self.without_backends.partition_point(|&(from, _)| from < event).checked_sub(1)?;
        Some(self.without_backends[last]).filter(|(_, to)| to.is_none_or(|to| to > event))
    }

    /// Returns the first fault or drain, of a backend or elsewhere.
    pub(crate) fn first_change(&self) -> Option<usize> {
        let backends = self.backends.values().filter_map(|backend| Some(backend.changes.first()?.0));
        backends.chain(self.elsewhere.first().map(|&(event, _)| event)).min()
    }

    fn act(&mut self, event: usize, action: &'t Action, standing: &mut Standing<'t>) {
        match action {
            Action::Drain(name) => self.change(event, name, |now| _ = now.draining.get_or_insert(event)),
            Action::Undrain(name) => self.change(event, name, |now| now.draining = None),
            Action::Fault(Fault::Crash(name) | Fault::PowerLoss(name) | Fault::Hang(name)) => {
                if self.backends.contains_key(name) {
                    self.change(event, name, |now| _ = now.down.get_or_insert(event));
                } else {
                    standing.hosts.insert(name);
                }
            }
            Action::Fault(Fault::Restart(name) | Fault::Resume(name)) => {
                standing.hosts.remove(name);
                self.change(event, name, |now| now.down = None);
            }
            Action::Fault(Fault::Hold(a, b)) => {
                if standing.links.insert(ordered(a, b)) {
                    self.change_link(event, a, b, |now| now.held += 1);
                }
            }
            Action::Fault(Fault::Release(a, b)) => {
                if standing.links.remove(&ordered(a, b)) {
                    self.change_link(event, a, b, |now| now.held = now.held.saturating_sub(1));
                }
            }
            Action::Fault(Fault::Reset(a, b)) => self.change_link(event, a, b, |_| ()),
            _ => return,
        }
        if let Action::Fault(fault) = action {
            self.note_elsewhere(event, fault, standing);
        }
        self.note_without_backends(event);
    }

    fn change(&mut self, event: usize, name: &Name, how: impl Fn(&mut Condition)) {
        if let Some(backend) = self.backends.get_mut(name) {
            how(&mut backend.now);
            backend.changes.push((event, backend.now));
        }
    }

    fn change_link(&mut self, event: usize, a: &Name, b: &Name, how: impl Fn(&mut Condition)) {
        self.change(event, a, &how);
        if a != b {
            self.change(event, b, &how);
        }
    }

    fn note_elsewhere(&mut self, event: usize, fault: &Fault, standing: &Standing<'_>) {
        let known = |name: &Name| self.backends.contains_key(name);
        let here = match fault {
            Fault::Crash(name)
            | Fault::PowerLoss(name)
            | Fault::Restart(name)
            | Fault::Hang(name)
            | Fault::Resume(name) => known(name),
            Fault::Hold(a, b) | Fault::Release(a, b) | Fault::Reset(a, b) => known(a) || known(b),
        };
        if !here {
            let links = standing.links.iter().any(|(a, b)| !known(a) && !known(b));
            self.elsewhere.push((event, links || !standing.hosts.is_empty()));
        }
    }

    fn note_without_backends(&mut self, event: usize) {
        let all_down = !self.backends.is_empty() && self.backends.values().all(|backend| backend.now.down.is_some());
        match self.without_backends.last_mut() {
            Some((_, to @ None)) if !all_down => *to = Some(event),
            Some((_, None)) => {}
            _ if all_down => self.without_backends.push((event, None)),
            _ => {}
        }
    }
}

/// The faults in effect while a trace is being read.
#[derive(Default)]
struct Standing<'t> {
    /// Hosts that are down and are not backends.
    hosts: BTreeSet<&'t Name>,
    /// Links that are held, each with its hosts in order.
    links: BTreeSet<(&'t Name, &'t Name)>,
}

fn ordered<'t>(a: &'t Name, b: &'t Name) -> (&'t Name, &'t Name) {
    if a <= b { (a, b) } else { (b, a) }
}

fn changed<T>(changes: &[(usize, T)], from: usize, to: usize) -> bool {
    let first = changes.partition_point(|&(change, _)| change < from);
    changes.get(first).is_some_and(|&(change, _)| change <= to)
}
