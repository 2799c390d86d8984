//! Benchmarks of the data plane on loopback: each of Stickler's balancers, and directly afterwards the product with the
//! most similar behaviour.

use std::net::SocketAddr;
use std::time::Duration;

use criterion::SamplingMode;
use stickler_benches::plane::{Connections, Load, Origin, Own, Peer, PeerError, Product};
use stickler_benches::report::{Aim, Figure, Sample};
use stickler_catalogue::find;

use crate::Bench;

/// The number of backends.
const SERVERS: usize = 2;

/// Stickler's mechanisms, each with the product to which it is compared, and how that product carries requests.
const PAIRS: [(&str, &str); 5] = [
    ("pin-on-401", "nginx-keepalive"),
    ("shared-pool", "nginx-keepalive"),
    ("pin-on-401", "haproxy-safe"),
    ("shared-pool", "haproxy-always"),
    ("l4-splice", "haproxy-tcp"),
];

/// A load: its name, its connections, the number of clients, and the number of requests of each client in a round.
const LOADS: [(&str, Connections, usize, usize); 2] =
    [("kept", Connections::Kept, 32, 50), ("fresh", Connections::Fresh, 32, 10)];

pub(crate) fn measure(bench: &mut Bench) {
    let origin = Origin::start(SERVERS);
    for product in [Product::Nginx, Product::HaProxy] {
        let peer = match Peer::start(product, origin.addresses()) {
            Ok(peer) => peer,
            Err(missing @ PeerError::Missing(_)) => {
                bench.remarks.push(format!("{missing}: the data plane is not measured beside it."));
                continue;
            }
            Err(error) => {
                bench.remarks.push(format!("The data plane is not measured beside {}: {error}.", product.name()));
                continue;
            }
        };
        for load in LOADS {
            for (own, way) in PAIRS {
                let front = product.ways().iter().position(|it| *it == way).map(|index| peer.fronts()[index]);
                if let Some(front) = front {
                    compare(bench, load, (own, origin.addresses()), (way, front), peer.version());
                }
            }
        }
    }
}

fn compare(
    bench: &mut Bench,
    (name, connections, clients, each): (&str, Connections, usize, usize),
    (own, servers): (&str, &[SocketAddr]),
    (way, front): (&str, SocketAddr),
    version: &str,
) {
    let group_name = format!("plane-{name}-{own}-beside-{way}");
    let mut group = bench.wall.benchmark_group(&group_name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(1200));
    // This is set up at the first call, which a filter may prevent.
    let mut ours: Option<(Own, Load)> = None;
    group.bench_function(own, |b| {
        bench.estimates.ran(&format!("{group_name}/{own}"));
        let (_, load) = ours.get_or_insert_with(|| {
            let mechanism = find(own).expect("it is one of ours");
            let own = Own::start(&mechanism, servers);
            let load = Load::new(own.front(), connections, clients, each);
            (own, load)
        });
        b.iter(|| load.round());
    });
    let measured = ours.is_some();
    drop(ours);
    let mut theirs: Option<Load> = None;
    group.bench_function(way, |b| {
        bench.estimates.ran(&format!("{group_name}/{way}"));
        b.iter(|| theirs.get_or_insert_with(|| Load::new(front, connections, clients, each)).round());
    });
    group.finish();
    if !measured {
        return;
    }
    let pieces = (clients * each) as u64;
    let how = match connections {
        Connections::Kept => "on connections that stay",
        Connections::Fresh => "each on a new connection",
    };
    bench.figures.push(Figure {
        sample: Sample { id: format!("{group_name}/{own}"), pieces },
        what: format!("loopback: requests {how}, {clients} clients, {own} beside {way}"),
        beside: Sample { id: format!("{group_name}/{way}"), pieces },
        bare: None,
        aim: (connections == Connections::Kept && way.starts_with("haproxy")).then_some(Aim::SpeedFrom(0.9)),
        as_rate: true,
        note: format!(
            "On loopback, wall time counts, and not processor time: the load, the balancer and the plain servers behind \
             it are threads and processes of their own, which share this machine, and are tied to no processor. Each \
             balancer has one thread. Beside ours: {version}."
        ),
    });
}
