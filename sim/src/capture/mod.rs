//! The packets on the links of a simulated world.
//!
//! * This file records them, with the names, secrets and keys that are needed to read them.
//! * `pcapng.rs` writes them for Wireshark. It belongs to the feature `pcapng`, since only the command needs its libraries.

#[cfg(feature = "pcapng")]
mod pcapng;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stickler_model::sync::Lock;
use stickler_model::{BalancerSpec, Name, Topology, World, WorldError};
use stickler_runner::Arm;
use turmoil_net::TcpFlags;

use crate::SimWorld;
use crate::engine::PacketRecord;

/// The maximum number of bytes of packets that a capture keeps.
pub const MAX_CAPTURE: usize = 1 << 30;

/// The approximate size of a packet in addition to its payload, in bytes.
const PACKET: usize = 160;

/// Builds simulated worlds as [`SimArm`](crate::SimArm) does, and records the packets on the links of the last one. The
/// recording changes nothing in the world.
#[derive(Default)]
pub struct CaptureArm {
    last: Lock<Recorder>,
}

/// A capture that a world writes and its arm reads.
pub(crate) type Recorder = Arc<Lock<Capture>>;

/// The packets on the links of a world, with the secrets and names that are needed to read them.
#[derive(Default)]
pub struct Capture {
    packets: Vec<Sent>,
    bytes: usize,
    /// The start of the world, in seconds since 1970.
    epoch: u64,
    names: BTreeMap<IpAddr, Vec<Name>>,
    secrets: String,
    keytab: Vec<u8>,
    cut: bool,
}

/// A packet at the moment at which it is sent on a link.
#[cfg_attr(not(feature = "pcapng"), expect(dead_code, reason = "only a file for Wireshark shows it"))]
struct Sent {
    at: Duration,
    link: (IpAddr, IpAddr),
    src: SocketAddr,
    dst: SocketAddr,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    window: u16,
    payload: Bytes,
}

impl CaptureArm {
    /// Takes the capture of the world that was built last. The capture is complete when that world has finished.
    pub fn take(&self) -> Capture {
        let recorder = Arc::clone(&self.last.lock());
        std::mem::take(&mut *recorder.lock())
    }
}

impl Arm for CaptureArm {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let recorder = Recorder::default();
        *self.last.lock() = Arc::clone(&recorder);
        Ok(Box::new(SimWorld::captured(topology, balancer, seed, recorder)?))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::control(topology, seed)?))
    }
}

impl Capture {
    /// Sets the start of the world, in seconds since 1970.
    pub(crate) fn begin(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Records a packet. A packet that is held is recorded when it is released.
    pub(crate) fn packet(&mut self, record: &PacketRecord<'_>) {
        if record.arrives.is_none() || self.cut {
            return;
        }
        let bytes = self.bytes + PACKET + record.payload.len();
        if bytes > MAX_CAPTURE {
            self.cut = true;
            return;
        }
        self.bytes = bytes;
        self.packets.push(Sent {
            at: record.sent,
            link: (record.from.min(record.to), record.from.max(record.to)),
            src: record.src,
            dst: record.dst,
            flags: record.flags,
            seq: record.seq,
            ack: record.ack,
            window: record.window,
            payload: record.payload.clone(),
        });
    }

    /// Records a line of a TLS key log.
    pub(crate) fn secret(&mut self, line: &str) {
        self.secrets.push_str(line);
        self.secrets.push('\n');
    }

    /// Records the names of all addresses, and the keys of the accounts.
    pub(crate) fn end(&mut self, names: BTreeMap<IpAddr, Vec<Name>>, keytab: Vec<u8>) {
        (self.names, self.keytab) = (names, keytab);
    }

    /// Returns the number of packets.
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Returns whether there were more packets than [`MAX_CAPTURE`] allows, in which case the last ones are missing.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Returns the keys of all accounts, as MIT's and Wireshark's key tables have them.
    pub fn keytab(&self) -> &[u8] {
        &self.keytab
    }
}
