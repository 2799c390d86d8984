//! A NAT table: a layer-4 balancer for packets that leaves the choice of the backend to a [`NatPolicy`].

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::router::{Departure, PacketHead, PacketRouter, Reset, Verdict};

/// The time for which the addresses of a closed flow stay known, for its last ACKs. Linux's conntrack also keeps
/// TIME_WAIT, though for two minutes.
const LINGER: Duration = Duration::from_mins(1);

/// The maximum number of closed flows that are kept.
const MOST_LINGERING: usize = 1024;

/// The first port that source NAT uses.
const FIRST_NAT_PORT: u16 = 1024;

/// The addresses that a balancer rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatMode {
    /// Destination and source are rewritten: the server sees this address of the balancer, with a port of the
    /// balancer's choice. Unless it is the service's own address, pass it to
    /// [`Engine::add_router`](super::Engine::add_router) together with that address.
    Source(IpAddr),
    /// Only the destination is rewritten: the server sees the client, and its packets return through the balancer.
    Destination,
    /// Direct server return: the server sees the client and answers it in the service's name, bypassing the balancer.
    /// The balancer sees one direction only.
    DirectReturn,
}

/// The decision of a policy about a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatDecision {
    /// Send the flow to this backend.
    Backend(SocketAddr),
    /// Answer with RST.
    Refuse,
    /// Do not answer the packet.
    Drop,
}

/// A change that a policy makes to an open flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The flow ends with a RST to both sides.
    Reset,
    /// Packets of the flow are dropped from now on, from either side.
    Silence,
    /// Packets of the flow go to this backend from now on.
    Move(SocketAddr),
}

/// What happens to a flow that carries nothing for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleLimit {
    /// The time without a packet from either side.
    pub after: Duration,
    /// What happens to the flow after that time.
    pub then: IdleEnd,
}

/// How a flow ends that has been idle for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleEnd {
    /// The flow ends with a RST to both sides.
    Reset,
    /// The router forgets the flow, and answers packets of unknown flows with a RST.
    Forgotten,
    /// The router forgets the flow, and drops packets of unknown flows.
    Silence,
}

/// One connection through the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRecord {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The address and port of the service, to which the client believes it is connected.
    pub service: SocketAddr,
    /// The server's address and port.
    pub backend: SocketAddr,
    /// The source that the server sees.
    pub seen_as: SocketAddr,
}

/// The end of a flow, as far as the balancer can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// FIN came from both sides; with direct return, from the client.
    Fin,
    /// A RST came from either side.
    Reset,
    /// The client's port was used again for a new connection.
    Replaced,
    /// The policy ended the flow, and both sides were sent a RST.
    Ended,
    /// No packet passed for too long.
    Idle,
}

/// The decisions of a layer-4 balancer, and the events of its flows.
pub trait NatPolicy {
    /// Chooses the destination of a new connection from `client` to `service`. `now` counts from the start.
    fn connect(&mut self, client: SocketAddr, service: SocketAddr, now: Duration) -> NatDecision;

    /// Reports that a flow was added. Its SYN goes to the backend now.
    fn opened(&mut self, flow: &FlowRecord, now: Duration) {
        let _ = (flow, now);
    }

    /// Reports that a flow ended.
    fn closed(&mut self, flow: &FlowRecord, how: Closing, now: Duration) {
        let _ = (flow, how, now);
    }

    /// Returns the next flow whose fate changes, by its client's address and port; `None` if no other flow changes at
    /// this time. Flows that are not open are ignored. [`NatPolicy::closed`] follows a [`Fate::Reset`].
    fn poll(&mut self, now: Duration) -> Option<(SocketAddr, Fate)> {
        let _ = now;
        None
    }

    /// Returns the time at which [`NatPolicy::poll`] is to be called next; `None`: there is no such time.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }
}

/// A [`PacketRouter`] that remembers the destination of each flow.
#[derive(Debug)]
pub struct Nat<P> {
    service: SocketAddr,
    mode: NatMode,
    policy: P,
    most_flows: usize,
    idle: Option<IdleLimit>,
    /// The time before which no open flow can have been idle for too long.
    idle_due: Duration,
    flows: IndexMap<SocketAddr, Flow, FxBuildHasher>,
    /// The client of a flow, by the backend and the source that the backend sees.
    back: IndexMap<(SocketAddr, SocketAddr), SocketAddr, FxBuildHasher>,
    next_port: u16,
    /// The closed flows by the time of their end, the oldest first.
    lingering: VecDeque<(Duration, FlowRecord)>,
}

