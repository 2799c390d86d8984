//! A trace's events, tied together: what the client of a request sent and received, and what
//! servers did for it.
//!
//! The tie is the request's id. A request that no client started (no id, or a made-up one) belongs
//! to the sender "unknown", and is kept apart. Building the index and asking it is linear in the
//! number of events, but for binary searches in a client's own events.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use stickler_model::event::{Closed, Credentials};
use stickler_model::payload::Digest;
use stickler_model::trace::Promises;
use stickler_model::{Action, Event, Fault, Leg, Name, Principal, RequestId, Time, Trace, What};

use crate::farm::Farm;
use crate::logons::{self, Cause, Logon};
use crate::secured::Secured;
use crate::site::Site;

/// A server's connection: the server, and its number of the connection.
pub(crate) type ServerConnection<'t> = (&'t Name, u32);

/// A client's connection: the client, and its number of the connection.
pub(crate) type ClientConnection<'t> = (&'t Name, u32);

/// The trace by request and by client. A `usize` is an index into the trace's events.
pub(crate) struct Index<'t> {
    /// The trace.
    pub(crate) trace: &'t Trace,
    /// Requests that a client started, in the order of their start.
    pub(crate) requests: IndexMap<RequestId, Request<'t>>,
    /// Decisions of the DC, in order.
    pub(crate) logons: Vec<Logon<'t>>,
    /// Where the KDC refused an account because users had locked it, in order.
    pub(crate) locked: Vec<(usize, &'t Principal)>,
    /// What became of the backends.
    pub(crate) farm: Farm<'t>,
    /// How servers and clients are set up.
    pub(crate) site: Site<'t>,
    /// Which connections have TLS.
    pub(crate) secured: Secured<'t>,
    causes: BTreeMap<usize, Cause>,
    clients: IndexMap<&'t Name, Client>,
    faults: Vec<Breakage<'t>>,
    last_received: Option<usize>,
    /// Where a server took an Authenticate leg or a ticket on its connection, and whether the
    /// connection is authenticated from then on.
    authenticated: BTreeMap<ServerConnection<'t>, Vec<(usize, bool)>>,
}

/// A request, from its start at the client to its end there.
pub(crate) struct Request<'t> {
    pub(crate) id: RequestId,
    pub(crate) client: &'t Name,
    pub(crate) identity: Option<&'t Principal>,
    pub(crate) credentials: Credentials,
    pub(crate) preemptive: bool,
    pub(crate) method: &'t str,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
    pub(crate) started: usize,
    pub(crate) ended: Option<End<'t>>,
    /// Every event that names the request, in order; its start and end among them.
    pub(crate) events: Vec<usize>,
}

/// How a request ended for its client.
#[derive(Clone, Copy)]
pub(crate) struct End<'t> {
    pub(crate) event: usize,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'t str>,
}

/// What a server answered.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'t> {
    pub(crate) event: usize,
    pub(crate) at: ServerConnection<'t>,
    pub(crate) number: u32,
    pub(crate) request: Option<RequestId>,
    pub(crate) leg: Leg,
    pub(crate) substatus: u16,
    pub(crate) user: Option<&'t Principal>,
    pub(crate) processed: bool,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
}

/// What happened to one client over the whole trace; all in order.
#[derive(Default)]
struct Client {
    ends: Vec<usize>,
    lost: Vec<usize>,
    disconnects: Vec<usize>,
}

/// A fault that takes something away, until it is mended.
struct Breakage<'t> {
    from: usize,
    fault: &'t Fault,
    /// Where a held link was released.
    released: Option<usize>,
}

impl<'t> Index<'t> {
    /// Reads a trace once.
    pub(crate) fn new(trace: &'t Trace) -> Self {
        let mut index = Self {
            trace,
            requests: IndexMap::new(),
            logons: Vec::new(),
            locked: Vec::new(),
            farm: Farm::new(trace),
            site: Site::new(trace),
            secured: Secured::new(trace),
            causes: BTreeMap::new(),
            clients: IndexMap::new(),
            faults: Vec::new(),
            last_received: None,
            authenticated: BTreeMap::new(),
        };
        for (position, event) in trace.events.iter().enumerate() {
            index.note(position, event);
        }
        (index.logons, index.locked) = logons::read(&index);
        index.causes = index.logons.iter().filter_map(|logon| Some((logon.noted?, logon.cause))).collect();
        index
    }

