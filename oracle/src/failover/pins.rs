//! FO-4 and FO-5: a client's authenticated connection when its server's connection or its backend goes away.
//!
//! A client's connection is *bound* to a server's connection once the server took an Authenticate leg or a ticket from
//! it for the client's user there, and this authenticates the connection and not only the request
//! (`Settings::persists`). It is *pinned* once a later request without a token was taken in the same way over the same
//! pair. Both end when the client sends a token again, or when a request is taken elsewhere.
//!
//! **FO-4** concerns pinned connections whose server's side is lost: the server saw it close or break, crashed, or lost
//! power. It is put to the test when the peer then ends the client's connection, or when the client receives an answer
//! that does not come from the server there, to a request that it sent on the connection without a token. It is
//! violated if that answer is 401 (or 407): the client is asked to log on and is never told that its connection is
//! gone. A 401.3 refuses the user and does not ask for credentials.
//!
//! **FO-5** begins when a backend is drained, and ends when anything else affects it.
//! * The backend keeps its connections. Each bound connection is put to the test by its next request without a token
//!   that a server receives. It is a violation if the server receives it on a connection other than the bound one. The
//!   end of the connection is also a test. It is a violation if the peer ends the connection, the server did not end its
//!   side, no fault touched the balancer or the client's way to it, and the connection was in use until then
//!   ([`SHORTEST_IDLE_LIMIT`]): a balancer may always close an idle connection, and it has to close one for which the
//!   client asked on the leg that authenticated it. An answer of the balancer itself without the server (502, 503, 504)
//!   is a violation too.
//! * The backend gets no new connections. Each connection that a client opens during a drain, while another backend is
//!   up, is put to the test by the first request received from it, if the client also started this request during the
//!   drain. It is violated if the draining backend receives the request, with one exception: persistence is declared,
//!   and the backend has served this client (or one with the same address, if persistence is not by a cookie) over a
//!   connection whose first packet may have arrived before the drain, or has lost a request of it before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stickler_model::event::{Closed, Credentials};
use stickler_model::{Action, Fault, Leg, Name, RequestId, What};

use crate::faults::SHORTEST_IDLE_LIMIT;
use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::requests::{ClientConnection, Request, ServerConnection, asks_for_credentials, is_no_answer};
use crate::verdict::Failure;

/// Judges FO-4.
pub(crate) fn fo4_loss_of_pinned_connections_is_reported(index: &Index<'_>) -> Finding {
    read(index).losses
}

/// Judges FO-5.
pub(crate) fn fo5_draining_backends_keep_old_connections_only(index: &Index<'_>) -> Finding {
    let drains = |what: &What| matches!(what, What::Action(Action::Drain(_)));
    if index.events().any(|(_, event)| drains(&event.what)) { read(index).drains } else { Finding::default() }
}

/// Returns the name by which a balancer's persistence knows a client. With a cookie it is the client itself; otherwise
/// it is the client's address, which is that of its host. Behind another balancer, all clients have the same address.
fn known_as<'n, 't: 'n>(index: &Index<'t>, client: &'n Name) -> Option<&'n Name> {
    match (&index.promises().cookie, &index.topology().front) {
        (Some(_), _) => Some(client),
        (None, Some(_)) => None,
        (None, None) => Some(index.settings.host(client)),
    }
}

/// Returns whether a client that the balancer's persistence does not distinguish from this one has sent raw bytes
/// before this event. From then on, it is uncertain which backend persistence remembers. With a cookie this does not
/// matter.
fn sent_bytes_before(index: &Index<'_>, client: &Name, event: usize) -> bool {
    let by_address = index.promises().cookie.is_none();
    let same = |other: &Name| known_as(index, other) == known_as(index, client);
    by_address && index.raw.iter().take_while(|send| send.event.is_before(event)).any(|send| same(&send.spec.client))
}

/// Returns whether a client that the balancer's persistence does not distinguish from this one has started a request before
/// this event that no server received. The balancer may have chosen a backend for it all the same.
fn sent_in_vain_before(index: &Index<'_>, client: &Name, event: usize) -> bool {
    let same = |other: &Name| known_as(index, other) == known_as(index, client);
    let mut requests = index.requests().filter(|request| request.started.is_before(event) && same(request.client));
    requests.any(|request| index.received(request).next().is_none())
}

