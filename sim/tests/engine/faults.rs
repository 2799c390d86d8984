//! Tests of crashes, losses of power, restarts, forged resets, partitions and panics.

use std::io::{self, ErrorKind};
use std::time::Duration;

use stickler_net::{Listener, Net, Stream};
use stickler_sim::engine::{Engine, SimNet, SimStream, Stopped};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{SECOND, at, connect, engine_with_hosts, get, ip, serve};

/// Returns a world with a server that keeps its connections, and with a client that is connected to it.
fn connected() -> (Engine, Vec<SimNet>, SimStream) {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    let stream = engine.run_until(async move { client.connect(at(1, 80)).await }, SECOND).unwrap().unwrap();
    engine.settle(SECOND).unwrap();
    (engine, nets, stream)
}

fn read(engine: &mut Engine, stream: &mut SimStream) -> io::Result<usize> {
    engine.run_until(async { stream.read(&mut [0; 64]).await }, SECOND).expect("in time")
}

#[test]
fn a_forged_reset_reads_as_connection_reset() {
    let (mut engine, _nets, mut stream) = connected();
    engine.forge_reset(stream.peer_addr().unwrap(), stream.local_addr().unwrap());
    assert_eq!(read(&mut engine, &mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_forged_reset_fails_a_request_in_hyper() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let listener = engine.run_until(async move { server.bind(at(1, 80)).await }, SECOND).unwrap().unwrap();
    let (ports, port) = tokio::sync::oneshot::channel();
    let (failures, failure) = tokio::sync::oneshot::channel();
    nets[0].spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        ports.send(peer).unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    nets[1].spawn(async move {
        let mut http = connect(&client, at(1, 80)).await.unwrap();
        failures.send(get(&mut http).await.unwrap_err()).unwrap();
    });
    let peer = engine.run_until(port, SECOND).unwrap().unwrap();
    engine.forge_reset(at(1, 80), peer);
    let error = engine.run_until(failure, SECOND).unwrap().unwrap();
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.map(io::Error::kind), Some(ErrorKind::ConnectionReset), "{error:?}");
}

#[test]
fn a_reset_between_two_hosts_ends_their_connections_on_both_sides_and_no_others() {
    let (mut engine, nets) = engine_with_hosts(3);
    let (server, client, other) = (nets[0].clone(), nets[1].clone(), nets[2].clone());
    let streams = engine.run_until(
        async move {
            let listener = server.bind(at(1, 80)).await.unwrap();
            let mut streams = Vec::new();
            for net in [client, other] {
                let (near, far) = tokio::join!(net.connect(at(1, 80)), listener.accept());
                streams.extend([near.unwrap(), far.unwrap().0]);
            }
            streams
        },
        SECOND,
    );
    let mut streams = streams.unwrap();
    engine.reset_between(ip(2), ip(1));
    for stream in &mut streams[..2] {
        assert_eq!(read(&mut engine, stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    engine.run_until(async { streams[2].write_all(b"still here").await }, SECOND).unwrap().unwrap();
    assert_eq!(read(&mut engine, &mut streams[3]).unwrap(), 10);
}

#[test]
fn a_crash_closes_idle_connections_and_refuses_new_ones() {
    let (mut engine, nets, mut stream) = connected();
    engine.crash(nets[0].host()).unwrap();
    assert!(!engine.is_up(nets[0].host()));
    assert_eq!(read(&mut engine, &mut stream).unwrap(), 0, "FIN");
    let client = nets[1].clone();
    let refused = engine.run_until(async move { client.connect(at(1, 80)).await }, SECOND).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_is_sent_to_a_crashed_process_meets_a_reset() {
    let (mut engine, nets, mut stream) = connected();
    engine.crash(nets[0].host()).unwrap();
    engine.run_until(async { stream.write_all(b"GET / HTTP/1.1\r\n").await }, SECOND).unwrap().unwrap();
    engine.settle(SECOND).unwrap();
    assert_eq!(read(&mut engine, &mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_crashed_host_serves_again_after_a_restart_at_the_same_address() {
    let (mut engine, nets, mut stream) = connected();
    let reborn = engine.restart(nets[0].host()).unwrap();
    serve(&reborn, "iis1 again");
    assert_eq!(read(&mut engine, &mut stream).unwrap(), 0, "the old flow was closed in order");
    let client = nets[1].clone();
    let answer =
        engine.run_until(async move { get(&mut connect(&client, at(1, 80)).await.unwrap()).await.unwrap() }, SECOND);
    assert!(answer.unwrap().starts_with("iis1 again 10.0.0.2:"));
    let dead = nets[0].clone();
    let kinds = engine.run_until(
        async move {
            [dead.connect(at(2, 80)).await.map(drop), dead.bind(at(1, 81)).await.map(drop)]
                .map(|result| result.unwrap_err().kind())
        },
        SECOND,
    );
    assert_eq!(kinds, Ok([ErrorKind::NetworkDown; 2]));
}

#[test]
fn lost_power_is_silent_and_old_flows_meet_a_reset_after_the_restart() {
    let (mut engine, nets, mut stream) = connected();
    engine.power_off(nets[0].host()).unwrap();
    let silence = engine.run_until(async { stream.read(&mut [0; 64]).await.map(drop) }, 60 * SECOND);
    assert!(matches!(silence, Err(Stopped::Limit { .. })), "no FIN, no RST: {silence:?}");
    let client = nets[1].clone();
    let unanswered = engine.run_until(async move { client.connect(at(1, 80)).await.map(drop) }, SECOND);
    assert!(matches!(unanswered, Err(Stopped::Limit { .. })), "{unanswered:?}");

    let reborn = engine.restart(nets[0].host()).unwrap();
    serve(&reborn, "iis1 again");
    engine.run_until(async { stream.write_all(b"GET / HTTP/1.1\r\n").await }, SECOND).unwrap().unwrap();
    engine.settle(SECOND).unwrap();
    assert_eq!(read(&mut engine, &mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_clients_old_flows_meet_a_reset_after_its_restart_too() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let (accepted, stream) = tokio::sync::oneshot::channel();
    nets[0].spawn(async move {
        let listener = server.bind(at(1, 80)).await.unwrap();
        accepted.send(listener.accept().await.unwrap().0).unwrap();
    });
    nets[1].spawn(async move {
        let _stream = client.connect(at(1, 80)).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut far = engine.run_until(stream, SECOND).unwrap().unwrap();
    engine.power_off(nets[1].host()).unwrap();
    engine.restart(nets[1].host()).unwrap();
    engine.run_until(async { far.write_all(b"hello").await }, SECOND).unwrap().unwrap();
    engine.settle(SECOND).unwrap();
    assert_eq!(read(&mut engine, &mut far).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_partition_holds_packets_and_its_end_lets_them_through_in_order() {
    let (mut engine, nets) = engine_with_hosts(3);
    serve(&nets[0], "iis1");
    engine.hold(ip(2), ip(1));
    let (answers, answer) = tokio::sync::oneshot::channel();
    let (client, clock) = (nets[1].clone(), engine.clock());
    nets[1].spawn(async move {
        let text = get(&mut connect(&client, at(1, 80)).await.unwrap()).await.unwrap();
        answers.send((text, clock.now())).unwrap();
    });
    let bystander = nets[2].clone();
    let aside =
        engine.run_until(async move { get(&mut connect(&bystander, at(1, 80)).await.unwrap()).await.unwrap() }, SECOND);
    assert!(aside.unwrap().starts_with("iis1 10.0.0.3:"), "others are not held");
    engine.advance(7 * SECOND).unwrap();
    let released = engine.now();
    engine.release(ip(1), ip(2));
    let (text, answered) = engine.run_until(answer, SECOND).unwrap().unwrap();
    assert!(text.starts_with("iis1 10.0.0.2:"));
    assert_eq!(answered.checked_sub(released).unwrap(), Duration::from_millis(1));
}

#[test]
fn a_panic_in_a_hosts_task_ends_the_run_with_its_message() {
    let (mut engine, nets) = engine_with_hosts(1);
    nets[0].spawn(async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        panic!("type 3 without context");
    });
    let Err(Stopped::Panicked(panic)) = engine.advance(SECOND) else { panic!("not reported") };
    let text = "a task of the host 10.0.0.1 panicked at 5ms of simulated time: type 3 without context (sim/tests/engine/faults.rs:";
    assert!(panic.to_string().starts_with(text), "{panic}");
    engine.advance(SECOND).unwrap();
}

#[test]
fn a_task_that_never_waits_ends_the_run() {
    let (mut engine, nets) = engine_with_hosts(1);
    nets[0].spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let Err(Stopped::Panicked(panic)) = engine.advance(SECOND) else { panic!("not reported") };
    assert!(panic.message.contains("this one may wait for nothing"), "{panic}");
    engine.advance(SECOND).unwrap();
}
