//! Netlogon's client half: the secure channel over which a machine asks the DCs of a domain for logons.
//!
//! A member server has one to its own domain. A DC has one to each domain that its own trusts, and one
//! to the PDC emulator of its own.
//!
//! * [`SecureChannel`]: asks the DCs of one domain, one after another until one knows (`channel.rs`).
//! * `link.rs`: the connection to one DC, on which logons are pipelined.
//!
//! # What travels
//! Before each frame of [`stickler_auth::logon`] goes the logon's number ([`LogonNumbers`], 8 bytes,
//! big-endian), so that a trace can tie the DC's event to the asker's. It is evidence, and trusted for
//! nothing. Replies have none: they come in the order of the requests.

mod channel;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stickler_auth::logon::FRAME_PREFIX;

pub use channel::{Outcome, SecureChannel};

/// Bytes of the number that precedes a request.
pub const NUMBER: usize = size_of::<u64>();

/// Bytes before a request's frame: its number, and the frame's length.
pub const REQUEST_PREFIX: usize = NUMBER + FRAME_PREFIX;

/// Logons under way at once on a link, at either end; more wait their turn.
pub const MAX_IN_FLIGHT: usize = 128;

/// The way to the DCs of a domain.
#[derive(Clone)]
pub struct ChannelConfig {
    /// Who asks: a member's NetBIOS name; `host.dns-domain` for a DC that asks along a trust.
    pub machine: String,
    /// The secret that it shares with them.
    pub secret: Arc<[u8]>,
    /// Where they listen, in the order in which they are asked.
    pub controllers: Vec<SocketAddr>,
    /// How long each may take.
    pub timeouts: ChannelTimeouts,
}

/// How long a DC may take before it is left for the next.
///
/// Netlogon allows 15 s to find a DC and 45 s for a call (`ExpectedDialupDelay`, plus its value); a
/// user agent is rarely that patient. Choose them so that the sum over all DCs of a domain stays below
/// what the client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelTimeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// To answer a logon, from when it was sent.
    pub reply: Duration,
}

/// Numbers the logons that a machine asks for, from 1, over all its channels, and on when its process
/// starts again.
#[derive(Debug, Default)]
pub struct LogonNumbers(AtomicU64);

impl LogonNumbers {
    /// The next one.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}
