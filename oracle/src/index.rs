//! The index of a trace, which answers all questions that judging functions ask.
//!
//! The index is built bottom-up, each part from those before it:
//!
//! ```text
//! Trace ─┬─▶ Requests ─┬─▶ Disruptions
//!        │             ├─▶ Settings ──┬───▶ authenticated connections, Ports
//!        │             │              └───▶ TlsConnections
//!        │             ├─▶ Farm ──────────▶ Faults
//!        │             ├─▶ IdleEnds
//!        │             └─▶ Logons
//!        └─▶ RawSends
//! ```
//!
//! Building it takes time linear in the number of events, except for binary searches in the events of one client.

use std::collections::BTreeMap;
use std::time::Duration;

use stickler_model::trace::Promises;
use stickler_model::{Event, Leg, Name, RequestId, Time, Topology, Trace, What};

use crate::disruptions::Disruptions;
use crate::farm::Farm;
use crate::faults::{Faults, IdleEnds, Legs};
use crate::logons::Logons;
use crate::order::before;
use crate::ports::Ports;
use crate::raw::RawSends;
use crate::requests::{Answered, ClientConnection, Request, Requests, ServerConnection};
use crate::settings::Settings;
use crate::tls_connections::{TlsConnections, TlsPath};
use crate::verdict::Cited;

/// A trace, indexed. A `usize` is an index into the trace's events.
pub(crate) struct Index<'t> {
    requests: Requests<'t>,
    disruptions: Disruptions<'t>,
    faults: Faults<'t>,
    /// The ends of servers' idle connections.
    pub(crate) idle_ends: IdleEnds,
    /// The bytes that clients sent unchanged, as they were told to.
    pub(crate) raw: RawSends<'t>,
    /// The availability of the backends over time.
    pub(crate) farm: Farm<'t>,
    /// The settings of servers and clients.
    pub(crate) settings: Settings<'t>,
    ports: Ports<'t>,
    /// Which connections use TLS.
    pub(crate) tls: TlsConnections<'t>,
    /// The decisions of the DCs.
    pub(crate) logons: Logons<'t>,
    authenticated: Authentications<'t>,
}

/// The answers by which a server accepted a proof of identity on each of its connections, in order, and whether the
/// connection is authenticated from then on.
type Authentications<'t> = BTreeMap<ServerConnection<'t>, Vec<(usize, bool)>>;

impl<'t> Index<'t> {
    /// Reads a trace.
    pub(crate) fn new(trace: &'t Trace) -> Self {
        let raw = RawSends::read(trace);
        let requests = Requests::read(trace, &raw.ambiguous);
        let settings = Settings::read(&requests);
        let farm = Farm::read(&requests);
        Self {
            disruptions: Disruptions::read(&requests),
            faults: Faults::read(&requests, &farm),
            idle_ends: IdleEnds::read(&requests),
            raw,
            farm,
            ports: Ports::read(&requests, &settings),
            tls: TlsConnections::read(&requests, &settings),
            logons: Logons::read(&requests),
            authenticated: authentications(&requests, &settings),
            settings,
            requests,
        }
    }