    /// The request of that id, where a client started it.
    pub(crate) fn request(&self, id: Option<RequestId>) -> Option<&Request<'t>> {
        self.requests.get(&id?)
    }

    /// What was promised.
    pub(crate) fn promises(&self) -> &'t Promises {
        &self.trace.header.promises
    }

    /// When it was seen.
    pub(crate) fn at(&self, event: usize) -> Time {
        self.trace.events[event].at
    }

    /// What was seen.
    pub(crate) fn what(&self, event: usize) -> &'t What {
        &self.trace.events[event].what
    }

    /// Where it was seen.
    pub(crate) fn by(&self, event: usize) -> &'t Name {
        &self.trace.events[event].by
    }

    /// The HTTP requests that the client sent for it: event, the client's connection, leg.
    pub(crate) fn sent(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, u32, Leg)> {
        request.events.iter().filter_map(|&event| match *self.what(event) {
            What::ClientSent { connection, leg, .. } => Some((event, connection, leg)),
            _ => None,
        })
    }

    /// What servers received of it: event, connection, leg.
    pub(crate) fn received(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, ServerConnection<'t>, Leg)> {
        request.events.iter().filter_map(|&event| match *self.what(event) {
            What::ServerReceived { connection, leg, .. } => Some((event, (self.by(event), connection), leg)),
            _ => None,
        })
    }

    /// What servers answered to it.
    pub(crate) fn answered(&self, request: &Request<'t>) -> impl Iterator<Item = Answered<'t>> {
        request.events.iter().filter_map(|&event| self.answer(event))
    }

    /// The event as a server's answer, if it is one.
    pub(crate) fn answer(&self, event: usize) -> Option<Answered<'t>> {
        let What::ServerAnswered {
            connection,
            number,
            request,
            leg,
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
        Some(Answered { event, at, number, request, leg, substatus, user, processed, length, digest })
    }

    /// Connections that the client lost while the request ran, or since an earlier request of the
    /// same client ended: closed by the peer, or broken; those it closed itself do not count.
    pub(crate) fn lost(&self, request: &Request<'t>) -> usize {
        let (Some(end), Some(client)) = (request.ended, self.clients.get(request.client)) else {
            return 0;
        };
        let earlier = client.ends.partition_point(|&event| event < request.started);
        let from = earlier.checked_sub(1).map_or(0, |last| client.ends[last]);
        between(&client.lost, from, end.event)
    }

    /// Whether something that the script did before the request ended can explain that it found no
    /// answer: the client was disconnected meanwhile, or a fault stands or has stood in its way.
    ///
    /// A crash or a reset explains for the rest of the run, mended or not, because a balancer may
    /// learn only by using it that a pooled connection is dead. A held link explains until it is
    /// released. A fault on the way to another client explains nothing.
    pub(crate) fn explained(&self, request: &Request<'t>) -> bool {
        let Some(end) = request.ended else {
            return false;
        };
        let disconnected = self
            .clients
            .get(request.client)
            .is_some_and(|client| between(&client.disconnects, request.started, end.event) > 0);
        disconnected || self.fault_before(request, end.event)
    }

    /// Who brought about the outcome that a server noted with this event.
    pub(crate) fn cause(&self, noted: usize) -> Cause {
        self.causes.get(&noted).copied().unwrap_or(Cause::Unknown)
    }

    /// Whether any server received anything after this event.
    pub(crate) fn served_after(&self, event: usize) -> bool {
        self.last_received.is_some_and(|last| last > event)
    }

    /// The answer that gave a server's connection the identity that it has just before this event.
    pub(crate) fn authenticated_before(&self, at: ServerConnection<'t>, event: usize) -> Option<usize> {
        let answers = self.authenticated.get(&at)?;
        let last = answers.partition_point(|&(answer, _)| answer < event).checked_sub(1)?;
        Some(answers[last]).filter(|&(_, persists)| persists).map(|(answer, _)| answer)
    }

    /// Whether the answer took a proof of identity, and leaves its connection authenticated.
    pub(crate) fn authenticates(&self, answer: &Answered<'t>) -> bool {
        answer.is_logon() && self.site.persists(answer.at.0, answer.leg)
    }

    fn fault_before(&self, request: &Request<'t>, end: usize) -> bool {
        let elsewhere = |name: &Name| name != request.client && self.clients.contains_key(name);
        self.faults.iter().take_while(|breakage| breakage.from < end).any(|breakage| {
            let stood = breakage.released.is_none_or(|event| event > request.started);
            stood
                && match breakage.fault {
                    Fault::Hold(a, b) | Fault::Reset(a, b) => !elsewhere(a) && !elsewhere(b),
                    _ => true,
                }
        })
    }

    fn note(&mut self, position: usize, event: &'t Event) {
        match &event.what {
            What::Action(action) => self.note_action(position, action),
            What::RequestStarted { .. } => self.note_start(position, event),
            What::RequestEnded { request, status, error } => {
                if let Some(request) = self.requests.get_mut(request)
                    && request.ended.is_none()
                {
                    let error = error.as_deref();
                    request.ended = Some(End { event: position, status: *status, error });
                    request.events.push(position);
                    self.clients.entry(request.client).or_default().ends.push(position);
                }
            }
            What::ClientClosed { how, .. } => {
                if *how != Closed::Here {
                    self.clients.entry(&event.by).or_default().lost.push(position);
                }
            }
            What::ClientSent { request, .. } | What::ClientReceived { request, .. } => {
                self.note_for(position, Some(*request));
            }
            What::ServerReceived { request, .. } => {
                self.last_received = Some(position);
                self.note_for(position, *request);
            }
            What::CookieReceived { request, .. }
            | What::CookieSent { request, .. }
            | What::ClientClaimed { request, .. } => self.note_for(position, Some(*request)),
            What::ServerLogon { request, .. }
            | What::ServerTicket { request, .. }
            | What::ServerTrusted { request, .. } => self.note_for(position, *request),
            What::ServerAnswered { request, .. } => {
                self.note_for(position, *request);
                if let Some(answer) = self.answer(position).filter(Answered::is_logon) {
                    let persists = self.authenticates(&answer);
                    self.authenticated.entry(answer.at).or_default().push((position, persists));
                }
            }
            // A balancer explains, it gives no evidence; connections come by their requests.
            What::ClientConnected { .. }
            | What::ClientSecured { .. }
            | What::ServerAccepted { .. }
            | What::ServerSecured { .. }
            | What::ServerClosed { .. }
            | What::DcLogon { .. }
            | What::DcPassedOn { .. }
            | What::DcTicket { .. }
            | What::Decision { .. }
            | What::FlowOpened { .. } => {}
        }
    }

    fn note_for(&mut self, position: usize, id: Option<RequestId>) {
        if let Some(request) = id.and_then(|id| self.requests.get_mut(&id)) {
            request.events.push(position);
        }
    }

    fn note_start(&mut self, position: usize, event: &'t Event) {
        let What::RequestStarted { request: id, identity, credentials, preemptive, method, length, digest, .. } =
            &event.what
        else {
            return;
        };
        self.clients.entry(&event.by).or_default();
        self.requests.entry(*id).or_insert_with(|| Request {
            id: *id,
            client: &event.by,
            identity: identity.as_ref(),
            credentials: *credentials,
            preemptive: *preemptive,
            method,
            length: *length,
            digest: *digest,
            started: position,
            ended: None,
            events: vec![position],
        });
    }

    fn note_action(&mut self, position: usize, action: &'t Action) {
        match action {
            Action::AddClient(spec) => {
                self.clients.entry(&spec.name).or_default();
            }
            Action::Disconnect(client) => {
                self.clients.entry(client).or_default().disconnects.push(position);
            }
            Action::Fault(Fault::Release(a, b)) => {
                for breakage in &mut self.faults {
                    let same = matches!(breakage.fault, Fault::Hold(c, d) if (a, b) == (c, d) || (a, b) == (d, c));
                    if same && breakage.released.is_none() {
                        breakage.released = Some(position);
                    }
                }
            }
            Action::Fault(fault) if !matches!(fault, Fault::Restart(_) | Fault::Resume(_)) => {
                self.faults.push(Breakage { from: position, fault, released: None });
            }
            Action::Fault(_)
            | Action::Start { .. }
            | Action::Await(_)
            | Action::Advance(_)
            | Action::MakeToken { .. }
            | Action::SendRaw(_)
            | Action::SwitchUser(..)
            | Action::Drain(_)
            | Action::Undrain(_) => {}
        }
    }
}

