//! The L4 mechanisms, which choose a backend once for each connection.

use std::collections::VecDeque;
use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use stickler_model::{Entropy, Time};

use super::backends::{BackendState, Backends};
use super::error::RuleError;
use super::persist::{Mask, SourceRule, SourceTable};
use super::select::{Algorithm, SelectRule, Selection, Subject};
use super::workers::{WorkerRule, Workers};
use crate::{BackendAware, Farm, FiveTuple, L4Decision, L4Policy, L4Work, Layer};

/// The rules in which one L4 mechanism differs from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowRules {
    /// The choice of a backend for each connection.
    pub select: SelectRule,
    /// The rule by which all connections from one client address go to one backend. It applies from the first
    /// connection until some time after the last one has ended. `None`: each connection goes where the selection says.
    pub source: Option<SourceRule>,
    /// The fate of the connections of a backend that goes down.
    pub on_down: FlowsOnDown,
    /// Whether every backend counts as up while all are down (AWS NLB). If not, connections are treated as `none_left`
    /// says.
    pub fails_open: bool,
    /// The fate of a connection for which no backend is available.
    pub none_left: NoneLeft,
    /// The balancer's processes or threads. `None`: the balancer has one.
    pub workers: Option<WorkerRule>,
}

/// The fate of the connections of a backend that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowsOnDown {
    /// Nothing happens: packets still go to the backend.
    Nothing,
    /// The connections end on both sides (AWS NLB: RST).
    Closed,
    /// Packets are dropped, so both ends notice only when their own time limits expire: LVS, whose `expire_nodest_conn`
    /// is off by default (Linux, `Documentation/networking/ipvs-sysctl.rst`).
    Silent,
    /// Packets go to another backend, which does not know the connections and resets them: Google's passthrough load
    /// balancer with connection persistence `NEVER_PERSIST`. A splice, which has two connections, ends them instead.
    Moved,
}

/// The fate of a connection for which no backend is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoneLeft {
    /// The connection is refused.
    Refused,
    /// The packets of the connection are dropped, and neither side is told. The addresses of some clouds behave in this
    /// way.
    Dropped,
}

impl FlowRules {
    /// The simplest rules: round robin and nothing else.
    pub const ROUND_ROBIN: Self = Self {
        select: SelectRule::new(Algorithm::RoundRobin),
        source: None,
        on_down: FlowsOnDown::Nothing,
        fails_open: false,
        none_left: NoneLeft::Refused,
        workers: None,
    };
}

/// The L4 policy that assigns each new 5-tuple to a backend, where it stays. The network address translation or the
/// splice holds the flow, so no further decision is needed until the flow ends.
#[derive(Debug)]
pub struct PerConnection {
    rules: FlowRules,
    backends: Backends,
    /// The selections, one for each worker that takes turns by itself.
    selections: Vec<Selection>,
    workers: Workers,
    sources: Option<Sources>,
    /// The backend and the worker of each open flow.
    flows: IndexMap<FiveTuple, (usize, usize)>,
    /// The flows to end, each with the time from which that is due.
    due: VecDeque<(Time, FiveTuple)>,
}

impl PerConnection {
    /// Returns a policy with these rules over this farm. All randomness comes from `entropy`.
    ///
    /// # Errors
    /// The rules contradict themselves or the farm.
    pub fn new(rules: FlowRules, farm: &Farm, entropy: Entropy) -> Result<Self, RuleError> {
        let backends = farm.backends.len();
        rules.workers.as_ref().map_or(Ok(()), WorkerRule::check)?;
        let turns = rules.workers.map_or(1, WorkerRule::turns);
        let workers = Workers::new(rules.workers, entropy.clone());
        let selection = |entropy| Selection::new(&rules.select, backends, Layer::L4, entropy);
        let selections = std::iter::repeat_n(entropy, turns).map(selection).collect::<Result<_, _>>()?;
        Ok(Self {
            backends: Backends::new(backends, rules.select.max_connections).failing_open(rules.fails_open),
            selections,
            workers,
            sources: rules.source.map(Sources::new).transpose()?,
            flows: IndexMap::new(),
            due: VecDeque::new(),
            rules,
        })
    }

    fn choose(&mut self, now: Time, flow: FiveTuple, worker: usize) -> Option<usize> {
        let known = self.sources.as_ref().and_then(|sources| sources.get(now, flow.client.ip()));
        let known = known.filter(|&backend| self.backends.keeps_old(backend));
        if known.is_some() && !self.rules.select.bound_take_turns {
            return known;
        }
        let picked = self.pick(flow, worker, None);
        known.or(picked)
    }

    fn pick(&mut self, flow: FiveTuple, worker: usize, failed: Option<usize>) -> Option<usize> {
        let subject = Subject { client: flow.client, front: Some(flow.front), head: None };
        let turns = worker % self.selections.len().max(1);
        self.selections.get_mut(turns)?.pick(&self.backends, &subject, failed)
    }

    /// Moves a flow away from a backend that is down, and returns the other backend if there is one.
    fn move_away(&mut self, flow: FiveTuple) -> Option<usize> {
        let &(failed, worker) = self.flows.get(&flow)?;
        let other = self.pick(flow, worker, Some(failed))?;
        self.backends.end(failed);
        self.backends.begin(other);
        self.flows.insert(flow, (other, worker));
        Some(other)
    }