    /// Returns the requests that clients started, in the order of their start.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request<'t>> {
        self.requests.iter()
    }

    /// See [`Requests::get`].
    pub(crate) fn request(&self, id: Option<RequestId>) -> Option<&Request<'t>> {
        self.requests.get(id)
    }

    /// Returns the request with this id as evidence cites it, which is nothing if no client started it.
    pub(crate) fn cited(&self, id: Option<RequestId>) -> Vec<Cited> {
        self.request(id).map_or_else(Vec::new, Request::cited)
    }

    /// Returns the requests that a server received with these events, as evidence cites them.
    pub(crate) fn cited_by(&self, received: &[usize]) -> Vec<Cited> {
        let request = |&event: &usize| match *self.what(event) {
            What::ServerReceived { request, .. } => request,
            _ => None,
        };
        received.iter().flat_map(|event| self.cited(request(event))).collect()
    }

    /// See [`Requests::events`].
    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, &'t Event)> + use<'t> {
        self.requests.events()
    }

    /// See [`Requests::event_count`].
    pub(crate) fn event_count(&self) -> usize {
        self.requests.event_count()
    }

    /// See [`Requests::topology`].
    pub(crate) fn topology(&self) -> &'t Topology {
        self.requests.topology()
    }

    /// See [`Requests::promises`].
    pub(crate) fn promises(&self) -> &'t Promises {
        self.requests.promises()
    }

    /// See [`Requests::at`].
    pub(crate) fn at(&self, event: usize) -> Time {
        self.requests.at(event)
    }

    /// See [`Requests::what`].
    pub(crate) fn what(&self, event: usize) -> &'t What {
        self.requests.what(event)
    }

    /// See [`Requests::by`].
    pub(crate) fn by(&self, event: usize) -> &'t Name {
        self.requests.by(event)
    }

    /// See [`Requests::sent`].
    pub(crate) fn sent(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, u32, Leg)> {
        self.requests.sent(request)
    }

    /// See [`Requests::received`].
    pub(crate) fn received(&self, request: &Request<'t>) -> impl Iterator<Item = (usize, ServerConnection<'t>, Leg)> {
        self.requests.received(request)
    }

    /// See [`Requests::answers_challenge`].
    pub(crate) fn answers_challenge(&self, request: &Request<'t>) -> bool {
        self.requests.answers_challenge(request)
    }

    /// See [`Requests::last_receiver`].
    pub(crate) fn last_receiver(&self, request: &Request<'t>) -> Option<(usize, &'t Name)> {
        self.requests.last_receiver(request)
    }

    /// See [`Faults::crossed_idle_close`].
    pub(crate) fn crossed_idle_close(&self, request: &Request<'t>) -> bool {
        self.faults.crossed_idle_close(&self.requests, request)
    }

    /// Returns whether this is the name of a balancer: of a host that is no backend, no DC and no client.
    pub(crate) fn is_balancer(&self, name: &Name) -> bool {
        !self.farm.is_backend(name) && !self.requests.is_dc(name) && !self.requests.is_client(name)
    }

    /// See [`Requests::answered`].
    pub(crate) fn answered(&self, request: &Request<'t>) -> impl Iterator<Item = Answered<'t>> {
        self.requests.answered(request)
    }

    /// See [`Requests::answer`].
    pub(crate) fn answer(&self, event: usize) -> Option<Answered<'t>> {
        self.requests.answer(event)
    }

    /// See [`Requests::is_withheld`].
    pub(crate) fn is_withheld(&self, request: &Request<'t>, answer: &Answered<'t>) -> bool {
        self.requests.is_withheld(request, answer)
    }

    /// See [`Requests::any_received_after`].
    pub(crate) fn any_received_after(&self, event: usize) -> bool {
        self.requests.any_received_after(event)
    }

    /// See [`Disruptions::lost`].
    pub(crate) fn lost(&self, request: &Request<'t>) -> usize {
        self.disruptions.lost(request)
    }

    /// Returns whether the script disconnected the client before the request ended, or had ended itself by then.
    pub(crate) fn is_given_up(&self, request: &Request<'t>) -> bool {
        request.abandoned || self.disruptions.is_disconnected(request)
    }

    /// Returns whether the request had no answer because another client has a connection from its client's port.
    pub(crate) fn lacks_port(&self, request: &Request<'t>) -> bool {
        let ended = request.ended.filter(|end| end.status.is_none());
        ended.is_some_and(|end| {
            self.ports.is_held_by_another((&self.requests, &self.settings), request.client, end.event)
        })
    }

    /// Returns whether the script itself explains that the request lost connections or was repeated: it disconnected
    /// the client in the meantime, or a fault touched one of the legs (see `faults`).
    pub(crate) fn is_disrupted(&self, request: &Request<'t>) -> bool {
        self.is_given_up(request) || self.faults.explain(self.parts(), request, Legs::Any, |_| false)
    }

    /// Returns whether a fault explains that the request had no answer: it touched the last leg.
    pub(crate) fn is_cut_short(&self, request: &Request<'t>) -> bool {
        self.faults.explain(self.parts(), request, Legs::Last, |_| false)
    }

    /// Returns whether a fault explains that the balancer turned the request away with 503: it touched the request, and
    /// no backend has been up since then that the balancer could have used.
    pub(crate) fn is_turned_away_by_fault(&self, request: &Request<'t>) -> bool {
        let end = request.ended.map_or(request.started, |end| end.event);
        let spared = |from: usize| self.other_up(None, request, from.min(request.started), end).is_some();
        self.faults.explain(self.parts(), request, Legs::Last, spared)
    }

    /// Returns a backend that serves the request's path, is not this one, and was up from one event to the other
    /// (inclusive).
    pub(crate) fn other_up(
        &self,
        not: Option<&Name>,
        request: &Request<'t>,
        from: usize,
        to: usize,
    ) -> Option<&'t Name> {
        let serves = |backend: &&Name| self.promises().serves(backend, request.path);
        let mut others = self.farm.backends().filter(|&backend| Some(backend) != not).filter(serves);
        others.find(|backend| self.farm.is_up(backend, from, to))
    }

    /// See [`Faults::is_quiet_elsewhere`], from the start of the request to this event.
    pub(crate) fn is_quiet_elsewhere(&self, request: &Request<'t>, to: usize) -> bool {
        self.faults.is_quiet_elsewhere(self.parts(), request.client, (request.started, to))
    }

    /// See [`Faults::cuts_off`].
    pub(crate) fn is_cut_off(&self, on: ClientConnection<'t>, event: usize) -> bool {
        self.faults.cuts_off(self.parts(), on, event)
    }

    /// See [`Faults::keeps_from_kdc`].
    pub(crate) fn is_kept_from_kdc(&self, request: &Request<'t>, to: usize, memory: Duration) -> bool {
        self.faults.keeps_from_kdc(self.parts(), request.client, (request.started, to), memory)
    }

    /// See [`Faults::keeps_from_dc`].
    pub(crate) fn is_kept_from_dc(&self, server: &Name, from: usize, to: usize) -> bool {
        self.faults.keeps_from_dc(self.parts(), server, (from, to))
    }

    /// Returns the event in which a server closed an idle connection, if the request may have been sent on that
    /// connection at the same time.
    pub(crate) fn met_idle_end(&self, request: &Request<'t>) -> Option<usize> {
        self.idle_ends.met_by(&self.requests, request)
    }

    /// See [`IdleEnds::met_at_once_by`].
    pub(crate) fn met_idle_end_at_once(&self, request: &Request<'t>) -> Option<usize> {
        self.idle_ends.met_at_once_by(&self.requests, request)
    }

    fn parts(&self) -> (&Requests<'t>, &Settings<'t>, &Farm<'t>) {
        (&self.requests, &self.settings, &self.farm)
    }

    /// See [`TlsConnections::paths`].
    pub(crate) fn tls_paths(&self, request: &Request<'t>) -> impl Iterator<Item = TlsPath<'t>> {
        self.tls.paths(&self.requests, request)
    }

    /// Returns the answer that gave a server's connection the identity that it has just before this event, or `None`
    /// if the connection is not authenticated then.
    pub(crate) fn authenticated_before(&self, at: ServerConnection<'t>, event: usize) -> Option<usize> {
        let answers = self.authenticated.get(&at)?;
        before(answers, event).last().filter(|&&(_, persists)| persists).map(|&(answer, _)| answer)
    }

    /// See [`Settings::authenticates`].
    pub(crate) fn authenticates(&self, answer: &Answered<'t>) -> bool {
        self.settings.authenticates(answer)
    }
}

fn authentications<'t>(requests: &Requests<'t>, settings: &Settings<'t>) -> Authentications<'t> {
    let mut authentications = Authentications::new();
    for answer in requests.events().filter_map(|(event, _)| requests.answer(event)).filter(Answered::is_logon) {
        authentications.entry(answer.at).or_default().push((answer.event, settings.authenticates(&answer)));
    }
    authentications
}
