//! Logical hosts over kernels: who owns which kernel address and port, and who is up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use turmoil_net::{EnterGuard, HostId as KernelId, KernelConfig};

use super::freeze::Ice;
use super::handshakes::Handshakes;
use super::packet::Segment;
use super::ports::{FlowName, NameState, NamedFlows};
use super::settings::{EngineError, Settings};

/// A logical host of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(u32);

/// One life of a host, from (re)start to crash or power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) host: HostId,
    number: u32,
}

/// Where an arriving segment goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Into a kernel, at this address of its.
    Kernel(SocketAddr),
    /// Data for a socket whose application is gone: the flow is among the aborts now.
    Orphan,
    /// The host answers with RST: no socket of this life of it has the port.
    Refused,
    /// Nowhere: no such host, or it has no power.
    Lost,
}

/// Kernels connect from ports of this range up (turmoil-net's ephemeral ports).
pub(super) const FIRST_PORT: u16 = 49152;

/// Listening addresses that fit in one kernel's subnet, after its first address.
const MOST_SLOTS: usize = 254;

/// turmoil-net drops a SYN beyond the backlog, and a SYN is never sent again here.
const BACKLOG: usize = 1 << 16;

/// All hosts and the kernels under them.
#[derive(Debug)]
pub(super) struct Registry {
    kernels: Vec<Kernel>,
    hosts: Vec<Host>,
    by_ip: BTreeMap<IpAddr, HostId>,
    slots: usize,
    slots_taken: usize,
    /// Flows (kernel address, peer) whose stream was dropped before the peer finished.
    orphans: BTreeSet<(SocketAddr, SocketAddr)>,
    /// Orphans dropped with data unread, which Linux answers with RST at once.
    aborts: Vec<(SocketAddr, SocketAddr)>,
    /// Closed connections whose peers were given up.
    given_up: Vec<(SocketAddr, SocketAddr)>,
    /// Flows from ports that a host chose.
    named: NamedFlows,
    pub(super) handshakes: Handshakes,
}

/// One TCP stack. Its addresses are 240.0.k.1 for connecting, 240.0.k.2 and up as slots.
#[derive(Debug)]
struct Kernel {
    id: KernelId,
    slot_owners: Vec<Life>,
    /// Who connected last from each port, from [`FIRST_PORT`].
    port_owners: Vec<Option<PortOwner>>,
    /// Who called connect, in the order of the SYNs that the kernel will emit, and the port of its
    /// choice. The kernel's port is not known before the SYN shows it.
    connecting: VecDeque<(Life, Option<u16>)>,
}

/// Who connected from a kernel's port.
#[derive(Debug, Clone, Copy)]
struct PortOwner {
    life: Life,
    /// What its peer knows the flow as, where the host chose the port.
    name: Option<FlowName>,
    /// The sequence number of its SYN.
    isn: u32,
}

#[derive(Debug)]
struct Host {
    ip: IpAddr,
    kernel: usize,
    life: u32,
    up: bool,
    /// Lives below this number ended by loss of power: nothing leaves their sockets.
    muted_below: u32,
    /// Kernel and address of the slot, once the host listens.
    slot: Option<(usize, IpAddr)>,
    /// The slots of earlier lives.
    retired: Vec<IpAddr>,
    tasks: Vec<AbortHandle>,
    prune_at: usize,
    /// Of the present life.
    ice: Arc<Ice>,
}

impl Registry {
    pub(super) fn new(settings: &Settings) -> Result<(Self, EnterGuard), EngineError> {
        let kernel_count = settings.kernels;
        if !(1..=255).contains(&kernel_count) {
            return Err(EngineError::Setting { name: "kernels", value: kernel_count, expected: "1 to 255" });
        }
        if settings.slots > kernel_count * MOST_SLOTS {
            let expected = "at most 254 for each of `kernels`";
            return Err(EngineError::Setting { name: "slots", value: settings.slots, expected });
        }
        // Retransmission counts passes, not time, so it is off: the links never lose a segment.
        let config = KernelConfig::default().retx_threshold(u32::MAX).default_backlog(BACKLOG);
        let mut net = turmoil_net::Net::with_config(config);
        let kernels = (0..kernel_count)
            .map(|index| {
                let slots = settings.slots / kernel_count + usize::from(index < settings.slots % kernel_count);
                let addresses: Vec<IpAddr> = (0..=slots).map(|slot| kernel_address(index, slot)).collect();
                let id = net.add_host(addresses);
                Kernel { id, slot_owners: Vec::new(), port_owners: Vec::new(), connecting: VecDeque::new() }
            })
            .collect();
        let registry = Self {
            kernels,
            hosts: Vec::new(),
            by_ip: BTreeMap::new(),
            slots: settings.slots,
            slots_taken: 0,
            orphans: BTreeSet::new(),
            aborts: Vec::new(),
            given_up: Vec::new(),
            named: NamedFlows::default(),
            handshakes: Handshakes::default(),
        };
        Ok((registry, net.enter()))
    }