#[derive(Debug)]
struct Flow {
    record: FlowRecord,
    client_fin: bool,
    backend_fin: bool,
    closed: bool,
    silent: bool,
    /// The time of the last packet, from either side.
    last: Duration,
}

/// The end that sent a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Backend,
}

impl<P: NatPolicy> Nat<P> {
    /// Returns a balancer at `service` for at most `most_flows` connections at a time. Further SYNs are dropped, as
    /// with a full connection table.
    pub fn new(service: SocketAddr, mode: NatMode, most_flows: usize, policy: P) -> Self {
        Self {
            service,
            mode,
            policy,
            most_flows,
            idle: None,
            idle_due: Duration::MAX,
            flows: IndexMap::default(),
            back: IndexMap::default(),
            next_port: FIRST_NAT_PORT,
            lingering: VecDeque::new(),
        }
    }

    /// Returns the same balancer with a limit for idle flows.
    #[must_use]
    pub fn with_idle(self, idle: Option<IdleLimit>) -> Self {
        Self { idle, ..self }
    }

    /// Returns the number of open flows.
    pub fn open_flows(&self) -> usize {
        self.flows.len() - self.lingering.len()
    }

    /// Decides on a client's packet to the service.
    fn forward_to_backend(&mut self, packet: &PacketHead, now: Duration) -> Verdict {
        if packet.flags.syn && !packet.flags.ack {
            return self.open(packet.src, now);
        }
        let Some((record, silent)) = self.flows.get(&packet.src).map(|flow| (flow.record, flow.silent)) else {
            return self.unknown();
        };
        if silent {
            return Verdict::Drop;
        }
        self.follow(record, Sender::Client, packet, now);
        Verdict::Forward { src: record.seen_as, dst: record.backend }
    }

    /// Decides on a server's packet on its way back through the balancer.
    fn forward_to_client(&mut self, packet: &PacketHead, now: Duration) -> Verdict {
        let Some(record) = self.record_of(packet) else {
            return self.unknown();
        };
        if self.flows.get(&record.client).is_some_and(|flow| flow.silent) {
            return Verdict::Drop;
        }
        self.follow(record, Sender::Backend, packet, now);
        Verdict::Forward { src: record.service, dst: record.client }
    }

    /// Decides on a packet of an unknown flow.
    fn unknown(&self) -> Verdict {
        let silent = self.idle.is_some_and(|idle| idle.then == IdleEnd::Silence);
        if silent { Verdict::Drop } else { Verdict::Reset }
    }

    fn open(&mut self, client: SocketAddr, now: Duration) -> Verdict {
        self.expire(now);
        if let Some(old) = self.flows.get(&client).map(|flow| flow.record) {
            self.forget(old, Closing::Replaced, now);
        }
        if self.open_flows() >= self.most_flows {
            return Verdict::Drop;
        }
        let backend = match self.policy.connect(client, self.service, now) {
            NatDecision::Backend(backend) => backend,
            NatDecision::Refuse => return Verdict::Reset,
            NatDecision::Drop => return Verdict::Drop,
        };
        let Some(seen_as) = self.source_for(client, backend) else {
            return Verdict::Drop;
        };
        let record = FlowRecord { client, service: self.service, backend, seen_as };
        let flow = Flow { record, client_fin: false, backend_fin: false, closed: false, silent: false, last: now };
        self.flows.insert(client, flow);
        if let Some(idle) = self.idle {
            self.idle_due = self.idle_due.min(now + idle.after);
        }
        self.back.insert((backend, seen_as), client);
        self.policy.opened(&record, now);
        Verdict::Forward { src: seen_as, dst: backend }
    }

    /// Returns the source that the backend is to see; `None` if source NAT has no port left.
    fn source_for(&mut self, client: SocketAddr, backend: SocketAddr) -> Option<SocketAddr> {
        let NatMode::Source(address) = self.mode else { return Some(client) };
        for _ in FIRST_NAT_PORT..=u16::MAX {
            let source = SocketAddr::new(address, self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_NAT_PORT);
            if source != self.service && !self.back.contains_key(&(backend, source)) {
                return Some(source);
            }
        }
        None
    }