/// A server's connection that a client's connection is bound to.
struct Pin<'t> {
    at: ServerConnection<'t>,
    /// The event at which the server received the proof that authenticated the connection.
    begun: usize,
    /// The answer to that proof.
    proof: usize,
    /// Whether a later request was served over the same pair.
    proven: bool,
    /// The event at which the server's side was lost, and whether the server closed it itself.
    lost: Option<(usize, bool)>,
}

/// The last HTTP request that was sent for a request.
struct Sent<'t> {
    on: ClientConnection<'t>,
    event: usize,
    leg: Leg,
    /// The event at which a server received it last.
    received: Option<usize>,
    /// The server's latest answer to it: the connection, and whether it refuses the client's own user (401.3).
    answered: Option<(ServerConnection<'t>, bool)>,
}

/// The state of FO-4 and FO-5 while a trace is being read.
#[derive(Default)]
struct PinState<'t> {
    /// The pins, by the client's connection.
    pins: BTreeMap<ClientConnection<'t>, Pin<'t>>,
    /// The client's connection that is bound to a server's connection, by the latter.
    bound: BTreeMap<ServerConnection<'t>, ClientConnection<'t>>,
    sent: BTreeMap<RequestId, Sent<'t>>,
    /// The event at which a connection was opened, by the client's connection.
    opened: BTreeMap<ClientConnection<'t>, usize>,
    /// The time, from the start of the world, since which the backend may have been serving a client, by the name under which persistence knows the
    /// client, and the backend.
    served: BTreeMap<(Option<&'t Name>, &'t Name), Duration>,
    /// The event at which the drain began, by backend that is drained and otherwise unaffected.
    draining: BTreeMap<&'t Name, usize>,
    /// The clients' connections from which a server has received a request.
    used: BTreeSet<ClientConnection<'t>>,
    /// The event at which a connection last carried something, by the client's connection.
    carried: BTreeMap<ClientConnection<'t>, usize>,
    losses: Finding,
    drains: Finding,
}

fn read<'t>(index: &Index<'t>) -> PinState<'t> {
    let mut state = PinState::default();
    for (event, seen) in index.events() {
        match &seen.what {
            What::Action(action) => state.act(index, action, event),
            What::ClientConnected { connection, .. } => {
                state.opened.insert((&seen.by, *connection), event);
            }
            What::ClientSent { connection, request, leg, .. } => {
                let on = (&seen.by, *connection);
                state.carried.insert(on, event);
                if *leg != Leg::Anonymous {
                    state.release(on);
                }
                state.sent.insert(*request, Sent { on, event, leg: *leg, received: None, answered: None });
            }
            What::ServerReceived { connection, request: Some(id), .. } => {
                if let Some(request) = index.request(Some(*id)) {
                    state.received(index, request, (&seen.by, *connection), event);
                }
            }
            What::ServerAnswered { .. } => state.answered(index, event),
            What::ServerClosed { connection, how } => {
                state.lose((&seen.by, *connection), event, *how == Closed::Here);
            }
            What::ClientReceived { connection, request, status, echoed, .. } => {
                state.carried.insert((&seen.by, *connection), event);
                state.kept_from_server(index, *request, *status, echoed.is_none(), event);
                state.client_received(index, *request, *status, event);
            }
            What::ClientClosed { connection, how } => {
                state.client_closed(index, (&seen.by, *connection), *how, event);
            }
            _ => {}
        }
    }
    state
}

