//! Whole worlds, played action by action as a script plays them.

use std::time::Duration;

use stickler_model::{Action, BalancerSpec, Name, Outcome, RequestId, RequestSpec, Trace, World};
use stickler_sim::SimWorld;

use crate::load::{browser, standard_topology};

/// Plays a small world from the start: 4 clients with 20 requests each, all at the same time.
pub fn small_world(balancer: &str) -> Trace {
    play(balancer, 4, 20, Duration::ZERO)
}

/// Plays an hour in which 50 clients send a request every 6 minutes, and nothing else happens.
pub fn idle_heavy_hour(balancer: &str) -> Trace {
    play(balancer, 50, 10, Duration::from_mins(6))
}

/// Plays `rounds` in which each client sends one request, and lets `pause` pass after each round.
///
/// # Panics
/// An action is refused, which would be a bug in the world.
fn play(balancer: &str, clients: usize, rounds: usize, pause: Duration) -> Trace {
    let world = SimWorld::new(standard_topology(), &BalancerSpec::named(balancer), 1).expect("the topology is sound");
    let mut world: Box<dyn World> = Box::new(world);
    let names: Vec<Name> = (0..clients).map(|index| Name::from(format!("client{index}"))).collect();
    for name in &names {
        perform(&mut *world, Action::AddClient(browser(name, true)));
    }
    for round in 0..rounds {
        let ids = (1 + round * clients..).map(|id| RequestId(id as u32));
        let started: Vec<RequestId> = names.iter().zip(ids).map(|(name, id)| start(&mut *world, name, id)).collect();
        for id in started {
            let outcome = perform(&mut *world, Action::Await(id));
            assert!(matches!(&outcome, Outcome::Answered(answer) if answer.status == Some(200)), "{outcome:?}");
        }
        if !pause.is_zero() {
            perform(&mut *world, Action::Advance(pause));
        }
    }
    world.finish()
}

fn start(world: &mut dyn World, client: &Name, id: RequestId) -> RequestId {
    perform(world, Action::Start { id, request: RequestSpec::new(client.clone(), "GET", "/") });
    id
}

fn perform(world: &mut dyn World, action: Action) -> Outcome {
    world.perform(action).unwrap_or_else(|error| panic!("the action makes sense, but: {error}"))
}

#[cfg(test)]
mod tests {
    use stickler_model::{Time, What};

    use super::*;

    fn answered(trace: &Trace) -> usize {
        trace.events.iter().filter(|event| matches!(event.what, What::RequestEnded { status: Some(200), .. })).count()
    }

    #[test]
    fn a_small_world_answers_eighty_requests() {
        assert_eq!(answered(&small_world("l4-nat")), 80);
    }

    #[test]
    fn an_idle_heavy_hour_lasts_an_hour_and_answers_five_hundred_requests() {
        let trace = idle_heavy_hour("pin-on-401");
        assert_eq!(answered(&trace), 500);
        assert!(trace.events.last().expect("events").at >= Time::default() + Duration::from_mins(54));
    }
}
