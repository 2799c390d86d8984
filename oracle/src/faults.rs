//! The faults that the script injected: what they touched, and for how long they can explain a failure.
//!
//! A fault *stands* from its injection until it is repaired: a crash and a loss of power until the restart, a hang until
//! the process resumes, a held link until its release. A reset acts at one moment, and so does a restart of IIS with
//! other settings. A fault *touches* only
//! * all requests, if it is at a balancer;
//! * the requests of one client, and of those at the same host, if it is on that client's link;
//! * the requests that one backend received, and those that no server received, if it is at that backend or on its link:
//!   a balancer may have sent the latter there;
//! * requests with a logon, if it is at a DC or on its link; and all requests, if the balancer's checks log on.
//!
//! A fault explains a failure of a request that it touches if it stands or acts while the request is in progress. It
//! also explains the failure if it was repaired shortly before: no longer ago than packets need for a round trip and the
//! balancer needs to notice, by its declarations
//! ([`Promises::notice_mended`](stickler_model::trace::Promises::notice_mended)). It also explains the failure of the
//! first request on a client's connection that was opened before the repair, because that connection may be bound to one
//! that the fault ended.
//!
//! A host that lost power did not tell its peers that its connections have ended. Each connection that it had accepted
//! and that nobody has seen closed is *left behind*, and its first use after the restart fails. Therefore some requests
//! for that backend that later reach no server are explained: at most as many as connections were left behind, whatever
//! connection the client used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stickler_model::event::Closed;
use stickler_model::{Action, Fault, Leg, Name, RequestId, Time, What};

use crate::farm::Farm;
use crate::left_behind::met_left_behind;
use crate::order::{Position, between};
use crate::requests::{ClientConnection, Request, Requests, ServerConnection};
use crate::settings::Settings;

/// The faults of a trace. A `usize` is an index into the trace's events.
pub(crate) struct Faults<'t> {
    /// The faults, in the order in which they were injected.
    spans: Vec<Span<'t>>,
    /// The requests that may have met a connection which a loss of power left behind.
    met_left_behind: BTreeSet<RequestId>,
    connections: BTreeMap<ClientConnection<'t>, Connection>,
    /// The time for which a fault still explains failures after it was repaired.
    notice: Duration,
}

/// A fault, from its injection until its repair.
struct Span<'t> {
    from: usize,
    until: Option<usize>,
    place: Place<'t>,
    /// Whether the fault is a hang, after which the process may continue.
    hangs: bool,
}

/// The place of a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place<'t> {
    Host(&'t Name),
    /// The link between two hosts, in either order.
    Link(&'t Name, &'t Name),
}

/// The legs of a request that a fault must have touched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Legs {
    /// At least one of the legs, since a connection may have been lost and the request repeated.
    Any,
    /// The last leg, which had no answer.
    Last,
}