    fn end(&mut self, now: Time, flow: FiveTuple) {
        if let Some((backend, worker)) = self.flows.swap_remove(&flow) {
            self.workers.leave(worker);
            self.backends.end(backend);
            if let Some(sources) = &mut self.sources {
                sources.end(now, flow.client.ip());
            }
        }
    }

    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        let load: u32 = (0..self.backends.len()).map(|backend| self.backends.load(backend)).sum();
        assert_eq!(self.flows.len(), load as usize, "each flow loads one backend");
        if let Some(sources) = &self.sources {
            assert_eq!(self.flows.len(), sources.open(), "each flow is one of its client's");
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the checks cost time, and run in debug builds only")]
    const fn check_invariants(&self) {}
}

/// The backend of each client address: that of its open flows, or the one that the table remembers from earlier flows.
#[derive(Debug)]
struct Sources {
    table: SourceTable,
    mask: Mask,
    /// The addresses with open flows: the backend that each got last, and its number of flows.
    in_use: IndexMap<IpAddr, (usize, usize)>,
}

impl Sources {
    fn new(rule: SourceRule) -> Result<Self, RuleError> {
        Ok(Self { table: SourceTable::new(rule)?, mask: rule.mask, in_use: IndexMap::new() })
    }

    fn get(&self, now: Time, client: IpAddr) -> Option<usize> {
        let in_use = self.in_use.get(&self.mask.apply(client));
        in_use.map(|&(backend, _)| backend).or_else(|| self.table.get(now, client))
    }

    /// Records that a flow of this client to this backend begins.
    fn begin(&mut self, now: Time, client: IpAddr, backend: usize) {
        self.table.put(now, client, backend);
        let (latest, flows) = self.in_use.entry(self.mask.apply(client)).or_default();
        (*latest, *flows) = (backend, *flows + 1);
    }

    /// Records that a flow of this client ends. From then on the entry of an address without flows ages.
    fn end(&mut self, now: Time, client: IpAddr) {
        let masked = self.mask.apply(client);
        let Some((backend, flows)) = self.in_use.get_mut(&masked) else { return };
        self.table.put(now, client, *backend);
        *flows -= 1;
        if *flows == 0 {
            self.in_use.swap_remove(&masked);
        }
    }

    #[cfg(debug_assertions)]
    fn open(&self) -> usize {
        self.in_use.values().map(|&(_, flows)| flows).sum()
    }
}

impl L4Policy for PerConnection {
    fn connect(&mut self, now: Time, flow: FiveTuple) -> L4Decision {
        // The ports are the same as those of an old flow, whose end was not seen.
        self.end(now, flow);
        let worker = self.workers.land(flow.client);
        let Some(backend) = self.choose(now, flow, worker) else {
            self.workers.leave(worker);
            return match self.rules.none_left {
                NoneLeft::Refused => L4Decision::Refuse,
                NoneLeft::Dropped => L4Decision::Drop,
            };
        };
        if let Some(sources) = &mut self.sources {
            sources.begin(now, flow.client.ip(), backend);
        }
        self.backends.begin(backend);
        self.flows.insert(flow, (backend, worker));
        self.check_invariants();
        L4Decision::Backend(backend)
    }

    fn closed(&mut self, now: Time, flow: FiveTuple) {
        self.end(now, flow);
        self.check_invariants();
    }
}

impl BackendAware for PerConnection {
    type Work = L4Work;

    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        let news = self.backends.set_state(backend, state);
        // A backend of a farm that fails open does not count as down.
        let affected = self.rules.on_down != FlowsOnDown::Nothing;
        if news && self.backends.state(backend) == BackendState::Down && affected {
            let of_it = self.flows.iter().filter(|(_, (other, _))| *other == backend);
            self.due.extend(of_it.map(|(&flow, _)| (now, flow)));
        }
    }

    fn set_share(&mut self, _now: Time, backend: usize, percent: u8) {
        for selection in &mut self.selections {
            selection.set_share(backend, percent);
        }
    }

    fn poll(&mut self, _now: Time) -> Option<L4Work> {
        // A flow that has ended meanwhile need not be ended. A new flow with the same ports on another backend must not
        // be ended.
        let dead = |flow: &FiveTuple| {
            self.flows.get(flow).is_some_and(|&(backend, _)| self.backends.state(backend) == BackendState::Down)
        };
        let flow = std::iter::from_fn(|| self.due.pop_front()).map(|(_, flow)| flow).find(dead)?;
        Some(match self.rules.on_down {
            FlowsOnDown::Silent => L4Work::SilenceFlow(flow),
            FlowsOnDown::Moved => match self.move_away(flow) {
                Some(backend) => L4Work::MoveFlow(flow, backend),
                None => L4Work::SilenceFlow(flow),
            },
            FlowsOnDown::Closed | FlowsOnDown::Nothing => L4Work::CloseFlow(flow),
        })
    }

    fn next_deadline(&self) -> Option<Time> {
        self.due.front().map(|&(at, _)| at)
    }
}

#[cfg(test)]
#[cfg(debug_assertions)]
mod tests {
    use std::net::SocketAddr;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Backend;

    #[test]
    fn a_load_without_a_flow_is_found() {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let farm = Farm { backends: vec![Backend { name: stickler_model::Name::from("iis"), address }] };
        let mut policy = PerConnection::new(FlowRules::ROUND_ROBIN, &farm, Entropy::new(0, "test")).unwrap();
        policy.check_invariants();
        policy.backends.begin(0);
        assert!(catch_unwind(AssertUnwindSafe(|| policy.check_invariants())).is_err());
    }
}
