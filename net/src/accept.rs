//! Accepts connections, and retries after temporary failures.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Listener;

/// The number of failures in a row after which a listener is given up. A lack of descriptors is temporary, but a host
/// that has ended stays ended.
const TRIES: u32 = 100;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// Returns the next connection, with the address of its peer, or `None` when the listener has failed permanently.
pub async fn next_connection<L: Listener>(listener: &L) -> Option<(L::Stream, SocketAddr)> {
    for _ in 0..TRIES {
        match listener.accept().await {
            Ok(connection) => return Some(connection),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    None
}
