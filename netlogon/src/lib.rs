//! The client half of Netlogon: the secure channel over which a machine asks the DCs of a domain for logons.
//!
//! A machine asks its DC about a logon. The DC here has no such user:
//!
//! ```
//! use std::time::Duration;
//!
//! use stickler_auth::logon::{LogonReply, LogonRequest, LogonServer};
//! use stickler_auth::status::NtStatus;
//! use stickler_net::{Listener as _, Net as _, TokioNet};
//! use stickler_netlogon::{ChannelConfig, ChannelTimeouts, SecureChannel};
//! # use stickler_auth::logon::{FRAME_PREFIX, frame_len};
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! #
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let listener = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await?;
//! # let dc = listener.local_addr()?;
//! # TokioNet.spawn(async move {
//! #     let (mut stream, _) = listener.accept().await.unwrap();
//! #     let _number = stream.read_u64().await.unwrap();
//! #     let mut prefix = [0; FRAME_PREFIX];
//! #     stream.read_exact(&mut prefix).await.unwrap();
//! #     let mut frame = vec![0; frame_len(prefix).unwrap()];
//! #     stream.read_exact(&mut frame).await.unwrap();
//! #     let mut channel = LogonServer::new("IIS1", b"machine secret");
//! #     channel.decode_request(&frame).unwrap();
//! #     let reply = LogonReply::refused(NtStatus::NO_SUCH_USER, true);
//! #     stream.write_all(&channel.encode_reply(&reply).unwrap()).await.unwrap();
//! # });
//!
//! let config = ChannelConfig {
//!     machine: "IIS1".into(),
//!     secret: b"machine secret".as_slice().into(),
//!     controllers: vec![dc],
//!     timeouts: ChannelTimeouts {
//!         connect: Duration::from_secs(5),
//!         reply: Duration::from_secs(5),
//!         queue: ChannelTimeouts::QUEUE,
//!     },
//!     max_concurrent_api: 10,
//! };
//! let channel = SecureChannel::new(&TokioNet, &config, &Default::default());
//! let request = LogonRequest { channel_machine: "IIS1".into(), user: "mallory".into(), ..LogonRequest::default() };
//! let outcome = channel.logon(&request).await.unwrap();
//! assert_eq!((outcome.reply.status, outcome.answered), (NtStatus::NO_SUCH_USER, true));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! A member server has a channel to its own domain. A DC has a channel to each domain that its own domain trusts, and
//! one to the PDC emulator of its own domain.
//!
//! * [`SecureChannel`]: asks the DCs of one domain, one after another until one has a final answer (`channel.rs`).
//! * `link.rs`: the connection to one DC, on which logons are pipelined.
//!
//! # Wire format
//! The logon's number ([`LogonNumbers`], 8 bytes, big-endian) precedes each frame of [`stickler_auth::logon`], so that
//! a trace can tie the DC's event to the event of the machine that asked. The number is evidence, and no decision
//! depends on it. Replies have no number: they arrive in the order of the requests.

mod channel;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stickler_auth::logon::FRAME_PREFIX;

pub use channel::{Outcome, SecureChannel};

/// The length in bytes of the number that precedes a request.
pub const NUMBER: usize = size_of::<u64>();

/// The length in bytes of everything that precedes the content of a request's frame: the number, and the frame's
/// length.
pub const REQUEST_PREFIX: usize = NUMBER + FRAME_PREFIX;

/// The maximum number of logons in flight on a link, at either end. Others wait.
pub const MAX_IN_FLIGHT: usize = 128;

/// The configuration of a channel to the DCs of a domain.
#[derive(Clone)]
pub struct ChannelConfig {
    /// The name of the asking machine: a member's NetBIOS name, or `host.dns-domain` for a DC that asks across a trust.
    pub machine: String,
    /// The secret that the machine shares with the DCs.
    pub secret: Arc<[u8]>,
    /// The DCs' addresses, in the order in which they are asked.
    pub controllers: Vec<SocketAddr>,
    /// The time limits of each DC.
    pub timeouts: ChannelTimeouts,
    /// The maximum number of logons under way at once, at least 1 (`MaxConcurrentApi`). Others wait in the order of
    /// their arrival.
    pub max_concurrent_api: u16,
}

/// The time that a DC may take before the next DC is asked.
///
/// Netlogon allows 15 s to find a DC and 45 s for a call (the value of `ExpectedDialupDelay` is added). Most user
/// agents do not wait as long. Choose the timeouts so that their sum over all DCs of a domain is less than the time
/// that the client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelTimeouts {
    /// The time that a DC may take to accept a connection.
    pub connect: Duration,
    /// The time that a DC may take to answer a logon after it was sent.
    pub reply: Duration,
    /// The time that a logon may wait for others on the channel before it fails with STATUS_NO_LOGON_SERVERS.
    pub queue: Duration,
}

impl ChannelTimeouts {
    /// The time for which Netlogon lets a logon wait for others (Microsoft, "Quick Reference: Troubleshooting,
    /// Diagnosing, and Tuning MaxConcurrentApi Issues": "Can't allocate client API slot").
    pub const QUEUE: Duration = Duration::from_secs(45);
}

/// Numbers the logons that a machine asks for, from 1, over all its channels. The numbering continues when the
/// machine's process is restarted.
#[derive(Debug, Default)]
pub struct LogonNumbers(AtomicU64);

impl LogonNumbers {
    /// Returns the next number.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}
