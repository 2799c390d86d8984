//! The control: it determines whether a failure would also have happened without the balancer.
//!
//! The plan of a run is performed once more, with an ideal L4 path in place of the balancer, and the two traces are
//! compared finding by finding. A failure that occurs there in the same way, for the same requests, is not the
//! balancer's fault.
//!
//! * HS-1, HS-3, HS-5 and HS-7: if **every** request that the evidence is about fails in the same way, where a missing
//!   answer counts as 502, 503 or 504, and a user who logged on and lacks permission (401.3) is not one who could not log on.
//!   Evidence that a request took too many HTTP requests is never cleared, and neither is a failure for which a fault or a
//!   server is to blame in the control: the oracle has found that none explains it in the run, where the request may have met
//!   another server.
//! * HS-7 also counts bytes that a client without credentials sends unchanged: where nothing is broken, they must be answered
//!   if a server answers them in the control.
//! * HS-6 and FO-5: if the oracle finds the same failure in the control.
//! * ID-1, ID-2, ID-3 and ID-5: no path without a balancer mixes users up at a server that ties them to connections. If
//!   the control does, either the script caused it (it sent another user's token), or the simulator is wrong. In both
//!   cases the run is not a test.
//!
//! If the site is declared broken (`site(broken = ...)`), the findings of HS-1, HS-3, HS-5 and HS-7 are the set-up's
//! fault, and no control is needed.
//!
//! The other requirements judge something that a balancer has to add or to keep. A path that adds nothing says nothing
//! about them. If servers consider more than the connection, a control is meaningless: it lacks the data that the
//! balancer has to send.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use stickler_model::topology::Acceptor;
use stickler_model::{Action, Event, Fault, Name, Plan, Principal, RequestId, Topology, Trace, What};
use stickler_oracle::{Cited, Evidence, Failure, Party, Requirement, Verdict};

use crate::Arm;

/// The requirements whose evidence concerns the status of requests, which is compared with the statuses in another run.
pub(crate) const BY_STATUS: [Requirement; 4] = [Requirement::Hs1, Requirement::Hs3, Requirement::Hs5, Requirement::Hs7];

/// The requirements whose evidence is compared with the findings of the oracle in the control.
const BY_EVIDENCE: [Requirement; 2] = [Requirement::Hs6, Requirement::Fo5];

/// The requirements that no path without a balancer can violate.
const IDENTITY: [Requirement; 4] = [Requirement::Id1, Requirement::Id2, Requirement::Id3, Requirement::Id5];

/// The number of controls that a thread remembers. Consecutive runs often perform the same plan over other balancers.
const REMEMBERED: usize = 8;

/// Clears the balancer of failures that are not its fault, using a control where that can clear it.
pub(crate) fn clear(verdicts: &mut [Verdict], trace: &Trace, arm: &dyn Arm) {
    let is_controlled = |verdict: &Verdict| {
        [&BY_STATUS[..], &BY_EVIDENCE, &IDENTITY].iter().any(|list| list.contains(&verdict.requirement))
            && verdict.against_balancer().next().is_some()
    };
    if trace.header.topology.broken.is_some() {
        for verdict in verdicts.iter_mut().filter(|verdict| BY_STATUS.contains(&verdict.requirement)) {
            verdict.reattribute(|_| Party::SiteSetUp);
        }
    }
    let judges_bytes = sends_bytes_where_nothing_is_broken(trace);
    if (judges_bytes || verdicts.iter().any(is_controlled))
        && servers_tie_users_to_connections(&trace.header.topology)
        && let Some(control) = control(trace, arm)
    {
        let outcomes = Outcomes::of(trace);
        for verdict in verdicts.iter_mut().filter(|verdict| is_controlled(verdict)) {
            let requirement = verdict.requirement;
            verdict.reattribute(|evidence| {
                let happens = control.shows(requirement, evidence, &outcomes);
                if happens { without_balancer(requirement, evidence, trace) } else { Party::Balancer }
            });
        }
        if let Some(hs7) = verdicts.iter_mut().find(|verdict| verdict.requirement == Requirement::Hs7 && judges_bytes) {
            control.unanswered_bytes(trace, &outcomes).into_iter().for_each(|evidence| hs7.add(evidence));
        }
    }
}

/// Returns the reason why a run does not test its balancer, or `None` if it does. The reason is that users are confused
/// in its control as well, which only the script (with another user's token) or a defect of the simulator can cause.
pub fn contradiction(verdicts: &[Verdict]) -> Option<String> {
    let of_identity = verdicts.iter().filter(|verdict| IDENTITY.contains(&verdict.requirement));
    let mut found = of_identity.flat_map(|verdict| verdict.evidence.iter().map(move |evidence| (verdict, evidence)));
    let (verdict, evidence) = found.find(|(_, evidence)| evidence.fault == Party::Script)?;
    Some(format!(
        "{}: {}. The same happens without the balancer, so the script asks for it, for example with another user's token",
        verdict.requirement, evidence.summary
    ))
}

