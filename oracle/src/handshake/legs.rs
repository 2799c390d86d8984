//! HS-2 and HS-3: where the legs of handshakes go, and whether handshakes disturb each other.
//!
//! **HS-2** is put to the test by each Authenticate leg of a known request that a server receives.
//! It is violated when the leg that began its handshake, the request's latest Negotiate leg or ticket
//! before it, was received on another connection, or by nobody. A Negotiate leg that a client sends on
//! its connection after a ticket that was answered with a token there, and not refused, goes on with the ticket's
//! handshake (SPNEGO, RFC 4178 4.2.2: the server wants NTLM), and is judged like an Authenticate leg. A
//! ticket by itself is whole. An Authenticate leg that reaches no server says nothing here: the
//! connection it was bound to may be gone, and then a close or a 502 is the right end (FO-4);
//! whether the client got its answer is for HS-1 to say.
//!
//! **HS-3** looks at handshakes of clients with valid credentials. A handshake runs from the
//! client's first Negotiate leg or ticket to the first answer of a server that took the Authenticate
//! leg, or the ticket, for somebody, or to the end of the request. HS-3 is put to the test by each ended request whose
//! handshake overlaps one of another client. It is violated when such a request ends in 401 (or
//! 407), although no server authenticated it, and neither a fault nor the site (`site::refused_by_site`)
//! explains that, nor a server refused the ticket for what it is. Which of the handshakes disturbed it cannot be seen from outside, so the evidence
//! names one that overlaps.

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name, What};

use crate::index::{Answered, Index, Request, ServerConnection, asks_for_credentials};
use crate::judge::Finding;
use crate::site::refused_by_site;

/// HS-2.
pub(crate) fn legs_stay_together(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests.values() {
        let mut begun: Option<Begun<'_>> = None;
        let mut negotiation = Negotiation::None;
        for &event in &request.events {
            match *index.what(event) {
                What::ClientSent { connection, leg, .. } => negotiation = negotiation.sent(connection, leg),
                // Why it is refused comes with a token, too (KRB-ERROR).
                What::ServerTicket { error, .. } if error != 0 => negotiation = Negotiation::None,
                What::ClientReceived { connection, challenge, .. } => {
                    negotiation = negotiation.answered(connection, challenge);
                }
                What::ServerReceived { connection, leg, .. } => {
                    let this = Begun { event, at: (index.by(event), connection), leg };
                    let goes_on = leg == Leg::Authenticate || leg == Leg::Negotiate && negotiation == Negotiation::Goes;
                    if goes_on {
                        finding.exercise();
                        stays(request, begun, this, &mut finding);
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

/// A leg that a server received: the one that began a handshake.
#[derive(Clone, Copy)]
struct Begun<'t> {
    event: usize,
    at: ServerConnection<'t>,
    leg: Leg,
}

/// Whether the client's next Negotiate leg goes on with the handshake of its ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Negotiation {
    /// There is no ticket.
    None,
    /// One was sent on this connection of the client's.
    Sent(u32),
    /// It was answered there with a token.
    Answered(u32),
    /// The Negotiate leg followed there.
    Goes,
}

impl Negotiation {
    fn sent(self, connection: u32, leg: Leg) -> Self {
        match (leg, self) {
            (Leg::Ticket, _) => Self::Sent(connection),
            (Leg::Negotiate, Self::Answered(on)) if on == connection => Self::Goes,
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

/// Judges a leg that goes on with the handshake that was begun.
fn stays(request: &Request<'_>, begun: Option<Begun<'_>>, this: Begun<'_>, finding: &mut Finding) {
    if begun.is_some_and(|begun| begun.at == this.at) {
        return;
    }
    let (client, id, (server, number)) = (request.client, request.id, this.at);
    let name = if this.leg == Leg::Negotiate { "Negotiate" } else { "Authenticate" };
    let first =
        begun.map_or("Negotiate leg", |begun| if begun.leg == Leg::Ticket { "ticket" } else { "Negotiate leg" });
    let before = begun.map_or_else(
        || "which no server received".to_owned(),
        |Begun { at: (server, number), .. }| format!("on connection {number} of {server}"),
    );
    let summary = format!(
        "{client}'s request {id}: {server} received the {name} leg on connection {number}, but its {first} went \
         elsewhere: {before}",
    );
    finding.violate(summary, begun.map(|begun| begun.event).into_iter().chain([this.event]).collect());
}

/// Whether the request's last token is a ticket that a server refused. A replay is refused for who sent it again.
fn ticket_refused(index: &Index<'_>, request: &Request<'_>) -> bool {
    /// RFC 4120 7.5.9.
    const KRB_AP_ERR_REPEAT: u32 = 34;
    let last = index.sent(request).map(|(.., leg)| leg).last();
    last == Some(Leg::Ticket)
        && request.events.iter().any(|&event| match *index.what(event) {
            What::ServerTicket { error, .. } => error != 0 && error != KRB_AP_ERR_REPEAT,
            _ => false,
        })
}

/// HS-3.
pub(crate) fn interleaved_handshakes_succeed(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let handshakes = handshakes(index);
    for (handshake, other) in handshakes.iter().zip(overlaps(&handshakes)) {
        let (request, Some(other), Some(end)) = (handshake.request, other, handshake.request.ended) else {
            continue;
        };
        finding.exercise();
        let refused = asks_for_credentials(end.status) && !handshake.authenticated;
        let own = || refused_by_site(index, request) || ticket_refused(index, request);
        if refused && !index.explained(request) && !own() {
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
            finding.violate(summary, events);
        }
    }
    finding
}

/// A handshake of a client with valid credentials, as events from its first token to its end.
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

/// All handshakes, in the order in which they begin.
fn handshakes<'i, 't>(index: &'i Index<'t>) -> Vec<Handshake<'i, 't>> {
    let valid = index.requests.values().filter(|request| request.credentials == Credentials::Valid);
    let mut handshakes: Vec<_> = valid
        .filter_map(|request| {
            let (from, ..) = index.sent(request).find(|&(.., leg)| matches!(leg, Leg::Negotiate | Leg::Ticket))?;
            let authenticated = index.answered(request).find(Answered::is_logon).map(|answer| answer.event);
            let to = authenticated.or(request.ended.map(|end| end.event));
            let to = to.unwrap_or(index.trace.events.len().saturating_sub(1));
            Some(Handshake { request, from, to, authenticated: authenticated.is_some() })
        })
        .collect();
    handshakes.sort_by_key(|handshake| handshake.from);
    handshakes
}

/// For each handshake another client's that overlaps it, if there is one; in linear time.
///
/// Of those that began before, the one that lasts longest is asked, and the longest of another
/// client than that one's; of those that began later, the next one of another client.
fn overlaps(handshakes: &[Handshake<'_, '_>]) -> Vec<Option<usize>> {
    let mut found = vec![None; handshakes.len()];
    let (mut longest, mut second): (Option<usize>, Option<usize>) = (None, None);
    for (place, this) in handshakes.iter().enumerate() {
        found[place] = [longest, second]
            .into_iter()
            .flatten()
            .find(|&other| handshakes[other].client() != this.client())
            .filter(|&other| handshakes[other].to > this.from);
        let lasts = |other: Option<usize>| other.is_none_or(|other| handshakes[other].to < this.to);
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
        found[place] = found[place].or_else(|| next.filter(|&other| handshakes[other].from < handshakes[place].to));
    }
    found
}
