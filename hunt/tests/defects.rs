//! Random plans find each defect of real products by its own requirement, within two thousand plans, and do not accuse
//! the mechanism without the defect. The seeds are those of the current generator, and a change to the generator
//! changes them.

mod player;

use std::fmt::Write as _;

use player::{ask_each, broken, play};
use stickler_catalogue::defects;
use stickler_hunt::generate;
use stickler_model::BalancerSpec;
use stickler_oracle::Requirement::{
    self, Fo2, Fo4, Fo8, Hc1, Hc3, Hs1, Hs2, Hs3, Hs6, Hs8, Id1, Id2, Id3, St2, St5, Tl2,
};
use stickler_runner::End;

/// A defect, the mechanism that it is put on, the requirement that it violates, and the first seed whose plan shows the
/// violation.
type Hunted = (&'static str, &'static str, Requirement, u64);

const HUNTED: [Hunted; 20] = [
    ("B1", "pin-on-authorization", Id1, 5),
    ("B2", "pin-on-authorization", Hs2, 1),
    ("B3", "pin-on-authorization", Id3, 2),
    ("B4", "pin-on-authorization", St2, 35),
    ("B5", "pin-on-authorization", Id2, 4),
    ("B6", "pin-on-authorization", Hs2, 1),
    ("B7", "pin-services", St5, 1),
    ("B8", "pin-on-authorization", Hs2, 54),
    ("B9", "pin-on-authorization", Hs3, 31),
    ("B10", "pin-on-authorization", Fo2, 361),
    ("B11", "pin-on-authorization", Fo4, 11),
    ("B12", "pin-passive", Hc3, 112),
    ("B13", "pin-on-authorization", Tl2, 13),
    ("B14", "pin-on-authorization", Hs6, 16),
    ("B15", "pin-on-authorization", Hs2, 1),
    ("B16", "shared-pool", Fo8, 191),
    ("B17", "pin-on-authorization", Hs8, 36),
    ("B18", "pin-checked-http", Hc1, 0),
    ("B19", "pin-next-request", Hs1, 3),
    ("B20", "pin-on-authorization", Hs2, 1),
];

/// Returns the requirements that the plan of a seed violates over this balancer.
fn shown(seed: u64, balancer: &str) -> Vec<Requirement> {
    let run = play(&generate(seed, BalancerSpec::named(balancer)));
    assert_eq!(run.end, End::Complete, "seed {seed} over {balancer}");
    broken(&run).collect()
}

/// Returns what is wrong with the plan of a seed: it does not find the defect by its own requirement, or it finds the
/// same without the defect.
fn misses(&(defect, on, requirement, seed): &Hunted) -> String {
    let with = format!("{on}+{defect}");
    let mut wrong = String::new();
    if !shown(seed, &with).contains(&requirement) {
        let tells = |seed, balancer: &str| shown(seed, balancer).contains(&requirement);
        let first = (0..5_000).find(|&seed| tells(seed, &with) && !tells(seed, on));
        let _ =
            writeln!(wrong, "seed {seed} over {with} does not show {requirement}; the first that does is {first:?}");
    }
    if shown(seed, on).contains(&requirement) {
        let _ = writeln!(wrong, "seed {seed} over {on} shows {requirement} without the defect");
    }
    wrong
}

#[test]
fn each_defect_is_found_by_its_own_requirement() {
    let hunted: Vec<&str> = HUNTED.iter().map(|(defect, ..)| *defect).collect();
    let known: Vec<&str> = defects().iter().map(|defect| defect.id).collect();
    assert_eq!(hunted, known);
    let wrong = ask_each(0..HUNTED.len() as u64, |row| misses(&HUNTED[row as usize]));
    assert!(wrong.is_empty(), "{wrong}");
}

/// Tries the seeds from 0 on, in order, until one finds the defect.
#[test]
#[ignore = "plays some six thousand plans; the CI step `random` runs it"]
fn each_defect_is_found_by_the_seed_that_is_written_down_and_none_before_accuses_the_mechanism_without_it() {
    let declared = player::declared();
    let wrong = ask_each(0..HUNTED.len() as u64, |row| {
        let (defect, on, requirement, first) = HUNTED[row as usize];
        let mut wrong = String::new();
        for seed in 0..=first {
            let plan = generate(seed, BalancerSpec::named(on));
            let allowed = declared.of(&plan.balancer, &plan.topology);
            for broken in shown(seed, on).into_iter().filter(|broken| !allowed.contains(broken)) {
                let _ = writeln!(wrong, "seed {seed} over {on} shows {broken} without {defect}");
            }
        }
        if let Some(seed) = (0..first).find(|&seed| misses(&(defect, on, requirement, seed)).is_empty()) {
            let _ = writeln!(wrong, "seed {seed} finds {defect} before {first} does");
        }
        wrong
    });
    assert!(wrong.is_empty(), "{wrong}");
}
