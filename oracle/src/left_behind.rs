//! The connections that a loss of power left behind, and the requests that may have met one of them.
//!
//! A host that loses power does not tell its peers that its connections have ended. A peer considers them open until it
//! uses them. Once the host is back, it resets them (RFC 9293 3.5.1), and the request is lost, so each such connection
//! costs at most one request. No server sees which connection a balancer used. Therefore only the number of connections
//! counts: of the requests that reached no server, at most as many may have met such a connection.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Action, Fault, Name, RequestId, What};

use crate::farm::Farm;
use crate::order::Position;
use crate::requests::{ClientConnection, Request, Requests, ServerConnection, is_no_answer};

/// The state of the search while a trace is being read.
struct LeftBehind<'i, 't> {
    requests: &'i Requests<'t>,
    farm: &'i Farm<'t>,
    /// The connections that servers have accepted and that are open as far as the servers know.
    at_servers: BTreeSet<ServerConnection<'t>>,
    /// The connections that clients have opened and that are open as far as the clients know.
    at_clients: BTreeSet<ClientConnection<'t>>,
    hosts: BTreeMap<&'t Name, Host>,
}

/// A host that has lost power.
#[derive(Default)]
struct Host {
    /// The number of connections that it left behind, less those that a request may have met.
    left: usize,
    /// The event at which it came back; `None` while it is down.
    back: Option<usize>,
}

/// Returns the requests that reached no server, had no answer, and may have met a connection that was left behind.
pub(crate) fn met_left_behind(requests: &Requests<'_>, farm: &Farm<'_>) -> BTreeSet<RequestId> {
    let mut met = BTreeSet::new();
    let (at_servers, at_clients) = (BTreeSet::new(), BTreeSet::new());
    let mut left_behind = LeftBehind { requests, farm, at_servers, at_clients, hosts: BTreeMap::new() };
    for (event, seen) in requests.events() {
        match &seen.what {
            What::ServerAccepted { connection, .. } => _ = left_behind.at_servers.insert((&seen.by, *connection)),
            What::ServerClosed { connection, .. } => _ = left_behind.at_servers.remove(&(&seen.by, *connection)),
            What::ClientConnected { connection, .. } => _ = left_behind.at_clients.insert((&seen.by, *connection)),
            What::ClientClosed { connection, .. } => _ = left_behind.at_clients.remove(&(&seen.by, *connection)),
            What::Action(Action::Fault(fault)) => left_behind.note(event, fault),
            What::RequestEnded { request, status, .. } if is_no_answer(*status) => {
                let ended = requests.get(Some(*request)).filter(|request| ended_here(request, event));
                if let Some(request) = ended.filter(|request| is_lost(requests, request))
                    && left_behind.may_be_met(request)
                {
                    met.insert(request.id);
                }
            }
            _ => {}
        }
    }
    met
}

impl<'t> LeftBehind<'_, 't> {
    fn note(&mut self, event: usize, fault: &'t Fault) {
        match fault {
            Fault::PowerLoss(name) => {
                let left = self.lose(name);
                let host = self.hosts.entry(name).or_default();
                (host.left, host.back) = (host.left + left, None);
            }
            Fault::Crash(name) => self.hosts.entry(name).or_default().back = None,
            Fault::Restart(name) => self.hosts.entry(name).or_default().back = Some(event),
            _ => {}
        }
    }

    /// Returns how many connections a host leaves behind if it loses power now. Nobody records the connections that a
    /// balancer accepts. If a second balancer is in front of it, that one may have as many connections as clients have.
    fn lose(&mut self, name: &Name) -> usize {
        let before = self.at_servers.len();
        self.at_servers.retain(|&(server, _)| server != name);
        let is_balancer = !(self.farm.is_backend(name) || self.requests.is_dc(name) || self.requests.is_client(name));
        let behind_another = is_balancer && self.requests.topology().front.is_some();
        before - self.at_servers.len() + if behind_another { self.at_clients.len() } else { 0 }
    }

    /// Looks for a host to which the request may have been sent, and which was back by then. If there is one, counts
    /// the request against it and returns true.
    fn may_be_met(&mut self, request: &Request<'t>) -> bool {
        let serves = |name: &Name| !self.farm.is_backend(name) || self.requests.promises().serves(name, request.path);
        let is_back = |host: &Host| host.left > 0 && host.back.is_some_and(|back| back.is_before(request.started));
        let met = self.hosts.iter_mut().find(|(name, host)| is_back(host) && serves(name));
        met.map(|(_, host)| host.left -= 1).is_some()
    }
}

fn ended_here(request: &Request<'_>, event: usize) -> bool {
    request.ended.is_some_and(|end| end.event == event)
}

/// Returns whether the last HTTP request that the client sent reached no server.
fn is_lost(requests: &Requests<'_>, request: &Request<'_>) -> bool {
    let Some((sent, ..)) = requests.sent(request).last() else { return false };
    !requests.received(request).any(|(event, ..)| event.is_after(sent))
}
