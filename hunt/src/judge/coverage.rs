//! The coverage of a run, as a set of small numbers.
//!
//! A point of coverage is a combination that occurred at one moment: the last decision of the balancer about a request,
//! the state of its client, the state in which its server found the connection, and the fault that was in effect. A
//! requirement that was put to the test, with its outcome, is a point too. A plan is worth changing if it reaches a
//! point that no earlier plan has reached.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use stickler_model::event::{Credentials, Leg};
use stickler_model::{Action, Event, Fault, Name, Principal, RequestId, Trace, What};
use stickler_oracle::{Grade, Verdict};

/// A point of coverage, as a number that has the same meaning in every run.
pub type Point = u32;

/// A set of points, in ascending order.
pub type Coverage = BTreeSet<Point>;

/// Returns the points that a run has reached.
pub(crate) fn of(trace: &Trace, verdicts: &[Verdict]) -> Coverage {
    let mut reader = Reader::default();
    trace.events.iter().for_each(|event| reader.see(event));
    for verdict in verdicts.iter().filter(|verdict| verdict.grade > Grade::NotApplicable) {
        let index = verdict.requirement as u32;
        let parts = [REQUIREMENT, index / 32, index % 32, verdict.grade as u32, reader.most.into()];
        reader.points.insert(pack(&parts));
    }
    reader.points
}

/// The first part of a point's number, which says what the point is about.
const DECISION: u32 = 0;
const RECEIVED: u32 = 1;
const REQUIREMENT: u32 = 2;

/// The number for a request about which no decision was recorded, as at L4.
const UNDECIDED: u32 = 31;

/// The faults that points distinguish, without the hosts concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Standing {
    #[default]
    Nothing,
    Mended,
    Crash,
    PowerLoss,
    Hang,
    Hold,
    Reset,
    Drain,
    Controller,
}

impl From<Standing> for u32 {
    fn from(standing: Standing) -> Self {
        standing as Self
    }
}

/// The state in which a server found a connection.
#[derive(Debug, Clone, Default)]
struct ServerState {
    /// The last request on the connection.
    last: Option<RequestId>,
    /// Whether the last request was answered with a challenge.
    challenged: bool,
    /// The user as whom the last request was served.
    user: Option<Principal>,
}

/// The state of a client's request.
#[derive(Debug, Clone, Default)]
struct ClientState {
    user: Option<Principal>,
    credentials: u32,
    leg: u32,
    decided: Option<u32>,
}

#[derive(Default)]
struct Reader {
    points: Coverage,
    requests: FxHashMap<RequestId, ClientState>,
    connections: FxHashMap<(Name, u32), ServerState>,
    standing: Standing,
    /// The worst fault that was in effect at any time.
    most: Standing,
}

impl Reader {
    fn see(&mut self, event: &Event) {
        match &event.what {
            What::Action(action) => self.act(action),
            What::RequestStarted { request, identity, credentials, .. } => {
                let credentials = match credentials {
                    Credentials::None => 0,
                    Credentials::Valid => 1,
                    Credentials::Wrong => 2,
                };
                let state = ClientState { user: identity.clone(), credentials, ..ClientState::default() };
                self.requests.insert(*request, state);
            }
            What::ClientSent { request, leg, .. } => self.requests.entry(*request).or_default().leg = leg_number(*leg),
            What::Decision { request, decision, .. } => self.decide(*request, *decision as u32),
            What::ServerReceived { connection, request, leg, .. } => {
                self.receive((event.by.clone(), *connection), *request, *leg);
            }
            What::ServerAnswered { connection, status, user, .. } => {
                let state = self.connections.entry((event.by.clone(), *connection)).or_default();
                state.challenged = *status == 401;
                state.user.clone_from(user);
            }
            _ => {}
        }
    }

    fn act(&mut self, action: &Action) {
        self.standing = match action {
            Action::Fault(Fault::Crash(host) | Fault::PowerLoss(host) | Fault::Hang(host))
                if host.as_str().starts_with("dc") =>
            {
                Standing::Controller
            }
            Action::Fault(Fault::Crash(_)) => Standing::Crash,
            Action::Fault(Fault::PowerLoss(_)) => Standing::PowerLoss,
            Action::Fault(Fault::Hang(_)) => Standing::Hang,
            Action::Fault(Fault::Hold(..)) => Standing::Hold,
            Action::Fault(Fault::Reset(..)) => Standing::Reset,
            Action::Drain(_) => Standing::Drain,
            Action::Fault(Fault::Restart(_) | Fault::Resume(_) | Fault::Release(..)) | Action::Undrain(_) => {
                Standing::Mended
            }
            _ => return,
        };
        self.most = self.most.max(self.standing);
    }

    fn decide(&mut self, request: Option<RequestId>, decision: u32) {
        let (credentials, leg) = match request {
            Some(request) => {
                let state = self.requests.entry(request).or_default();
                state.decided = Some(decision);
                (state.credentials, state.leg)
            }
            // Raw bytes, or a connection without a request.
            None => (3, 7),
        };
        self.points.insert(pack(&[DECISION, decision, credentials, leg, self.standing.into()]));
    }

    fn receive(&mut self, at: (Name, u32), request: Option<RequestId>, leg: Leg) {
        let client = request.and_then(|request| self.requests.get(&request)).cloned();
        let state = self.connections.entry(at).or_default();
        let same = request.is_some() && state.last == request;
        let found = match (&state.last, &state.user, &client) {
            (None, None, _) => 0,
            (_, Some(user), Some(client)) if client.user.as_ref() == Some(user) => 1,
            (_, Some(_), Some(client)) if client.user.is_some() => 2,
            (_, Some(_), _) => 3,
            (_, None, _) if state.challenged && same => 4,
            (_, None, _) if state.challenged => 5,
            (_, None, _) if same => 6,
            (_, None, _) => 7,
        };
        state.last = request;
        let client = client.unwrap_or(ClientState { credentials: 3, ..ClientState::default() });
        let decided = client.decided.unwrap_or(UNDECIDED);
        let parts = [RECEIVED, decided, client.credentials, leg_number(leg), found, self.standing.into()];
        self.points.insert(pack(&parts));
    }
}

fn leg_number(leg: Leg) -> u32 {
    leg as u32 + 1
}

/// Combines up to six small numbers of at most five bits each into one.
fn pack(parts: &[u32]) -> Point {
    parts.iter().fold(1, |number, part| number << 5 | (part & 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_parts_give_different_points() {
        assert_ne!(pack(&[1, 2]), pack(&[2, 1]));
        assert_ne!(pack(&[0, 2]), pack(&[2]));
        assert_ne!(pack(&[1, 0, 31]), pack(&[1, 1, 0]));
    }
}