    // Hosts and their lives.

    pub(super) fn add_host(&mut self, ip: IpAddr) -> Result<HostId, EngineError> {
        if !is_host_address(ip) {
            return Err(EngineError::AddressUnusable(ip));
        }
        if self.by_ip.contains_key(&ip) {
            return Err(EngineError::AddressTaken(ip));
        }
        let id = HostId(self.hosts.len() as u32);
        self.hosts.push(Host {
            ip,
            kernel: self.hosts.len() % self.kernels.len(),
            life: 0,
            up: true,
            muted_below: 0,
            slot: None,
            retired: Vec::new(),
            tasks: Vec::new(),
            prune_at: 64,
            ice: Arc::default(),
        });
        self.by_ip.insert(ip, id);
        Ok(id)
    }

    pub(super) fn find(&self, ip: IpAddr) -> Option<HostId> {
        self.by_ip.get(&ip).copied()
    }

    /// The present life of a host, its address and its kernel.
    pub(super) fn life(&self, id: HostId) -> (Life, IpAddr, KernelId) {
        let host = self.host(id);
        (Life { host: id, number: host.life }, host.ip, self.kernels[host.kernel].id)
    }

    /// What stops the tasks of a host's present life.
    pub(super) fn ice(&self, id: HostId) -> Arc<Ice> {
        Arc::clone(&self.host(id).ice)
    }

    pub(super) fn is_up(&self, id: HostId) -> bool {
        self.host(id).up
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        let host = self.host(life.host);
        host.up && host.life == life.number
    }

    /// Ends a host's life and hands out its tasks to be aborted.
    pub(super) fn take_down(&mut self, id: HostId, power_lost: bool) -> Vec<AbortHandle> {
        let host = self.host_mut(id);
        host.up = false;
        if power_lost {
            host.muted_below = host.life + 1;
        }
        std::mem::take(&mut host.tasks)
    }

    pub(super) fn bring_up(&mut self, id: HostId) {
        let host = self.host_mut(id);
        host.up = true;
        host.life += 1;
        host.ice = Arc::default();
        host.retired.extend(host.slot.take().map(|(_, slot)| slot));
    }

    /// Keeps a task to end it with its host; forgets finished ones as their number doubles.
    pub(super) fn adopt(&mut self, life: Life, task: AbortHandle) {
        let host = self.host_mut(life.host);
        if host.tasks.len() >= host.prune_at {
            host.tasks.retain(|task| !task.is_finished());
            host.prune_at = (2 * host.tasks.len()).max(64);
        }
        host.tasks.push(task);
    }

    // Sockets.

    /// The kernel and its address to listen on.
    pub(super) fn listen_address(&mut self, life: Life, port: u16) -> Result<(KernelId, IpAddr), ListenError> {
        let host = self.host(life.host);
        let connected = self.kernels[host.kernel].port_owner(port).is_some_and(|owner| owner.connects_from(port, life));
        if connected || self.named.uses(life.host, port) {
            return Err(ListenError::InUse);
        }
        if let Some(slot) = host.slot {
            return Ok(self.socket_home(slot));
        }
        if self.slots_taken == self.slots {
            return Err(ListenError::OutOfSlots(EngineError::OutOfSlots { host: host.ip, slots: self.slots }));
        }
        // Slots are dealt out over the kernels in turn, and need not be on the host's own.
        let kernel = self.slots_taken % self.kernels.len();
        self.slots_taken += 1;
        self.kernels[kernel].slot_owners.push(life);
        let slot = (kernel, kernel_address(kernel, self.kernels[kernel].slot_owners.len()));
        self.host_mut(life.host).slot = Some(slot);
        Ok(self.socket_home(slot))
    }

    /// Reserves a port of the host's choice for a connect to `peer`. `gone` is the socket that
    /// [`NameState::TakenBy`] named, if it no longer exists.
    pub(super) fn reserve(&mut self, life: Life, port: u16, peer: SocketAddr, gone: Option<SocketAddr>) -> NameState {
        self.named.reserve((life.host, port, peer), life, gone)
    }

    /// Notes that `life` is about to call connect, from a port of its choice or any; the kernel's
    /// next SYN is its.
    pub(super) fn will_connect(&mut self, life: Life, port: Option<u16>) {
        self.home_of(life).connecting.push_back((life, port));
    }

    /// The connect failed before it sent a SYN.
    pub(super) fn connect_failed(&mut self, life: Life, peer: SocketAddr) {
        if let Some((_, Some(port))) = self.home_of(life).connecting.pop_back() {
            self.named.given_up((life.host, port, peer));
        }
    }

