//! Plays every plan of a few steps: over no balancer does a plan show an undeclared violation, and the plans that are
//! left out show nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use stickler_catalogue::{defects, mechanisms};
use stickler_hunt::exhaustive::{Letter, Person, Scope, Time, Word, World, exhaust, worlds};
use stickler_hunt::judge::judge;
use stickler_hunt::search::Place;
use stickler_hunt::{Found, Kind, Unit, Watch};
use stickler_model::{BalancerSpec, Plan};
use stickler_oracle::Requirement;
use stickler_runner::file::write;
use stickler_runner::{Arm, Run, Source};
use stickler_scenarios::catches;
use stickler_scenarios::declared::Declared;
use stickler_sim::SimArm;

/// Merges the results of the units.
#[derive(Default)]
struct Together(Mutex<Found>);

impl Watch for Together {
    fn done(&self, unit: &Unit) {
        self.0.lock().expect("no thread panics").add(unit.clone());
    }
}

/// Plays every unit whose number is `part` modulo `parts`.
fn play(scope: &Scope<'_>, part: u64, parts: u64) -> Found {
    let together = Together::default();
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let units = (0..scope.units()).filter(|unit| unit % parts == part);
    exhaust(scope, units, threads, &SimArm, &together);
    together.0.into_inner().expect("no thread panics")
}

/// Returns the violations that balancers declare.
fn declared() -> Declared {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    Declared::read(&arm).expect("the shipped tables can be read")
}

/// Returns the undeclared violations over these balancers, by plans of at most `steps` letters in these worlds, of
/// which one of `parts` parts is played.
fn accusations(
    (steps, part, parts): (usize, u64, u64),
    worlds: &[World],
    balancers: &[&str],
    declared: &Declared,
) -> String {
    let declared = |plan: &Plan| declared.of(&plan.balancer, &plan.topology);
    let named = balancers.iter().map(|name| BalancerSpec::named(name)).collect();
    let scope = Scope::new(steps, worlds.to_vec(), named, &declared, true);
    let found = play(&scope, part, parts);
    assert!(found.runs() > 0);
    let mut said = String::new();
    for finding in found.findings.values().filter(|finding| !finding.declared) {
        let (place, word) = scope.word(finding.place).expect("it was found here");
        let (balancer, kind, summary) = (&finding.plan.balancer, &finding.kind, &finding.summary);
        let file = keep(&finding.plan, &format!("{balancer}-{}-{}", place.name, kind.file_name()));
        let _ = writeln!(said, "{balancer} at {}: [{word}] {kind}: {summary} ({file})", place.name);
    }
    said
}

/// Keeps a plan as a run file for `stickler replay`. Returns its path, or why it could not be kept.
fn keep(plan: &Plan, name: &str) -> String {
    let path = format!("{}/{name}.jsonl", env!("CARGO_TARGET_TMPDIR"));
    let source = Source { path: path.clone(), scenario: name.to_owned() };
    let mut bytes = Vec::new();
    let written = write(&Run::of_plan(plan, source, &SimArm), &mut bytes).and_then(|_| fs::write(&path, bytes));
    written.map_or_else(|error| error.to_string(), |()| path)
}

/// Plays a part of the plans of one world over each mechanism. The mechanisms together cover every plan of every world.
#[test]
fn no_plan_of_three_steps_accuses_a_balancer_of_what_it_keeps() {
    const PARTS: u64 = 10;
    let (declared, worlds) = (declared(), worlds());
    let mut said = String::new();
    for (index, mechanism) in mechanisms().iter().enumerate() {
        let part = (index / worlds.len()) as u64 % PARTS;
        let world = std::slice::from_ref(&worlds[index % worlds.len()]);
        said += &accusations((3, part, PARTS), world, &[&mechanism.name], &declared);
    }
    assert!(said.is_empty(), "{said}");
}

/// Returns the number of letters in the plans of the tests below.
fn steps_or(usual: usize) -> usize {
    env::var("STICKLER_STEPS").map_or(usual, |steps| steps.parse().expect("STICKLER_STEPS is a number"))
}

