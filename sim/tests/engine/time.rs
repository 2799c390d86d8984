//! Tests of virtual time: exact latencies, timers, idle hours, the same seed.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use stickler_net::Net;
use stickler_sim::engine::{Engine, Link, Settings, Stopped};

use crate::support::{SECOND, at, client_ip, connect, engine, engine_with_hosts, get, host, ip, serve};

const MICROS: fn(u64) -> Duration = Duration::from_micros;

#[test]
fn a_connect_takes_exactly_one_round_trip() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let (client, clock) = (nets[1].clone(), engine.clock());
    let took = engine.run_until(
        async move {
            let start = (clock.now(), tokio::time::Instant::now());
            let _stream = client.connect(at(1, 80)).await.unwrap();
            (clock.now().checked_sub(start.0).unwrap(), start.1.elapsed())
        },
        SECOND,
    );
    assert_eq!(took, Ok((MICROS(500), MICROS(500))));
    assert_eq!(engine.now(), MICROS(500));
}

#[test]
fn without_a_quantum_latencies_are_exact_to_the_nanosecond() {
    let mut engine = Engine::new(&Settings { quantum: Duration::ZERO, ..Settings::default() }).unwrap();
    let server = host(&mut engine, ip(1));
    let client = host(&mut engine, ip(2));
    engine.set_link(ip(1), ip(2), Link::new(Duration::from_nanos(1_234_567)));
    engine.set_link(ip(2), ip(1), Link::new(Duration::from_nanos(7_654_321)));
    serve(&server, "iis1");
    engine.run_until(async move { client.connect(at(1, 80)).await.map(drop) }, SECOND).unwrap().unwrap();
    assert_eq!(engine.now(), Duration::from_nanos(1_234_567 + 7_654_321));
}

#[test]
fn timers_fire_on_their_millisecond_whatever_packets_do_in_between() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let (client, clock) = (nets[1].clone(), engine.clock());
    let fired = Rc::new(RefCell::new(Vec::new()));
    let times = Rc::clone(&fired);
    let pinger = client.clone();
    client.spawn(async move {
        // This leaves the clock between whole milliseconds most of the time.
        let mut http = connect(&pinger, at(1, 80)).await.unwrap();
        loop {
            tokio::time::sleep(MICROS(300)).await;
            get(&mut http).await.unwrap();
        }
    });
    let ticks = async move {
        for pause in [1, 2, 10, 63, 64, 65, 700, 4096, 5] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            times.borrow_mut().push((clock.nanos(), tokio::time::Instant::now()));
        }
    };
    engine.run_until(ticks, 60 * SECOND).unwrap();
    let nanos: Vec<u64> = fired.borrow().iter().map(|(nanos, _)| *nanos).collect();
    assert_eq!(nanos, [1, 3, 13, 76, 140, 205, 905, 5001, 5006].map(|ms| ms * 1_000_000));
    let first = fired.borrow()[0];
    assert!(
        fired
            .borrow()
            .iter()
            .all(|(nanos, instant)| { instant.duration_since(first.1) == Duration::from_nanos(nanos - first.0) })
    );
}

#[test]
fn a_run_ends_exactly_at_its_limit_and_goes_on_from_there() {
    let (mut engine, _nets) = engine_with_hosts(1);
    let limit = Duration::from_nanos(12_345_678);
    let stopped = engine.run_until(std::future::pending::<()>(), limit);
    assert_eq!(stopped, Err(Stopped::Limit { at: limit }));
    engine.advance(Duration::from_nanos(1)).unwrap();
    assert_eq!(engine.now(), limit + Duration::from_nanos(1));
    engine.advance(Duration::from_hours(1)).unwrap();
    assert_eq!(engine.now(), limit + Duration::from_nanos(1) + Duration::from_hours(1));
}

#[test]
fn a_world_without_tasks_and_packets_is_given_up_at_once() {
    let mut engine = engine();
    assert_eq!(engine.run_until_true(|| false, SECOND), Err(Stopped::Quiescent));
    assert_eq!(engine.now(), Duration::ZERO);
    assert_eq!(engine.run_until_true(|| true, SECOND), Ok(()));
    let net = host(&mut engine, ip(1));
    net.spawn(std::future::pending());
    assert_eq!(engine.run_until_true(|| false, SECOND), Err(Stopped::Limit { at: SECOND }));
}

#[test]
fn settling_waits_for_packets_and_not_for_timers() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    nets[1].spawn(async move {
        let mut http = connect(&client, at(1, 80)).await.unwrap();
        get(&mut http).await.unwrap();
        tokio::time::sleep(3600 * SECOND).await;
    });
    engine.settle(SECOND).unwrap();
    // The four delays are those of connect, request, response, and the ACK of the response.
    assert_eq!(engine.now(), MICROS(5 * 250));
}

