//! Tests of connections from a port of the host's choice, and of the port afterwards.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_net::{Listener as _, Net, Stream};
use stickler_sim::engine::{Engine, EngineError, Link, SYN_RTO, Settings, SimNet};
use tokio::io::AsyncReadExt as _;

use crate::support::{SECOND, at, connect, engine_with_hosts, get, host, ip, serve};

const PORT: u16 = 40_000;

fn served(settings: &Settings) -> (Engine, [SimNet; 3]) {
    let mut engine = Engine::new(settings).unwrap();
    let nets = [1, 2, 3].map(|n| host(&mut engine, ip(n)));
    serve(&nets[0], "one");
    serve(&nets[1], "two");
    engine.settle(SECOND).unwrap();
    (engine, nets)
}

fn ask(engine: &mut Engine, net: &SimNet, server: SocketAddr) -> String {
    let net = net.clone();
    let answer =
        engine.run_until(async move { get(&mut connect(&net, server).await.unwrap()).await.unwrap() }, 10 * SECOND);
    answer.unwrap()
}

#[test]
fn the_server_and_the_client_itself_see_the_port_chosen() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    let client = client.from_port(PORT).unwrap();
    let stream = engine.run_until(async move { client.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    assert_eq!(stream.local_addr().unwrap(), at(3, PORT));
    assert_eq!(stream.peer_addr().unwrap(), at(1, 80));
}

#[test]
fn a_port_serves_one_connection_after_another_at_once_even_with_jitter() {
    for jitter in [0, 3_000] {
        let link = Link::new(Duration::from_micros(250)).with_jitter(Duration::from_micros(jitter));
        let (mut engine, [_, _, client]) = served(&Settings { link, ..Settings::default() });
        let client = client.from_port(PORT).unwrap();
        for _ in 0..40 {
            assert_eq!(ask(&mut engine, &client, at(1, 80)), format!("one {}", at(3, PORT)));
        }
    }
}

#[test]
fn a_port_goes_to_two_peers_at_once_but_not_twice_to_one() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    let chosen = client.from_port(PORT).unwrap();
    let taken = engine.run_until(
        async move {
            let mut one = connect(&chosen, at(1, 80)).await.unwrap();
            let mut two = connect(&chosen, at(2, 80)).await.unwrap();
            assert_eq!(get(&mut one).await.unwrap(), format!("one {}", at(3, PORT)));
            assert_eq!(get(&mut two).await.unwrap(), format!("two {}", at(3, PORT)));
            chosen.connect(at(1, 80)).await.map(drop)
        },
        10 * SECOND,
    );
    let error = taken.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("port 40000 of 10.0.0.3"), "{error}");
    // Any other port is free.
    assert!(ask(&mut engine, &client, at(1, 80)).starts_with("one 10.0.0.3:"));
}