    /// Whether a logical address is a host's, with a port of the host's choice.
    pub(super) fn is_chosen(&self, address: SocketAddr) -> bool {
        !self.named.is_empty() && self.find(address.ip()).is_some_and(|host| self.named.uses(host, address.port()))
    }

    /// The application is done with a connection from a port of the host's choice.
    pub(super) fn closed(&mut self, life: Life, port: u16, peer: SocketAddr, now: Duration) {
        self.named.closed((life.host, port, peer), now);
    }

    /// Ends a closed connection from a port of the host's choice, if its peer has not answered for so long that a kernel
    /// gives up to tell it, and returns whether there is one.
    pub(super) fn gives_up(&mut self, life: Life, port: u16, peer: SocketAddr, now: Duration) -> bool {
        let overdue = self.named.take_overdue((life.host, port, peer), now);
        self.given_up.extend(overdue.map(|socket| (socket, peer)));
        overdue.is_some()
    }

    /// Sockets to end without a word to the peer, with that.
    pub(super) fn take_given_up(&mut self) -> Vec<(SocketAddr, SocketAddr)> {
        std::mem::take(&mut self.given_up)
    }

    /// A stream was dropped before its peer finished. With `unread` data the flow is reset at once.
    pub(super) fn orphan(&mut self, life: Life, local: SocketAddr, peer: SocketAddr, unread: bool) {
        if life.number < self.host(life.host).muted_below {
            return;
        }
        if unread {
            self.aborts.push((local, peer));
        } else {
            self.orphans.insert((local, peer));
        }
    }

    /// An address of each kernel, to inspect it by.
    pub(super) fn kernel_addresses(&self) -> Vec<IpAddr> {
        (0..self.kernels.len()).map(|kernel| kernel_address(kernel, 0)).collect()
    }

    /// Flows to reset at both ends: the kernel's socket and, from its logical address, the peer.
    pub(super) fn take_aborts(&mut self) -> Vec<(SocketAddr, SocketAddr)> {
        std::mem::take(&mut self.aborts)
    }

    // The path of a packet.

    /// The logical source of a segment that a kernel emitted; `None` if its host has no power.
    pub(super) fn departure(&mut self, segment: &Segment) -> Option<SocketAddr> {
        if segment.is_syn() {
            let kernel = self.kernels.get_mut(kernel_index(segment.src.ip())?)?;
            let (life, port) = kernel.connecting.pop_front()?;
            let name = port.map(|port| (life.host, port, segment.dst));
            let before = kernel.set_port_owner(segment.src.port(), PortOwner { life, name, isn: segment.tcp.seq });
            if let Some(before) = before.and_then(|owner| owner.name) {
                self.named.recycled(before, segment.src);
            }
            if let Some(name) = name {
                self.named.opened(name, life, segment.src);
            }
            self.orphans.remove(&(segment.src, segment.dst));
        } else if segment.tcp.flags.syn {
            self.handshakes.answered((segment.src, segment.dst), segment.tcp.seq.wrapping_add(1));
        }
        self.logical(segment.src)
    }

    /// Whether a SYN-ACK acknowledges the SYN of the socket at this kernel's address (RFC 9293 3.10.7.3). One for an
    /// earlier connection from a chosen port does not.
    pub(super) fn is_answered(&self, address: SocketAddr, acknowledged: u32) -> bool {
        let owner = || {
            let kernel = self.kernels.get(kernel_index(address.ip())?)?;
            kernel.port_owner(address.port()).filter(|_| slot_index(address.ip()) == Some(0))
        };
        owner().is_none_or(|owner| owner.isn.wrapping_add(1) == acknowledged)
    }

    /// The kernel's address of the socket that a SYN comes from, which may be gone by now; `None` where a router sends it
    /// by another name.
    pub(super) fn origin(&self, syn: &Segment) -> Option<SocketAddr> {
        let id = self.find(syn.src.ip())?;
        let home = self.host(id).kernel;
        let owners = (FIRST_PORT..=u16::MAX).zip(&self.kernels[home].port_owners);
        let is_it = |owner: &PortOwner, port| {
            let shown = owner.name.map_or(port, |(_, shown, _)| shown);
            (owner.life.host, shown, owner.isn) == (id, syn.src.port(), syn.tcp.seq)
        };
        let mut found =
            owners.filter_map(|(port, owner)| owner.as_ref().filter(|owner| is_it(owner, port)).map(|_| port));
        found.next_back().map(|port| SocketAddr::new(kernel_address(home, 0), port))
    }

