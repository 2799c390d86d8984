//! Logical hosts on kernels: the owners of kernel addresses and ports, and which hosts are up.

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

/// One life of a host, from its start or restart to a crash or a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) host: HostId,
    number: u32,
}

/// The destination of an arriving segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A kernel, at this address.
    Kernel(SocketAddr),
    /// Data for a socket whose application is gone. The flow is now among the aborts.
    Orphan,
    /// The host answers with RST, because no socket of its current life has the port.
    Refused,
    /// No destination: there is no such host, or it has no power.
    Lost,
}

/// The first port from which kernels connect (turmoil-net's ephemeral ports).
pub(super) const FIRST_PORT: u16 = 49152;

/// The number of listening addresses that fit into one kernel's subnet, after its first address.
const MOST_SLOTS: usize = 254;

/// The backlog of listeners. turmoil-net drops a SYN beyond the backlog, and here a SYN is never sent again.
const BACKLOG: usize = 1 << 16;

/// All hosts, and the kernels on which they run.
#[derive(Debug)]
pub(super) struct Registry {
    kernels: Vec<Kernel>,
    hosts: Vec<Host>,
    by_ip: BTreeMap<IpAddr, HostId>,
    slots: usize,
    slots_taken: usize,
    /// The flows (kernel address, peer) whose stream was dropped before the peer finished.
    orphans: BTreeSet<(SocketAddr, SocketAddr)>,
    /// The orphans that were dropped with unread data, which Linux answers with RST at once.
    aborts: Vec<(SocketAddr, SocketAddr)>,
    /// The closed connections whose peers were given up.
    given_up: Vec<(SocketAddr, SocketAddr)>,
    /// The flows from ports that a host chose.
    named: NamedFlows,
    pub(super) handshakes: Handshakes,
}

/// One TCP stack. It connects from 240.0.k.1, and its slots are 240.0.k.2 and following.
#[derive(Debug)]
struct Kernel {
    id: KernelId,
    slot_owners: Vec<Life>,
    /// The last user of each port, starting from [`FIRST_PORT`].
    port_owners: Vec<Option<PortOwner>>,
    /// The lives that called connect, in the order of the SYNs that the kernel will emit, each with the port of its
    /// choice. The kernel's port is not known before the SYN shows it.
    connecting: VecDeque<(Life, Option<u16>)>,
}

/// The user of a kernel's port.
#[derive(Debug, Clone, Copy)]
struct PortOwner {
    life: Life,
    /// The name by which its peer knows the flow, if the host chose the port.
    name: Option<FlowName>,
    /// The sequence number of the SYN.
    isn: u32,
}

#[derive(Debug)]
struct Host {
    ip: IpAddr,
    kernel: usize,
    life: u32,
    up: bool,
    /// The number below which lives ended by a loss of power, so nothing leaves their sockets.
    muted_below: u32,
    /// The kernel and the address of the slot, once the host listens.
    slot: Option<(usize, IpAddr)>,
    /// The slots of earlier lives.
    retired: Vec<IpAddr>,
    tasks: Vec<AbortHandle>,
    prune_at: usize,
    /// The freezer of the current life.
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
        // Retransmission counts passes and not time. It is off, because the links never lose a segment.
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

    /// Returns the current life of a host, its address and its kernel.
    pub(super) fn life(&self, id: HostId) -> (Life, IpAddr, KernelId) {
        let host = self.host(id);
        (Life { host: id, number: host.life }, host.ip, self.kernels[host.kernel].id)
    }

    /// Returns the freezer of the tasks of a host's current life.
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

    /// Ends a host's life, and returns its tasks so that they can be aborted.
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

    /// Keeps a task in order to end it with its host. Whenever their number has doubled, finished tasks are removed.
    pub(super) fn adopt(&mut self, life: Life, task: AbortHandle) {
        let host = self.host_mut(life.host);
        if host.tasks.len() >= host.prune_at {
            host.tasks.retain(|task| !task.is_finished());
            host.prune_at = (2 * host.tasks.len()).max(64);
        }
        host.tasks.push(task);
    }

    // Sockets.

