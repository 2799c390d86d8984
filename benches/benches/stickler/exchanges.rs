//! Benchmarks of HTTP exchanges on the simulated network, through a mechanism of each kind and without one.

use criterion::{BenchmarkId, SamplingMode};
use stickler_benches::load::{Bare, Hops, Plan, Shape, Site, Work};
use stickler_benches::report::{Aim, Figure, Sample};
use stickler_catalogue::{Mechanism, find};

use crate::Bench;

/// One mechanism of each kind. The others differ only in their decisions, which have separate benchmarks.
const MECHANISMS: [&str; 4] = ["l4-nat", "close-per-request", "shared-pool", "pin-on-401"];

const CLIENTS: [usize; 4] = [1, 10, 100, 1000];

pub(crate) fn measure(bench: &mut Bench) {
    for work in [Work::Requests, Work::Authentications] {
        for name in MECHANISMS {
            let mechanism = find(name).expect("it is one of ours");
            for clients in CLIENTS {
                compare(bench, &mechanism, Shape::new(work, clients));
            }
        }
    }
}

/// Measures a site, and directly afterwards the bare exchanges of the same plan.
fn compare(bench: &mut Bench, mechanism: &Mechanism, shape: Shape) {
    let Shape { work, clients, .. } = shape;
    let hops = Hops::of(mechanism);
    let group_name = format!("{}/{}", work.name(), mechanism.name).replace('/', "-");
    let id = |function: &str| format!("{group_name}/{function}/{clients}");
    let mut group = bench.criterion.benchmark_group(&group_name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    // This is set up at the first call, which a filter may prevent. There is one network at a time.
    let mut plan: Option<Plan> = None;
    let mut site: Option<Site> = None;
    group.bench_function(BenchmarkId::new("site", clients), |b| {
        bench.estimates.ran(&id("site"));
        let site = site.get_or_insert_with(|| Site::new(mechanism, shape));
        plan.get_or_insert_with(|| site.round());
        b.iter(|| site.round());
    });
    drop(site);
    let mut bare: Option<Bare> = None;
    group.bench_function(BenchmarkId::new(hops.name(), clients), |b| {
        bench.estimates.ran(&id(hops.name()));
        let plan = plan.get_or_insert_with(|| Site::new(mechanism, shape).round());
        let bare = bare.get_or_insert_with(|| Bare::new(hops, work, plan));
        b.iter(|| bare.round());
    });
    group.finish();
    let Some(plan) = plan else { return };
    bench.figures.push(Figure {
        sample: Sample { id: id("site"), pieces: shape.total() },
        what: what(mechanism, shape, &plan),
        beside: Sample { id: id(hops.name()), pieces: shape.total() },
        bare: None,
        aim: (shape.work == Work::Requests).then_some(Aim::SpeedFrom(0.75)),
        as_rate: true,
        note: note(mechanism),
    });
    if let Some(rate) = rate(mechanism, work, clients) {
        bench.figures.push(Figure {
            sample: Sample { id: id("site"), pieces: shape.total() },
            what: format!("{}, {}, {clients} clients, against the rate aimed at", work.name(), mechanism.name),
            beside: Sample { id: id(hops.name()), pieces: shape.total() },
            bare: None,
            aim: Some(Aim::PerSecond(rate)),
            as_rate: true,
            note: String::new(),
        });
    }
}

/// Returns the number of requests or authentications per second that is aimed at, where there is such an aim.
fn rate(mechanism: &Mechanism, work: Work, clients: usize) -> Option<f64> {
    match (&*mechanism.name, work, clients) {
        ("l4-nat", Work::Authentications, 100) => Some(30_000.0),
        ("l4-nat", Work::Requests, 1000) => Some(100_000.0),
        ("pin-on-401", Work::Requests, 1000) => Some(60_000.0),
        _ => None,
    }
}

fn what(mechanism: &Mechanism, shape: Shape, plan: &Plan) -> String {
    let served = 100 * plan.good as u64 / shape.total();
    let exchanges = plan.total() as f64 / shape.total() as f64;
    let work = shape.work.name();
    format!("{work}, {}, {} clients ({exchanges:.1} exchanges each, {served} % are 200)", mechanism.name, shape.clients)
}

fn note(mechanism: &Mechanism) -> String {
    match &*mechanism.name {
        "close-per-request" => {
            "Through close-per-request nothing can authenticate: its requests are those of clients without \
             credentials, its authentications are attempts, and all of them end in 401."
        }
        "shared-pool" => {
            "Through shared-pool, an authentication is often one exchange: the pooled connection is somebody's \
             already. The bare counterpart always does the same number of exchanges on each connection."
        }
        _ => {
            "Beside a request stands hyper with the same application: what is compared is authentication, balancer \
             and trace. An authentication has work that no bare exchange has (the cryptography of three parties, a \
             logon at the DC over the network), so its speed beside bare exchanges is told, and not judged."
        }
    }
    .into()
}
