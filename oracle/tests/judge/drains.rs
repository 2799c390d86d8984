//! Who is at fault while backends are drained.

use stickler_model::{Action, Fault, Leg};
use stickler_oracle::Grade::NotExercised;
use stickler_oracle::Party;
use stickler_oracle::Requirement::Hs1;

use crate::faults::{VIOLATED, answered, site};

#[test]
fn a_drain_of_the_last_backend_is_the_scripts_and_of_one_of_two_is_no_cause() {
    let drained = |backends: &[&str]| {
        let mut trace = site();
        for &backend in backends {
            trace.act(Action::Drain(backend.into()));
        }
        answered(&mut trace, 1, 503);
        trace
    };
    let script = (NotExercised, Some(Party::Script));
    assert_eq!(drained(&["iis1", "iis2"]).blame(Hs1), script);
    assert_eq!(drained(&["iis1"]).blame(Hs1), VIOLATED);
    let mut again = drained(&["iis1", "iis2"]);
    again.act(Action::Undrain("iis2".into()));
    answered(&mut again, 2, 503);
    assert_eq!(again.verdict(Hs1).against_balancer().count(), 1);
    let mut broken = drained(&["iis1"]);
    broken.fault(Fault::Crash("iis2".into()));
    answered(&mut broken, 2, 503);
    assert_eq!(broken.verdict(Hs1).evidence[1].fault, Party::InjectedFault);
}

#[test]
fn a_reset_is_a_fault_whether_or_not_the_backend_is_drained() {
    let drain = || Action::Drain("iis1".into());
    let reset = || Action::Fault(Fault::Reset("lb".into(), "iis1".into()));
    for (meanwhile, expected) in [
        (vec![drain()], Some(Party::Script)),
        (vec![drain(), drain()], Some(Party::Script)),
        (vec![reset()], Some(Party::InjectedFault)),
        (vec![drain(), reset()], Some(Party::InjectedFault)),
    ] {
        let mut trace = site();
        trace.servers.truncate(1);
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        for action in &meanwhile {
            trace.act(action.clone());
        }
        trace.receive(id, 1, 502, None, None);
        trace.end(id, 502);
        assert_eq!(trace.blame(Hs1), (NotExercised, expected), "{meanwhile:?}");
    }
}
