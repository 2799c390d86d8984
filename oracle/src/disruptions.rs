//! The connections that clients lost, and the points at which the script disconnected clients.

use indexmap::IndexMap;
use stickler_model::event::Closed;
use stickler_model::{Action, Name, What};

use crate::order::{before, between};
use crate::requests::{Request, Requests};

/// The disruptions of a trace. A `usize` is an index into the trace's events.
pub(crate) struct Disruptions<'t> {
    /// The history of each client that has one.
    clients: IndexMap<&'t Name, Client>,
}

/// The history of one client over the whole trace. Each list is in order.
#[derive(Default)]
struct Client {
    /// The events at which its requests ended.
    ends: Vec<usize>,
    /// The events at which it lost a connection.
    lost: Vec<usize>,
    /// The events at which the script disconnected it.
    disconnects: Vec<usize>,
}

impl<'t> Disruptions<'t> {
    /// Collects the disruptions of a trace.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let mut disruptions = Self { clients: IndexMap::new() };
        for (position, event) in requests.events() {
            match &event.what {
                What::Action(Action::Disconnect(client)) => disruptions.client(client).disconnects.push(position),
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
    /// client ended. A connection is lost when the peer closed it or it broke, and not when the client closed it. An
    /// exception is a client that the script disconnected while the request ran: it sends the request again on another
    /// connection.
    pub(crate) fn lost(&self, request: &Request<'t>) -> usize {
        let (Some(end), Some(client)) = (request.ended, self.clients.get(request.client)) else {
            return 0;
        };
        let from = before(&client.ends, request.started).last().copied().unwrap_or_default();
        between(&client.lost, from, end.event).len() + between(&client.disconnects, request.started, end.event).len()
    }

    /// Returns whether the script disconnected the client while the request was under way.
    pub(crate) fn is_disconnected(&self, request: &Request<'t>) -> bool {
        let (Some(end), Some(client)) = (request.ended, self.clients.get(request.client)) else {
            return false;
        };
        !between(&client.disconnects, request.started, end.event).is_empty()
    }

    fn client(&mut self, name: &'t Name) -> &mut Client {
        self.clients.entry(name).or_default()
    }
}
