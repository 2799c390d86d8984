//! The HTTP data plane: obeys an [`L7Policy`](stickler_lb_core::L7Policy), and follows HTTP.
//!
//! ```text
//! serve_l7 ── accepts, polls the policy's unsolicited work
//!   └─ downstream: one task for each client connection: PROXY header, TLS, version of HTTP (rewind)
//!        ├─ http1, http2: a hyper server with its time limits; linger: the close of http1
//!        ├─ pipelining: the defect, in place of http1
//!        ├─ tunnel: in place of http1, reads only the first request of a connection
//!        └─ forward: one request: route, send, pass the answer on; retries, 502/503/504
//!             ├─ admission: the gate, if there is one
//!             ├─ headers: hop-by-hop fields, framing, Host
//!             ├─ upgrade: the request to upgrade, and the traffic on both connections after it
//!             ├─ upstream: opens one connection, and starts the task that drives it (hyper client, HTTP/1.1 or HTTP/2)
//!             ├─ lease: closes the upstream connection of an exchange that was given up
//!             └─ request_body, answer_body: frame by frame
//! context: the data that every task needs; shell: the one lock around the policy and all connections
//! arrival: an accepted connection; peer: its client; activity: its state; sender: the right to send upstream
//! secure: TLS on both sides; config: the configuration of a balancer
//! ```
//!
//! A file uses only those to its right and below it in this picture, so there are no cycles.
//!
//! Clients speak HTTP/1.1 or HTTP/2. The balancer speaks HTTP/1.1 to backends, which IIS needs for Windows
//! authentication, or HTTP/2 ([`UpstreamHttp`](stickler_lb_core::UpstreamHttp)). In both cases, a connection carries
//! one request at a time. Upstream connections are hyper's bare client connections, and never those of a pooled client,
//! because only the policy decides which request goes over which connection.

mod activity;
mod admission;
mod answer_body;
mod arrival;
mod config;
mod context;
mod downstream;
mod forward;
mod headers;
mod http1;
mod http2;
mod lease;
mod linger;
mod peer;
mod pipelining;
mod read_observer;
mod request_body;
mod rest;
mod rewind;
mod secure;
mod sender;
mod shell;
mod tunnel;
mod upgrade;
mod upstream;

use std::pin::pin;
use std::sync::Arc;

use stickler_model::Env;
use stickler_net::{Net, next_connection};
use tokio::time::sleep_until;

use self::arrival::{Arrival, Registered};
use self::context::Proxy;
use self::secure::Transports;
use self::shell::Shell;
use crate::clock::instant;
use crate::health::{Traffic, watch};

pub use config::{HttpProxyConfig, Limits};
pub use secure::UpstreamTls;

/// Serves HTTP on `listener` in accordance with the policy, until the future is dropped.
///
/// Connections run in tasks of `net`, so they end with its host. The function returns only when the listener has failed
/// permanently.
pub async fn serve_l7<N: Net>(net: N, listener: N::Listener, env: Env, service: HttpProxyConfig) {
    let HttpProxyConfig { farm, policy, limits, control, passive, gate, .. } = service;
    let traffic = passive.map(|rule| Traffic::new(env.clone(), control.clone(), rule, farm.backends.len()));
    let shell = Shell::new(env, farm, policy, limits);
    let proxy = Arc::new(Proxy {
        net,
        client: upstream::builder(&limits),
        server: http1::builder(&limits),
        in_turn: gate.is_some() || !shell.takes_streams,
        gate,
        announces: service.send_proxy,
        accepts: service.accept_proxy,
        pipelining: service.pipelining,
        hops: service.hops,
        head: service.head,
        http2: service.http2,
        tls: service.tls,
        upstream_tls: service.upstream_tls.map(|tls| Transports::new(tls, service.tls_drifts)),
        traffic,
        shell,
    });
    // The reference is weak, so that the handle does not keep the proxy alive after its connections have ended.
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

async fn accept<N: Net>(proxy: &Arc<Proxy<N>>, listener: &N::Listener) {
    while let Some((stream, client)) = next_connection(listener).await {
        if let Some((id, close)) = proxy.shell.connected() {
            let arrival = Arrival { registered: Registered::new(proxy, id), client, front: None, close };
            proxy.net.spawn(downstream::serve(arrival, stream));
        }
    }
}

/// Performs the policy's unsolicited work whenever it is due.
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
