//! The state of the world after some steps, as far as it determines which steps may follow.

use std::collections::BTreeSet;

use stickler_model::topology::Provider;
use stickler_model::{Action, ClientSpec, Fault, Name, Piece, RequestId, TokenId, Topology};

/// The state after some steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Situation {
    pub(crate) servers: Vec<Name>,
    pub(crate) clients: Vec<ClientSpec>,
    pub(crate) under_way: Vec<RequestId>,
    started: BTreeSet<RequestId>,
    tokens: BTreeSet<TokenId>,
    /// The servers that are down or hang, each with the action that repairs it, in the order in which they failed.
    pub(crate) broken: Vec<(Name, Fault)>,
    pub(crate) held: BTreeSet<(Name, Name)>,
    pub(crate) drained: BTreeSet<Name>,
    pub(crate) dc_is_down: bool,
    /// Whether something that a balancer must notice has happened.
    pub(crate) something_broke: bool,
    /// The client that has a connection from the shared port.
    at_port: Option<Name>,
    pub(crate) last_request: u32,
    pub(crate) last_token: u32,
}

impl Situation {
    /// Returns the state before the first step.
    pub(crate) fn new(topology: &Topology) -> Self {
        let servers = topology.servers.iter().map(|server| server.name.clone()).collect();
        Self { servers, ..Self::default() }
    }

    /// Keeps those of the steps that make sense one after the other, and leaves out the others.
    pub(crate) fn sensible(topology: &Topology, steps: impl IntoIterator<Item = Action>) -> Vec<Action> {
        let mut now = Self::new(topology);
        let mut sensible = Vec::new();
        for action in steps {
            if now.allows(&action) {
                now.see(&action);
                sensible.push(action);
            }
        }
        sensible
    }

    /// Returns whether this step makes sense in this state.
    pub(crate) fn allows(&self, action: &Action) -> bool {
        match action {
            Action::AddClient(spec) => {
                self.client(&spec.name).is_none() && spec.at.as_ref().is_none_or(|at| self.client(at).is_some())
            }
            Action::Start { id, request } => {
                self.client(&request.client).is_some()
                    && !self.started.contains(id)
                    && self.in_the_way_of(&request.client).is_none()
            }
            Action::Await(id) => self.under_way.contains(id),
            Action::Crowd(crowd) => {
                crowd.clients.iter().all(|client| self.client(client).is_some())
                    && !crowd.ids().any(|id| self.started.contains(&id))
            }
            Action::SendRaw(raw) => {
                let is_there = |piece: &Piece| !matches!(piece, Piece::Token(id) if !self.tokens.contains(id));
                self.client(&raw.client).is_some() && raw.bytes.iter().all(is_there)
            }
            Action::MakeToken { id, client } => !self.tokens.contains(id) && self.client(client).is_some_and(has_token),
            Action::Disconnect(client) | Action::SwitchUser(client, _) => self.client(client).is_some(),
            Action::Drain(server) => self.servers.contains(server) && !self.drained.contains(server),
            Action::Undrain(server) => self.drained.contains(server),
            Action::Configure(server) => self.servers.contains(&server.name),
            Action::Fault(fault) => self.allows_fault(fault),
            Action::Advance(_) | Action::AwaitChecks(_) => true,
        }
    }

