//! Accepting connections, past failures that pass.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Listener;

/// Failures in a row after which a listener is given up: out of descriptors passes, out of a host does not.
const TRIES: u32 = 100;

/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection, with the address of its peer; `None` when the listener has failed for good.
pub async fn next_connection<L: Listener>(listener: &L) -> Option<(L::Stream, SocketAddr)> {
    for _ in 0..TRIES {
        match listener.accept().await {
            Ok(connection) => return Some(connection),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    None
}