#[test]
fn an_hour_of_fifty_mostly_idle_clients_costs_only_its_requests() {
    let (mut engine, nets) = engine_with_hosts(1);
    serve(&nets[0], "iis1");
    for n in 0..50 {
        let net = host(&mut engine, client_ip(n));
        let client = net.clone();
        net.spawn(async move {
            let mut http = connect(&client, at(1, 80)).await.unwrap();
            for _ in 0..10 {
                get(&mut http).await.unwrap();
                tokio::time::sleep(Duration::from_mins(6)).await;
            }
        });
    }
    engine.advance(Duration::from_hours(1)).unwrap();
    assert_eq!(engine.now(), Duration::from_hours(1));
    let stats = engine.stats();
    // Each connection takes 3 segments to open and 3 (FIN, ACK ...) to close; each request takes two segments and two ACKs.
    assert!((50 * 43..=50 * 50).contains(&stats.packets), "{stats:?}");
    // All clients move in step, so the ten rounds share their turns; jumps over idle time add a
    // few for each round (tokio's timer wheel has levels of 64).
    assert!(stats.turns < 400 && stats.passes < 100, "{stats:?}");
}

/// Returns a digest of all packets of a small world with jitter and loss.
fn packet_log_digest(seed: u64, loss_per_million: u32) -> u64 {
    let jitter = Link::new(MICROS(250)).with_jitter(MICROS(400)).with_loss_per_million(loss_per_million);
    let mut engine = Engine::new(&Settings { seed, link: jitter, ..Settings::default() }).unwrap();
    let digest = Rc::new(RefCell::new(DefaultHasher::new()));
    let log = Rc::clone(&digest);
    engine.set_packet_log(Some(Box::new(move |packet| {
        let flags = packet.flags;
        let bits = [flags.syn, flags.ack, flags.fin, flags.rst, flags.psh];
        let heads = (packet.sent, packet.arrives, packet.src, packet.dst, packet.seq, packet.ack, bits);
        (heads, packet.payload.as_ref()).hash(&mut *log.borrow_mut());
    })));
    let server = host(&mut engine, ip(1));
    serve(&server, "iis1");
    let (done, mut results) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..10 {
        let net = host(&mut engine, client_ip(n));
        let (client, done) = (net.clone(), done.clone());
        net.spawn(async move {
            let mut http = connect(&client, at(1, 80)).await.unwrap();
            for _ in 0..20 {
                let _ = done.send(get(&mut http).await.unwrap());
            }
        });
    }
    let all = async move {
        for _ in 0..200 {
            results.recv().await.unwrap();
        }
    };
    engine.run_until(all, 600 * SECOND).unwrap();
    drop(engine);
    digest.borrow().finish()
}

#[test]
fn the_same_seed_gives_the_same_packets_and_another_seed_others() {
    assert_eq!(packet_log_digest(7, 0), packet_log_digest(7, 0));
    assert_eq!(packet_log_digest(7, 50_000), packet_log_digest(7, 50_000));
    assert_ne!(packet_log_digest(7, 0), packet_log_digest(8, 0));
}

#[test]
fn a_lost_segment_arrives_one_timeout_later_and_in_order() {
    let mut engine = engine();
    let (server, client) = (host(&mut engine, ip(1)), host(&mut engine, ip(2)));
    serve(&server, "iis1");
    engine.set_link(ip(2), ip(1), Link::new(MICROS(250)).with_loss_per_million(1_000_000));
    let clock = engine.clock();
    let times = engine.run_until(
        async move {
            let mut http = connect(&client, at(1, 80)).await.unwrap();
            let connected = clock.now();
            get(&mut http).await.unwrap();
            (connected, clock.now().checked_sub(connected).unwrap())
        },
        10 * SECOND,
    );
    // A SYN costs a second, other segments 200 ms.
    assert_eq!(times, Ok((SECOND + MICROS(500), Duration::from_millis(200) + MICROS(500))));
}

#[test]
fn a_link_that_gets_faster_lets_no_packet_overtake_those_under_way() {
    let mut engine = engine();
    let (server, client) = (host(&mut engine, ip(1)), host(&mut engine, ip(2)));
    serve(&server, "iis1");
    let dialler = client.clone();
    let mut http = engine.run_until(async move { connect(&dialler, at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.set_default_link(Link::new(Duration::from_millis(100)));
    let (answers, mut answer) = tokio::sync::mpsc::unbounded_channel();
    client.spawn(async move {
        for _ in 0..2 {
            answers.send(get(&mut http).await).unwrap();
        }
    });
    engine.advance(Duration::from_millis(150)).unwrap();
    // The first answer is in transit at the old speed, at the same time as its ACK and the next request.
    engine.set_default_link(Link::new(MICROS(10)));
    let both = async { (answer.recv().await.unwrap(), answer.recv().await.unwrap()) };
    let (first, second) = engine.run_until(both, SECOND).unwrap();
    assert_eq!(first.unwrap(), second.unwrap());
}

#[test]
fn a_condition_that_uses_up_its_polls_budget_does_not_stop_the_clock() {
    let (mut engine, _nets) = engine_with_hosts(1);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..1000 {
        sender.send(n).unwrap();
    }
    let condition = async move {
        while receiver.try_recv().is_ok() {
            tokio::task::coop::consume_budget().await;
        }
        receiver.recv().await
    };
    assert_eq!(engine.run_until(condition, 5 * SECOND), Err(Stopped::Limit { at: 5 * SECOND }));
    drop(sender);
}
