//! The path of a packet: out of a kernel, over links and routers, into a kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use turmoil_net::{EnterGuard, NetstatEntry, NetstatState, Packet};

use super::drive::Stats;
use super::hosts::Arrival;
use super::links::{Links, SYN_RTO, Transit};
use super::packet::{PacketLog, PacketRecord, Segment};
use super::router::{Departure, PacketRouter, Reset, Verdict};
use super::settings::{EngineError, Settings};
use super::shared::Shared;

/// The kernels, links and routers, and the packets in transit.
pub(super) struct Network {
    kernels: EnterGuard,
    shared: Arc<Shared>,
    pub(super) links: Links,
    pub(super) log: Option<PacketLog>,
    routers: Vec<Box<dyn PacketRouter>>,
    /// Whether packets were routed since the routers were last polled.
    routed: bool,
    virtual_ips: BTreeMap<IpAddr, usize>,
    /// The packets by their arrival in nanoseconds. Packets that arrive together are in the order in which they were
    /// sent.
    queue: BTreeMap<u64, Vec<Transit>>,
    /// Buffers that are reused.
    egress: Vec<Packet>,
    spare: Vec<Vec<Transit>>,
    stats: Stats,
}

impl Network {
    pub(super) fn new(settings: &Settings, kernels: EnterGuard, shared: Arc<Shared>) -> Self {
        Self {
            kernels,
            shared,
            links: Links::new(settings),
            log: None,
            routers: Vec::new(),
            routed: false,
            virtual_ips: BTreeMap::new(),
            queue: BTreeMap::new(),
            egress: Vec::new(),
            spare: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.stats
    }

    pub(super) fn is_virtual(&self, ip: IpAddr) -> bool {
        self.virtual_ips.contains_key(&ip)
    }

    pub(super) fn add_router(
        &mut self,
        addresses: &[IpAddr],
        router: Box<dyn PacketRouter>,
    ) -> Result<(), EngineError> {
        if let Some(taken) = addresses.iter().find(|ip| self.is_virtual(**ip)) {
            return Err(EngineError::AddressTaken(*taken));
        }
        self.virtual_ips.extend(addresses.iter().map(|ip| (*ip, self.routers.len())));
        self.routers.push(router);
        Ok(())
    }

    /// Takes the packets that the kernels want to send, and sends them. It costs nothing if no socket was used.
    pub(super) fn collect(&mut self) {
        if !self.shared.take_dirty() {
            return;
        }
        self.stats.passes += 1;
        let mut egress = std::mem::take(&mut self.egress);
        self.kernels.egress_all(&mut egress);
        for packet in egress.drain(..) {
            let Some(mut segment) = Segment::from_packet(packet) else { continue };
            let Some(source) = self.shared.registry().departure(&segment) else { continue };
            segment.src = source;
            self.stats.packets += 1;
            self.depart(source.ip(), None, segment);
        }
        self.egress = egress;
        // The RST comes after the data that they may have written before, which has left by then.
        self.abort_orphans();
        self.end_given_up();
    }

    /// Lets the routers perform their unsolicited work if it is due.
    pub(super) fn poll_routers(&mut self) {
        let kicked = self.shared.take_kick() | std::mem::take(&mut self.routed);
        let now = self.shared.clock.now();
        if !kicked && self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut resets = Vec::new();
        for index in 0..self.routers.len() {
            self.routers[index].poll(now, &mut resets);
            for Reset { at, from, to } in resets.drain(..) {
                self.depart(at, Some(index), Segment::reset(from, to));
            }
        }
    }

    /// Returns the time at which a router wants to be polled.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.routers.iter().filter_map(|router| router.next_deadline()).min()
    }