/// How a fault concerns a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concern<'t> {
    /// The fault does not concern the client.
    Nobody,
    /// The fault is on the client's path to the balancer, or at the balancer.
    Everything,
    /// The fault concerns what goes to this backend.
    Backend(&'t Name),
    /// The fault concerns logons.
    Logons,
    /// The fault concerns logons at this backend.
    LogonsAt(&'t Name),
    /// The fault concerns the client's own tickets.
    Tickets,
}

/// The uses of a client's connection.
#[derive(Default)]
struct Connection {
    opened: usize,
    /// The event at which the first HTTP request was sent on the connection.
    first_sent: Option<usize>,
    /// The events at which an answer of a server was received on the connection.
    answers: Vec<usize>,
    closed: Option<usize>,
    http2: bool,
}

impl Connection {
    /// Returns whether the connection was opened after the first event, and carried nothing until the second.
    fn is_in_vain_between(&self, from: usize, to: usize) -> bool {
        (from..to).contains(&self.opened) && self.first_sent.is_none_or(|sent| sent >= to)
    }

    /// Returns whether the connection was open at the first event, and brought no answer between the two events.
    fn is_unused_since(&self, from: usize, to: usize) -> bool {
        self.opened.is_before(from) && between(&self.answers, from, to).is_empty()
    }
}

/// The data that decide whom a fault concerns.
struct Scope<'i, 't> {
    requests: &'i Requests<'t>,
    settings: &'i Settings<'t>,
    farm: &'i Farm<'t>,
}

impl<'t> Faults<'t> {
    /// Collects the faults of a trace.
    pub(crate) fn read(requests: &Requests<'t>, farm: &Farm<'t>) -> Self {
        let link = requests.topology().link;
        let mut faults = Self {
            spans: Vec::new(),
            met_left_behind: met_left_behind(requests, farm),
            connections: BTreeMap::new(),
            // From the client over a balancer to a server, and back.
            notice: requests.promises().notice_mended().saturating_add((link.latency + link.jitter).saturating_mul(4)),
        };
        for (event, seen) in requests.events() {
            match &seen.what {
                What::Action(Action::Fault(fault)) => faults.note(event, fault),
                What::Action(Action::Configure(server)) => {
                    let place = Place::Host(&server.name);
                    faults.mend(event, |span| span.hangs && span.place == place);
                    faults.strike(event, place);
                }
                What::ClientConnected { connection, .. } => {
                    let connection = faults.connections.entry((&seen.by, *connection)).or_default();
                    *connection = Connection { opened: event, ..Connection::default() };
                }
                What::ClientSent { connection, .. } => {
                    let connection = faults.connections.entry((&seen.by, *connection)).or_default();
                    connection.first_sent.get_or_insert(event);
                }
                What::ClientReceived { connection, echoed: Some(_), .. } => {
                    faults.connections.entry((&seen.by, *connection)).or_default().answers.push(event);
                }
                What::ClientSecured { connection, http2, .. } => {
                    faults.connections.entry((&seen.by, *connection)).or_default().http2 = *http2;
                }
                What::ClientClosed { connection, .. } => {
                    faults.connections.entry((&seen.by, *connection)).or_default().closed.get_or_insert(event);
                }
                _ => {}
            }
        }
        faults
    }

    /// Returns whether a fault explains that the request had no answer, or a wrong one, or that connections were lost.
    /// Faults of backends do not count if the balancer could have used a backend that was `spared`, that is, one that
    /// none of these faults has touched since they were injected.
    pub(crate) fn explain(
        &self,
        (requests, settings, farm): (&Requests<'t>, &Settings<'t>, &Farm<'t>),
        request: &Request<'t>,
        legs: Legs,
        spared: impl Fn(usize) -> bool,
    ) -> bool {
        let Some(end) = request.ended else { return false };
        let scope = Scope { requests, settings, farm };
        let last = requests.sent(request).last();
        let connection = last.and_then(|(_, number, _)| self.connections.get(&(request.client, number)));
        let may_have_gone_to = |backend: &Name| {
            legs == Legs::Last && self.ends_in_vain(&scope, request) || scope.may_have_gone_to(request, backend, legs)
        };
        self.met_left_behind.contains(&request.id)
            || self.spans.iter().take_while(|span| span.from.is_before(end.event)).any(|span| {
                let touched = match Self::concern(&scope, span.place, request.client) {
                    Concern::Nobody => false,
                    Concern::Everything => true,
                    Concern::Backend(backend) => may_have_gone_to(backend) && !spared(span.from),
                    Concern::Logons => scope.needs_dc(request),
                    Concern::LogonsAt(backend) => {
                        scope.needs_dc(request) && may_have_gone_to(backend) && !spared(span.from)
                    }
                    Concern::Tickets => scope.may_want_ticket(request),
                };
                let first_use = || {
                    span.until
                        .zip(last)
                        .zip(connection)
                        .is_some_and(|((until, (sent, ..)), connection)| connection.is_unused_since(until, sent))
                };
                touched && (Self::lasts(requests, span, request.started, self.notice) || first_use())
            })
    }

    /// Returns whether the client was to continue after its last HTTP request on another connection (for example after
    /// HTTP_1_1_REQUIRED, RFC 9113 7) and sent nothing on it before the end. Either it opened that connection, or it
    /// tried to: the connection of its last HTTP request was closed before, or a server received that request by HTTP/2
    /// and gave no answer. Then the server to which the other connection would have led saw nothing of the request.
    fn ends_in_vain(&self, scope: &Scope<'_, 't>, request: &Request<'t>) -> bool {
        let requests = scope.requests;
        let Some((end, (sent, number, _))) = request.ended.zip(requests.sent(request).last()) else { return false };
        let last = self.connections.get(&(request.client, number));
        let over = last.and_then(|last| last.closed).is_some_and(|closed| requests.at(closed) < requests.at(end.event));
        let refused = last.is_some_and(|last| last.http2) && requests.is_unanswered(request, sent);
        let opened = |(_, connection): (_, &Connection)| connection.is_in_vain_between(sent, end.event);
        let mut own = self.connections.range((request.client, 0)..=(request.client, u32::MAX));
        end.status.is_none() && (over || refused || own.any(opened))
    }

    /// Returns whether no injected fault can have kept the client from the balancer, the balancer from working, or
    /// everybody from a DC, between the two events. Faults of backends do not count, and neither do faults that
    /// separate one backend from the DC.
    pub(crate) fn is_quiet_elsewhere(
        &self,
        (requests, settings, farm): (&Requests<'t>, &Settings<'t>, &Farm<'t>),
        client: &Name,
        (from, to): (usize, usize),
    ) -> bool {
        let scope = Scope { requests, settings, farm };
        !self.spans.iter().take_while(|span| span.from <= to).any(|span| {
            let elsewhere = matches!(
                Self::concern(&scope, span.place, client),
                Concern::Everything | Concern::Logons | Concern::Tickets
            );
            elsewhere && Self::lasts(requests, span, from, self.notice)
        })
    }

    /// Returns whether a fault on the client's path to the balancer, or at the balancer itself, may have ended the
    /// client's connection by this event: the fault stands at that time, it was repaired just before, or it was
    /// repaired while the connection was open and the connection has not been used since.
    pub(crate) fn cuts_off(
        &self,
        (requests, settings, farm): (&Requests<'t>, &Settings<'t>, &Farm<'t>),
        on: ClientConnection<'t>,
        event: usize,
    ) -> bool {
        let scope = Scope { requests, settings, farm };
        let connection = self.connections.get(&on);
        self.spans.iter().take_while(|span| span.from <= event).any(|span| {
            let unused = |until: usize| connection.is_some_and(|connection| connection.is_unused_since(until, event));
            Self::concern(&scope, span.place, on.0) == Concern::Everything
                && (Self::lasts(requests, span, event, self.notice) || span.until.is_some_and(unused))
        })
    }

    /// Returns whether a fault kept this client from its KDC between the two events, or shortly enough before that the
    /// client still avoids the KDC (for `memory`).
    pub(crate) fn keeps_from_kdc(
        &self,
        (requests, settings, farm): (&Requests<'t>, &Settings<'t>, &Farm<'t>),
        client: &Name,
        (from, to): (usize, usize),
        memory: Duration,
    ) -> bool {
        let scope = Scope { requests, settings, farm };
        self.spans.iter().take_while(|span| span.from <= to).any(|span| {
            let concern = Self::concern(&scope, span.place, client);
            // A balancer may be on the path to a KDC, or may ask it.
            matches!(concern, Concern::Everything | Concern::Logons | Concern::Tickets)
                && Self::lasts(requests, span, from, memory.max(self.notice))
        })
    }

    /// Returns whether a fault kept this server from its DC between the two events, or just before.
    pub(crate) fn keeps_from_dc(
        &self,
        (requests, settings, farm): (&Requests<'t>, &Settings<'t>, &Farm<'t>),
        server: &Name,
        (from, to): (usize, usize),
    ) -> bool {
        let scope = Scope { requests, settings, farm };
        self.spans.iter().take_while(|span| span.from <= to).any(|span| {
            let concern = Self::concern(&scope, span.place, server);
            let meant = concern == Concern::Logons || matches!(concern, Concern::LogonsAt(at) if at == server);
            meant && Self::lasts(requests, span, from, self.notice)
        })
    }

    fn note(&mut self, event: usize, fault: &'t Fault) {
        let place = match fault {
            Fault::Crash(name) | Fault::PowerLoss(name) | Fault::Hang(name) => Place::Host(name),
            Fault::Hold(a, b) | Fault::Reset(a, b) => Place::Link(a, b),
            Fault::Restart(name) => return self.mend(event, |span| span.place == Place::Host(name)),
            Fault::Resume(name) => return self.mend(event, |span| span.hangs && span.place == Place::Host(name)),
            Fault::Release(a, b) => {
                let ends = [Place::Link(a, b), Place::Link(b, a)];
                return self.mend(event, |span| ends.contains(&span.place));
            }
        };
        if let Fault::Reset(..) = fault {
            return self.strike(event, place);
        }
        self.spans.push(Span { from: event, until: None, place, hangs: matches!(fault, Fault::Hang(_)) });
    }

    /// Records a fault that ends connections at one moment.
    fn strike(&mut self, event: usize, place: Place<'t>) {
        self.spans.push(Span { from: event, until: Some(event), place, hangs: false });
    }

    fn mend(&mut self, event: usize, meant: impl Fn(&Span<'t>) -> bool) {
        for span in self.spans.iter_mut().filter(|span| span.until.is_none() && meant(span)) {
            span.until = Some(event);
        }
    }

    /// Returns whether a fault stood at this event or later, or was repaired at most `notice` before.
    fn lasts(requests: &Requests<'t>, span: &Span<'t>, event: usize, notice: Duration) -> bool {
        span.until.is_none_or(|until| until >= event || requests.at(event) - requests.at(until) <= notice)
    }

    /// Returns what a fault at this place means for this client.
    fn concern(scope: &Scope<'_, 't>, place: Place<'t>, client: &Name) -> Concern<'t> {
        let (a, b) = match place {
            Place::Host(name) if scope.requests.is_dc(name) => {
                return if scope.settings.any_joined() { Concern::Logons } else { Concern::Nobody };
            }
            Place::Host(name) if scope.farm.is_backend(name) => return Concern::Backend(name),
            Place::Host(_) => return Concern::Everything,
            Place::Link(a, b) => (a, b),
        };
        let end = |is: &dyn Fn(&Name) -> bool| [a, b].into_iter().find(|name| is(name));
        let another = |name: &Name| scope.requests.is_client(name) && !scope.settings.share_host(name, client);
        let (dc, backend) = (end(&|name| scope.requests.is_dc(name)), end(&|name| scope.farm.is_backend(name)));
        let own = end(&|name| scope.settings.share_host(name, client));
        if end(&another).is_some() {
            return Concern::Nobody;
        }
        match (own, dc, backend) {
            (Some(_), Some(_), _) if scope.requests.is_client(client) => Concern::Tickets,
            (_, Some(_), Some(backend)) => Concern::LogonsAt(backend),
            (_, Some(_), None) => Concern::Logons,
            (_, None, Some(backend)) => Concern::Backend(backend),
            (_, None, None) => Concern::Everything,
        }
    }
}

impl<'t> Scope<'_, 't> {
    /// Returns whether these legs of the request may have gone to this backend: either it received one of them, or no
    /// server did.
    fn may_have_gone_to(&self, request: &Request<'t>, backend: &Name, legs: Legs) -> bool {
        match legs {
            Legs::Last => self.requests.last_receiver(request).is_none_or(|(_, server)| server == backend),
            Legs::Any => {
                // A balancer may try another backend even after the client has given up.
                let in_time = |event: usize| request.ended.is_none_or(|end| event.is_before(end.event));
                let received = self.requests.received(request).filter(|&(event, ..)| in_time(event));
                let received: Vec<&Name> = received.map(|(_, (server, _), _)| server).collect();
                received.len() < self.requests.sent(request).count().max(1) || received.contains(&backend)
            }
        }
    }

    /// Returns whether the request depended on a DC: the client tried to log on, or may have waited for a ticket. It
    /// also depended on one if the balancer's checks log on, because they take a backend that cannot log users on out
    /// of use.
    fn needs_dc(&self, request: &Request<'t>) -> bool {
        let checks = self.requests.promises().checks.as_ref();
        checks.is_some_and(|checks| checks.user.is_some()) || self.logs_on(request)
    }

    /// Returns whether the client tried to log on in this request, or may have waited for a ticket.
    fn logs_on(&self, request: &Request<'t>) -> bool {
        let mut sent = self.requests.sent(request).peekable();
        let waits = sent.peek().is_none() && request.preemptive;
        let asked = request
            .events
            .iter()
            .any(|&event| matches!(self.requests.what(event), What::ClientReceived { status: 401 | 407, .. }));
        waits || asked || sent.any(|(.., leg)| leg != Leg::Anonymous)
    }

    /// Returns whether the client may have waited for a ticket in this request.
    fn may_want_ticket(&self, request: &Request<'t>) -> bool {
        self.logs_on(request) && self.settings.common_packages(request.client).kerberos
    }
}

/// The ends of idle connections to servers. They are not faults, but a balancer that sends a request at that moment
/// loses it.
#[derive(Default)]
pub(crate) struct IdleEnds {
    /// The events at which a server closed a connection without a request in progress, in order, each with its time.
    by_server: Vec<(usize, Time)>,
    /// The events of all ends of such connections, whoever closed them.
    any: Vec<usize>,
    /// The time of a round trip between a balancer and a server.
    round_trip: Duration,
}

impl IdleEnds {
    /// Collects these ends from a trace.
    pub(crate) fn read(requests: &Requests<'_>) -> Self {
        let link = requests.topology().link;
        let mut ends = Self { round_trip: (link.latency + link.jitter).saturating_mul(2), ..Self::default() };
        let mut busy: BTreeMap<ServerConnection<'_>, u32> = BTreeMap::new();
        let mut used: BTreeSet<ServerConnection<'_>> = BTreeSet::new();
        for (event, seen) in requests.events() {
            match seen.what {
                What::ServerAccepted { connection, .. } => {
                    busy.remove(&(&seen.by, connection));
                    used.remove(&(&seen.by, connection));
                }
                What::ServerReceived { connection, request, .. } => {
                    *busy.entry((&seen.by, connection)).or_default() += 1;
                    // A health check's connection is its own.
                    if request.is_some() {
                        used.insert((&seen.by, connection));
                    }
                }
                What::ServerAnswered { connection, .. } => {
                    let count = busy.entry((&seen.by, connection)).or_default();
                    *count = count.saturating_sub(1);
                }
                What::ServerClosed { connection, how } => {
                    let at = (&seen.by, connection);
                    let idle = busy.remove(&at).is_none_or(|count| count == 0) && used.remove(&at);
                    if idle {
                        ends.any.push(event);
                    }
                    if idle && how == Closed::Here {
                        ends.by_server.push((event, seen.at));
                    }
                }
                _ => {}
            }
        }
        ends
    }

    /// Returns the event at which a server closed an idle connection that the request's last HTTP request may have met.
    /// This is possible if no server received that HTTP request, and if the connection was closed at most one round
    /// trip before it was sent, or before the request ended.
    pub(crate) fn met_by(&self, requests: &Requests<'_>, request: &Request<'_>) -> Option<usize> {
        let end = request.ended?.event;
        let (sent, ..) = requests.sent(request).last()?;
        let reached = requests.received(request).any(|(event, ..)| event.is_after(sent));
        let first = self.by_server.partition_point(|&(_, at)| at + self.round_trip < requests.at(sent));
        let close = self.by_server.get(first).map(|&(event, _)| event);
        close.filter(|&event| !reached && event.is_before(end))
    }

    /// Returns the same event if the connection was closed before the HTTP request could have arrived on it, so the
    /// balancer did not wait for anything else in the meantime.
    pub(crate) fn met_at_once_by(&self, requests: &Requests<'_>, request: &Request<'_>) -> Option<usize> {
        let (sent, ..) = requests.sent(request).last()?;
        self.met_by(requests, request).filter(|&close| requests.at(close) <= requests.at(sent) + self.round_trip)
    }

    /// Returns whether an idle connection ended between the two events, whoever closed it.
    pub(crate) fn any_between(&self, from: usize, to: usize) -> bool {
        !between(&self.any, from, to).is_empty()
    }
}
