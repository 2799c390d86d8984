//! Benchmarks of each distinct mechanism's decisions, among few and among many open connections.

use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId};
use stickler_benches::calibration;
use stickler_benches::cpu_time::CpuTime;
use stickler_benches::decisions::{Desk, Table, distinct};
use stickler_benches::report::{Aim, Figure, Sample};
use stickler_catalogue::Mechanism;

use crate::Bench;

/// The numbers of open downstream connections, and how many of them send requests. Debug builds, which check a policy's
/// state at each decision, use few.
const CROWDS: &[(usize, usize)] =
    if cfg!(debug_assertions) { &[(10, 10)] } else { &[(10, 10), (1000, 1000), (100_000, 10), (100_000, 100_000)] };

/// The largest ratio of the time of a decision among many connections to that among the fewest.
const GROWTH: f64 = 2.0;

pub(crate) fn measure(bench: &mut Bench) {
    yardstick(bench);
    for mechanism in distinct() {
        let group_name = format!("decision-{}", mechanism.name);
        let mut group = bench.criterion.benchmark_group(&group_name);
        briefly(&mut group);
        for &crowd in CROWDS {
            let (connections, asking) = crowd;
            let mut desk: Option<Desk> = None;
            group.bench_function(BenchmarkId::from_parameter(name(crowd)), |b| {
                bench.estimates.ran(&format!("{group_name}/{}", name(crowd)));
                let desk = desk.get_or_insert_with(|| Desk::new(mechanism, connections, asking));
                b.iter(|| desk.decide());
            });
            let Some(desk) = desk else { continue };
            bench.figures.push(figure(mechanism, &group_name, crowd, desk.served()));
        }
        group.finish();
    }
}

/// Measures the cost of a table with the same number of entries.
fn yardstick(bench: &mut Bench) {
    let mut group = bench.criterion.benchmark_group("decision-table");
    briefly(&mut group);
    for &crowd in CROWDS.iter().filter(|(connections, asking)| connections == asking) {
        let mut table: Option<Table> = None;
        let id = table_id(crowd);
        group.bench_function(BenchmarkId::from_parameter(name(crowd)), |b| {
            bench.estimates.ran(&id);
            let table = table.get_or_insert_with(|| Table::new(crowd.0));
            b.iter(|| table.look());
        });
        if table.is_some() {
            bench.figures.push(Figure {
                sample: Sample::one(id),
                what: format!("one look into a table of {} entries, at random", crowd.0),
                beside: if crowd == CROWDS[0] {
                    Sample::one(calibration::ID)
                } else {
                    Sample::one(table_id(CROWDS[0]))
                },
                bare: None,
                aim: None,
                as_rate: false,
                note:
                    "A look into a table, with the hash that policies have, tells what this machine's caches cost; a \
                       decision takes several."
                        .into(),
            });
        }
    }
    group.finish();
}

fn briefly(group: &mut BenchmarkGroup<'_, CpuTime>) {
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(200)).sample_size(10);
}

fn figure(mechanism: &Mechanism, group: &str, crowd: (usize, usize), served: usize) -> Figure {
    let (connections, asking) = crowd;
    let limits = if served < connections { format!(", {served} of them served") } else { String::new() };
    let fewest = Sample::one(format!("{group}/{}", name(CROWDS[0])));
    let who = if asking < connections { format!(", {asking} ask") } else { String::new() };
    Figure {
        sample: Sample::one(format!("{group}/{}", name(crowd))),
        what: format!("decision, {}, {connections} connections{limits}{who}", mechanism.name),
        beside: if crowd == CROWDS[0] { Sample::one(table_id(crowd)) } else { fewest },
        bare: (crowd != CROWDS[0]).then(|| Sample::one(table_id((connections, connections)))),
        aim: (connections == CROWDS[CROWDS.len() - 1].0 && CROWDS.len() > 1).then_some(Aim::TimeWithin(GROWTH)),
        as_rate: false,
        note: format!(
            "A decision at L7 is a request, its answer and their end; at L4 a connection's end and another's \
             beginning. Connections take turns at random; those that can authenticate have done so, and hold what the \
             mechanism lets them. Beside it stands the same among {} connections. Where few of many ask, the \
             processor's caches are warm, and what is left of growth is the policy's; where all ask, each decision \
             waits for memory besides. The bare reference is one look into a table of as many entries. Mechanisms that differ only in how they carry connections, or check backends, \
             decide alike, and are measured once.",
            CROWDS[0].0
        ),
    }
}

/// Returns the id of a look into a table with as many entries as there are connections.
fn table_id(crowd: (usize, usize)) -> String {
    format!("decision-table/{}", name(crowd))
}

fn name((connections, asking): (usize, usize)) -> String {
    if asking < connections { format!("{asking}-of-{connections}") } else { connections.to_string() }
}
