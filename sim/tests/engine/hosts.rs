//! Tests of hosts on kernels: hosts that are added late, many hosts, too many hosts; engines and threads.

use std::time::Duration;

use stickler_net::Net;
use stickler_sim::engine::{Engine, EngineError, Settings};

use crate::support::{SECOND, at, client_ip, connect, engine, engine_with_hosts, get, host, ip, serve};

#[test]
fn hosts_can_be_added_while_the_world_runs() {
    let (mut engine, nets) = engine_with_hosts(2);
    let prober = nets[1].clone();
    nets[1].spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(prober.connect(at(3, 80)).await);
        }
    });
    engine.advance(SECOND).unwrap();
    let late = host(&mut engine, ip(3));
    serve(&late, "late");
    let client = nets[0].clone();
    let answer =
        engine.run_until(async move { get(&mut connect(&client, at(3, 80)).await.unwrap()).await.unwrap() }, SECOND);
    assert!(answer.unwrap().starts_with("late 10.0.0.1:"));
}

#[test]
fn more_clients_than_slots_each_keep_an_address_of_their_own() {
    let mut engine = Engine::new(&Settings { kernels: 2, slots: 1, ..Settings::default() }).unwrap();
    let server = host(&mut engine, ip(1));
    serve(&server, "iis1");
    let (answers, mut answer) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..500 {
        let net = host(&mut engine, client_ip(n));
        let (client, answers) = (net.clone(), answers.clone());
        net.spawn(async move {
            let mut http = connect(&client, at(1, 80)).await.unwrap();
            for _ in 0..2 {
                answers.send((client.ip(), get(&mut http).await.unwrap())).unwrap();
            }
        });
    }
    let all = async move {
        for _ in 0..1000 {
            let (ip, text) = answer.recv().await.unwrap();
            assert!(text.starts_with(&format!("iis1 {ip}:")), "{ip} was seen as {text}");
        }
    };
    engine.run_until(all, 10 * SECOND).unwrap();
}

#[test]
fn out_of_slots_is_an_error_that_names_the_setting() {
    let mut engine = Engine::new(&Settings { slots: 1, ..Settings::default() }).unwrap();
    let (first, second) = (host(&mut engine, ip(1)), host(&mut engine, ip(2)));
    let error = engine.run_until(
        async move {
            let _one = first.bind(at(1, 80)).await.unwrap();
            let _two = first.bind(at(1, 443)).await.unwrap();
            second.bind(at(2, 80)).await.unwrap_err()
        },
        SECOND,
    );
    let message = error.unwrap().to_string();
    assert_eq!(message, "10.0.0.2 has no slot left to listen on: all 1 are in use; raise `Settings::slots`");
}

#[test]
fn an_address_belongs_to_one_host_and_is_a_usable_one() {
    let mut engine = engine();
    let id = engine.add_host(ip(1)).unwrap();
    assert_eq!(engine.host(ip(1)), Some(id));
    assert!(matches!(engine.add_host(ip(1)), Err(EngineError::AddressTaken(_))));
    for text in ["240.0.0.1", "127.0.0.1", "0.0.0.0", "255.255.255.255", "fe80::1"] {
        assert!(matches!(engine.add_host(text.parse().unwrap()), Err(EngineError::AddressUnusable(_))), "{text}");
    }
    for settings in [Settings { kernels: 0, ..Settings::default() }, Settings { slots: 9999, ..Settings::default() }] {
        let refused = move || matches!(Engine::new(&settings), Err(EngineError::Setting { .. }));
        assert!(std::thread::spawn(refused).join().unwrap());
    }
}

fn one_request() -> (String, Duration) {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    let answer =
        engine.run_until(async move { get(&mut connect(&client, at(1, 80)).await.unwrap()).await.unwrap() }, SECOND);
    (answer.unwrap(), engine.now())
}

#[test]
fn a_thread_has_one_engine_at_a_time_and_the_next_starts_afresh() {
    let first = engine();
    assert!(matches!(Engine::new(&Settings::default()), Err(EngineError::AnotherEngine)));
    drop(first);
    assert_eq!(one_request(), one_request());
}

#[test]
fn two_threads_run_two_engines_at_once_with_the_same_result() {
    let threads = [(); 2].map(|()| std::thread::spawn(|| (0..20).map(|_| one_request()).collect::<Vec<_>>()));
    let [one, two] = threads.map(|thread| thread.join().unwrap());
    assert_eq!(one, two);
}

#[test]
fn sockets_may_outlive_their_engine_and_be_dropped_on_another_thread() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let sockets = engine.run_until(
        async move {
            let listener = server.bind(at(1, 80)).await.unwrap();
            let streams = [client.connect(at(1, 80)).await.unwrap(), client.connect(at(1, 80)).await.unwrap()];
            (listener, streams)
        },
        SECOND,
    );
    let (listener, [near, far]) = sockets.unwrap();
    std::thread::spawn(move || drop(far)).join().unwrap();
    drop(engine);
    drop((listener, near));
    assert_eq!(one_request(), one_request());
}