    /// What peers know a kernel's address as; `None` if its host has no power.
    pub(super) fn logical(&self, address: SocketAddr) -> Option<SocketAddr> {
        let kernel = self.kernels.get(kernel_index(address.ip())?)?;
        let (life, port) = match slot_index(address.ip())? {
            0 => {
                let PortOwner { life, name, .. } = kernel.port_owner(address.port())?;
                (life, name.map_or(address.port(), |(_, port, _)| port))
            }
            slot => (*kernel.slot_owners.get(slot - 1)?, address.port()),
        };
        let host = self.host(life.host);
        (life.number >= host.muted_below).then(|| SocketAddr::new(host.ip, port))
    }

    /// Where a segment for a logical address goes. Data for an orphan adds to the aborts.
    pub(super) fn arrival(&mut self, segment: &Segment) -> Arrival {
        let Some(&id) = self.by_ip.get(&segment.dst.ip()) else { return Arrival::Lost };
        let host = self.host(id);
        if host.life < host.muted_below {
            return Arrival::Lost;
        }
        let Some(local) = self.socket_address(id, segment) else { return Arrival::Refused };
        let flow = (local, segment.src);
        let flags = segment.tcp.flags;
        if self.orphans.is_empty() || !self.orphans.contains(&flow) {
            return Arrival::Kernel(local);
        }
        if !segment.tcp.payload.is_empty() && !flags.rst {
            self.orphans.remove(&flow);
            self.aborts.push(flow);
            return Arrival::Orphan;
        }
        if flags.fin || flags.rst || flags.syn {
            self.orphans.remove(&flow);
        }
        Arrival::Kernel(local)
    }

    /// The kernel address that stands for a host's port: where it connected from, or its slot. An
    /// earlier life's is found only while its kernel still winds up that flow.
    fn socket_address(&self, id: HostId, segment: &Segment) -> Option<SocketAddr> {
        let host = self.host(id);
        let port = segment.dst.port();
        let unnamed = || {
            let owner = self.kernels[host.kernel].port_owner(port).filter(|owner| owner.name.is_none())?;
            Some((owner.life, SocketAddr::new(kernel_address(host.kernel, 0), port)))
        };
        let named = if self.named.is_empty() { None } else { self.named.socket((id, port, segment.src)) };
        if let Some((life, connected)) = named.or_else(unnamed)
            && life.host == id
            && (life.number == host.life || self.orphans.contains(&(connected, segment.src)))
        {
            return Some(connected);
        }
        let old = host.retired.iter().map(|slot| SocketAddr::new(*slot, port));
        let old = if self.orphans.is_empty() || segment.is_syn() {
            None
        } else {
            old.into_iter().find(|address| self.orphans.contains(&(*address, segment.src)))
        };
        old.or(host.slot.map(|(_, slot)| SocketAddr::new(slot, port)))
    }

    fn socket_home(&self, (kernel, address): (usize, IpAddr)) -> (KernelId, IpAddr) {
        (self.kernels[kernel].id, address)
    }

    fn home_of(&mut self, life: Life) -> &mut Kernel {
        let kernel = self.host(life.host).kernel;
        &mut self.kernels[kernel]
    }

    fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0 as usize]
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0 as usize]
    }
}

impl Kernel {
    fn port_owner(&self, port: u16) -> Option<PortOwner> {
        let index = port.checked_sub(FIRST_PORT)?;
        self.port_owners.get(usize::from(index)).copied().flatten()
    }

    /// Returns the owner before.
    fn set_port_owner(&mut self, port: u16, owner: PortOwner) -> Option<PortOwner> {
        let index = usize::from(port.checked_sub(FIRST_PORT)?);
        if index >= self.port_owners.len() {
            self.port_owners.resize(index + 1, None);
        }
        self.port_owners[index].replace(owner)
    }
}

impl PortOwner {
    /// Whether this life connected from the kernel's port, and its peers know it.
    fn connects_from(&self, port: u16, life: Life) -> bool {
        self.life == life && self.name.is_none_or(|(_, shown, _)| shown == port)
    }
}

/// Why a host cannot listen.
#[derive(Debug)]
pub(super) enum ListenError {
    /// A connection of the host holds the port.
    InUse,
    /// [`EngineError::OutOfSlots`].
    OutOfSlots(EngineError),
}

/// Whether a logical host can have the address: IPv4 unicast that is not a kernel's.
pub(super) fn is_host_address(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] != 0 && v4.octets()[0] < 224 && !v4.is_loopback())
}

/// The kernel's first address (0) or one of its slots (from 1). 240.0.0.0/4 is reserved (RFC 1112),
/// so that no logical host can have it.
fn kernel_address(kernel: usize, slot: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(240, 0, kernel as u8, slot as u8 + 1))
}

fn kernel_index(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    Some(usize::from(address.octets()[2]))
}

fn slot_index(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    usize::from(address.octets()[3]).checked_sub(1)
}
