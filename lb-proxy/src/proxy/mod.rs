//! The HTTP data plane: obeys an [`L7Policy`](stickler_lb_core::L7Policy), and follows HTTP.
//!
//! ```text
//! serve_l7 ── accepts, polls the policy's unsolicited work
//!   └─ downstream: one task for each client connection (hyper server), and its time limit for slow heads
//!        │ http2: one that speaks HTTP/2, whose streams are so many requests; rewind: how it is told from HTTP/1.1
//!        └─ forward: one request: route, send, pass the answer on; retries, 502/503/504
//!             ├─ admission: the gate, where there is one
//!             ├─ headers: hop-by-hop fields, framing, Host
//!             ├─ upstream: one connection, its one sender, and the task that drives it (hyper client)
//!             ├─ lease: closes the upstream connection of an exchange that was given up
//!             └─ body: both directions, frame by frame
//! secure: TLS, in front and behind
//! pipelining: a fault, in place of the hyper server
//! service: what a balancer is made of
//! shell: the one lock around the policy and all connections
//! ```
//!
//! Clients speak HTTP/1.1 or HTTP/2; backends are spoken to by HTTP/1.1 alone, as IIS needs it for Windows authentication.
//! Upstream connections are hyper's bare client connections, never a pooled client's: which request goes over which
//! connection is the policy's decision alone.

mod admission;
mod body;
mod downstream;
mod forward;
mod headers;
mod http2;
mod lease;
mod pipelining;
mod rewind;
mod secure;
mod service;
mod shell;
mod tap;
mod upstream;

use std::pin::pin;
use std::sync::Arc;

use stickler_lb_core::{Pipelining, ProxyProtocol};
use stickler_model::{Env, Time};
use stickler_net::{Net, next_connection};
use stickler_tls::ServerTls;
use tokio::time::{Instant, sleep_until};

use self::downstream::{Arrival, Registered};
use self::secure::Transports;
use self::shell::Shell;
use crate::Gate;
use crate::health::Traffic;

pub use secure::UpstreamTls;
pub use service::{Limits, Service};

/// Serves HTTP/1.1 on `listener` as the policy decides, until it is dropped.
///
/// Connections live in tasks of `net`, so they end with its host. Returns only when the listener has failed for good.
pub async fn serve_l7<N: Net>(net: N, listener: N::Listener, env: Env, service: Service) {
    let Service { farm, policy, limits, control, passive, gate, .. } = service;
    let traffic = passive.map(|rule| Traffic::new(env.clone(), control.clone(), rule, farm.backends.len()));
    let shell = Shell::new(env, farm, policy, limits);
    let proxy = Arc::new(Proxy {
        net,
        client: upstream::builder(&limits),
        server: downstream::builder(&limits),
        in_turn: gate.is_some() || !shell.takes_streams,
        gate,
        announces: service.send_proxy,
        accepts: service.accept_proxy,
        pipelining: service.pipelining,
        http2: service.http2,
        tls: service.tls,
        upstream_tls: service.upstream_tls.map(|tls| Transports::new(tls, service.tls_drifts)),
        traffic,
        shell,
    });
    // Weak, since the proxy must not outlive its connections for the handle's sake.
    let told = Arc::downgrade(&proxy);
    let _attached = control.attach(move |backend, change| {
        if let Some(proxy) = told.upgrade() {
            proxy.shell.apply(backend, change);
        }
    });
    let accepting = accept(&proxy, &listener);
    let working = work(&proxy.shell);
    tokio::select! {
        biased;
        () = accepting => {}
        () = working => {}
        () = watch(proxy.traffic.as_ref()) => {}
    }
}

/// Passive checks, where there are any.
pub(crate) async fn watch(traffic: Option<&Traffic>) {
    match traffic {
        Some(traffic) => traffic.watch().await,
        None => std::future::pending().await,
    }
}

/// What every connection's task needs.
struct Proxy<N> {
    net: N,
    client: hyper::client::conn::http1::Builder,
    server: hyper::server::conn::http1::Builder,
    gate: Option<Arc<dyn Gate>>,
    /// The PROXY protocol on either side, as [`Service`] has it.
    announces: Option<ProxyProtocol>,
    accepts: bool,
    pipelining: Pipelining,
    /// By prior knowledge.
    http2: bool,
    tls: Option<ServerTls>,
    upstream_tls: Option<Transports>,
    /// Streams of one connection take turns, since the policy or the gate is asked one request at a time.
    in_turn: bool,
    traffic: Option<Traffic>,
    shell: Shell,
}

impl<N> Proxy<N> {
    /// Reports to the passive checks, where there are any.
    fn traffic(&self, report: impl FnOnce(&Traffic)) {
        if let Some(traffic) = &self.traffic {
            report(traffic);
        }
    }
}

async fn accept<N: Net>(proxy: &Arc<Proxy<N>>, listener: &N::Listener) {
    while let Some((stream, client)) = next_connection(listener).await {
        if let Some((id, close)) = proxy.shell.connected() {
            let arrival = Arrival { registered: Registered::new(proxy, id), client, front: None, close };
            proxy.net.spawn(downstream::serve(arrival, stream));
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