/// Plays all plans of four steps. `STICKLER_BALANCER` selects one mechanism, `STICKLER_WORLD` one world, and
/// `STICKLER_STEPS` another number of steps.
#[test]
#[ignore = "plays every plan of four steps over every mechanism; the CI step `exhaustive` runs it"]
fn no_plan_of_four_steps_accuses_a_balancer_of_what_it_keeps() {
    let (balancer, world) = (env::var("STICKLER_BALANCER").ok(), env::var("STICKLER_WORLD").ok());
    let steps = steps_or(4);
    let is_taken = |only: &Option<String>, name: &str| only.as_ref().is_none_or(|only| only == name);
    let worlds: Vec<World> = worlds().into_iter().filter(|known| is_taken(&world, known.name)).collect();
    let names: Vec<&str> = mechanisms().iter().map(|mechanism| &*mechanism.name).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| is_taken(&balancer, name)).collect();
    let said = accusations((steps, 0, 1), &worlds, &names, &declared());
    assert!(said.is_empty(), "{said}");
}

#[test]
fn shards_find_together_what_one_run_finds() {
    let nothing = |_: &Plan| BTreeSet::new();
    let balancers = ["l4-nat", "shared-pool"].map(BalancerSpec::named).to_vec();
    let scope = Scope::new(2, World::named("one-port").into_iter().collect(), balancers, &nothing, false);
    let whole = play(&scope, 0, 1);
    let mut merged = play(&scope, 1, 2);
    merged.merge(play(&scope, 0, 2));
    assert_eq!(merged, whole);
    assert_eq!(whole.runs(), scope.plans() * 2);
    assert!(!whole.findings.is_empty() && whole.findings.keys().all(|(balancer, _)| balancer == "shared-pool"));
    for finding in whole.findings.values() {
        let (place, word) = scope.word(finding.place).expect("it was found here");
        assert_eq!(place.plan(&word, finding.plan.balancer.clone()), finding.plan);
    }
}

/// Ends a hunt after a few runs.
struct Few(AtomicU64);

impl Watch for Few {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn ran(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn done(&self, unit: &Unit) {
        assert!(unit.runs <= 5);
    }
}

#[test]
fn it_ends_where_whoever_watches_says_so() {
    let nothing = |_: &Plan| BTreeSet::new();
    let scope = Scope::new(3, worlds(), vec![BalancerSpec::named("l4-nat")], &nothing, false);
    let few = Few(AtomicU64::new(5));
    exhaust(&scope, 0..scope.units(), NonZeroUsize::MIN, &SimArm, &few);
    assert_eq!(few.0.into_inner(), 0);
}

/// Repeats plans that once accused a balancer wrongly, because the simulator or the oracle had a defect that was then
/// corrected.
#[test]
fn what_was_accused_in_error_is_accused_no_more() {
    let alice = Person::Alice;
    let kept: [(&str, &str, Vec<Letter>); 1] =
        // The client's next connection from its port received the RST that answered the last packet of the previous one.
        [("l4-nat", "one-port", vec![Letter::Get(alice), Letter::Wait(Time::IdleEnd)])];
    for (balancer, world, letters) in kept {
        let word = Word { letters, release: Vec::new() };
        let plan = World::named(world).expect("it is there").plan(&word, BalancerSpec::named(balancer));
        assert_eq!(judge(&plan, &SimArm).shown, [], "{balancer} at {world}: [{word}]");
    }
}

/// The kinds of failure that plans show, by balancer.
type Shown = BTreeMap<String, BTreeSet<Kind>>;

/// Returns the kinds that plans of at most three letters show in a world: without the redundant plans, and with them.
fn with_and_without(world: &World, balancers: &[&str]) -> (Shown, Shown) {
    let nothing = |_: &Plan| BTreeSet::new();
    let named: Vec<BalancerSpec> = balancers.iter().map(|name| BalancerSpec::named(name)).collect();
    let shown = |scope: Scope<'_>| {
        let mut shown = Shown::new();
        for (balancer, kind) in play(&scope, 0, 1).findings.into_keys() {
            shown.entry(balancer).or_default().insert(kind);
        }
        shown
    };
    let few = Scope::new(3, vec![world.clone()], named.clone(), &nothing, false);
    let all = Scope::unpruned(3, vec![world.clone()], named, &nothing);
    assert!(few.plans() * 4 < all.plans(), "{} of {}", few.plans(), all.plans());
    (shown(few), shown(all))
}

