//! The events of a trace, tied together by request ids.
//!
//! Every later part of the index is built from [`Requests`]. A request that no client started (it carries no id, or an
//! invented one) belongs to the sender "unknown" and is not among them. Reading a trace takes time linear in the
//! number of its events.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use stickler_model::event::Credentials;
use stickler_model::payload::Digest;
use stickler_model::trace::Promises;
use stickler_model::{Action, Event, Leg, Name, Principal, RequestId, Time, Topology, Trace, What};

use crate::order::Position;
use crate::verdict::Cited;

/// A connection as its server sees it: the server's name, and the number that the server gave the connection.
pub(crate) type ServerConnection<'t> = (&'t Name, u32);

/// A connection as its client sees it: the client's name, and the number that the client gave the connection.
pub(crate) type ClientConnection<'t> = (&'t Name, u32);

/// A trace, and the requests that clients started in it. A `usize` is an index into the trace's events.
pub(crate) struct Requests<'t> {
    trace: &'t Trace,
    /// The requests in the order in which they were started.
    by_id: IndexMap<RequestId, Request<'t>, FxBuildHasher>,
    clients: BTreeSet<&'t Name>,
    dcs: BTreeSet<&'t Name>,
    last_received: Option<usize>,
}

/// A request, from its start at the client to its end there.
pub(crate) struct Request<'t> {
    pub(crate) id: RequestId,
    pub(crate) client: &'t Name,
    pub(crate) identity: Option<&'t Principal>,
    pub(crate) credentials: Credentials,
    pub(crate) preemptive: bool,
    pub(crate) method: &'t str,
    pub(crate) path: &'t str,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
    pub(crate) started: usize,
    pub(crate) ended: Option<End<'t>>,
    /// Whether the plan was over before the request ended.
    pub(crate) abandoned: bool,
    /// Every event that names the request, in order, including its start and its end.
    pub(crate) events: Vec<usize>,
}

/// How a request ended for its client.
#[derive(Clone, Copy)]
pub(crate) struct End<'t> {
    pub(crate) event: usize,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'t str>,
}

/// A server's answer to one HTTP request.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'t> {
    pub(crate) event: usize,
    pub(crate) at: ServerConnection<'t>,
    /// The number of the HTTP request on its connection.
    pub(crate) number: u32,
    pub(crate) request: Option<RequestId>,
    pub(crate) leg: Leg,
    pub(crate) status: u16,
    pub(crate) substatus: u16,
    pub(crate) user: Option<&'t Principal>,
    pub(crate) processed: bool,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
}

impl<'t> Requests<'t> {
    /// Reads a trace from start to end. Requests whose ids are `ambiguous`, because others have forged them, are left
    /// out.
    pub(crate) fn read(trace: &'t Trace, ambiguous: &BTreeSet<RequestId>) -> Self {
        let mut requests = Self {
            trace,
            by_id: IndexMap::default(),
            clients: BTreeSet::new(),
            dcs: BTreeSet::new(),
            last_received: None,
        };
        requests.dcs.extend(trace.header.topology.controllers.iter().map(|controller| &controller.name));
        for (position, event) in trace.events.iter().enumerate() {
            requests.note(position, event);
        }
        requests.by_id.retain(|id, _| !ambiguous.contains(id));
        requests
    }

