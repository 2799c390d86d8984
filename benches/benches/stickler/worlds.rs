//! Benchmarks of whole worlds.

use criterion::SamplingMode;
use stickler_benches::load::{Bare, Hops, Plan, Work};
use stickler_benches::report::{Aim, Figure, Sample};
use stickler_benches::worlds::{idle_heavy_hour, small_world};

use crate::Bench;

/// The benchmark with which worlds are compared, so that a baseline is valid on another machine: eighty requests of
/// four clients, without a world.
const YARDSTICK: &str = "bare-packets";

pub(crate) fn measure(bench: &mut Bench) {
    let mut group = bench.criterion.benchmark_group("worlds");
    group.sampling_mode(SamplingMode::Flat);
    for (balancer, rate) in [("l4-nat", 3000.0), ("pin-on-401", 2000.0)] {
        let name = format!("small-{balancer}");
        group.bench_function(name.as_str(), |b| {
            bench.estimates.ran(&format!("worlds/{name}"));
            b.iter(|| small_world(balancer));
        });
        bench.figures.push(Figure {
            sample: Sample::one(format!("worlds/{name}")),
            what: format!("small worlds (4 clients, 80 requests, from scratch), {balancer}"),
            beside: Sample::one(format!("worlds/{YARDSTICK}")),
            bare: None,
            aim: Some(Aim::PerSecond(rate)),
            as_rate: true,
            note: "Beside whole worlds stand 80 bare exchanges of 4 clients, on a network that is up already: not a \
                   limit, but a yardstick for comparing machines."
                .into(),
        });
    }
    group.bench_function("idle-heavy-hour", |b| {
        bench.estimates.ran("worlds/idle-heavy-hour");
        b.iter(|| idle_heavy_hour("l4-nat"));
    });
    bench.figures.push(Figure {
        sample: Sample::one("worlds/idle-heavy-hour"),
        what: "idle-heavy hour (50 clients, a request each 6 minutes, from scratch), l4-nat".into(),
        beside: Sample::one(format!("worlds/{YARDSTICK}")),
        bare: None,
        aim: Some(Aim::Millis(10.0)),
        as_rate: false,
        note: String::new(),
    });
    let plan = Plan { exchanges: vec![vec![1; 20]; 4], good: 80, body: 200 };
    let mut bare = None;
    group.bench_function(YARDSTICK, |b| {
        bench.estimates.ran(&format!("worlds/{YARDSTICK}"));
        let bare = bare.get_or_insert_with(|| Bare::new(Hops::Packets, Work::Requests, &plan));
        b.iter(|| bare.round());
    });
    group.finish();
}