#[test]
fn a_port_is_free_after_a_reset_and_after_a_refusal() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    let chosen = client.from_port(PORT).unwrap();
    let net = chosen.clone();
    let refused = engine.run_until(async move { net.connect(at(1, 81)).await.map(drop) }, SECOND).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let net = chosen.clone();
    let stream = engine.run_until(async move { net.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.settle(SECOND).unwrap();
    engine.reset_between(ip(3), ip(1));
    engine.settle(SECOND).unwrap();
    drop(stream);
    assert_eq!(ask(&mut engine, &chosen, at(1, 80)), format!("one {}", at(3, PORT)));
}

#[test]
fn a_restarted_host_has_its_port_back_after_the_peer_was_told_of_its_end() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "one");
    let chosen = nets[1].from_port(PORT).unwrap();
    let old = engine.run_until(async move { chosen.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.settle(SECOND).unwrap();
    engine.power_off(nets[1].host()).unwrap();
    drop(old);
    let reborn = engine.restart(nets[1].host()).unwrap().from_port(PORT).unwrap();
    let restarted = engine.now();
    assert_eq!(ask(&mut engine, &reborn, at(1, 80)), format!("one {}", at(2, PORT)));
    assert!(engine.now() > restarted + SYN_RTO, "the first SYN met the old connection");
}

#[test]
fn a_port_of_the_kernels_own_choice_cannot_be_chosen_and_a_chosen_one_not_listened_on() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    for port in [0, 49_152, 65_535] {
        let error = client.from_port(port).unwrap_err();
        assert!(matches!(error, EngineError::PortUnusable(unusable) if unusable == port), "{error}");
    }
    let chosen = client.from_port(PORT).unwrap();
    let _stream = engine.run_until(async move { chosen.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    let in_use = engine.run_until(async move { client.bind(at(3, PORT)).await.map(drop) }, SECOND).unwrap();
    assert_eq!(in_use.unwrap_err().kind(), ErrorKind::AddrInUse);
}

/// Returns the peers of a server on port 80, in order. Connections stay open until the peers end them.
fn arrivals(net: &SimNet) -> Arc<Mutex<Vec<SocketAddr>>> {
    let (net, seen) = (net.clone(), Arc::<Mutex<Vec<SocketAddr>>>::default());
    let told = Arc::clone(&seen);
    net.clone().spawn(async move {
        let listener = net.bind(SocketAddr::new(net.ip(), 80)).await.unwrap();
        loop {
            let (mut stream, peer) = listener.accept().await.unwrap();
            told.lock().unwrap().push(peer);
            net.spawn(async move { while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {} });
        }
    });
    seen
}

async fn gives_up(net: SimNet, peer: SocketAddr) {
    assert!(tokio::time::timeout(SECOND, net.connect(peer)).await.is_err());
}

#[test]
fn a_connect_that_was_given_up_during_a_hold_leaves_nothing_behind() {
    let (mut engine, nets) = engine_with_hosts(2);
    let seen = arrivals(&nets[0]);
    let chosen = nets[1].from_port(PORT).unwrap();
    engine.settle(SECOND).unwrap();
    engine.hold(ip(1), ip(2));
    engine.run_until(gives_up(chosen.clone(), at(1, 80)), 10 * SECOND).unwrap();
    engine.release(ip(1), ip(2));
    engine.settle(SECOND).unwrap();
    assert!(seen.lock().unwrap().is_empty(), "a socket that is gone sends no SYN again");
    let _stream = engine.run_until(async move { chosen.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.settle(SECOND).unwrap();
    assert_eq!(*seen.lock().unwrap(), [at(2, PORT)]);
}

#[test]
fn a_handshake_that_its_client_gives_up_ends_at_the_server_too_which_never_hears_of_it() {
    // The next connect comes after the SYN-ACK, or together with it.
    for together in [false, true] {
        let link = Link::new(Duration::from_millis(10));
        let mut engine = Engine::new(&Settings { link, ..Settings::default() }).unwrap();
        let nets = [1, 2].map(|n| host(&mut engine, ip(n)));
        let seen = arrivals(&nets[0]);
        let chosen = nets[1].from_port(PORT).unwrap();
        engine.settle(SECOND).unwrap();
        let net = chosen.clone();
        chosen.spawn(async move { gives_up(net, at(1, 80)).await });
        engine.advance(Duration::from_millis(5)).unwrap();
        // The SYN is in transit; the answer to it is held.
        engine.hold(ip(1), ip(2));
        engine.advance(2 * SECOND).unwrap();
        engine.release(ip(1), ip(2));
        if !together {
            engine.settle(SECOND).unwrap();
        }
        for _ in 0..3 {
            let net = chosen.clone();
            let started = engine.now();
            let stream = engine.run_until(async move { net.connect(at(1, 80)).await.unwrap() }, 5 * SECOND).unwrap();
            assert!(engine.now() < started + 2 * SYN_RTO, "{together}");
            engine.settle(SECOND).unwrap();
            engine.reset_between(ip(1), ip(2));
            engine.settle(SECOND).unwrap();
            drop(stream);
        }
        assert_eq!(*seen.lock().unwrap(), [at(2, PORT); 3], "{together}: the first never was a connection");
    }
}

/// Tests RFC 9293 3.10.7.3: a RST that does not acknowledge the SYN is dropped. Here the RST answers a segment of the
/// port's last connection.
#[test]
fn a_reset_of_the_last_connection_from_a_port_does_not_refuse_the_next() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    let chosen = client.from_port(PORT).unwrap();
    let connecting = chosen.clone();
    let seen = Arc::<Mutex<Option<bool>>>::default();
    let told = Arc::clone(&seen);
    chosen.spawn(async move {
        let mut stream = connecting.connect(at(1, 80)).await.ok();
        *told.lock().unwrap() = Some(stream.is_some());
        if let Some(stream) = &mut stream {
            while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
            *told.lock().unwrap() = None;
        }
    });
    engine.advance(Duration::from_micros(100)).unwrap();
    engine.forge_reset(at(1, 80), at(3, PORT));
    engine.settle(SECOND).unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(true), "the SYN is answered");
    // The RST ends an existing connection.
    engine.forge_reset(at(1, 80), at(3, PORT));
    engine.settle(SECOND).unwrap();
    assert_eq!(*seen.lock().unwrap(), None);
}

/// Tests a port on which nobody listens: the RST acknowledges the SYN.
#[test]
fn a_connect_from_a_chosen_port_is_refused_where_nobody_listens() {
    let (mut engine, [_, _, client]) = served(&Settings::default());
    let chosen = client.from_port(PORT).unwrap();
    let error = engine.run_until(async move { chosen.connect(at(1, 81)).await.map(drop) }, SECOND).unwrap();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_port_is_free_again_when_the_kernel_gives_up_a_peer_that_lost_its_power() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "one");
    let chosen = nets[1].from_port(PORT).unwrap();
    let net = chosen.clone();
    let stream = engine.run_until(async move { net.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.power_off(nets[0].host()).unwrap();
    drop(stream);
    let reborn = engine.restart(nets[0].host()).unwrap();
    engine.power_off(reborn.host()).unwrap();
    let again = |engine: &mut Engine| {
        let net = chosen.clone();
        engine.run_until(async move { tokio::time::timeout(5 * SECOND, net.connect(at(1, 80))).await }, 10 * SECOND)
    };
    engine.advance(90 * SECOND).unwrap();
    let taken = again(&mut engine).unwrap().unwrap();
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    engine.advance(10 * SECOND).unwrap();
    assert!(again(&mut engine).unwrap().is_err(), "the SYN goes out, to nobody");
}
