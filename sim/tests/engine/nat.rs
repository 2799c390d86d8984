//! Tests of packet-level balancing: source NAT, destination NAT, direct server return.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use stickler_net::{Net, Stream};
use stickler_sim::engine::{
    Closing, Engine, EngineError, Fate, FlowRecord, Nat, NatDecision, NatMode, NatPolicy, SimNet,
};

use tokio::io::AsyncReadExt;

use crate::support::{SECOND, at, connect, engine_with_hosts, get, ip, serve};

const SERVICE: u8 = 100;
const NAT_ADDRESS: u8 = 101;

/// The events that the policy was given, as short lines.
type Heard = Rc<RefCell<Vec<String>>>;

/// A policy with round robin over servers 1 and 2, or with always the same decision.
struct Policy {
    turn: u8,
    always: Option<NatDecision>,
    heard: Heard,
    ends: Ends,
}

/// The clients whose flows the policy ends at a given time.
type Ends = Rc<RefCell<(Duration, Vec<SocketAddr>)>>;

impl NatPolicy for Policy {
    fn connect(&mut self, _: SocketAddr, service: SocketAddr, _: Duration) -> NatDecision {
        assert_eq!(service, at(SERVICE, 80));
        self.turn += 1;
        self.always.unwrap_or(NatDecision::Backend(at(2 - self.turn % 2, 80)))
    }

    fn opened(&mut self, flow: &FlowRecord, _: Duration) {
        self.heard.borrow_mut().push(format!("open {} -> {}", flow.client.ip(), flow.backend.ip()));
    }

    fn closed(&mut self, flow: &FlowRecord, how: Closing, _: Duration) {
        self.heard.borrow_mut().push(format!("{how:?} {} -> {}", flow.client.ip(), flow.backend.ip()));
    }

    fn poll(&mut self, now: Duration) -> Option<(SocketAddr, Fate)> {
        let (due, clients) = &mut *self.ends.borrow_mut();
        if now >= *due { clients.pop().map(|client| (client, Fate::Reset)) } else { None }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let (due, clients) = &*self.ends.borrow();
        (!clients.is_empty() && !due.is_zero()).then_some(*due)
    }
}

/// Returns servers 1 and 2, clients 3 and 4, and a balancer.
fn balanced(mode: NatMode, always: Option<NatDecision>) -> (Engine, Vec<SimNet>, Heard) {
    let (engine, nets, heard, _) = balanced_with(mode, always);
    (engine, nets, heard)
}

fn balanced_with(mode: NatMode, always: Option<NatDecision>) -> (Engine, Vec<SimNet>, Heard, Ends) {
    let (mut engine, nets) = engine_with_hosts(4);
    serve(&nets[0], "one");
    serve(&nets[1], "two");
    let heard = Heard::default();
    let ends = Ends::default();
    let policy = Policy { turn: 0, always, heard: Rc::clone(&heard), ends: Rc::clone(&ends) };
    let nat = Nat::new(at(SERVICE, 80), mode, 100, policy);
    let addresses: &[IpAddr] = &[ip(SERVICE), ip(NAT_ADDRESS)];
    engine.add_router(addresses, Box::new(nat)).unwrap();
    (engine, nets, heard, ends)
}

/// Returns the answer to one request from each client. Each uses its own connection, which is closed afterwards.
fn ask_from_both(engine: &mut Engine, nets: &[SimNet]) -> [String; 2] {
    let (three, four) = (nets[2].clone(), nets[3].clone());
    let answers = engine.run_until(
        async move {
            let mut one = connect(&three, at(SERVICE, 80)).await.unwrap();
            let mut two = connect(&four, at(SERVICE, 80)).await.unwrap();
            [get(&mut one).await.unwrap(), get(&mut two).await.unwrap()]
        },
        SECOND,
    );
    engine.settle(SECOND).unwrap();
    answers.unwrap()
}

const OPEN_AND_CLOSED: [&str; 4] =
    ["open 10.0.0.3 -> 10.0.0.1", "open 10.0.0.4 -> 10.0.0.2", "Fin 10.0.0.3 -> 10.0.0.1", "Fin 10.0.0.4 -> 10.0.0.2"];