    /// Updates the state of a flow for a packet that is being forwarded.
    fn follow(&mut self, record: FlowRecord, sender: Sender, packet: &PacketHead, now: Duration) {
        if packet.flags.rst {
            self.forget(record, Closing::Reset, now);
            return;
        }
        let Some(flow) = self.flows.get_mut(&record.client) else { return };
        flow.last = now;
        if !packet.flags.fin {
            return;
        }
        match sender {
            Sender::Client => flow.client_fin = true,
            Sender::Backend => flow.backend_fin = true,
        }
        let both = flow.backend_fin || self.mode == NatMode::DirectReturn;
        if flow.client_fin && both && !flow.closed {
            flow.closed = true;
            self.lingering.push_back((now, record));
            self.policy.closed(&record, Closing::Fin, now);
            self.expire(now);
        }
    }

    /// Ends the flows that have been idle for too long.
    fn expire_idle(&mut self, now: Duration, resets: &mut Vec<Reset>) {
        let Some(IdleLimit { after, then }) = self.idle.filter(|_| now >= self.idle_due) else { return };
        let open = || self.flows.values().filter(|flow| !flow.closed);
        let expired: Vec<_> = open().filter(|flow| flow.last + after <= now).map(|flow| flow.record).collect();
        self.idle_due = open().map(|flow| flow.last + after).filter(|&due| due > now).min().unwrap_or(Duration::MAX);
        for record in expired {
            match then {
                IdleEnd::Reset => self.end(record.client, Closing::Idle, now, resets),
                IdleEnd::Forgotten | IdleEnd::Silence => self.forget(record, Closing::Idle, now),
            }
        }
    }

    /// Ends an open flow with a RST to both sides, as AWS's balancer does when a target fails.
    fn end(&mut self, client: SocketAddr, how: Closing, now: Duration, resets: &mut Vec<Reset>) {
        let Some(record) = self.flows.get(&client).filter(|flow| !flow.closed).map(|flow| flow.record) else { return };
        self.forget(record, how, now);
        let at = record.service.ip();
        resets.push(Reset { at, from: record.service, to: record.client });
        resets.push(Reset { at, from: record.seen_as, to: record.backend });
    }

    /// Sends the packets of an open flow to another backend, with another port if the balancer's address is their
    /// source.
    fn divert(&mut self, client: SocketAddr, backend: SocketAddr) {
        let Some(old) = self.flows.get(&client).filter(|flow| !flow.closed).map(|flow| flow.record) else { return };
        let Some(seen_as) = self.source_for(client, backend) else { return };
        self.back.swap_remove(&(old.backend, old.seen_as));
        self.back.insert((backend, seen_as), client);
        if let Some(flow) = self.flows.get_mut(&client) {
            flow.record = FlowRecord { backend, seen_as, ..old };
        }
    }

    /// Forgets a flow at once.
    fn forget(&mut self, record: FlowRecord, how: Closing, now: Duration) {
        let Some(flow) = self.flows.swap_remove(&record.client) else { return };
        self.back.swap_remove(&(record.backend, record.seen_as));
        if flow.closed {
            self.lingering.retain(|(_, old)| *old != record);
        } else {
            self.policy.closed(&record, how, now);
        }
    }

    /// Forgets flows that were closed long ago.
    fn expire(&mut self, now: Duration) {
        while let Some((ended, record)) = self.lingering.front().copied() {
            if now < ended + LINGER && self.lingering.len() <= MOST_LINGERING {
                break;
            }
            self.lingering.pop_front();
            self.flows.swap_remove(&record.client);
            self.back.swap_remove(&(record.backend, record.seen_as));
        }
    }

    /// Returns the flow to which a backend's packet belongs, if there is one.
    fn record_of(&self, packet: &PacketHead) -> Option<FlowRecord> {
        let client = self.back.get(&(packet.src, packet.dst))?;
        self.flows.get(client).map(|flow| flow.record)
    }
}

impl<P: NatPolicy> PacketRouter for Nat<P> {
    fn departs(&mut self, packet: &PacketHead) -> Departure {
        let to_source = matches!(self.mode, NatMode::Source(address) if address == packet.dst.ip());
        if packet.dst.ip() == self.service.ip() || to_source {
            return Departure::Via(packet.dst.ip());
        }
        if matches!(self.mode, NatMode::Source(_)) {
            return Departure::Direct;
        }
        let Some(record) = self.record_of(packet) else { return Departure::Direct };
        match self.mode {
            NatMode::DirectReturn => Departure::DirectFrom(record.service),
            NatMode::Source(_) | NatMode::Destination => Departure::Via(record.service.ip()),
        }
    }