#[test]
fn plans_that_are_left_out_show_nothing_else() {
    let world = World::named("one-port").expect("it is there");
    let (few, all) = with_and_without(&world, &["shared-pool"]);
    assert_eq!(few, all);
    assert!(all["shared-pool"].iter().any(|kind| kind.requirement() == Some(Requirement::Id2)));
}

/// Compares the two over sound and leaky mechanisms, and over each defect.
#[test]
#[ignore = "plays every word of three letters; the CI step `exhaustive` runs it"]
fn plans_that_are_left_out_show_nothing_else_in_any_world() {
    let sound = ["l4-nat", "l4-checked", "pin-on-401", "close-per-request"];
    let leaky = ["shared-pool", "pool-cookie", "pin-checked-http-2xx", "pin-next-request", "tunnel"];
    let defective: Vec<String> =
        defects().iter().map(|defect| format!("{}+{}", catches(defect.id)[0].on, defect.id)).collect();
    let balancers: Vec<&str> = sound.into_iter().chain(leaky).chain(defective.iter().map(|name| &**name)).collect();
    let only = env::var("STICKLER_WORLD").ok();
    let mut differences = String::new();
    for world in worlds().iter().filter(|world| only.as_ref().is_none_or(|only| only == world.name)) {
        let (few, all) = with_and_without(world, &balancers);
        for (balancer, kinds) in &all {
            let known = few.get(balancer).cloned().unwrap_or_default();
            for kind in kinds.difference(&known) {
                let _ = writeln!(differences, "{} over {balancer}: {kind}", world.name);
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Prints the defects that are found by their own requirement, with the mechanism, the number of steps, and the first
/// plan that finds each. Plans have at most two steps, or as many as `STICKLER_STEPS` says.
#[test]
#[ignore = "plays every plan of two steps over each defect; the CI step `exhaustive` runs it"]
fn two_steps_find_sixteen_of_the_defects() {
    let nothing = |_: &Plan| BTreeSet::new();
    let most = steps_or(2);
    let mut found_at_all = BTreeSet::new();
    println!("defect  on                      requirement  steps  first plan");
    for catch in defects().iter().flat_map(|defect| catches(defect.id).iter().map(move |catch| (defect, catch))) {
        let (defect, catch) = catch;
        let balancer = BalancerSpec::named(&format!("{}+{}", catch.on, defect.id));
        let first = |steps: usize| {
            worlds().into_iter().find_map(|world| {
                let scope = Scope::new(steps, vec![world], vec![balancer.clone()], &nothing, false);
                let found = play(&scope, 0, 1);
                let of_it = found.findings.values().filter(|it| it.kind.requirement() == Some(catch.requirement));
                let first: Place = of_it.map(|finding| finding.place).min()?;
                let (place, word) = scope.word(first)?;
                Some(format!("{}: {word}", place.name))
            })
        };
        let found = (1..=most).find_map(|steps| first(steps).map(|word| format!("{steps:<6} {word}")));
        if found.is_some() {
            found_at_all.insert(defect.id);
        }
        let said = found.unwrap_or_else(|| "-".to_owned());
        println!("{:<7} {:<23} {:<12} {said}", defect.id, catch.on, catch.requirement.to_string());
    }
    // A second backend over HTTP/2, a crash between two legs, and passive checks need more than two steps, or another world.
    let missed: Vec<&str> = defects().iter().map(|defect| defect.id).filter(|id| !found_at_all.contains(id)).collect();
    assert!(missed.iter().all(|id| ["B8", "B10", "B11", "B12"].contains(id)), "{missed:?}");
}