impl<'t> Answered<'t> {
    /// The user that the server took the request for and acted on: the application ran, or was
    /// refused to this very user (substatus 3, 401.3).
    pub(crate) fn taken_for(&self) -> Option<&'t Principal> {
        self.user.filter(|_| self.processed || self.substatus == 3)
    }

    /// Whether the server took a proof of identity: the request is its user's by itself, not by what
    /// its connection was before.
    pub(crate) fn is_logon(&self) -> bool {
        is_proof(self.leg) && self.taken_for().is_some()
    }
}

/// Whether a leg carries the proof of who sends it: the last of NTLM, or a ticket.
pub(crate) fn is_proof(leg: Leg) -> bool {
    matches!(leg, Leg::Authenticate | Leg::Ticket)
}

/// How many of these events, which are in order, lie strictly between `from` and `to`; an event
/// at 0 counts for `from` 0.
fn between(events: &[usize], from: usize, to: usize) -> usize {
    let first = events.partition_point(|&event| event < from);
    events.partition_point(|&event| event < to).saturating_sub(first)
}

/// Statuses by which a server or a proxy asks for credentials (RFC 9110 15.5.2, 15.5.8).
pub(crate) fn asks_for_credentials(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 407))
}

/// Statuses by which a proxy says that it found no answer (RFC 9110 15.6.3 to 15.6.5), or none.
pub(crate) fn is_no_answer(status: Option<u16>) -> bool {
    matches!(status, None | Some(502..=504))
}
