//! The HTTP/1.1 data plane: obeys an [`L7Policy`], and follows HTTP.
//!
//! ```text
//! serve_l7 ── accepts, polls the policy's unsolicited work
//!   └─ downstream: one task for each client connection (hyper server), and its time limit for slow heads
//!        └─ forward: one request: route, send, pass the answer on; retries, 502/503/504
//!             ├─ headers: hop-by-hop fields, framing, Host
//!             ├─ upstream: one connection, its one sender, and the task that drives it (hyper client)
//!             ├─ lease: closes the upstream connection of an exchange that was given up
//!             └─ body: both directions, frame by frame
//! shell: the one lock around the policy and all connections
//! ```
//!
//! Upstream connections are hyper's bare client connections, never a pooled client's: which request goes over which
//! connection is the policy's decision alone.

mod body;
mod downstream;
mod forward;
mod headers;
mod lease;
mod shell;
mod tap;
mod upstream;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use stickler_model::{Env, Time};
use stickler_net::{Net, next_connection};
use tokio::time::{Instant, sleep_until};

use self::downstream::Registered;
use self::shell::Shell;
use crate::{Farm, L7Policy};

/// What a peer may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to open an upstream connection; then 504.
    pub connect: Duration,
    /// Time without progress, from the request's last byte to the head of the answer; then 504.
    pub answer: Duration,
    /// Time from the first byte of a request's head to its last; then the connection is closed.
    pub request_head: Duration,
    /// Time that a policy may keep a request waiting; then 503.
    pub wait: Duration,
    /// Bytes of a message's head, either way; more is a 431 to a client, and a 502 for a backend's.
    pub head_bytes: usize,
    /// Field lines of a message's head, either way; likewise.
    pub fields: usize,
    /// Downstream connections at a time; more are closed at once.
    pub downstreams: usize,
    /// Upstream connections tried for one request.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_mins(1),
            request_head: Duration::from_secs(30),
            wait: Duration::from_secs(5),
            head_bytes: 64 * 1024,
            fields: 100,
            downstreams: 65_536,
            attempts: 8,
        }
    }
}

/// Serves HTTP/1.1 on `listener` as the policy decides, until it is dropped.
///
/// Connections live in tasks of `net`, so they end with its host. Returns only when the listener has failed for good.
pub async fn serve_l7<N: Net>(
    net: N,
    listener: N::Listener,
    env: Env,
    farm: Farm,
    policy: Box<dyn L7Policy>,
    limits: Limits,
) {
    let proxy = Arc::new(Proxy {
        net,
        client: upstream::builder(&limits),
        server: downstream::builder(&limits),
        shell: Shell::new(env, farm, policy, limits),
    });
    let accepting = accept(&proxy, &listener);
    let working = work(&proxy.shell);
    tokio::select! {
        biased;
        () = accepting => {}
        () = working => {}
    }
}

/// What every connection's task needs.
struct Proxy<N> {
    net: N,
    client: hyper::client::conn::http1::Builder,
    server: hyper::server::conn::http1::Builder,
    shell: Shell,
}

async fn accept<N: Net>(proxy: &Arc<Proxy<N>>, listener: &N::Listener) {
    while let Some((stream, client)) = next_connection(listener).await {
        if let Some((id, close)) = proxy.shell.connected() {
            let registered = Registered::new(proxy, id);
            proxy.net.spawn(downstream::serve(registered, stream, client, close));
        }
    }
}

/// Does the policy's unsolicited work whenever it is due.
async fn work(shell: &Shell) {
    loop {
        let deadline = shell.work();
        let mut woken = pin!(shell.wake.notified());
        match deadline {
            None => woken.await,
            Some(deadline) => {
                let at = instant(&shell.env, deadline);
                tokio::select! {
                    biased;
                    () = woken.as_mut() => {}
                    () = sleep_until(at) => {}
                }
            }
        }
    }
}

/// A time of the world as tokio's timers count it.
pub(crate) fn instant(env: &Env, at: Time) -> Instant {
    Instant::now() + (at - env.clock.now())
}