    /// Returns the time at which the next packet arrives, in nanoseconds.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(at, _)| *at)
    }

    /// Delivers all packets that arrive next, together. Returns `true` if any of them reached a host.
    pub(super) fn deliver(&mut self) -> bool {
        let Some((_, mut batch)) = self.queue.pop_first() else { return false };
        let mut reached = false;
        for transit in batch.drain(..) {
            // A chosen port is reused at once. The kernel must have forgotten the connection whose last ACK arrived
            // just before; otherwise it would take the SYN for a part of that connection.
            if reached && transit.segment.is_syn() && self.shared.registry().is_chosen(transit.segment.src) {
                self.shared.mark_dirty();
                self.collect();
            }
            match transit.router {
                Some(router) => self.route(router, transit),
                None => reached |= self.arrive(transit.segment),
            }
        }
        self.spare.push(batch);
        if reached {
            self.shared.mark_dirty();
        }
        reached
    }

    /// Sends the packets of a hold, except for the SYN of a connect that was given up: a packet that arrives now
    /// represents one that was sent repeatedly in the meantime, and a socket that is gone sends nothing.
    pub(super) fn release(&mut self, from: IpAddr, to: IpAddr) {
        for transit in self.links.release(from, to) {
            if !self.was_given_up(&transit.segment) {
                self.send(transit);
            }
        }
    }

    /// Returns whether a segment is the SYN of a socket that is gone.
    fn was_given_up(&self, segment: &Segment) -> bool {
        let origin = if segment.is_syn() { self.shared.registry().origin(segment) } else { None };
        origin.is_some_and(|socket| {
            let sockets = turmoil_net::netstat(socket.ip()).entries;
            !sockets.iter().any(|entry| entry.local == socket && entry.state == Some(NetstatState::SynSent))
        })
    }

    /// See [`Engine::forge_reset`](super::Engine::forge_reset).
    pub(super) fn forge_reset(&mut self, from: SocketAddr, to: SocketAddr) {
        let segment = Segment::reset(from, to);
        let router = self.virtual_ips.get(&to.ip()).copied();
        let transit = Transit { from: from.ip(), to: to.ip(), router, segment };
        let now = self.shared.clock.nanos();
        self.report(&transit, now, Some(now));
        self.queue.entry(now).or_default().push(transit);
    }

    /// See [`Engine::reset_between`](super::Engine::reset_between).
    pub(super) fn reset_between(&mut self, a: IpAddr, b: IpAddr) {
        let kernels = self.shared.registry().kernel_addresses();
        for socket in kernels.into_iter().flat_map(|kernel| turmoil_net::netstat(kernel).entries) {
            let Some(peer) = socket.peer else { continue };
            let Some(local) = self.shared.registry().logical(socket.local) else { continue };
            if (local.ip(), peer.ip()) != (a, b) && (local.ip(), peer.ip()) != (b, a) {
                continue;
            }
            self.forge_reset(peer, local);
            // The other host's socket is handled in its own turn. A router has no socket, only its table.
            if self.is_virtual(peer.ip()) {
                self.forge_reset(local, peer);
            }
        }
    }

    /// Chooses the link on which a segment leaves `at`, skipping the router from which it comes.
    fn depart(&mut self, at: IpAddr, leaving: Option<usize>, mut segment: Segment) {
        let mut to = segment.dst.ip();
        if !self.routers.is_empty() {
            let head = segment.head();
            for (index, router) in self.routers.iter_mut().enumerate() {
                if leaving == Some(index) {
                    continue;
                }
                match router.departs(&head) {
                    Departure::Direct => continue,
                    Departure::DirectFrom(source) => segment.src = source,
                    Departure::Via(gateway) => to = gateway,
                }
                break;
            }
        }
        let router = self.virtual_ips.get(&to).copied();
        self.send(Transit { from: at, to, router, segment });
    }

    fn send(&mut self, transit: Transit) {
        let now = self.shared.clock.nanos();
        if self.links.holds(transit.from, transit.to) {
            self.report(&transit, now, None);
            self.links.keep(transit);
            return;
        }
        let at = self.links.arrival(&transit, now);
        self.report(&transit, now, Some(at));
        self.queue.entry(at).or_insert_with(|| self.spare.pop().unwrap_or_default()).push(transit);
    }

    fn route(&mut self, index: usize, transit: Transit) {
        let Transit { to: gateway, mut segment, .. } = transit;
        // Only a cycle of routers could exhaust this number.
        let Some(ttl) = segment.ttl.checked_sub(1) else { return };
        self.routed = true;
        match self.routers[index].route(&segment.head(), self.shared.clock.now()) {
            Verdict::Drop => {}
            Verdict::Forward { src, dst } => {
                let segment = Segment { src, dst, ttl, ..segment };
                self.depart(gateway, Some(index), segment);
            }
            Verdict::Reset => {
                segment.ttl = ttl;
                if let Some(reset) = segment.refusal() {
                    self.depart(gateway, Some(index), reset);
                }
            }
        }
    }

    /// Passes a segment to its host's kernel. Returns `false` if there is no such host, or it has no power.
    fn arrive(&mut self, segment: Segment) -> bool {
        // The lock ends with this statement, because delivery wakes tasks.
        let arrival = self.shared.registry().arrival(&segment);
        match arrival {
            Arrival::Kernel(address) => self.enter(segment, address),
            Arrival::Orphan => {}
            Arrival::Refused => {
                if let Some(reset) = segment.refusal() {
                    self.depart(reset.src.ip(), None, reset);
                }
            }
            Arrival::Lost => return false,
        }
        true
    }

    /// Passes a segment to a kernel, at this address.
    fn enter(&mut self, segment: Segment, address: SocketAddr) {
        let flags = segment.tcp.flags;
        if self.meets_its_past(&segment, address) {
            self.reset(segment.src, address);
            let at = self.shared.clock.nanos().saturating_add(SYN_RTO.as_nanos() as u64);
            let to = segment.dst.ip();
            let transit = Transit { from: segment.src.ip(), to, router: None, segment };
            self.queue.entry(at).or_default().push(transit);
        } else if flags.rst {
            if !self.is_of_the_past(&segment, address) {
                self.reset(segment.src, address);
            }
        } else if flags.syn && flags.ack && !self.shared.registry().is_answered(address, segment.tcp.ack) {
            // This answers a connect that was given up, from a port that is in use again. A real host answers with RST
            // (RFC 9293 3.10.7.3). Here the server's side ends when the next SYN reaches it.
        } else {
            if flags.ack {
                self.shared.registry().handshakes.acknowledged((address, segment.src), segment.tcp.ack);
            }
            self.kernels.deliver(segment.into_packet(address));
        }
    }

    /// Resets a kernel's socket in the name of its peer.
    fn reset(&self, peer: SocketAddr, address: SocketAddr) {
        let unfinished = self.shared.registry().handshakes.reset((address, peer));
        if let Some(acknowledgement) = unfinished {
            self.kernels.deliver(Segment::acknowledgement(peer, address, acknowledgement).into_packet(address));
        }
        self.kernels.deliver(Segment::reset(peer, address).into_packet(address));
    }

    /// Returns whether a SYN from a chosen port finds the port's last connection still open. A real host answers with a
    /// challenge ACK, the sender resets the old connection, and the SYN is sent again after a timeout (RFC 5961 4.2).
    fn meets_its_past(&self, segment: &Segment, address: SocketAddr) -> bool {
        segment.is_syn()
            && self.shared.registry().is_chosen(segment.src)
            && turmoil_net::netstat(address.ip())
                .entries
                .iter()
                .any(|entry| (entry.local, entry.peer) == (address, Some(segment.src)))
    }

    /// Returns whether a RST finds a socket that waits for the answer to its SYN at a chosen port, and does not
    /// acknowledge that SYN: it concerns the port's last connection. A real host drops it (RFC 9293 3.10.7.3), but a
    /// kernel of turmoil-net would treat it as a refusal.
    fn is_of_the_past(&self, reset: &Segment, address: SocketAddr) -> bool {
        let is_refusal = reset.tcp.flags.ack && self.shared.registry().is_answered(address, reset.tcp.ack);
        let waits = |entry: &NetstatEntry| {
            (entry.local, entry.peer, entry.state) == (address, Some(reset.src), Some(NetstatState::SynSent))
        };
        !is_refusal
            && self.shared.registry().is_chosen(reset.dst)
            && turmoil_net::netstat(address.ip()).entries.iter().any(waits)
    }

    /// Resets flows whose application is gone, at both ends (RFC 9293 3.6.1, and Linux if data was left unread).
    fn abort_orphans(&mut self) {
        let aborts = self.shared.registry().take_aborts();
        for (local, peer) in aborts {
            let source = self.shared.registry().logical(local);
            self.kernels.deliver(Segment::reset(peer, local).into_packet(local));
            if let Some(source) = source {
                self.depart(source.ip(), None, Segment::reset(source, peer));
            }
        }
    }

    /// Ends the connections whose peers have not answered for too long.
    fn end_given_up(&mut self) {
        let given_up = self.shared.registry().take_given_up();
        for (local, peer) in given_up {
            self.kernels.deliver(Segment::reset(peer, local).into_packet(local));
            // The kernel removes closed connections when it is asked for packets.
            self.shared.mark_dirty();
        }
    }

    fn report(&mut self, transit: &Transit, now: u64, arrives: Option<u64>) {
        let Some(log) = &mut self.log else { return };
        let Transit { from, to, segment, .. } = transit;
        log(&PacketRecord {
            sent: Duration::from_nanos(now),
            arrives: arrives.map(Duration::from_nanos),
            from: *from,
            to: *to,
            src: segment.src,
            dst: segment.dst,
            flags: segment.tcp.flags,
            seq: segment.tcp.seq,
            ack: segment.tcp.ack,
            window: segment.tcp.window,
            payload: &segment.tcp.payload,
        });
    }
}
