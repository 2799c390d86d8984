//! HS-2 and HS-3: the connections that the legs of a handshake reach, and whether handshakes disturb one another.
//!
//! **HS-2** is put to the test by each Authenticate leg of a known request that a server receives. It is violated if
//! the leg that began its handshake, which is the request's latest Negotiate leg or ticket before it, was received on
//! another connection, or by nobody. If a ticket was answered with a token and not refused, a Negotiate leg that the
//! client then sends on the same connection continues the ticket's handshake (SPNEGO, RFC 4178 4.2.2: the server wants
//! NTLM), and is judged like an Authenticate leg. A ticket alone is a whole handshake. An Authenticate leg that reaches
//! no server proves nothing here: the connection to which it was bound may have ended, and then a close or a 502 is the
//! right end (FO-4). HS-1 judges whether the client got its answer.
//!
//! **HS-3** concerns handshakes of clients with valid credentials. A handshake lasts from the client's first Negotiate
//! leg or ticket to the first answer of a server that took the Authenticate leg, or the ticket, for a user, or to the
//! end of the request. HS-3 is put to the test by each ended request whose handshake overlaps one of another client. It
//! is violated if such a request ends in 401 (or 407) although no server authenticated it and nobody else is at fault
//! (`excuses::refused_because`). A trace does not show which of the handshakes disturbed it, so the evidence names one
//! that overlaps.

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, What};

use crate::excuses::refused_because;
use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::requests::{Answered, Request, ServerConnection, asks_for_credentials};
use crate::verdict::{Failure, Party};

/// Judges HS-2.
pub(crate) fn hs2_legs_share_one_connection(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests() {
        let mut begun: Option<ReceivedLeg<'_>> = None;
        let mut negotiation = Negotiation::None;
        for &event in &request.events {
            match *index.what(event) {
                What::ClientSent { connection, leg, .. } => negotiation = negotiation.sent(connection, leg),
                // The reason for a refusal comes with a token as well (KRB-ERROR).
                What::ServerTicket { error, .. } if error != 0 => negotiation = Negotiation::None,
                What::ClientReceived { connection, challenge, .. } => {
                    negotiation = negotiation.answered(connection, challenge);
                }
                What::ServerReceived { connection, leg, .. } => {
                    let this = ReceivedLeg { event, at: (index.by(event), connection), leg };
                    let continues =
                        leg == Leg::Authenticate || leg == Leg::Negotiate && negotiation == Negotiation::Continued;
                    if continues {
                        finding.exercise();
                        judge_leg(request, begun, this, &mut finding);
                    }
                    if matches!(leg, Leg::Negotiate | Leg::Ticket) {
                        begun = Some(this);
                    }
                }
                _ => {}
            }
        }
    }
    finding
}

/// A leg that a server received; in particular the leg that began a handshake.
#[derive(Clone, Copy)]
struct ReceivedLeg<'t> {
    event: usize,
    at: ServerConnection<'t>,
    leg: Leg,
}

/// Whether the client's next Negotiate leg continues the handshake of its ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Negotiation {
    /// No ticket was sent.
    None,
    /// A ticket was sent on this connection of the client.
    Sent(u32),
    /// The ticket was answered there with a token.
    Answered(u32),
    /// A Negotiate leg followed there.
    Continued,
}

impl Negotiation {
    fn sent(self, connection: u32, leg: Leg) -> Self {
        match (leg, self) {
            (Leg::Ticket, _) => Self::Sent(connection),
            (Leg::Negotiate, Self::Answered(on)) if on == connection => Self::Continued,
            _ => Self::None,
        }
    }

    fn answered(self, connection: u32, challenge: bool) -> Self {
        match self {
            Self::Sent(on) if on == connection && challenge => Self::Answered(on),
            _ => Self::None,
        }
    }
}

/// Judges a leg that continues the handshake that was begun.
fn judge_leg(request: &Request<'_>, begun: Option<ReceivedLeg<'_>>, this: ReceivedLeg<'_>, finding: &mut Finding) {
    if begun.is_some_and(|begun| begun.at == this.at) {
        return;
    }
    let (client, id, (server, number)) = (request.client, request.id, this.at);
    let name = if this.leg == Leg::Negotiate { "Negotiate" } else { "Authenticate" };
    let first =
        begun.map_or("Negotiate leg", |begun| if begun.leg == Leg::Ticket { "ticket" } else { "Negotiate leg" });
    let before = begun.map_or_else(
        || "which no server received".to_owned(),
        |ReceivedLeg { at: (server, number), .. }| format!("on connection {number} of {server}"),
    );
    let summary = format!(
        "{client}'s request {id}: {server} received the {name} leg on connection {number}, but its {first} went \
         elsewhere: {before}",
    );
    finding.violate(
        Failure::Split,
        request.cited(),
        summary,
        begun.map(|begun| begun.event).into_iter().chain([this.event]).collect(),
    );
}

