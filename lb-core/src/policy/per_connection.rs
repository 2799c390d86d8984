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
use crate::{BackendAware, Farm, FiveTuple, L4Decision, L4Policy, L4Work, Layer};

/// What makes one L4 mechanism differ from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowRules {
    /// Which backend a connection goes to.
    pub select: SelectRule,
    /// Connections of one client address go to one backend, from the first on until the last has been over for a time.
    /// `None`: each goes where the selection says.
    pub source: Option<SourceRule>,
    /// When a backend goes down, its connections are ended (AWS NLB: RST); if not, they are left to find out.
    pub close_on_down: bool,
    /// While every backend is down, each is taken for up (AWS NLB); if not, connections are refused.
    pub fails_open: bool,
}

impl FlowRules {
    /// In turn, and nothing else.
    pub const ROUND_ROBIN: Self =
        Self { select: SelectRule::new(Algorithm::RoundRobin), source: None, close_on_down: false, fails_open: false };
}

/// Each new 5-tuple goes to a backend and stays there: the network address translation, or the splice, holds the
/// flow, so that nothing is left to decide until it ends.
#[derive(Debug)]
pub struct PerConnection {
    rules: FlowRules,
    backends: Backends,
    selection: Selection,
    sources: Option<Sources>,
    /// Each flow's backend, from its start to its end.
    flows: IndexMap<FiveTuple, usize>,
    /// Flows to end, due since the first time.
    due: VecDeque<(Time, FiveTuple)>,
}

impl PerConnection {
    /// These rules over this farm. What is random comes from `entropy`.
    ///
    /// # Errors
    /// The rules contradict themselves or the farm.
    pub fn new(rules: FlowRules, farm: &Farm, entropy: Entropy) -> Result<Self, RuleError> {
        let backends = farm.backends.len();
        Ok(Self {
            backends: Backends::new(backends, rules.select.max_connections).failing_open(rules.fails_open),
            selection: Selection::new(&rules.select, backends, Layer::L4, entropy)?,
            sources: rules.source.map(Sources::new).transpose()?,
            flows: IndexMap::new(),
            due: VecDeque::new(),
            rules,
        })
    }

    fn choose(&mut self, now: Time, flow: FiveTuple) -> Option<usize> {
        let known = self.sources.as_ref().and_then(|sources| sources.get(now, flow.client.ip()));
        if let Some(backend) = known.filter(|&backend| self.backends.keeps_old(backend)) {
            return Some(backend);
        }
        let subject = Subject { client: flow.client, front: Some(flow.front), head: None };
        self.selection.pick(&self.backends, &subject, None)
    }

    fn end(&mut self, now: Time, flow: FiveTuple) {
        if let Some(backend) = self.flows.swap_remove(&flow) {
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

/// Which backend each client address has: that of its open flows, or what the table remembers of those before.
#[derive(Debug)]
struct Sources {
    table: SourceTable,
    mask: Mask,
    /// Each address with open flows: the backend that it got last, and how many flows it has.
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

    /// A flow of this client to this backend begins.
    fn begin(&mut self, now: Time, client: IpAddr, backend: usize) {
        self.table.put(now, client, backend);
        let (latest, flows) = self.in_use.entry(self.mask.apply(client)).or_default();
        (*latest, *flows) = (backend, *flows + 1);
    }

    /// A flow of this client ends, and the time of its entry begins anew.
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
        // The same ports again: the old flow's end was not seen.
        self.end(now, flow);
        let Some(backend) = self.choose(now, flow) else { return L4Decision::Refuse };
        if let Some(sources) = &mut self.sources {
            sources.begin(now, flow.client.ip(), backend);
        }
        self.backends.begin(backend);
        self.flows.insert(flow, backend);
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
        // What fails open is not down.
        if news && self.backends.state(backend) == BackendState::Down && self.rules.close_on_down {
            let of_it = self.flows.iter().filter(|(_, other)| **other == backend);
            self.due.extend(of_it.map(|(&flow, _)| (now, flow)));
        }
    }

    fn set_share(&mut self, _now: Time, backend: usize, percent: u8) {
        self.selection.set_share(backend, percent);
    }

    fn poll(&mut self, _now: Time) -> Option<L4Work> {
        // A flow that ended meanwhile needs no end, and one of the same ports on another backend must not get it.
        let dead = |flow: &FiveTuple| {
            self.flows.get(flow).is_some_and(|&backend| self.backends.state(backend) == BackendState::Down)
        };
        std::iter::from_fn(|| self.due.pop_front()).map(|(_, flow)| flow).find(dead).map(L4Work::CloseFlow)
    }

    fn next_deadline(&self) -> Option<Time> {
        self.due.front().map(|&(at, _)| at)
    }
}