impl<'t> PinState<'t> {
    fn act(&mut self, index: &Index<'t>, action: &'t Action, event: usize) {
        match action {
            Action::Drain(name) => {
                // A backend that is down or drained already has been judged or cannot keep anything.
                let condition = index.farm.condition(name, event);
                if condition.draining.is_none() && !index.farm.is_away(name, event) {
                    self.draining.insert(name, event);
                }
            }
            Action::Undrain(name) | Action::Fault(Fault::Restart(name) | Fault::Hang(name) | Fault::Resume(name)) => {
                // A process that hangs keeps its connections, and no event shows when they are lost.
                self.draining.remove(name);
            }
            Action::Fault(Fault::Crash(name) | Fault::PowerLoss(name)) => {
                self.draining.remove(name);
                self.lose_all(name, event);
            }
            Action::Configure(server) => self.lose_all(&server.name, event),
            // The servers' events show which connections a reset ends.
            Action::Fault(Fault::Reset(a, b) | Fault::Hold(a, b) | Fault::Release(a, b)) => {
                for name in [a, b] {
                    self.draining.remove(name);
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, index: &Index<'t>, request: &Request<'t>, at: ServerConnection<'t>, event: usize) {
        let Some(sent) = self.sent.get_mut(&request.id) else { return };
        sent.received = Some(event);
        let on = sent.on;
        self.judge_kept(request, on, at, event);
        if self.used.insert(on) {
            self.judge_new(index, request, on, at, event);
        }
        // Persistence may have chosen the server as soon as the client's first packet arrived, which no event shows: at most a
        // round trip to the server, over one balancer or two, before the client's connection was open.
        let time = |event: usize| index.at(event).since_start();
        let (opened, started) = (time(self.opened.get(&on).copied().unwrap_or(event)), time(request.started));
        let link = index.topology().link;
        let links = if index.topology().front.is_some() { 3 } else { 2 };
        let round_trip = (link.latency + link.jitter).saturating_mul(2 * links);
        let since = opened.saturating_sub(round_trip).max(started).min(opened);
        let earliest = self.served.entry((known_as(index, on.0), at.0)).or_insert(since);
        *earliest = since.min(*earliest);
    }

    fn judge_kept(&mut self, request: &Request<'t>, on: ClientConnection<'t>, at: ServerConnection<'t>, event: usize) {
        let Some(pin) = self.pins.get(&on).filter(|pin| pin.lost.is_none()) else { return };
        let Some(&since) = self.draining.get(pin.at.0).filter(|&&since| pin.begun.is_before(since)) else { return };
        let id = request.id;
        // A token that was sent since has ended the bond.
        if self.sent.get(&id).is_none_or(|sent| sent.event.is_before(since)) {
            return;
        }
        self.drains.exercise();
        if pin.at != at {
            let (server, number) = at;
            let summary = format!(
                "{}'s connection {} was authenticated at {}, which drains, but its request {id} went to {server} \
                 on connection {number}",
                on.0, on.1, pin.at.0,
            );
            self.drains.violate(Failure::Moved, request.cited(), summary, vec![pin.proof, since, event]);
            self.release(on);
        }
    }

    /// Judges the first request from a client's connection that a server receives.
    fn judge_new(
        &mut self,
        index: &Index<'t>,
        request: &Request<'t>,
        on: ClientConnection<'t>,
        at: ServerConnection<'t>,
        event: usize,
    ) {
        let Some(&opened) = self.opened.get(&on) else { return };
        let newer = |since: usize| opened.is_after(since) && request.started.is_after(since);
        let possible = |backend: &Name| index.other_up(Some(backend), request, request.started, event).is_some();
        if !self.draining.iter().any(|(backend, &since)| newer(since) && possible(backend)) {
            return;
        }
        self.drains.exercise();
        let Some(&since) = self.draining.get(at.0).filter(|&&since| newer(since)) else { return };
        let persists = index.promises().persistence.is_some() || index.promises().cookie.is_some();
        let known = self
            .served
            .get(&(known_as(index, on.0), at.0))
            .is_some_and(|&served| served <= index.at(since).since_start())
            || sent_bytes_before(index, on.0, since)
            || sent_in_vain_before(index, on.0, since);
        if possible(at.0) && !(persists && known) {
            let summary = format!(
                "{} drains, and received {}'s request {} on the client's new connection {}",
                at.0, on.0, request.id, on.1,
            );
            self.drains.violate(Failure::Moved, request.cited(), summary, vec![since, opened, event]);
        }
    }

    fn answered(&mut self, index: &Index<'t>, event: usize) {
        let Some(answer) = index.answer(event) else { return };
        let Some(request) = index.request(answer.request) else { return };
        let Some(sent) = self.sent.get_mut(&request.id) else { return };
        let own = request.is_taken_for_own_user(&answer) && request.credentials == Credentials::Valid;
        sent.answered = Some((answer.at, own && answer.is_forbidden()));
        let (on, begun) = (sent.on, sent.received.unwrap_or(event));
        if !own {
            return;
        }
        if answer.is_logon() {
            self.release(on);
            if let Some(before) = self.bound.remove(&answer.at) {
                self.pins.remove(&before);
            }
            if index.authenticates(&answer) {
                self.bound.insert(answer.at, on);
                self.pins.insert(on, Pin { at: answer.at, begun, proof: event, proven: false, lost: None });
            }
        } else if let Some(pin) = self.pins.get_mut(&on) {
            if pin.at == answer.at {
                pin.proven = true;
            } else if pin.lost.is_none() {
                self.release(on);
            }
        }
    }

    /// Judges an answer that the balancer may have given by itself to a request on a connection that is bound to a draining
    /// backend.
    fn kept_from_server(&mut self, index: &Index<'t>, id: RequestId, status: u16, own: bool, event: usize) {
        let Some(sent) = self.sent.get(&id).filter(|sent| sent.answered.is_none()) else { return };
        let Some(pin) = self.pins.get(&sent.on).filter(|pin| pin.lost.is_none()) else { return };
        let Some(&since) =
            self.draining.get(pin.at.0).filter(|&&since| pin.begun.is_before(since) && since.is_before(sent.event))
        else {
            return;
        };
        if own && is_no_answer(Some(status)) && !index.is_cut_off(sent.on, event) {
            let (on, proof, asked, at) = (sent.on, pin.proof, sent.event, pin.at);
            let summary = format!(
                "{}'s connection {} was authenticated at {}, which drains, but its request {id} was answered with {status}",
                on.0, on.1, at.0,
            );
            self.drains.violate(Failure::TurnedAway, index.cited(Some(id)), summary, vec![proof, since, asked, event]);
            self.release(on);
        }
    }

    fn client_received(&mut self, index: &Index<'t>, id: RequestId, status: u16, event: usize) {
        let Some(sent) = self.sent.get(&id).filter(|sent| sent.leg == Leg::Anonymous) else { return };
        let Some(pin) = self.pins.get(&sent.on) else { return };
        let (Some((lost, _)), true) = (pin.lost, pin.proven) else { return };
        let refused = sent.answered.is_some_and(|(_, refused)| refused);
        // The server may have answered before it was lost.
        if sent.answered.is_some_and(|(at, _)| at == pin.at) {
            return;
        }
        let (on, proof, at, asked) = (sent.on, pin.proof, pin.at, sent.event);
        self.losses.exercise();
        if asks_for_credentials(Some(status)) && !refused {
            let summary = format!(
                "{}'s connection {} was pinned to connection {} of {}, which was lost, but its request {id} was \
                 answered with {status}",
                on.0, on.1, at.1, at.0,
            );
            self.losses.violate(Failure::Refused, index.cited(Some(id)), summary, vec![proof, lost, asked, event]);
        }
        self.release(on);
    }

    fn client_closed(&mut self, index: &Index<'t>, on: ClientConnection<'t>, how: Closed, event: usize) {
        let Some(pin) = self.pins.get(&on) else { return };
        if how != Closed::Here {
            if pin.proven && pin.lost.is_some() {
                self.losses.exercise();
            }
            let drained = self.draining.get(pin.at.0).copied().filter(|&since| pin.begun.is_before(since));
            let by_server =
                pin.lost.is_some_and(|(lost, here)| here || drained.is_some_and(|since| lost.is_before(since)));
            let carried = self.carried.get(&on).copied().unwrap_or(pin.proof);
            let idle = index.at(event) - index.at(carried) >= SHORTEST_IDLE_LIMIT;
            // The client asks for this close on the leg that authenticates the connection.
            let wanted = index.settings.closes_with_proof(on.0) && !pin.proven;
            let excused = by_server || idle || wanted || index.is_cut_off(on, event);
            if let Some(since) = drained.filter(|_| !excused) {
                let summary = format!(
                    "{}'s connection {} was authenticated at {}, which drains, and was closed",
                    on.0, on.1, pin.at.0,
                );
                let logon = index.answer(pin.proof).and_then(|answer| answer.request);
                self.drains.violate(Failure::Closed, index.cited(logon), summary, vec![pin.proof, since, event]);
            }
        }
        self.release(on);
    }

    fn release(&mut self, on: ClientConnection<'t>) {
        if let Some(pin) = self.pins.remove(&on) {
            self.bound.remove(&pin.at);
        }
    }

    fn lose(&mut self, at: ServerConnection<'t>, event: usize, here: bool) {
        if let Some(pin) = self.bound.get(&at).and_then(|on| self.pins.get_mut(on)) {
            pin.lost.get_or_insert((event, here));
        }
    }

    fn lose_all(&mut self, server: &'t Name, event: usize) {
        let bound: Vec<_> = self.bound.range((server, 0)..=(server, u32::MAX)).map(|(&at, _)| at).collect();
        for at in bound {
            self.lose(at, event, true);
        }
    }
}