    /// Returns the requests in the order in which they were started.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Request<'t>> {
        self.by_id.values()
    }

    /// Returns the request with this id, if a client started it.
    pub(crate) fn get(&self, id: Option<RequestId>) -> Option<&Request<'t>> {
        self.by_id.get(&id?)
    }

    /// Returns whether this is the name of a client: the script added it, or it started a request.
    pub(crate) fn is_client(&self, name: &Name) -> bool {
        self.clients.contains(name)
    }

    /// Returns whether this is the name of a DC: the topology names it, it has decided on a logon or a ticket, or it
    /// has the name that worlds give the DC of a domain without further description.
    pub(crate) fn is_dc(&self, name: &Name) -> bool {
        self.dcs.contains(name) || matches!(name.as_str(), "dc" | "dc-partner")
    }

    /// Returns the trace's events with their indices.
    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, &'t Event)> + use<'t> {
        self.trace.events.iter().enumerate()
    }

    /// Returns the number of events in the trace.
    pub(crate) fn event_count(&self) -> usize {
        self.trace.events.len()
    }

    /// Returns the topology in the trace's header.
    pub(crate) fn topology(&self) -> &'t Topology {
        &self.trace.header.topology
    }

    /// Returns what the balancer promises, from the trace's header.
    pub(crate) fn promises(&self) -> &'t Promises {
        &self.trace.header.promises
    }

    /// Returns the time of an event.
    pub(crate) fn at(&self, event: usize) -> Time {
        self.trace.events[event].at
    }

    /// Returns what was observed in an event.
    pub(crate) fn what(&self, event: usize) -> &'t What {
        &self.trace.events[event].what
    }

    /// Returns the observer of an event.
    pub(crate) fn by(&self, event: usize) -> &'t Name {
        &self.trace.events[event].by
    }

    /// Returns the HTTP requests that the client sent for a request: the event, the client's number of the connection,
    /// and the leg.
    pub(crate) fn sent(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, u32, Leg)> {
        request.events.iter().filter_map(|&event| match *self.what(event) {
            What::ClientSent { connection, leg, .. } => Some((event, connection, leg)),
            _ => None,
        })
    }

    /// Returns the HTTP requests that servers received for a request: the event, the server's connection, and the leg.
    pub(crate) fn received(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, ServerConnection<'t>, Leg)> {
        request.events.iter().filter_map(|&event| match *self.what(event) {
            What::ServerReceived { connection, leg, .. } => Some((event, (self.by(event), connection), leg)),
            _ => None,
        })
    }

    /// Returns whether the request's last HTTP request answered a challenge.
    pub(crate) fn answers_challenge(&self, request: &Request<'t>) -> bool {
        self.sent(request).last().is_some_and(|(.., leg)| leg == Leg::Authenticate)
    }

    /// Returns the server that received the request's last HTTP request before the request ended, with the event. The answer to
    /// a challenge belongs to the connection on which a server sent the challenge (MS-NTHT 1.3), so if no server received it,
    /// that server is meant.
    pub(crate) fn last_receiver(&self, request: &Request<'t>) -> Option<(usize, &'t Name)> {
        let (sent, answers_challenge) = (self.sent(request).last(), self.answers_challenge(request));
        let meant = |&(event, _, leg): &(usize, ServerConnection<'t>, Leg)| {
            let last =
                sent.is_none_or(|(sent, ..)| sent.is_before(event)) || answers_challenge && leg == Leg::Negotiate;
            // A balancer may try another backend even after the client has given up.
            last && request.ended.is_none_or(|end| event.is_before(end.event))
        };
        self.received(request).filter(meant).last().map(|(event, (server, _), _)| (event, server))
    }

    /// Returns the answers of servers to a request.
    pub(crate) fn answered(&self, request: &Request<'t>) -> impl Iterator<Item = Answered<'t>> {
        request.events.iter().filter_map(|&event| self.answer(event))
    }

    /// Returns whether a server received an HTTP request of this request after this event, and answered none.
    pub(crate) fn is_unanswered(&self, request: &Request<'t>, since: usize) -> bool {
        let later = request.events.iter().filter(|event| event.is_after(since)).map(|&event| self.what(event));
        let mut received = false;
        for what in later {
            match what {
                What::ServerReceived { .. } => received = true,
                What::ServerAnswered { .. } => return false,
                _ => {}
            }
        }
        received
    }

    /// Returns the event as a server's answer, or `None` if it is another kind of event.
    pub(crate) fn answer(&self, event: usize) -> Option<Answered<'t>> {
        let What::ServerAnswered {
            connection,
            number,
            request,
            leg,
            status,
            substatus,
            ref user,
            processed,
            length,
            digest,
            ..
        } = *self.what(event)
        else {
            return None;
        };
        let (at, user) = ((self.by(event), connection), user.as_ref());
        Some(Answered { event, at, number, request, leg, status, substatus, user, processed, length, digest })
    }

    /// Returns whether the client withheld the request's body in the leg that this answers, to wait for a challenge, and
    /// whether the server received exactly the bytes that were sent.
    pub(crate) fn is_withheld(&self, request: &Request<'t>, answer: &Answered<'t>) -> bool {
        let before = request.events.iter().rev().skip_while(|&&event| event >= answer.event);
        let mut sent = before.filter_map(|&event| match *self.what(event) {
            What::ClientSent { leg, length, .. } => Some((leg, length)),
            _ => None,
        });
        request.length > 0 && answer.length == 0 && sent.next() == Some((Leg::Negotiate, 0))
    }

    /// Returns whether any server received an HTTP request after this event.
    pub(crate) fn any_received_after(&self, event: usize) -> bool {
        self.last_received.is_some_and(|last| last.is_after(event))
    }

    fn note(&mut self, position: usize, event: &'t Event) {
        match &event.what {
            What::RequestStarted { .. } => self.note_start(position, event),
            What::Action(Action::AddClient(spec)) => _ = self.clients.insert(&spec.name),
            What::RequestAbandoned { request } => {
                if let Some(request) = self.by_id.get_mut(request).filter(|request| request.ended.is_none()) {
                    request.abandoned = true;
                }
            }
            What::RequestEnded { request, status, error } => {
                if let Some(request) = self.by_id.get_mut(request)
                    && request.ended.is_none()
                {
                    request.ended = Some(End { event: position, status: *status, error: error.as_deref() });
                    request.events.push(position);
                }
            }
            other => {
                match other {
                    What::ServerReceived { .. } => self.last_received = Some(position),
                    What::DcLogon { .. } | What::DcPassedOn { .. } | What::DcTicket { .. } => {
                        self.dcs.insert(&event.by);
                    }
                    _ => {}
                }
                if let Some(request) = other.request().and_then(|id| self.by_id.get_mut(&id)) {
                    request.events.push(position);
                }
            }
        }
    }

    fn note_start(&mut self, position: usize, event: &'t Event) {
        let What::RequestStarted { request: id, identity, credentials, preemptive, method, path, length, digest } =
            &event.what
        else {
            return;
        };
        self.clients.insert(&event.by);
        self.by_id.entry(*id).or_insert_with(|| Request {
            id: *id,
            client: &event.by,
            identity: identity.as_ref(),
            credentials: *credentials,
            preemptive: *preemptive,
            method,
            path,
            length: *length,
            digest: *digest,
            started: position,
            ended: None,
            abandoned: false,
            events: vec![position],
        });
    }
}