    fn allows_fault(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Crash(host) | Fault::PowerLoss(host) | Fault::Hang(host) => {
                if is_controller(host) {
                    !self.dc_is_down
                } else {
                    self.well().contains(host)
                }
            }
            Fault::Restart(host) | Fault::Resume(host) => {
                if is_controller(host) {
                    self.dc_is_down
                } else {
                    self.broken.iter().any(|(name, mends)| name == host && mends == fault)
                }
            }
            Fault::Hold(a, b) => self.is_host(a) && self.is_host(b) && !self.held.contains(&(a.clone(), b.clone())),
            Fault::Release(a, b) => self.held.contains(&(a.clone(), b.clone())),
            Fault::Reset(a, b) => self.is_host(a) && self.is_host(b),
        }
    }

    /// Updates the state with the effect of a step.
    pub(crate) fn see(&mut self, action: &Action) {
        match action {
            Action::AddClient(spec) => self.clients.push(spec.clone()),
            Action::Start { id, request } => {
                if self.client(&request.client).is_some_and(|spec| spec.port.is_some()) {
                    self.at_port = Some(request.client.clone());
                }
                self.start(*id);
            }
            Action::Crowd(crowd) => crowd.ids().for_each(|id| self.start(id)),
            Action::Await(id) => self.under_way.retain(|other| other != id),
            Action::MakeToken { id, .. } => {
                self.tokens.insert(*id);
                self.last_token = self.last_token.max(id.0);
            }
            Action::Disconnect(client) => {
                self.at_port.take_if(|other| other == client);
            }
            Action::Drain(server) => {
                self.something_broke = true;
                self.drained.insert(server.clone());
            }
            Action::Undrain(server) => {
                self.drained.remove(server);
            }
            Action::Fault(fault) => self.see_fault(fault),
            Action::Configure(_) => self.something_broke = true,
            Action::SendRaw(_) | Action::SwitchUser(..) | Action::Advance(_) | Action::AwaitChecks(_) => {}
        }
    }

    fn see_fault(&mut self, fault: &Fault) {
        self.something_broke = true;
        let mends = match fault {
            Fault::Crash(host) | Fault::PowerLoss(host) => Some((host, Fault::Restart(host.clone()))),
            Fault::Hang(host) => Some((host, Fault::Resume(host.clone()))),
            Fault::Restart(host) | Fault::Resume(host) => {
                if is_controller(host) {
                    self.dc_is_down = false;
                }
                self.broken.retain(|(name, _)| name != host);
                None
            }
            Fault::Hold(a, b) => {
                self.held.insert((a.clone(), b.clone()));
                None
            }
            Fault::Release(a, b) => {
                self.held.remove(&(a.clone(), b.clone()));
                None
            }
            Fault::Reset(..) => None,
        };
        match mends {
            Some((host, _)) if is_controller(host) => self.dc_is_down = true,
            Some((host, mends)) => self.broken.push((host.clone(), mends)),
            None => {}
        }
    }

    fn start(&mut self, id: RequestId) {
        self.started.insert(id);
        self.under_way.push(id);
        self.last_request = self.last_request.max(id.0);
    }

    /// Returns the client that occupies the port from which this one connects too.
    pub(crate) fn in_the_way_of(&self, client: &Name) -> Option<Name> {
        self.client(client).filter(|spec| spec.port.is_some())?;
        self.at_port.clone().filter(|other| other != client)
    }

    /// Returns whether clients share a port.
    pub(crate) fn has_shared_port(&self) -> bool {
        self.clients.iter().any(|spec| spec.port.is_some())
    }

    /// Returns whether nothing is broken, held, drained or in progress.
    pub(crate) fn is_settled(&self) -> bool {
        self.broken.is_empty()
            && self.held.is_empty()
            && self.drained.is_empty()
            && !self.dc_is_down
            && self.under_way.is_empty()
    }

    /// Returns the names of the servers that are up.
    pub(crate) fn well(&self) -> Vec<Name> {
        let is_well = |server: &&Name| self.broken.iter().all(|(name, _)| name != *server);
        self.servers.iter().filter(is_well).cloned().collect()
    }

    fn client(&self, name: &Name) -> Option<&ClientSpec> {
        self.clients.iter().find(|spec| spec.name == *name)
    }

    fn is_host(&self, name: &Name) -> bool {
        name.as_str() == "lb" || is_controller(name) || self.servers.contains(name) || self.client(name).is_some()
    }
}

fn is_controller(name: &Name) -> bool {
    name.as_str().starts_with("dc")
}

/// Returns whether a client always has a token to begin with: if it gets no ticket, it begins with NTLM.
pub(crate) fn has_token(spec: &ClientSpec) -> bool {
    spec.identity.is_some() && spec.has_ntlm_for(Provider::Negotiate)
}
