//! The backends that work, as known to a balancer that is informed of every fault.

use std::collections::BTreeSet;

use stickler_model::topology::Acceptor;
use stickler_model::{Action, Fault, Name, Topology};

use crate::BALANCER;

/// The condition of a backend, from bad to good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    /// The backend does not answer: it is down or hangs, is separated from the balancer, or does not speak proper HTTP.
    Useless,
    /// The backend answers, but reaches no DC.
    Answers,
    /// The backend answers and reaches a DC.
    Works,
}

/// The faults that are in effect, and their consequences for the backends. The balancer of a control uses this
/// knowledge.
pub struct Backends {
    servers: Vec<(Name, bool)>,
    controllers: Vec<Name>,
    /// The hosts that are down or hang.
    stopped: BTreeSet<Name>,
    /// The links on which packets are held back, with the two names in order.
    held: BTreeSet<(Name, Name)>,
}

impl Backends {
    /// Returns the backends of a topology without any faults.
    pub fn new(topology: &Topology) -> Self {
        let is_proper = |acceptor: &Acceptor| !matches!(acceptor, Acceptor::Rogue(_));
        let servers = topology.servers.iter().map(|server| (server.name.clone(), is_proper(&server.acceptor)));
        let mut controllers: Vec<Name> = topology.controllers.iter().map(|spec| spec.name.clone()).collect();
        if controllers.is_empty() {
            controllers.push(Name::from("dc"));
        }
        Self { servers: servers.collect(), controllers, stopped: BTreeSet::new(), held: BTreeSet::new() }
    }

    /// Records the fault that an action injects or repairs. A server that gets new settings while it is up is restarted,
    /// and therefore no longer hangs.
    pub fn note(&mut self, action: &Action, is_up: impl Fn(&Name) -> bool) {
        match action {
            Action::Fault(fault) => self.note_fault(fault),
            Action::Configure(server) if is_up(&server.name) => _ = self.stopped.remove(&server.name),
            _ => {}
        }
    }

    fn note_fault(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash(host) | Fault::PowerLoss(host) | Fault::Hang(host) => _ = self.stopped.insert(host.clone()),
            Fault::Restart(host) | Fault::Resume(host) => _ = self.stopped.remove(host),
            Fault::Hold(a, b) => _ = self.held.insert(link(a, b)),
            Fault::Release(a, b) => _ = self.held.remove(&link(a, b)),
            // It ends connections, and does not affect any host otherwise.
            Fault::Reset(..) => {}
        }
    }

    /// Returns each backend, and whether a new connection should go to it. New connections go to the backends that work
    /// best. If none works at all, each gets its turn, so that a client meets the actual state.
    pub fn in_use(&self) -> Vec<(Name, bool)> {
        let best = self.servers.iter().map(|server| self.health(server)).max();
        let in_use = |server: &(Name, bool)| (server.0.clone(), Some(self.health(server)) == best);
        self.servers.iter().map(in_use).collect()
    }

    fn health(&self, (name, is_proper): &(Name, bool)) -> Health {
        if !is_proper || self.stopped.contains(name) || self.is_held(&Name::from(BALANCER), name) {
            return Health::Useless;
        }
        let reaches = |controller: &Name| !self.stopped.contains(controller) && !self.is_held(name, controller);
        if self.controllers.iter().any(reaches) { Health::Works } else { Health::Answers }
    }

    fn is_held(&self, a: &Name, b: &Name) -> bool {
        self.held.contains(&link(a, b))
    }
}

fn link(a: &Name, b: &Name) -> (Name, Name) {
    if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

#[cfg(test)]
mod tests {
    use stickler_model::standard;
    use stickler_model::topology::Rogue;

    use super::*;

    fn in_use(backends: &Backends) -> Vec<String> {
        backends.in_use().into_iter().filter(|(_, up)| *up).map(|(name, _)| name.to_string()).collect()
    }

    fn noted(backends: &mut Backends, fault: &Fault) -> Vec<String> {
        backends.note_fault(fault);
        in_use(backends)
    }

    #[test]
    fn a_backend_is_in_use_unless_a_better_one_is_there() {
        let mut backends = Backends::new(&standard::site(2));
        let host = |name: &str| Name::from(name);
        assert_eq!(in_use(&backends), ["iis1", "iis2"]);
        assert_eq!(noted(&mut backends, &Fault::Crash(host("iis1"))), ["iis2"]);
        assert_eq!(noted(&mut backends, &Fault::Restart(host("iis1"))), ["iis1", "iis2"]);
        assert_eq!(noted(&mut backends, &Fault::Hang(host("iis2"))), ["iis1"]);
        assert_eq!(noted(&mut backends, &Fault::Resume(host("iis2"))), ["iis1", "iis2"]);
        // A server that cannot reach its DC answers, and logs nobody on.
        assert_eq!(noted(&mut backends, &Fault::Hold(host("dc"), host("iis1"))), ["iis2"]);
        assert_eq!(noted(&mut backends, &Fault::Hold(host("iis2"), host("lb"))), ["iis1"]);
        assert_eq!(noted(&mut backends, &Fault::Release(host("iis1"), host("dc"))), ["iis1"]);
        assert_eq!(noted(&mut backends, &Fault::Release(host("lb"), host("iis2"))), ["iis1", "iis2"]);
        // If no backend works, each gets its turn.
        assert_eq!(noted(&mut backends, &Fault::PowerLoss(host("dc"))), ["iis1", "iis2"]);
        noted(&mut backends, &Fault::Crash(host("iis1")));
        assert_eq!(noted(&mut backends, &Fault::Crash(host("iis2"))), ["iis1", "iis2"]);
        assert_eq!(noted(&mut backends, &Fault::Reset(host("lb"), host("iis2"))), ["iis1", "iis2"]);
    }

    #[test]
    fn a_server_that_speaks_no_http_is_not_in_use() {
        let mut topology = standard::site(2);
        topology.servers[0].acceptor = Acceptor::Rogue(Rogue::Garbage);
        assert_eq!(in_use(&Backends::new(&topology)), ["iis2"]);
    }
}