impl Request<'_> {
    /// Returns the request as evidence cites it.
    pub(crate) fn cited(&self) -> Vec<Cited> {
        vec![Cited::Request { client: self.client.clone(), id: self.id }]
    }

    /// Returns whether the method is idempotent (RFC 9110 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }

    /// Returns whether the server took this request for the client's own user.
    pub(crate) fn is_taken_for_own_user(&self, answer: &Answered<'_>) -> bool {
        answer.taken_for().is_some() && answer.taken_for() == self.identity
    }
}

impl<'t> Answered<'t> {
    /// Returns the user that the server took the request for: the application ran as this user, the page does not exist
    /// for this user (404), or access was refused to exactly this user (substatus 3, 401.3).
    pub(crate) fn taken_for(&self) -> Option<&'t Principal> {
        self.user.filter(|_| self.processed || self.status == 404 || self.is_forbidden())
    }

    /// Returns whether the server accepted a proof of identity: the request is the user's because of its own token, and
    /// not because the connection was already authenticated.
    pub(crate) fn is_logon(&self) -> bool {
        is_proof(self.leg) && self.taken_for().is_some()
    }

    /// Returns whether the substatus is that of 401.3: the user is authenticated but not allowed.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.substatus == 3
    }
}

/// Returns whether a leg proves who sends it: the last leg of NTLM, or a ticket.
pub(crate) fn is_proof(leg: Leg) -> bool {
    matches!(leg, Leg::Authenticate | Leg::Ticket)
}

/// Returns whether this final status asks for credentials (RFC 9110 15.5.2, 15.5.8).
pub(crate) fn asks_for_credentials(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 407))
}

/// Returns whether a request with this final status had no answer: there is no status, or it reports that a proxy got
/// no answer (RFC 9110 15.6.3 to 15.6.5).
pub(crate) fn is_no_answer(status: Option<u16>) -> bool {
    matches!(status, None | Some(502..=504))
}
