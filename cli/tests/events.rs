//! Compares the events of all shipped scenarios over all mechanisms with the hashes stored in `events/hashes.txt`.
//!
//! A change of structure must not change what happens. This test takes minutes, so it runs only when asked for:
//!
//! ```text
//! cargo test --release -p stickler --test events -- --ignored         # compares
//! STICKLER_EVENTS=store cargo test ... -- --ignored                   # stores the hashes of this build
//! STICKLER_EVENTS=DIR   cargo test ... -- --ignored                   # also writes the compared lines to DIR, for diff
//! ```
//!
//! Only events are hashed, without the header and without texts for people (the reason why a request has no answer). Of
//! an action, only the kind is hashed.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use stickler_catalogue::{Mechanism, mechanisms};
use stickler_model::{BalancerSpec, Event};
use stickler_runner::Arm;
use stickler_scenarios::{Case, shipped};
use stickler_sim::SimArm;

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/events/hashes.txt");

const SEEDS: [u64; 3] = [0, 1, 2];

#[test]
#[ignore = "plays 18,000 runs, for minutes without optimisation; the CI step `events` runs it"]
fn the_events_are_those_that_were_stored() {
    let wish = std::env::var("STICKLER_EVENTS").unwrap_or_default();
    let cases = shipped(&stickler_catalogue::names()).unwrap();
    let jobs: Vec<(&Case, u64)> = SEEDS.iter().flat_map(|&seed| cases.iter().map(move |case| (case, seed))).collect();
    let hashes = hash_all(&jobs, (!wish.is_empty() && wish != "store").then_some(Path::new(&wish)));
    if wish == "store" {
        std::fs::write(STORED, hashes).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(STORED).unwrap();
    let different: Vec<&str> = hashes.lines().filter(|line| !stored.lines().any(|known| known == *line)).collect();
    assert!(different.is_empty(), "other events than stored in {} runs:\n{}", different.len(), different.join("\n"));
    assert_eq!(hashes.lines().count(), stored.lines().count(), "scenarios were added or removed");
}

/// Returns a line for each scenario and seed: the hash of the events over all mechanisms.
fn hash_all(jobs: &[(&Case, u64)], out: Option<&Path>) -> String {
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(vec![String::new(); jobs.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, (case, seed))) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let text: String = mechanisms().iter().map(|mechanism| events(case, mechanism, *seed)).collect();
                    let name = case.scenario.name();
                    if let Some(folder) = out {
                        std::fs::create_dir_all(folder).unwrap();
                        std::fs::write(folder.join(format!("{name}-{seed}.jsonl")), &text).unwrap();
                    }
                    lines.lock().unwrap()[index] = format!("{seed} {name} {}\n", hash(&text));
                }
            });
        }
    });
    lines.into_inner().unwrap().concat()
}

/// Returns the events of one run, one line each.
fn events(case: &Case, mechanism: &Mechanism, seed: u64) -> String {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = case.run(&BalancerSpec::named(&mechanism.name), seed, &arm);
    let mut text = format!("{}\n", mechanism.name);
    for event in run.trace.iter().flat_map(|trace| &trace.events) {
        let _ = writeln!(text, "{}", line(event));
    }
    text
}

fn line(event: &Event) -> String {
    let mut value = serde_json::to_value(event).unwrap();
    let what = value["what"].as_object_mut().unwrap();
    if let Some(action) = what.get_mut("action") {
        let kind = action.as_object().map(|action| action.keys().next().unwrap().clone());
        *action = kind.map_or(action.clone(), Into::into);
    }
    if let Some(ended) = what.get_mut("request_ended") {
        ended.as_object_mut().unwrap().remove("error");
    }
    value.to_string()
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