#[test]
fn with_source_nat_the_server_sees_the_balancer() {
    for address in [NAT_ADDRESS, SERVICE] {
        let (mut engine, nets, heard) = balanced(NatMode::Source(ip(address)), None);
        let answers = ask_from_both(&mut engine, &nets);
        assert_eq!(answers, [format!("one {}", at(address, 1024)), format!("two {}", at(address, 1025))]);
        assert_eq!(*heard.borrow(), OPEN_AND_CLOSED);
    }
}

#[test]
fn with_destination_nat_the_server_sees_the_client_and_answers_through_the_balancer() {
    let (mut engine, nets, heard) = balanced(NatMode::Destination, None);
    let hops = Rc::new(RefCell::new(0));
    let through = Rc::clone(&hops);
    engine.set_packet_log(Some(Box::new(move |packet| {
        *through.borrow_mut() += u32::from(packet.from == ip(1) && packet.to == ip(SERVICE));
    })));
    let [one, two] = ask_from_both(&mut engine, &nets);
    assert!(one.starts_with("one 10.0.0.3:") && two.starts_with("two 10.0.0.4:"), "{one} {two}");
    assert_eq!(*heard.borrow(), OPEN_AND_CLOSED);
    assert!(*hops.borrow() >= 4, "SYN-ACK, ACK, response, FIN");
}

#[test]
fn with_direct_return_answers_bypass_the_balancer() {
    let (mut engine, nets, heard) = balanced(NatMode::DirectReturn, None);
    engine.set_packet_log(Some(Box::new(|packet| {
        assert!(packet.to != ip(SERVICE) || packet.from == ip(3) || packet.from == ip(4), "{packet:?}");
    })));
    let [one, two] = ask_from_both(&mut engine, &nets);
    assert!(one.starts_with("one 10.0.0.3:") && two.starts_with("two 10.0.0.4:"), "{one} {two}");
    assert_eq!(*heard.borrow(), OPEN_AND_CLOSED);
}

#[test]
fn a_connection_through_the_balancer_takes_both_links_each_way() {
    let (mut engine, nets, _) = balanced(NatMode::Source(ip(NAT_ADDRESS)), None);
    let client = nets[2].clone();
    let peer = engine.run_until(async move { client.connect(at(SERVICE, 80)).await?.peer_addr() }, SECOND);
    assert_eq!(peer.unwrap().unwrap(), at(SERVICE, 80), "the client sees the service only");
    assert_eq!(engine.now(), Duration::from_millis(1));
}

#[test]
fn the_policy_can_refuse_and_drop() {
    let (mut engine, nets, _) = balanced(NatMode::Destination, Some(NatDecision::Refuse));
    let client = nets[2].clone();
    let refused = engine.run_until(async move { client.connect(at(SERVICE, 80)).await }, SECOND).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(engine);
    let (mut engine, nets, _) = balanced(NatMode::Destination, Some(NatDecision::Drop));
    let client = nets[2].clone();
    engine.run_until(async move { client.connect(at(SERVICE, 80)).await.map(drop) }, SECOND).unwrap_err();
}

#[test]
fn a_dead_backend_refuses_through_the_balancer_and_the_flow_is_forgotten() {
    for mode in [NatMode::Source(ip(NAT_ADDRESS)), NatMode::Destination] {
        let (mut engine, nets, heard) = balanced(mode, None);
        engine.crash(nets[0].host()).unwrap();
        let client = nets[2].clone();
        let refused = engine.run_until(async move { client.connect(at(SERVICE, 80)).await }, SECOND).unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(*heard.borrow(), ["open 10.0.0.3 -> 10.0.0.1", "Reset 10.0.0.3 -> 10.0.0.1"]);
    }
}