    /// Returns the kernel and its address on which to listen.
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
        // Slots are assigned to the kernels in turn, and need not be on the host's own kernel.
        let kernel = self.slots_taken % self.kernels.len();
        self.slots_taken += 1;
        self.kernels[kernel].slot_owners.push(life);
        let slot = (kernel, kernel_address(kernel, self.kernels[kernel].slot_owners.len()));
        self.host_mut(life.host).slot = Some(slot);
        Ok(self.socket_home(slot))
    }

    /// Reserves a port of the host's choice for a connection to `peer`. `gone` is the socket that
    /// [`NameState::TakenBy`] named, if it no longer exists.
    pub(super) fn reserve(&mut self, life: Life, port: u16, peer: SocketAddr, gone: Option<SocketAddr>) -> NameState {
        self.named.reserve((life.host, port, peer), life, gone)
    }

    /// Records that `life` is about to connect, from a port of its choice or from any port. The kernel's next SYN
    /// belongs to it.
    pub(super) fn will_connect(&mut self, life: Life, port: Option<u16>) {
        self.home_of(life).connecting.push_back((life, port));
    }

    /// Records that the connect failed before it sent a SYN.
    pub(super) fn connect_failed(&mut self, life: Life, peer: SocketAddr) {
        if let Some((_, Some(port))) = self.home_of(life).connecting.pop_back() {
            self.named.given_up((life.host, port, peer));
        }
    }

    /// Returns whether a logical address belongs to a host, with a port of the host's choice.
    pub(super) fn is_chosen(&self, address: SocketAddr) -> bool {
        !self.named.is_empty() && self.find(address.ip()).is_some_and(|host| self.named.uses(host, address.port()))
    }

    /// Records that the application has closed a connection from a port of the host's choice.
    pub(super) fn closed(&mut self, life: Life, port: u16, peer: SocketAddr, now: Duration) {
        self.named.closed((life.host, port, peer), now);
    }

    /// Ends a closed connection from a port of the host's choice if its peer has not answered for so long that a kernel
    /// gives up. Returns whether there is such a connection.
    pub(super) fn gives_up(&mut self, life: Life, port: u16, peer: SocketAddr, now: Duration) -> bool {
        let overdue = self.named.take_overdue((life.host, port, peer), now);
        self.given_up.extend(overdue.map(|socket| (socket, peer)));
        overdue.is_some()
    }

    /// Takes the sockets that are to be ended without telling the peer.
    pub(super) fn take_given_up(&mut self) -> Vec<(SocketAddr, SocketAddr)> {
        std::mem::take(&mut self.given_up)
    }

    /// Records that a stream was dropped before its peer finished. With `unread` data the flow is reset at once.
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

    /// Returns one address of each kernel, by which it can be inspected.
    pub(super) fn kernel_addresses(&self) -> Vec<IpAddr> {
        (0..self.kernels.len()).map(|kernel| kernel_address(kernel, 0)).collect()
    }

    /// Takes the flows that are to be reset at both ends: the kernel's socket and, from its logical address, the peer.
    pub(super) fn take_aborts(&mut self) -> Vec<(SocketAddr, SocketAddr)> {
        std::mem::take(&mut self.aborts)
    }

    // The path of a packet.

    /// Returns the logical source of a segment that a kernel emitted; `None` if its host has no power.
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

    /// Returns whether a SYN-ACK acknowledges the SYN of the socket at this kernel address (RFC 9293 3.10.7.3). A SYN-ACK
    /// of an earlier connection from a chosen port does not.
    pub(super) fn is_answered(&self, address: SocketAddr, acknowledged: u32) -> bool {
        let owner = || {
            let kernel = self.kernels.get(kernel_index(address.ip())?)?;
            kernel.port_owner(address.port()).filter(|_| slot_index(address.ip()) == Some(0))
        };
        owner().is_none_or(|owner| owner.isn.wrapping_add(1) == acknowledged)
    }

    /// Returns the kernel address of the socket from which a SYN comes, although the socket may be gone by now. Returns
    /// `None` if a router has sent the SYN under another name.
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

    /// Returns the address by which peers know a kernel's address; `None` if its host has no power.
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

    /// Returns the destination of a segment for a logical address. Data for an orphan adds to the aborts.
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

    /// Returns the kernel address for a host's port: the one from which it connected, or its slot. An address of an
    /// earlier life is found only while its kernel still closes that flow.
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

    /// Sets the owner of a port, and returns the previous owner.
    fn set_port_owner(&mut self, port: u16, owner: PortOwner) -> Option<PortOwner> {
        let index = usize::from(port.checked_sub(FIRST_PORT)?);
        if index >= self.port_owners.len() {
            self.port_owners.resize(index + 1, None);
        }
        self.port_owners[index].replace(owner)
    }
}

impl PortOwner {
    /// Returns whether this life connected from the kernel's port under the kernel's own port number.
    fn connects_from(&self, port: u16, life: Life) -> bool {
        self.life == life && self.name.is_none_or(|(_, shown, _)| shown == port)
    }
}

/// Why a host cannot listen.
#[derive(Debug)]
pub(super) enum ListenError {
    /// A connection of the host occupies the port.
    InUse,
    /// The host has no slot left ([`EngineError::OutOfSlots`]).
    OutOfSlots(EngineError),
}

/// Returns whether a logical host can have the address: it must be IPv4 unicast and not a kernel's.
pub(super) fn is_host_address(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] != 0 && v4.octets()[0] < 224 && !v4.is_loopback())
}

/// Returns the kernel's first address (slot 0) or one of its slots (from 1). 240.0.0.0/4 is reserved (RFC 1112), so no
/// logical host can have such an address.
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
