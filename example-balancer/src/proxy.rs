//! A proxy that uses none of Stickler's data planes: it carries bytes, and does not read HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stickler_lb_core::{BackendState, Control, Farm};
use stickler_net::{Net, next_connection};
use tokio::io::copy_bidirectional;

/// Carries each connection to the next backend that is up, or to the one after it if that does not answer. The future
/// runs until it is dropped.
///
/// `control` reports which backends an operator drains: they keep their connections, and get no new ones.
///
/// The function is generic over [`Net`], so the same code serves real sockets (`TokioNet`) and Stickler's simulated
/// network.
pub async fn forward<N: Net>(net: N, listener: N::Listener, farm: Farm, control: Control) {
    let turns = Arc::new(AtomicUsize::new(0));
    while let Some((mut client, _)) = next_connection(&listener).await {
        let (own, backends, turns, control) = (net.clone(), farm.backends.clone(), Arc::clone(&turns), control.clone());
        net.spawn(async move {
            let first = turns.fetch_add(1, Ordering::Relaxed);
            for index in (first..first + backends.len()).map(|index| index % backends.len()) {
                if control.state(index) != BackendState::Up {
                    continue;
                }
                if let Ok(mut server) = own.connect(backends[index].address).await {
                    // However this ends, both sides are dropped, and therefore closed.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