#[test]
fn a_reset_between_client_and_balancer_reaches_the_server_and_ends_the_flow() {
    for mode in [NatMode::Source(ip(NAT_ADDRESS)), NatMode::Destination] {
        let (mut engine, nets, heard) = balanced(mode, None);
        let client = nets[2].clone();
        let mut http =
            engine.run_until(async move { connect(&client, at(SERVICE, 80)).await.unwrap() }, SECOND).unwrap();
        engine.settle(SECOND).unwrap();
        engine.reset_between(ip(3), ip(SERVICE));
        engine.settle(SECOND).unwrap();
        assert!(engine.run_until(get(&mut http), SECOND).unwrap().is_err());
        assert_eq!(*heard.borrow(), ["open 10.0.0.3 -> 10.0.0.1", "Reset 10.0.0.3 -> 10.0.0.1"]);
        let resets = Rc::new(RefCell::new(0));
        let counter = Rc::clone(&resets);
        engine.set_packet_log(Some(Box::new(move |packet| {
            *counter.borrow_mut() += u32::from(packet.to == ip(1) && packet.flags.rst);
        })));
        engine.reset_between(ip(1), ip(3));
        engine.reset_between(ip(1), ip(NAT_ADDRESS));
        assert_eq!(*resets.borrow(), 0, "the server's side is gone already");
    }
}

#[test]
fn a_partition_behind_the_balancer_leaves_its_other_server_alone() {
    let (mut engine, nets, _) = balanced(NatMode::Source(ip(NAT_ADDRESS)), None);
    engine.hold(ip(1), ip(SERVICE));
    engine.hold(ip(1), ip(NAT_ADDRESS));
    let (three, four) = (nets[2].clone(), nets[3].clone());
    nets[2].spawn(async move { drop(three.connect(at(SERVICE, 80)).await) });
    engine.settle(SECOND).unwrap();
    let answer = engine
        .run_until(async move { get(&mut connect(&four, at(SERVICE, 80)).await.unwrap()).await.unwrap() }, SECOND);
    assert!(answer.unwrap().starts_with("two "));
}

#[test]
fn a_virtual_address_is_no_hosts_and_no_other_routers() {
    let (mut engine, _, heard) = balanced(NatMode::Destination, None);
    assert!(matches!(engine.add_host(ip(SERVICE)), Err(EngineError::AddressTaken(_))));
    for address in [ip(SERVICE), ip(1)] {
        let policy = Policy { turn: 0, always: None, heard: Rc::clone(&heard), ends: Ends::default() };
        let nat = Nat::new(at(SERVICE, 80), NatMode::Destination, 1, policy);
        assert!(matches!(engine.add_router(&[address], Box::new(nat)), Err(EngineError::AddressTaken(_))));
    }
}

#[test]
fn the_policy_ends_a_flow_with_a_reset_to_both_sides_and_leaves_the_others() {
    for mode in [NatMode::Source(ip(NAT_ADDRESS)), NatMode::Destination, NatMode::DirectReturn] {
        for at_a_deadline in [false, true] {
            let (mut engine, nets, heard, ends) = balanced_with(mode, None);
            let (three, four) = (nets[2].clone(), nets[3].clone());
            let connected = engine.run_until(
                async move {
                    let stream = three.connect(at(SERVICE, 80)).await.unwrap();
                    (stream, connect(&four, at(SERVICE, 80)).await.unwrap())
                },
                SECOND,
            );
            let (mut doomed, mut other) = connected.unwrap();
            engine.settle(SECOND).unwrap();
            let resets = Rc::new(RefCell::new(Vec::new()));
            let log = Rc::clone(&resets);
            engine.set_packet_log(Some(Box::new(move |packet| {
                if packet.flags.rst {
                    log.borrow_mut().push(packet.to);
                }
            })));
            let due = if at_a_deadline { engine.now() + 3 * SECOND } else { Duration::ZERO };
            *ends.borrow_mut() = (due, vec![doomed.local_addr().unwrap()]);
            if !at_a_deadline {
                engine.advance(SECOND).unwrap();
                assert!(resets.borrow().is_empty(), "nobody has asked the policy");
                engine.kick().kick();
            }
            let failed = engine.run_until(async { doomed.read(&mut [0; 1]).await }, 10 * SECOND).unwrap();
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert!(!at_a_deadline || engine.now() >= due);
            engine.settle(SECOND).unwrap();
            assert_eq!(*resets.borrow(), [ip(3), ip(1)]);
            assert_eq!(heard.borrow().last().unwrap(), "Ended 10.0.0.3 -> 10.0.0.1");
            assert!(engine.run_until(get(&mut other), SECOND).unwrap().unwrap().starts_with("two "));
        }
    }
}