/// Judges HS-3.
pub(crate) fn hs3_interleaved_handshakes_succeed(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let handshakes = handshakes(index);
    for (handshake, other) in handshakes.iter().zip(overlaps(&handshakes)) {
        let (request, Some(other), Some(end)) = (handshake.request, other, handshake.request.ended) else {
            continue;
        };
        if asks_for_credentials(end.status) && !handshake.authenticated {
            let explained = index.is_disrupted(request).then_some(Party::InjectedFault);
            let fault = explained.or_else(|| refused_because(index, request)).unwrap_or(Party::Balancer);
            let other = &handshakes[other];
            let summary = format!(
                "{}'s request {} ended in {} while its handshake overlapped that of {}'s request {}",
                request.client,
                request.id,
                end.status.unwrap_or_default(),
                other.client(),
                other.request.id,
            );
            let mut events = request.events.clone();
            events.extend([other.from, other.to]);
            if fault == Party::Balancer {
                finding.exercise();
            }
            finding.blame(fault, Failure::Refused, request.cited(), summary, events);
        } else {
            finding.exercise();
        }
    }
    finding
}

/// A handshake of a client with valid credentials, from its first token to its end, as events.
struct Handshake<'i, 't> {
    request: &'i Request<'t>,
    from: usize,
    to: usize,
    authenticated: bool,
}

impl<'t> Handshake<'_, 't> {
    fn client(&self) -> &'t Name {
        self.request.client
    }
}

/// Returns all handshakes in the order in which they begin.
fn handshakes<'i, 't>(index: &'i Index<'t>) -> Vec<Handshake<'i, 't>> {
    let valid = index.requests().filter(|request| request.credentials == Credentials::Valid);
    let mut handshakes: Vec<_> = valid
        .filter_map(|request| {
            let (from, ..) = index.sent(request).find(|&(.., leg)| matches!(leg, Leg::Negotiate | Leg::Ticket))?;
            let authenticated = index.answered(request).find(Answered::is_logon).map(|answer| answer.event);
            let to = authenticated.or(request.ended.map(|end| end.event));
            let to = to.unwrap_or(index.event_count().saturating_sub(1));
            Some(Handshake { request, from, to, authenticated: authenticated.is_some() })
        })
        .collect();
    handshakes.sort_by_key(|handshake| handshake.from);
    handshakes
}

/// Returns for each handshake another client's handshake that overlaps it, if there is one, in linear time.
///
/// Of the handshakes that began earlier, only the longest can matter, and the longest of a different client. Of those
/// that began later, only the next one of a different client can matter.
fn overlaps(handshakes: &[Handshake<'_, '_>]) -> Vec<Option<usize>> {
    let mut found = vec![None; handshakes.len()];
    let (mut longest, mut second): (Option<usize>, Option<usize>) = (None, None);
    for (place, this) in handshakes.iter().enumerate() {
        found[place] = [longest, second]
            .into_iter()
            .flatten()
            .find(|&other| handshakes[other].client() != this.client())
            .filter(|&other| handshakes[other].to.is_after(this.from));
        let lasts = |other: Option<usize>| other.is_none_or(|other| handshakes[other].to.is_before(this.to));
        let same = |other: Option<usize>| other.is_some_and(|other| handshakes[other].client() == this.client());
        if lasts(longest) {
            if !same(longest) {
                second = longest;
            }
            longest = Some(place);
        } else if !same(longest) && lasts(second) {
            second = Some(place);
        }
    }
    // The next handshake of another client: the neighbour, or the one after the neighbour's run.
    let mut next: Option<usize> = None;
    for place in (0..handshakes.len().saturating_sub(1)).rev() {
        if handshakes[place + 1].client() != handshakes[place].client() {
            next = Some(place + 1);
        }
        found[place] =
            found[place].or_else(|| next.filter(|&other| handshakes[other].from.is_before(handshakes[place].to)));
    }
    found
}
