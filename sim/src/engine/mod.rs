//! An event-driven harness over turmoil-net's TCP kernels, in virtual time.
//!
//! turmoil-net gives each host a TCP stack, and leaves packets and time to its harness. This harness runs tasks until
//! all are idle, collects the packets that the kernels emit, sends each over its link, and jumps to the next arrival or
//! timer. Therefore idle time costs nothing, and the same seed gives the same packets in every process.
//!
//! ```text
//!   tasks ── SimStream ──▶ kernel ── egress ──▶ links, holds, routers ──▶ queue ──▶ kernel ──▶ tasks
//! ```
//!
//! * [`Engine`] (`drive.rs`): the loop, the clock, hosts and faults as the owner of a world sees them.
//! * [`SimNet`], [`SimListener`], [`SimStream`] (`net.rs`, `stream.rs`): a host's sockets and tasks.
//! * [`Settings`], [`Link`], errors (`settings.rs`); [`Clock`] (`clock.rs`).
//! * [`PacketRouter`] (`router.rs`): virtual addresses; [`Nat`] (`nat.rs`): a layer-4 balancer's table.
//! * [`PacketRecord`] (`packet.rs`): the entry of a packet log.
//! * `shared.rs`: the state that sockets and tasks share with the engine; `hosts.rs`: logical hosts over kernels, and
//!   address translation; `ports.rs`: ports of a host's choice; `handshakes.rs`: handshakes that are not complete;
//!   `freeze.rs`: hosts that hang; `links.rs`: delay, loss, order, partitions; `network.rs`: the path of a packet.
//!
//! # Logical hosts over kernels
//! A kernel cannot be added while the world runs, cannot be rebooted, and always connects from its first address.
//! Therefore a few kernels are registered in advance, each with a first address and some *slots* (further addresses). A
//! logical host runs on one of the kernels. It connects from the kernel's first address, with a port that no other host
//! uses, and listens on a slot. The network rewrites kernel addresses to logical ones when a packet leaves and back when
//! it arrives, so peers see only logical addresses. A restarted host listens on a new slot: packets of its old flows
//! find no socket there and are answered with RST, as after a real reboot.

mod clock;
mod drive;
mod freeze;
mod handshakes;
mod hosts;
mod links;
mod nat;
mod net;
mod network;
mod packet;
mod park;
mod ports;
mod router;
mod settings;
mod shared;
mod stream;

pub use clock::Clock;
pub use drive::{Engine, Kick, Stats};
pub use hosts::HostId;
pub use links::SYN_RTO;
pub use nat::{Closing, Fate, FlowRecord, IdleEnd, IdleLimit, Nat, NatDecision, NatMode, NatPolicy};
pub use net::{SimListener, SimNet};
pub use packet::{PacketLog, PacketRecord};
pub use router::{Departure, PacketHead, PacketRouter, Reset, Verdict};
pub use settings::{EngineError, Link, Settings, Stopped, TaskPanic};
pub use stream::SimStream;
pub use turmoil_net::TcpFlags;
