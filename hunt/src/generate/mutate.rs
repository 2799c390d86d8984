//! Changes a plan a little.

use stickler_model::topology::ServerSpec;
use stickler_model::{Action, Plan};

use super::situation::Situation;
use super::steps::Steps;
use super::{Draw, Features, Limits};

/// A change to a plan.
#[derive(Clone, Copy)]
enum Change {
    /// The plan is cut off somewhere, and continues in another way.
    Extend,
    /// An additional step is inserted.
    Insert,
    /// Some steps are removed.
    Remove,
    /// A step is moved to another time.
    Move,
}

/// Returns another plan that begins with the clients and the site of this one. Steps that no longer make sense are left
/// out.
pub(crate) fn mutate(limits: &Limits, parent: &Plan, draw: &Draw) -> Plan {
    let takes_tickets = parent.topology.servers.iter().any(ServerSpec::takes_tickets);
    let features = Features { kerberos: takes_tickets, ..limits.draw(draw) };
    let people = parent.steps.iter().take_while(|action| matches!(action, Action::AddClient(_))).count();
    let somewhere = || draw.between(people as u64, parent.steps.len() as u64) as usize;
    let mut steps = parent.steps.clone();
    let change = draw.weighted(&[(4, Change::Extend), (4, Change::Insert), (1, Change::Remove), (2, Change::Move)]);
    match change {
        Change::Extend => {
            steps.truncate(somewhere());
            steps = more(parent, &features, draw, steps);
        }
        Change::Insert => {
            let rest = steps.split_off(somewhere());
            steps = more(parent, &features, draw, steps);
            steps.extend(rest);
        }
        Change::Remove => {
            for _ in 0..draw.between(1, 3) {
                let at = somewhere();
                if at < steps.len() {
                    steps.remove(at);
                }
            }
        }
        Change::Move => {
            let (from, to) = (somewhere(), somewhere());
            if from < steps.len() && to < steps.len() {
                let step = steps.remove(from);
                steps.insert(to, step);
            }
        }
    }
    let steps = Situation::sensible(&parent.topology, steps);
    let steps = Steps::after(draw, &features, &parent.topology, steps).end_if_open();
    Plan { steps, ..parent.clone() }
}

fn more(parent: &Plan, features: &Features, draw: &Draw, steps: Vec<Action>) -> Vec<Action> {
    let mut steps = Steps::after(draw, features, &parent.topology, steps);
    steps.number_after(&parent.steps);
    steps.add_some(draw.between(1, 5));
    steps.so_far()
}
