//! The differences between two arms: requirements that one violates and the other does not.

use std::collections::BTreeSet;
use std::time::Duration;

use stickler_model::Plan;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, End};

use super::{Judged, Kind, judge};

/// The number of runs of a plan on each arm before the two arms count as different: with different seeds in the
/// simulation, and repeated on real sockets.
const REPETITIONS: u64 = 5;

/// The latency in one direction of this machine's own sockets. A round trip over loopback, including a server's work,
/// takes about 50 us.
const LOOPBACK: Duration = Duration::from_micros(15);

/// Returns the requirements that a balancer violates each time on real sockets and never in its simulation, or the other
/// way round. A requirement that is violated some of the time does not differ, because real sockets have additional
/// races. Neither does one whose violation depends on the speed of the network. Therefore the simulation runs both with
/// the plan's latency and with that of loopback. For example, if a plan waits a millisecond between two requests, the
/// first one is still in progress at one of these latencies, and has ended at the other.
pub fn differences(plan: &Plan, first: &Judged, wire: &dyn Arm, simulation: &dyn Arm) -> Vec<(Kind, String)> {
    let Some(once) = violated(first) else { return Vec::new() };
    let Some(simulated) = simulated(plan, simulation) else { return Vec::new() };
    let suspected = simulated.ever.symmetric_difference(&once).next().is_some();
    if !suspected {
        return Vec::new();
    }
    let Some(real) = tally(plan, wire) else { return Vec::new() };
    let always_real = real.always.intersection(&once).filter(|requirement| !simulated.ever.contains(requirement));
    let always_simulated =
        simulated.always.iter().filter(|requirement| !once.contains(requirement) && !real.ever.contains(requirement));
    let differs = |requirement: &Requirement, does: &str, does_not: &str| {
        let summary = format!("{requirement} is violated {does} each time, and {does_not} never");
        (Kind::ArmsDiffer(*requirement), summary)
    };
    let real = always_real.map(|requirement| differs(requirement, "on real sockets", "in the simulation"));
    let simulated = always_simulated.map(|requirement| differs(requirement, "in the simulation", "on real sockets"));
    real.chain(simulated).collect()
}

/// The violations in several runs of a plan.
struct Tally {
    ever: BTreeSet<Requirement>,
    always: BTreeSet<Requirement>,
}

impl Tally {
    /// Adds the runs of another tally.
    fn join(self, other: &Self) -> Self {
        Self { ever: &self.ever | &other.ever, always: &self.always & &other.always }
    }
}

/// Plays a plan several times in the simulation, at each speed of the network. Returns `None` if the simulation cannot
/// play it.
fn simulated(plan: &Plan, simulation: &dyn Arm) -> Option<Tally> {
    let mut fast = plan.clone();
    fast.topology.link.latency = LOOPBACK;
    Some(tally(plan, simulation)?.join(&tally(&fast, simulation)?))
}

/// Plays a plan several times. Returns `None` if the arm cannot play it.
fn tally(plan: &Plan, arm: &dyn Arm) -> Option<Tally> {
    let mut tally: Option<Tally> = None;
    for offset in 0..REPETITIONS {
        let violated = violated(&judge(&Plan { seed: plan.seed.wrapping_add(offset), ..plan.clone() }, arm))?;
        let one = Tally { ever: violated.clone(), always: violated };
        tally = Some(match tally {
            None => one,
            Some(tally) => tally.join(&one),
        });
    }
    tally
}

/// Returns the MUST requirements that were violated; `None` if the plan was not performed to its end.
fn violated(judged: &Judged) -> Option<BTreeSet<Requirement>> {
    let run = judged.run.as_ref().filter(|run| run.end == End::Complete)?;
    Some(run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect())
}

#[cfg(test)]
mod tests {
    use stickler_model::{
        Action, BalancerSpec, ClientSpec, Profile, RequestId, RequestSpec, Topology, World, WorldError, standard,
    };
    use stickler_sim::SimArm;

    use super::*;

    /// The simulation of another network, or of another balancer, in place of real sockets.
    #[derive(Default)]
    struct Other {
        latency: Option<Duration>,
        balancer: Option<&'static str>,
    }

    impl Arm for Other {
        fn name(&self) -> &'static str {
            "other"
        }

        fn build(
            &self,
            mut topology: Topology,
            balancer: &BalancerSpec,
            seed: u64,
        ) -> Result<Box<dyn World>, WorldError> {
            topology.link.latency = self.latency.unwrap_or(topology.link.latency);
            let balancer = self.balancer.map_or_else(|| balancer.clone(), BalancerSpec::named);
            SimArm.build(topology, &balancer, seed)
        }

        fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
            SimArm.build_control(topology, seed)
        }
    }

    /// Two users, a curl and a browser, send requests to one server through a shared pool, the second one after this time.
    fn two_requests(pause: Duration) -> Plan {
        let people = [("alice", Profile::CURL), ("bob", Profile::BROWSER)];
        let add = |(name, profile): (&str, Profile)| {
            Action::AddClient(ClientSpec::new(name.into(), profile, Some(standard::identity(name))))
        };
        let start =
            |id, name: &str| Action::Start { id: RequestId(id), request: RequestSpec::new(name.into(), "GET", "/") };
        let mut steps: Vec<Action> = people.map(add).into();
        steps.extend([start(1, "alice"), Action::Advance(pause), start(2, "bob")]);
        steps.extend([Action::Await(RequestId(1)), Action::Await(RequestId(2))]);
        Plan { seed: 0, balancer: BalancerSpec::named("shared-pool"), topology: standard::site(1), steps }
    }

    fn compare(plan: &Plan, real: &Other) -> Vec<Kind> {
        let differences = differences(plan, &judge(plan, real), real, &SimArm);
        differences.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn what_depends_on_the_speed_of_the_network_is_no_difference() {
        let plan = two_requests(Duration::from_millis(1));
        let fast = Other { latency: Some(Duration::from_micros(20)), ..Other::default() };
        let (slow, quick) = (violated(&judge(&plan, &SimArm)), violated(&judge(&plan, &fast)));
        assert_ne!(slow, quick, "the handshakes overlap on the slow network alone");
        assert_eq!(compare(&plan, &fast), []);
    }

    #[test]
    fn another_balancer_differs_from_the_simulation() {
        let plan = two_requests(Duration::from_secs(1));
        let keeps_apart = Other { balancer: Some("l4-nat"), ..Other::default() };
        assert_eq!(compare(&plan, &keeps_apart), [Kind::ArmsDiffer(Requirement::Id1)]);
        assert_eq!(compare(&plan, &Other::default()), []);
    }
}
