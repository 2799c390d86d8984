//! Servers that speak no proper HTTP are at fault for what follows from it.

use stickler_model::Leg;
use stickler_model::topology::{Acceptor, Rogue};
use stickler_oracle::Grade::{self, NotExercised};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Hs1, Hs5};

use crate::faults::{VIOLATED, site};
use crate::trace_builder::{IIS1, IIS2};

#[test]
fn a_server_that_speaks_no_http_is_to_blame_for_its_answer_to_wrong_credentials() {
    let server = (NotExercised, Some(Party::Server));
    for (route, status, expected) in [(IIS1, 200, server), (IIS2, 200, VIOLATED), (IIS1, 401, (Grade::Ok, None))] {
        let mut trace = site();
        trace.servers[0].acceptor = Acceptor::Rogue(Rogue::HalfBody);
        trace.connect("alice", 1);
        let id = trace.start_wrong("alice");
        trace.exchange(id, route, Leg::Anonymous, status);
        trace.end(id, status);
        assert_eq!(trace.blame(Hs5), expected, "{status} of {}", route.server);
    }
}

#[test]
fn a_server_that_speaks_no_http_is_to_blame_for_what_it_received_or_nobody_did() {
    let server = (NotExercised, Some(Party::Server));
    for (reached, expected) in [(Some(IIS1), server), (None, server), (Some(IIS2), VIOLATED)] {
        let mut trace = site();
        trace.servers[0].acceptor = Acceptor::Rogue(Rogue::HalfBody);
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        if let Some(route) = reached {
            trace.reach(id, route, Leg::Anonymous);
        }
        trace.end(id, 502);
        assert_eq!(trace.blame(Hs1), expected, "{:?}", reached.map(|route| route.server));
    }
}
