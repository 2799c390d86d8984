//! The availability of the backends, according to the script's own actions: faults and drains.
//!
//! A backend is *up* while no fault and no drain affects it. A crash or a power loss lasts until the restart, a hang
//! until the process resumes, a held link until its release, a drain until it is revoked. A reset and a change of settings
//! have no duration, but a backend that had one is not up throughout the time around it. Faults that concern no backend (the
//! DC, the balancer, a link to a client) are in `faults`.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Action, Fault, Name, What};

use crate::order::{Position, before, since};
use crate::requests::Requests;

/// The backends over time. A `usize` is an index into the trace's events.
pub(crate) struct Farm<'t> {
    backends: BTreeMap<&'t Name, Backend>,
    /// The first fault or drain, of a backend or elsewhere.
    first: Option<usize>,
    /// The events from which all backends were down, each with the event at which the first of them came back, in
    /// order.
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
    /// The number of links to the backend that are held, not counting those to DCs.
    held: u32,
    /// The number of links between the backend and DCs that are held.
    without_dc: u32,
}

impl Condition {
    fn is_up(self) -> bool {
        self.down.is_none() && self.draining.is_none() && self.held == 0 && self.without_dc == 0
    }
}

impl<'t> Farm<'t> {
    /// Reads a trace. The backends are those of the topology, and every other host that acted as a server.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let mut farm = Self { backends: BTreeMap::new(), first: None, without_backends: Vec::new() };
        farm.backends.extend(requests.topology().servers.iter().map(|server| (&server.name, Backend::default())));
        for (_, event) in requests.events() {
            if matches!(event.what, What::ServerAccepted { .. } | What::ServerReceived { .. }) {
                farm.backends.entry(&event.by).or_default();
            }
        }
        let mut standing = Standing::default();
        for (position, event) in requests.events() {
            if let What::Action(action) = &event.what {
                farm.act(position, action, &mut standing, &|name| requests.is_dc(name));
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
        before(self.changes(backend), event).last().map_or(Condition::default(), |&(_, condition)| condition)
    }

    /// Returns whether nothing affected the backend from one event to the other (inclusive).
    pub(crate) fn is_up(&self, backend: &Name, from: usize, to: usize) -> bool {
        self.condition(backend, from).is_up() && !self.changed(backend, from, to)
    }

    /// Returns whether nothing affects the backend just after this event.
    pub(crate) fn is_up_after(&self, backend: &Name, event: usize) -> bool {
        self.condition(backend, event + 1).is_up()
    }

    /// Returns whether the backend was down or cut off just before this event.
    pub(crate) fn is_away(&self, backend: &Name, event: usize) -> bool {
        let condition = self.condition(backend, event);
        condition.down.is_some() || condition.held > 0 || condition.without_dc > 0
    }

    /// Returns whether a fault or a drain concerned the backend from one event to the other (inclusive).
    pub(crate) fn changed(&self, backend: &Name, from: usize, to: usize) -> bool {
        self.changes_between(backend, from, to).next().is_some()
    }

    /// Returns whether the backend could take requests from one event to the other (inclusive): it was up, or nothing but
    /// its way to a DC was cut.
    pub(crate) fn is_in_use(&self, backend: &Name, from: usize, to: usize) -> bool {
        let mut last = self.condition(backend, from);
        let serves = |condition: Condition| Condition { without_dc: 0, ..condition }.is_up();
        serves(last)
            && self.changes_between(backend, from, to).all(|condition| {
                // A reset changes no condition, but it is a change.
                let only_dc = condition.without_dc != last.without_dc;
                last = condition;
                only_dc && serves(condition)
            })
    }

    /// Returns whether nothing but drains kept the backend from serving from one event to the other (inclusive).
    pub(crate) fn is_drained_only(&self, backend: &Name, from: usize, to: usize) -> bool {
        let drained = |condition: Condition| Condition { draining: None, without_dc: 0, ..condition }.is_up();
        let mut last = self.condition(backend, from);
        drained(last)
            && self.changes_between(backend, from, to).all(|condition| {
                // A reset and a change of settings are faults that change no condition.
                let by_drain = condition != last;
                last = condition;
                by_drain && drained(condition)
            })
    }

    /// Returns the changes of a backend in order, each with its event and the condition after it.
    fn changes(&self, backend: &Name) -> &[(usize, Condition)] {
        self.backends.get(backend).map_or(&[], |backend| &backend.changes)
    }

    /// Returns the conditions after the changes of a backend from one event to the other, both included.
    fn changes_between(&self, backend: &Name, from: usize, to: usize) -> impl Iterator<Item = Condition> {
        let changes = since(self.changes(backend), from).iter();
        changes.take_while(move |&&(change, _)| change <= to).map(|&(_, condition)| condition)
    }

    /// Returns whether this is a backend.
    pub(crate) fn is_backend(&self, name: &Name) -> bool {
        self.backends.contains_key(name)
    }

    /// If all backends are down just before this event, returns the event from which this is so, and the event at which
    /// the first of them comes back. Otherwise returns `None`.
    pub(crate) fn without_backends(&self, event: usize) -> Option<(usize, Option<usize>)> {
        let last = before(&self.without_backends, event).last().copied();
        last.filter(|(_, to)| to.is_none_or(|to| to.is_after(event)))
    }

    /// Returns the first fault or drain, of a backend or elsewhere.
    pub(crate) fn first_change(&self) -> Option<usize> {
        self.first
    }

    fn act(&mut self, event: usize, action: &'t Action, standing: &mut Standing<'t>, is_dc: &dyn Fn(&Name) -> bool) {
        match action {
            // A restart ends connections, and the server is back at once. A process that hangs is ended too.
            Action::Configure(server) => {
                let hung = standing.hanging.remove(&server.name);
                self.change(event, &server.name, |now| now.down = now.down.filter(|_| !hung));
            }
            Action::Drain(name) if self.is_draining(name) => {}
            Action::Drain(name) => self.change(event, name, |now| now.draining = Some(event)),
            Action::Undrain(name) if !self.is_draining(name) => {}
            Action::Undrain(name) => self.change(event, name, |now| now.draining = None),
            Action::Fault(Fault::Crash(name) | Fault::PowerLoss(name) | Fault::Hang(name)) => {
                if matches!(action, Action::Fault(Fault::Hang(_))) {
                    standing.hanging.insert(name);
                } else {
                    standing.hanging.remove(name);
                }
                self.change(event, name, |now| _ = now.down.get_or_insert(event));
            }
            // A process that has ended cannot resume.
            Action::Fault(Fault::Resume(name)) if !standing.hanging.contains(name) => {}
            Action::Fault(Fault::Restart(name) | Fault::Resume(name)) => {
                standing.hanging.remove(name);
                self.change(event, name, |now| now.down = None);
            }
            Action::Fault(Fault::Hold(a, b)) => {
                if standing.links.insert(ordered(a, b)) {
                    self.change_link(event, (a, b), is_dc, |now| now.held += 1, |now| now.without_dc += 1);
                }
            }
            Action::Fault(Fault::Release(a, b)) => {
                if standing.links.remove(&ordered(a, b)) {
                    let less = |count: &mut u32| *count = count.saturating_sub(1);
                    self.change_link(event, (a, b), is_dc, |now| less(&mut now.held), |now| less(&mut now.without_dc));
                }
            }
            Action::Fault(Fault::Reset(a, b)) => self.change_link(event, (a, b), is_dc, |_| (), |_| ()),
            _ => return,
        }
        self.first.get_or_insert(event);
        self.note_without_backends(event);
    }

    fn is_draining(&self, name: &Name) -> bool {
        self.backends.get(name).is_some_and(|backend| backend.now.draining.is_some())
    }

    fn change(&mut self, event: usize, name: &Name, how: impl Fn(&mut Condition)) {
        if let Some(backend) = self.backends.get_mut(name) {
            how(&mut backend.now);
            backend.changes.push((event, backend.now));
        }
    }

    /// Changes the condition of the backends at the ends of a link. If the other end is a DC, the second of the two
    /// changes applies.
    fn change_link(
        &mut self,
        event: usize,
        (a, b): (&Name, &Name),
        is_dc: impl Fn(&Name) -> bool,
        how: impl Fn(&mut Condition),
        how_with_dc: impl Fn(&mut Condition),
    ) {
        let ends = if a == b { vec![(a, b)] } else { vec![(a, b), (b, a)] };
        for (end, other) in ends {
            if is_dc(other) {
                self.change(event, end, &how_with_dc);
            } else {
                self.change(event, end, &how);
            }
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
    /// Hosts whose process has stopped and may go on.
    hanging: BTreeSet<&'t Name>,
    /// Links that are held, each with its hosts in order.
    links: BTreeSet<[&'t Name; 2]>,
}

/// Returns the hosts of a link in order, whichever of them is named first.
fn ordered<'t>(a: &'t Name, b: &'t Name) -> [&'t Name; 2] {
    let mut hosts = [a, b];
    hosts.sort();
    hosts
}
