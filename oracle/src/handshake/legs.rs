//! HS-2 and HS-3: where the legs of handshakes go, and whether handshakes disturb each other.
//!
//! **HS-2** is put to the test by each Authenticate leg of a known request that a server receives.
//! It is violated when the request's latest Negotiate leg before it was received on another
//! connection, or by nobody. An Authenticate leg that reaches no server says nothing here: the
//! connection it was bound to may be gone, and then a close or a 502 is the right end (FO-4);
//! whether the client got its answer is for HS-1 to say.
//!
//! **HS-3** looks at handshakes of clients with valid credentials. A handshake runs from the
//! client's first Negotiate leg to the first answer of a server that took the Authenticate leg for
//! somebody, or to the end of the request. HS-3 is put to the test by each ended request whose
//! handshake overlaps one of another client. It is violated when such a request ends in 401 (or
//! 407), although no server authenticated it, and neither a fault nor a lockout that users caused
//! explains that. Which of the handshakes disturbed it cannot be seen from outside, so the evidence
//! names one that overlaps.

use stickler_model::event::Credentials;
use stickler_model::{Leg, Name};

use crate::index::{Index, Request, asks_for_credentials};
use crate::judge::Finding;
use crate::logons::refused_by_site;

/// HS-2.
pub(crate) fn legs_stay_together(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for request in index.requests.values() {
        let mut negotiate = None;
        for (event, at, leg) in index.received(request) {
            match (leg, negotiate) {
                (Leg::Negotiate, _) => negotiate = Some((event, at)),
                (Leg::Authenticate, Some((_, there))) if there == at => finding.exercise(),
                (Leg::Authenticate, there) => {
                    finding.exercise();
                    let before = there.map_or_else(
                        || "which no server received".to_owned(),
                        |(_, (server, number))| format!("on connection {number} of {server}"),
                    );
                    let (client, id, (server, number)) = (request.client, request.id, at);
                    let summary = format!(
                        "{client}'s request {id}: {server} received the Authenticate leg on \
                         connection {number}, but its Negotiate leg went elsewhere: {before}",
                    );
                    finding.violate(summary, there.map(|(event, _)| event).into_iter().chain([event]).collect());
                }
                (Leg::Anonymous | Leg::Ticket | Leg::Malformed, _) => {}
            }
        }
    }
    finding
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
        if refused && !index.explained(request) && !refused_by_site(index, request) {
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

/// A handshake of a client with valid credentials, as events from its Negotiate leg to its end.
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
            let (from, ..) = index.sent(request).find(|&(_, _, leg)| leg == Leg::Negotiate)?;
            let authenticated = index
                .answered(request)
                .find(|answer| answer.leg == Leg::Authenticate && answer.taken_for().is_some())
                .map(|answer| answer.event);
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
