//! Every plan of a few steps.

use std::collections::BTreeSet;

use stickler_hunt::exhaustive::{Scope, worlds};

#[test]
#[ignore = "prints numbers"]
fn counts() {
    let declared = |_: &stickler_model::Plan| BTreeSet::new();
    for world in worlds() {
        println!("{} ({} letters)", world.name, world.letters().len());
        let mut before = (0, 0);
        for steps in 1..=4 {
            let now = (
                Scope::new(
                    steps,
                    vec![world.clone()],
                    vec![stickler_model::BalancerSpec::named("l4-nat")],
                    &declared,
                    false,
                )
                .plans(),
                Scope::unpruned(
                    steps,
                    vec![world.clone()],
                    vec![stickler_model::BalancerSpec::named("l4-nat")],
                    &declared,
                )
                .plans(),
            );
            println!("  {steps}: {} {}", now.0 - before.0, now.1 - before.1);
            before = now;
        }
    }
}

#[test]
#[ignore = "speed"]
fn speed() {
    use std::sync::Mutex;
    use stickler_hunt::{Found, Unit, Watch};
    struct W(Mutex<Found>, std::time::Instant, std::sync::atomic::AtomicU64);
    impl Watch for W {
        fn is_over(&self) -> bool {
            self.2.load(std::sync::atomic::Ordering::Relaxed) >= 1000
        }
        fn ran(&self, _: usize) {
            self.2.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        fn done(&self, unit: &Unit) {
            self.0.lock().unwrap().add(unit.clone());
        }
    }
    let declared = |_: &stickler_model::Plan| BTreeSet::new();
    for world in worlds() {
        for balancer in ["l4-nat", "pin-on-401", "shared-pool", "pin-checked-http"] {
            let scope = Scope::new(
                3,
                vec![world.clone()],
                vec![stickler_model::BalancerSpec::named(balancer)],
                &declared,
                false,
            );
            let w = W(Mutex::default(), std::time::Instant::now(), Default::default());
            stickler_hunt::exhaustive::exhaust(
                &scope,
                0..scope.units(),
                std::num::NonZeroUsize::MIN,
                &stickler_sim::SimArm,
                &w,
            );
            let found = w.0.into_inner().unwrap();
            println!(
                "{} {balancer}: {} runs, {:.2} ms each",
                world.name,
                found.runs(),
                w.1.elapsed().as_secs_f64() * 1000.0 / found.runs() as f64
            );
            for finding in found.findings.values() {
                println!("    {} {:?}: {}", finding.kind, finding.place, finding.summary);
            }
        }
    }
}
