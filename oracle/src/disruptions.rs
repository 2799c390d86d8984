//! What disrupted clients from outside: connections that they lost, and what the script did to them or to the network.
//!
//! The oracle asks here whether a missing answer has a cause other than the balancer.

use indexmap::IndexMap;
use stickler_model::event::Closed;
use stickler_model::{Action, Fault, Name, What};

use crate::requests::{Request, Requests};

/// The disruptions of a trace. A `usize` is an index into the trace's events.
pub(crate) struct Disruptions<'t> {
    /// By every client that the trace knows.
    clients: IndexMap<&'t Name, Client>,
    faults: Vec<Disruption<'t>>,
}

/// The history of one client over the whole trace. Each list is in order.
#[derive(Default)]
struct Client {
    /// Ends of its requests.
    ends: Vec<usize>,
    /// Connections that it lost.
    lost: Vec<usize>,
    /// Where the script disconnected it.
    disconnects: Vec<usize>,
}

/// A fault that takes something away until it is repaired.
struct Disruption<'t> {
    from: usize,
    fault: &'t Fault,
    /// Where a held link was released.
    released: Option<usize>,
}

impl<'t> Disruptions<'t> {
    /// Reads a trace from start to end.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let mut disruptions = Self { clients: IndexMap::new(), faults: Vec::new() };
        for (position, event) in requests.events() {
            match &event.what {
                What::Action(action) => disruptions.note_action(position, action),
                What::RequestStarted { .. } => _ = disruptions.client(&event.by),
                What::RequestEnded { request, .. } => {
                    if let Some(request) = requests.get(Some(*request))
                        && request.ended.is_some_and(|end| end.event == position)
                    {
                        disruptions.client(request.client).ends.push(position);
                    }
                }
                What::ClientClosed { how, .. } if *how != Closed::Here => {
                    disruptions.client(&event.by).lost.push(position);
                }
                _ => {}
            }
        }
        disruptions
    }

    /// Returns how many connections the client lost while the request ran, or since an earlier request of the same
    /// client ended. A connection is lost when the peer closed it or it broke, not when the client closed it.
    pub(crate) fn lost(&self, request: &Request<'t>) -> usize {
        let (Some(end), Some(client)) = (request.ended, self.clients.get(request.client)) else {
            return 0;
        };
        let earlier = client.ends.partition_point(|&event| event < request.started);
        let from = earlier.checked_sub(1).map_or(0, |last| client.ends[last]);
        count_between(&client.lost, from, end.event)
    }

    /// Returns whether something that the script did before the request ended can explain that it got no answer: the
    /// client was disconnected meanwhile, or a fault is or was in its way.
    ///
    /// A crash or a reset explains for the rest of the run, even after it was repaired, because a balancer may learn
    /// only by using a pooled connection that it is dead. A held link explains until it is released. A fault on the
    /// link to another client explains nothing.
    pub(crate) fn explain(&self, request: &Request<'t>) -> bool {
        let Some(end) = request.ended else {
            return false;
        };
        let disconnected = self
            .clients
            .get(request.client)
            .is_some_and(|client| count_between(&client.disconnects, request.started, end.event) > 0);
        disconnected || self.fault_before(request, end.event)
    }

    fn fault_before(&self, request: &Request<'t>, end: usize) -> bool {
        let elsewhere = |name: &Name| name != request.client && self.clients.contains_key(name);
        self.faults.iter().take_while(|disruption| disruption.from < end).any(|disruption| {
            let stood = disruption.released.is_none_or(|event| event > request.started);
            stood
                && match disruption.fault {
                    Fault::Hold(a, b) | Fault::Reset(a, b) => !elsewhere(a) && !elsewhere(b),
                    _ => true,
                }
        })
    }

    fn client(&mut self, name: &'t Name) -> &mut Client {
        self.clients.entry(name).or_default()
    }

    fn note_action(&mut self, position: usize, action: &'t Action) {
        match action {
            Action::AddClient(spec) => _ = self.client(&spec.name),
            Action::Disconnect(client) => self.client(client).disconnects.push(position),
            Action::Fault(Fault::Release(a, b)) => {
                for disruption in &mut self.faults {
                    let same = matches!(disruption.fault, Fault::Hold(c, d) if (a, b) == (c, d) || (a, b) == (d, c));
                    if same && disruption.released.is_none() {
                        disruption.released = Some(position);
                    }
                }
            }
            Action::Fault(fault) if !matches!(fault, Fault::Restart(_) | Fault::Resume(_)) => {
                self.faults.push(Disruption { from: position, fault, released: None });
            }
            Action::Fault(_)
            | Action::Start { .. }
            | Action::Await(_)
            | Action::Advance(_)
            | Action::AwaitChecks(_)
            | Action::MakeToken { .. }
            | Action::SendRaw(_)
            | Action::SwitchUser(..)
            | Action::Drain(_)
            | Action::Undrain(_) => {}
        }
    }
}

/// Counts the events, which are in order, from `from` (included) to `to` (excluded).
fn count_between(events: &[usize], from: usize, to: usize) -> usize {
    let first = events.partition_point(|&event| event < from);
    events.partition_point(|&event| event < to).saturating_sub(first)
}