/// The failures without the balancer.
struct Control {
    outcomes: Outcomes,
    verdicts: Vec<Verdict>,
}

impl Control {
    fn of(trace: &Trace) -> Self {
        Self { outcomes: Outcomes::of(trace), verdicts: stickler_oracle::judge(trace) }
    }

    /// Returns whether the evidence against the balancer also occurs in the control. `outcomes` are those of the run.
    fn shows(&self, requirement: Requirement, evidence: &Evidence, outcomes: &Outcomes) -> bool {
        if BY_STATUS.contains(&requirement) {
            self.every_request_fails_alike(requirement, evidence, outcomes)
        } else {
            self.finds(requirement, evidence)
        }
    }

    fn finds(&self, requirement: Requirement, evidence: &Evidence) -> bool {
        let of_it = self.verdicts.iter().filter(|verdict| verdict.requirement == requirement);
        of_it.flat_map(|verdict| &verdict.evidence).any(|found| found.is_like(evidence))
    }

    fn every_request_fails_alike(&self, requirement: Requirement, evidence: &Evidence, outcomes: &Outcomes) -> bool {
        if evidence.about.is_empty() || evidence.failure == Failure::TooManyRequests {
            return false;
        }
        evidence
            .about
            .iter()
            .all(|cited| outcomes.get(cited) == self.outcomes.get(cited) && !self.is_explained(requirement, cited))
    }

    /// Returns whether a fault or a server is to blame for the failure of a request in the control.
    fn is_explained(&self, requirement: Requirement, cited: &Cited) -> bool {
        let of_it = self.verdicts.iter().filter(|verdict| verdict.requirement == requirement);
        let mut about = of_it.flat_map(Verdict::against_others).filter(|evidence| evidence.about.contains(cited));
        about.any(|evidence| matches!(evidence.fault, Party::InjectedFault | Party::Server))
    }

    /// Returns the evidence that bytes of clients without credentials had no proper answer, although a server answers them
    /// here.
    fn unanswered_bytes(&self, trace: &Trace, outcomes: &Outcomes) -> Vec<Evidence> {
        let anonymous: BTreeSet<&Name> = trace.actions().filter_map(anonymous_client).collect();
        let actions = trace.events.iter().enumerate().filter_map(|(event, seen)| match &seen.what {
            What::Action(action) => Some((event, action)),
            _ => None,
        });
        let sends = actions.enumerate().filter_map(|(step, (event, action))| match action {
            Action::SendRaw(spec) if anonymous.contains(&spec.client) => Some((step, event, &spec.client)),
            _ => None,
        });
        sends.filter_map(|(step, event, client)| self.unanswered(step, event, client, outcomes)).collect()
    }

    fn unanswered(&self, step: usize, event: usize, client: &Name, outcomes: &Outcomes) -> Option<Evidence> {
        let cited = Cited::Raw { client: client.clone(), step };
        // A peer may close the connection after the first answer.
        let first = |outcomes: &Outcomes| outcomes.get(&cited).first().and_then(|&(status, _)| status);
        let proper = first(&self.outcomes).filter(|status| matches!(status, 200..=399 | 401 | 403 | 404))?;
        if first(outcomes).is_some() {
            return None;
        }
        Some(Evidence {
            fault: Party::Balancer,
            failure: Failure::Unanswered,
            about: vec![cited],
            summary: format!(
                "the bytes that {client} sent had no answer of a server, which answers them with {proper} without the balancer"
            ),
            events: vec![event],
        })
    }
}

/// The results of requests as clients saw them. A missing answer and the statuses 502, 503 and 504 are all represented
/// by `None`.
struct Outcomes {
    requests: BTreeMap<RequestId, Answer>,
    /// The answers to raw bytes, with the users as whom they were served, by the index of the action among the plan's
    /// steps.
    raw: BTreeMap<usize, Vec<Answer>>,
}

/// An answer: its status, and the user as whom the application served raw bytes, or whom a server refuses (401.3).
type Answer = (Option<u16>, Option<Principal>);

impl Outcomes {
    fn of(trace: &Trace) -> Self {
        let mut outcomes = Self { requests: BTreeMap::new(), raw: BTreeMap::new() };
        let mut steps = 0_usize;
        let mut refused: BTreeMap<RequestId, Option<Principal>> = BTreeMap::new();
        for event in &trace.events {
            match &event.what {
                What::Action(_) => steps += 1,
                What::ServerAnswered { request: Some(request), status: 401, user, .. } => {
                    refused.insert(*request, user.clone());
                }
                What::RequestEnded { request, status, .. } => {
                    let user = refused.remove(request).flatten().filter(|_| *status == Some(401));
                    outcomes.requests.insert(*request, (answered(*status), user));
                }
                What::RawAnswered { status, user, .. } => {
                    let answers = outcomes.raw.entry(steps.saturating_sub(1)).or_default();
                    answers.push((answered(Some(*status)), user.clone()));
                }
                _ => {}
            }
        }
        outcomes
    }

