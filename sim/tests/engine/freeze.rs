//! Tests of hosts that hang: no task runs, and the kernel continues.

use std::time::Duration;

use stickler_net::Net;
use stickler_sim::engine::{Engine, SimNet, Stopped};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::support::{SECOND, at, connect, engine_with_hosts, get, serve};

fn served() -> (Engine, Vec<SimNet>) {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    engine.settle(SECOND).unwrap();
    (engine, nets)
}

#[test]
fn a_frozen_host_accepts_and_does_not_answer_until_it_thaws() {
    let (mut engine, nets) = served();
    let host = nets[0].host();
    engine.freeze(host);
    assert!(engine.is_frozen(host) && engine.is_up(host));
    let client = nets[1].clone();
    let mut http = engine.run_until(async move { connect(&client, at(1, 80)).await.unwrap() }, SECOND).unwrap();
    let (answers, mut answer) = mpsc::channel(1);
    nets[1].spawn(async move { answers.send(get(&mut http).await.unwrap()).await.unwrap() });
    let silence = engine.run_until(answer.recv(), 60 * SECOND);
    assert!(matches!(silence, Err(Stopped::Limit { .. })), "{silence:?}");
    engine.thaw(host);
    assert!(!engine.is_frozen(host));
    let thawed = engine.now();
    let text = engine.run_until(answer.recv(), SECOND).unwrap().unwrap();
    assert!(text.starts_with("iis1 10.0.0.2:"));
    assert_eq!(engine.now().checked_sub(thawed).unwrap(), Duration::from_micros(250), "one way: it was all there");
}

#[test]
fn a_frozen_hosts_kernel_acknowledges_data_until_its_buffer_is_full() {
    let (mut engine, nets) = served();
    let client = nets[1].clone();
    let mut stream = engine.run_until(async move { client.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.settle(SECOND).unwrap();
    engine.freeze(nets[0].host());
    // There is room for 64 KiB there, and for as much here.
    let blocked = engine.run_until(async { stream.write_all(&vec![b'x'; 100_000]).await }, SECOND);
    assert!(blocked.is_ok());
    let blocked = engine.run_until(async { stream.write_all(&vec![b'x'; 100_000]).await }, SECOND);
    assert!(matches!(blocked, Err(Stopped::Limit { .. })), "{blocked:?}");
}

#[test]
fn timers_that_were_due_while_frozen_fire_at_the_thaw_and_others_on_time() {
    let (mut engine, nets) = engine_with_hosts(1);
    let (beats, mut heard) = mpsc::channel(16);
    let clock = engine.clock();
    nets[0].spawn(async move {
        for wait in [2, 5] {
            tokio::time::sleep(wait * SECOND).await;
            beats.send(clock.now()).await.unwrap();
        }
    });
    engine.advance(SECOND).unwrap();
    engine.freeze(nets[0].host());
    engine.advance(9 * SECOND).unwrap();
    assert!(heard.try_recv().is_err());
    engine.thaw(nets[0].host());
    engine.advance(6 * SECOND).unwrap();
    assert_eq!([heard.try_recv(), heard.try_recv()], [Ok(10 * SECOND), Ok(15 * SECOND)]);
}

#[test]
fn a_task_spawned_on_a_frozen_host_starts_at_the_thaw() {
    let (mut engine, nets) = engine_with_hosts(1);
    engine.freeze(nets[0].host());
    let (started, mut starts) = mpsc::channel(1);
    nets[0].spawn(async move { started.send(()).await.unwrap() });
    engine.advance(SECOND).unwrap();
    assert!(starts.try_recv().is_err());
    engine.thaw(nets[0].host());
    engine.advance(SECOND).unwrap();
    assert_eq!(starts.try_recv(), Ok(()));
}

#[test]
fn a_frozen_host_can_crash_and_is_not_frozen_after_its_restart() {
    let (mut engine, nets) = served();
    let host = nets[0].host();
    engine.freeze(host);
    let client = nets[1].clone();
    let mut stream = engine.run_until(async move { client.connect(at(1, 80)).await.unwrap() }, SECOND).unwrap();
    engine.crash(host).unwrap();
    assert!(!engine.is_frozen(host));
    engine.run_until(async { stream.write_all(b"GET / HTTP/1.1\r\n").await }, SECOND).unwrap().unwrap();
    engine.settle(SECOND).unwrap();
    serve(&engine.restart(host).unwrap(), "iis1 again");
    let client = nets[1].clone();
    let answer =
        engine.run_until(async move { get(&mut connect(&client, at(1, 80)).await.unwrap()).await.unwrap() }, SECOND);
    assert!(answer.unwrap().starts_with("iis1 again"));
    engine.freeze(host);
    engine.power_off(host).unwrap();
    assert!(!engine.is_frozen(host));
}
