//! Stickler's balancers on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use stickler_catalogue::Mechanism;
use stickler_lb_core::{Backend, Control, Farm};
use stickler_lb_proxy::{serve_l4, serve_l7};
use stickler_model::{Clock, Entropy, Env, Journal, Name};
use stickler_net::{Listener as _, Net as _, TokioNet};
use stickler_site::DataPlane;
use stickler_wire::WallClock;

use super::background::Background;

/// A mechanism on a separate thread, with the code and the clock of the command's `serve`.
#[derive(Debug)]
pub struct Own {
    front: SocketAddr,
    _thread: Background,
}

impl Own {
    /// Starts the mechanism in front of these servers.
    ///
    /// # Panics
    /// The system has no port for it, or the mechanism does not fit its own farm.
    pub fn start(mechanism: &Mechanism, servers: &[SocketAddr]) -> Self {
        let backend = |(index, &address)| Backend { name: format!("origin{index}").into(), address };
        let farm = Farm { backends: servers.iter().enumerate().map(backend).collect() };
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let (name, entropy) = (Name::from("lb"), Entropy::new(1, "lb"));
        let plane =
            DataPlane::new(mechanism, farm, entropy.clone(), Control::new()).expect("a mechanism fits any farm");
        let env = Env { name, entropy, journal: Journal::handing_on(Arc::clone(&clock), drop), clock };
        let (thread, front) = Background::start(async move {
            let listener = TokioNet.bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("the system has a port");
            let front = listener.local_addr().expect("a listener has an address");
            match plane {
                DataPlane::L7(service) => TokioNet.spawn(serve_l7(TokioNet, listener, env, service)),
                DataPlane::L4(service) => TokioNet.spawn(serve_l4(TokioNet, listener, env, service)),
            };
            front
        });
        Self { front, _thread: thread }
    }

    /// Returns the address to which clients connect.
    pub fn front(&self) -> SocketAddr {
        self.front
    }
}