    /// Returns the answers to a request or to raw bytes, in order. A request has exactly one, which may be missing.
    fn get(&self, cited: &Cited) -> Vec<Answer> {
        match cited {
            Cited::Request { id, .. } => vec![self.requests.get(id).cloned().unwrap_or_default()],
            Cited::Raw { step, .. } => self.raw.get(step).cloned().unwrap_or_default(),
        }
    }
}

/// Returns the control of a run, or `None` if the plan cannot be performed over it.
fn control(trace: &Trace, arm: &dyn Arm) -> Option<Rc<Control>> {
    thread_local! {
        /// The latest controls, the most recent at the end. A control depends on the plan alone.
        static LATEST: RefCell<Vec<(&'static str, Plan, Rc<Control>)>> = const { RefCell::new(Vec::new()) };
    }
    let mut plan = trace.plan();
    // The path of the control is the same for every balancer.
    plan.balancer = stickler_model::BalancerSpec::named("control");
    let known = |(name, of, _): &&(&'static str, Plan, Rc<Control>)| *name == arm.name() && *of == plan;
    if let Some(control) =
        LATEST.with_borrow(|latest| latest.iter().find(known).map(|(.., control)| Rc::clone(control)))
    {
        return Some(control);
    }
    let mut world = arm.build_control(plan.topology.clone(), plan.seed).ok()?;
    for action in &plan.steps {
        world.perform(action.clone()).ok()?;
    }
    let control = Rc::new(Control::of(&world.finish()));
    LATEST.with_borrow_mut(|latest| {
        if latest.len() == REMEMBERED {
            latest.remove(0);
        }
        latest.push((arm.name(), plan, Rc::clone(&control)));
    });
    Some(control)
}

/// Returns whether the control is meaningful at this site: no server considers more than the connection.
fn servers_tie_users_to_connections(topology: &Topology) -> bool {
    topology.servers.iter().all(|server| matches!(server.acceptor, Acceptor::Connection | Acceptor::Rogue(_)))
}

/// Returns whether a client sends bytes unchanged in a run in which nothing is broken or taken out of use.
fn sends_bytes_where_nothing_is_broken(trace: &Trace) -> bool {
    let mut sends = false;
    let whole = trace.header.topology.broken.is_none()
        && trace.actions().all(|action| {
            sends |= matches!(action, Action::SendRaw(_));
            !matches!(action, Action::Fault(_) | Action::Drain(_) | Action::Configure(_))
        });
    whole && sends
}

/// Returns the client that an action adds, if it has no credentials.
fn anonymous_client(action: &Action) -> Option<&Name> {
    match action {
        Action::AddClient(spec) if spec.identity.is_none() => Some(&spec.name),
        _ => None,
    }
}

/// Returns the status of an answer, or `None` if it reports that no server answers.
fn answered(status: Option<u16>) -> Option<u16> {
    status.filter(|status| !matches!(status, 502..=504))
}

/// Returns who is at fault for a failure that also occurs without a balancer.
fn without_balancer(requirement: Requirement, evidence: &Evidence, trace: &Trace) -> Party {
    if IDENTITY.contains(&requirement) {
        return Party::Script;
    }
    let is_rogue = |acceptor: &Acceptor| matches!(acceptor, Acceptor::Rogue(_));
    if trace.header.topology.servers.iter().any(|server| is_rogue(&server.acceptor)) {
        return Party::Server;
    }
    let until = evidence.events.last().map_or(trace.events.len(), |last| last + 1);
    let begins = |fault: &Fault| !matches!(fault, Fault::Restart(_) | Fault::Resume(_) | Fault::Release(..));
    let is_fault = |event: &Event| matches!(&event.what, What::Action(Action::Fault(fault)) if begins(fault));
    let faults = trace.events.iter().take(until).any(is_fault);
    if faults { Party::InjectedFault } else { Party::SiteSetUp }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stickler_oracle::Grade;

    fn verdict(requirement: Requirement, fault: Party) -> Verdict {
        let evidence = Evidence {
            fault,
            failure: Failure::WrongUser,
            about: Vec::new(),
            summary: "bob's request r4 was processed as alice".to_owned(),
            events: Vec::new(),
        };
        Verdict { requirement, grade: Grade::Ok, exercised: 1, evidence: vec![evidence] }
    }

    #[test]
    fn only_a_mix_up_of_users_that_needs_no_balancer_is_a_contradiction() {
        let why = contradiction(&[verdict(Requirement::Id2, Party::Script)]).unwrap();
        assert!(why.starts_with("ID-2: bob's request r4 was processed as alice. The same happens without"), "{why}");
        for (requirement, fault) in [(Requirement::Id2, Party::Balancer), (Requirement::Hs1, Party::Script)] {
            assert_eq!(contradiction(&[verdict(requirement, fault)]), None);
        }
    }

    #[test]
    fn no_answer_is_no_answer_by_whichever_status() {
        assert_eq!([None, Some(502), Some(503), Some(504)].map(answered), [None; 4]);
        assert_eq!([Some(200), Some(401), Some(500)].map(answered), [Some(200), Some(401), Some(500)]);
    }
}
