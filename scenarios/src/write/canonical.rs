//! The canonical form of a plan, which does not depend on the choice of its ids.

use std::collections::BTreeMap;

use stickler_model::action::TokenId;
use stickler_model::{Action, Payload, Piece, Plan, RequestId};

/// Returns the plan as its script asks for it. The ids of requests and tokens are numbered from 1 in the order of their
/// creation. Raw bytes that are text become text, and adjacent pieces are joined. An empty text body becomes no body.
/// The time of a controller that needs no time for a logon is left out.
///
/// Evidence names requests by their ids. If the canonical plan is played, the evidence names the requests of the
/// script.
#[must_use]
pub fn canonical(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for controller in &mut plan.topology.controllers {
        controller.slow = controller.slow.filter(|slow| !slow.is_zero());
    }
    let mut ids = Ids::default();
    plan.steps.iter_mut().for_each(|step| ids.renumber(step));
    plan
}

/// The new ids that were given so far.
#[derive(Default)]
struct Ids {
    requests: BTreeMap<RequestId, RequestId>,
    tokens: BTreeMap<TokenId, TokenId>,
}

impl Ids {
    fn renumber(&mut self, step: &mut Action) {
        match step {
            Action::Start { id, request } => {
                *id = self.request(*id);
                if request.body == Payload::Text(String::new()) {
                    request.body = Payload::Empty;
                }
            }
            Action::Crowd(crowd) => {
                let first = RequestId(self.next_request());
                let ids: Vec<RequestId> = crowd.ids().collect();
                for id in ids {
                    self.request(id);
                }
                crowd.first = first;
            }
            // An id that no step creates is invalid, and stays as it is.
            Action::Await(id) => *id = self.requests.get(id).copied().unwrap_or(*id),
            Action::MakeToken { id, .. } => {
                let new = TokenId(self.tokens.len() as u32 + 1);
                *id = *self.tokens.entry(*id).or_insert(new);
            }
            Action::SendRaw(raw) => raw.bytes = joined(&raw.bytes, &self.tokens),
            Action::AddClient(_)
            | Action::Advance(_)
            | Action::AwaitChecks(_)
            | Action::Disconnect(_)
            | Action::SwitchUser(..)
            | Action::Drain(_)
            | Action::Undrain(_)
            | Action::Configure(_)
            | Action::Fault(_) => {}
        }
    }

    fn request(&mut self, id: RequestId) -> RequestId {
        let new = RequestId(self.next_request());
        *self.requests.entry(id).or_insert(new)
    }

    fn next_request(&self) -> u32 {
        self.requests.len() as u32 + 1
    }
}

/// Joins adjacent pieces, and renumbers the tokens.
fn joined(pieces: &[Piece], tokens: &BTreeMap<TokenId, TokenId>) -> Vec<Piece> {
    let (mut joined, mut bytes) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Bytes(more) => bytes.extend_from_slice(more),
            Piece::Token(id) => {
                joined.extend(piece_of(std::mem::take(&mut bytes)));
                joined.push(Piece::Token(tokens.get(id).copied().unwrap_or(*id)));
            }
        }
    }
    joined.extend(piece_of(bytes));
    joined
}

/// Returns the bytes as one piece; `None` if there are none.
fn piece_of(bytes: Vec<u8>) -> Option<Piece> {
    let piece = String::from_utf8(bytes).map_or_else(|error| Piece::Bytes(error.into_bytes()), Piece::Text);
    (piece.length() > 0).then_some(piece)
}