    fn route(&mut self, packet: &PacketHead, now: Duration) -> Verdict {
        if packet.dst == self.service {
            return self.forward_to_backend(packet, now);
        }
        self.forward_to_client(packet, now)
    }

    fn poll(&mut self, now: Duration, resets: &mut Vec<Reset>) {
        while let Some((client, fate)) = self.policy.poll(now) {
            match fate {
                Fate::Reset => self.end(client, Closing::Ended, now, resets),
                Fate::Silence => {
                    if let Some(flow) = self.flows.get_mut(&client) {
                        flow.silent = true;
                    }
                }
                Fate::Move(backend) => self.divert(client, backend),
            }
        }
        self.expire_idle(now, resets);
    }

    fn next_deadline(&self) -> Option<Duration> {
        let idle = Some(self.idle_due).filter(|due| *due != Duration::MAX);
        self.policy.next_deadline().into_iter().chain(idle).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turmoil_net::TcpFlags;

    use super::*;

    const MOST_FLOWS: usize = 8;

    /// A policy that chooses the backend by the client's port, and records which flows open and close.
    #[derive(Default)]
    struct ByPort {
        open: usize,
    }

    impl NatPolicy for ByPort {
        fn connect(&mut self, client: SocketAddr, _: SocketAddr, _: Duration) -> NatDecision {
            match client.port() % 5 {
                0 => NatDecision::Refuse,
                1 => NatDecision::Drop,
                n => NatDecision::Backend(SocketAddr::from(([10, 0, 0, n as u8], 80))),
            }
        }

        fn opened(&mut self, _: &FlowRecord, _: Duration) {
            self.open += 1;
        }

        fn closed(&mut self, _: &FlowRecord, _: Closing, _: Duration) {
            self.open -= 1;
        }
    }

    fn flags() -> impl Strategy<Value = TcpFlags> {
        prop_oneof![Just("S"), Just("SA"), Just("A"), Just("FA"), Just("RA")].prop_map(|letters| TcpFlags {
            syn: letters.contains('S'),
            ack: letters.contains('A'),
            fin: letters.contains('F'),
            rst: letters.contains('R'),
            ..TcpFlags::default()
        })
    }

    fn service() -> SocketAddr {
        SocketAddr::from(([10, 9, 9, 9], 80))
    }

    fn head(src: SocketAddr, dst: SocketAddr, flags: TcpFlags) -> PacketHead {
        PacketHead { src, dst, flags, seq: 0, ack: 0, payload_len: 0 }
    }

    /// Generates packets from 20 client ports, with or without an answer of the server.
    fn traffic() -> impl Strategy<Value = Vec<(u16, TcpFlags, Option<TcpFlags>, u64)>> {
        prop::collection::vec((50_000..50_020_u16, flags(), prop::option::of(flags()), 0..20_u64), 1..200)
    }

    fn modes() -> impl Strategy<Value = NatMode> {
        prop_oneof![Just(NatMode::Source(service().ip())), Just(NatMode::Destination), Just(NatMode::DirectReturn)]
    }

    fn idle_ends() -> impl Strategy<Value = IdleEnd> {
        prop_oneof![Just(IdleEnd::Reset), Just(IdleEnd::Forgotten), Just(IdleEnd::Silence)]
    }

    proptest! {
        #[test]
        fn whatever_comes_the_way_back_leads_to_the_client_and_the_table_stays_bounded(
            mode in modes(),
            idle in prop::option::of(idle_ends()),
            traffic in traffic(),
        ) {
            let idle = idle.map(|then| IdleLimit { after: Duration::from_secs(30), then });
            let mut nat = Nat::new(service(), mode, MOST_FLOWS, ByPort::default()).with_idle(idle);
            let mut now = Duration::ZERO;
            for (port, sent, answered, seconds) in traffic {
                now += Duration::from_secs(seconds);
                let client = SocketAddr::from(([10, 1, 0, 1], port));
                let verdict = nat.route(&head(client, service(), sent), now);
                if let (Verdict::Forward { src, dst }, Some(flags), false) = (verdict, answered, sent.rst) {
                    let answer = head(dst, src, flags);
                    match nat.departs(&answer) {
                        Departure::DirectFrom(source) => prop_assert_eq!(source, service()),
                        Departure::Via(gateway) => {
                            prop_assert_eq!(gateway, service().ip());
                            let back = nat.route(&answer, now);
                            prop_assert_eq!(back, Verdict::Forward { src: service(), dst: client });
                        }
                        Departure::Direct => prop_assert!(false, "the answer would miss the balancer"),
                    }
                }
                nat.poll(now, &mut Vec::new());
                prop_assert!(nat.next_deadline().is_none_or(|due| due > now), "what was due is done");
                prop_assert!(nat.open_flows() <= MOST_FLOWS);
                prop_assert_eq!(nat.flows.len(), nat.back.len());
                prop_assert_eq!(nat.policy.open, nat.open_flows(), "each flow is closed once");
            }
        }
    }

    #[test]
    fn a_closed_flow_still_passes_its_last_ack_and_is_forgotten_after_a_minute() {
        let mut nat = Nat::new(service(), NatMode::Destination, 1, ByPort::default());
        let (client, other) = (SocketAddr::from(([10, 1, 0, 1], 50_002)), SocketAddr::from(([10, 1, 0, 1], 50_003)));
        let flag = |letters: &str| TcpFlags {
            syn: letters.contains('S'),
            ack: letters.contains('A'),
            fin: letters.contains('F'),
            ..TcpFlags::default()
        };
        let backend = SocketAddr::from(([10, 0, 0, 2], 80));
        let onward = Verdict::Forward { src: client, dst: backend };
        assert_eq!(nat.route(&head(client, service(), flag("S")), Duration::ZERO), onward);
        assert_eq!(nat.route(&head(other, service(), flag("S")), Duration::ZERO), Verdict::Drop, "full");
        nat.route(&head(client, service(), flag("FA")), Duration::ZERO);
        nat.route(&head(backend, client, flag("FA")), Duration::ZERO);
        assert_eq!(nat.open_flows(), 0);
        assert_eq!(nat.route(&head(client, service(), flag("A")), Duration::ZERO), onward);
        assert!(matches!(nat.route(&head(other, service(), flag("S")), LINGER), Verdict::Forward { .. }));
        assert_eq!(nat.route(&head(client, service(), flag("A")), LINGER), Verdict::Reset);
    }
    #[test]
    fn an_idle_flow_ends_when_neither_side_has_sent_for_so_long() {
        let client = SocketAddr::from(([10, 1, 0, 1], 50_002));
        let backend = SocketAddr::from(([10, 0, 0, 2], 80));
        let (syn, ack) = (TcpFlags { syn: true, ..TcpFlags::default() }, TcpFlags { ack: true, ..TcpFlags::default() });
        let second = Duration::from_secs;
        for (then, resets_both, unknown) in [
            (IdleEnd::Reset, true, Verdict::Reset),
            (IdleEnd::Forgotten, false, Verdict::Reset),
            (IdleEnd::Silence, false, Verdict::Drop),
        ] {
            let idle = Some(IdleLimit { after: second(10), then });
            let mut nat = Nat::new(service(), NatMode::Destination, 1, ByPort::default()).with_idle(idle);
            nat.route(&head(client, service(), syn), Duration::ZERO);
            nat.route(&head(client, service(), ack), second(4));
            nat.route(&head(backend, client, ack), second(8));
            let mut resets = Vec::new();
            nat.poll(nat.next_deadline().unwrap(), &mut resets);
            assert_eq!(
                (nat.next_deadline(), nat.open_flows()),
                (Some(second(18)), 1),
                "{then:?}: packets came meanwhile"
            );
            nat.poll(second(18), &mut resets);
            assert_eq!((nat.next_deadline(), nat.open_flows(), nat.policy.open), (None, 0, 0), "{then:?}");
            assert_eq!(resets.len(), if resets_both { 2 } else { 0 });
            assert_eq!(nat.route(&head(client, service(), ack), second(19)), unknown);
            assert_eq!(nat.route(&head(backend, client, ack), second(19)), unknown);
            assert!(
                matches!(nat.route(&head(client, service(), syn), second(20)), Verdict::Forward { .. }),
                "a new one"
            );
        }
    }
}
