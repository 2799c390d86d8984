//! Tests that a run that continues for too long ends with an error, and keeps the events until then.

use std::time::Duration;

use stickler_model::{Action, BalancerSpec, What, World as _, standard};
use stickler_sim::SimWorld;
use stickler_sim::engine::{Engine, Settings, Stopped};

#[test]
fn a_year_of_health_checks_ends_with_what_was_seen_until_then() {
    let built = SimWorld::new(standard::site(2), &BalancerSpec::named("pin-checked-http"), 1);
    let mut world = Box::new(built.expect("it is built"));
    world.engine().set_most_turns(2_000);
    let year = Action::Advance(Duration::from_hours(366 * 24));
    for _ in 0..2 {
        let error = world.perform(year.clone()).expect_err("it is too much").to_string();
        assert!(error.starts_with("2000 steps of the simulation are the most of a run, and there are more"), "{error}");
    }
    assert!(world.engine().stats().turns <= 2_001);
    assert!(world.now() < stickler_model::Time::default() + Duration::from_hours(1));
    let trace = world.finish();
    assert_eq!(trace.actions().next(), Some(&year));
    assert!(trace.events.len() > 100, "{}", trace.events.len());
}

#[test]
fn a_time_that_is_too_much_work_is_refused_at_once() {
    let year = Action::Advance(Duration::from_hours(366 * 24));
    let built = SimWorld::new(standard::site(2), &BalancerSpec::named("pin-checked-http"), 1);
    let mut world = Box::new(built.expect("it is built"));
    let error = world.perform(year.clone()).expect_err("it is too much").to_string();
    assert!(error.starts_with("10000000 steps of the simulation are the most of a run, and the 31621200 s"), "{error}");
    assert!(error.ends_with(": let less time pass, or have fewer health checks"), "{error}");
    assert!(world.engine().stats().turns < 50_000, "twenty minutes are enough to know");
    drop(world);

    let built = SimWorld::new(standard::site(2), &BalancerSpec::named("pin-on-401"), 1);
    let mut world = Box::new(built.expect("it is built"));
    let start = world.now();
    world.perform(year).expect("nothing happens in it");
    assert_eq!(world.now(), start + Duration::from_hours(366 * 24));
}

#[test]
fn a_long_time_that_is_not_too_much_work_passes() {
    let built = SimWorld::new(standard::site(2), &BalancerSpec::named("l4-checked"), 1);
    let mut world = Box::new(built.expect("it is built"));
    let start = world.now();
    for time in [Duration::from_hours(1), Duration::from_mins(59)] {
        world.perform(Action::Advance(time)).expect("it fits");
    }
    assert_eq!(world.now(), start + Duration::from_mins(119));
}

#[test]
fn an_engine_ends_when_its_owner_says_so_and_at_its_most_turns() {
    let mut engine = Engine::new(&Settings::default()).unwrap();
    let second = Duration::from_secs(1);
    assert_eq!(engine.advance(second), Ok(()));
    engine.exhausted_when(|| true);
    assert_eq!(engine.advance(second), Err(Stopped::Exhausted { at: second }));
    engine.exhausted_when(|| false);
    assert_eq!(engine.advance(second), Ok(()));
    engine.set_most_turns(engine.stats().turns);
    assert_eq!(engine.advance(second), Err(Stopped::Exhausted { at: 2 * second }));
}

#[test]
fn health_checks_that_go_on_for_long_are_counted() {
    for balancer in ["pin-checked-http", "pin-checked-logon"] {
        let mut world =
            Box::new(SimWorld::new(standard::site(2), &BalancerSpec::named(balancer), 1).expect("it is built"));
        world.perform(Action::Advance(Duration::from_secs(1_700))).expect("it fits");
        let events = world.finish().events;
        let counted = events.iter().filter_map(|event| match event.what {
            What::Repeated { times, .. } => Some((event.by.as_str(), times)),
            _ => None,
        });
        let counted: Vec<(&str, u32)> = counted.collect();
        assert!(matches!(counted[..], [("iis1", 50..), ("iis2", 50..)]), "{counted:?}");
        let times: u32 = counted.iter().map(|(_, times)| times).sum();
        let accepted = events.iter().filter(|event| matches!(event.what, What::ServerAccepted { .. })).count();
        assert!((512..520).contains(&accepted), "{accepted} kept, and {times} counted");
    }
}
