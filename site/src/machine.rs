//! The machines of a site: what runs on them, and how it is started and restarted.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_lb_core::{Control, Farm, Text};
use stickler_lb_proxy::{UpstreamTls, serve_l4, serve_l7};
use stickler_mock_dc::{DomainController, kdc};
use stickler_model::{Env, Name};
use stickler_net::{AnyListener, AnyNet, Net};
use stickler_tls::ServerTls;

use crate::balancer::Make;
use crate::checks::Checks;
use crate::server::SkewedClock;
use crate::{AuthOffload, Balancer, DataPlane, Hosts};

/// A machine of the site. It outlives its process.
pub(crate) struct Machine<I> {
    /// The host on which its process runs, or a process that acts for it. `None` for a packet-level balancer without
    /// health checks.
    pub(crate) host: Option<I>,
    /// The address at which it is reached.
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

/// The process of a machine.
pub(crate) enum Process {
    /// A domain controller, with its KDC at this address.
    Controller(Arc<DomainController>, SocketAddr),
    /// A server, and the number of seconds by which its clock is ahead.
    Server(Arc<stickler_mock_iis::WebSite>, i64),
    /// A balancer with a process.
    Balancer(Box<Proxy>),
    /// A packet-level balancer, which is part of the network: it has no host, and no process that could be ended. Its
    /// health checks run on another host.
    Router(Option<Box<Checks>>),
}

/// A balancer with a process, and the arguments of each start of the process.
pub(crate) struct Proxy {
    pub(crate) balancer: Balancer,
    pub(crate) farm: Farm,
    pub(crate) control: Control,
    pub(crate) checks: Option<Checks>,
    /// The settings of TLS towards its clients; `None` if it does not offer TLS.
    pub(crate) front_end_tls: Option<ServerTls>,
    /// The settings of TLS towards its servers; `None` if it does not use TLS there.
    pub(crate) upstream_tls: Option<UpstreamTls>,
    /// The site by which it authenticates clients and the header in which it names the user, if it terminates
    /// authentication.
    pub(crate) offload: Option<(Arc<stickler_mock_iis::WebSite>, Text)>,
}

/// The message of a panic that cannot occur, because a machine is added only after its rules have been checked.
const CHECKED: &str = "the rules fitted this farm when the site was assembled";

impl<I: Clone> Machine<I> {
    /// Starts the process on its host, or the process that acts for it.
    pub(crate) fn boot<H: Hosts<Id = I>>(&self, hosts: &H, name: &Name) {
        let Some(host) = &self.host else { return };
        let (net, env) = (hosts.net(host), hosts.env(name));
        match &self.process {
            Process::Controller(controller, tickets) => {
                let (own, shared) = (env.clone(), Arc::clone(controller));
                on_listener(&net, self.address, |net, listener| stickler_mock_dc::serve(net, listener, own, shared));
                let (own, shared) = (env.clone(), Arc::clone(controller));
                on_listener(&net, *tickets, |net, listener| kdc::serve(net, listener, own, shared));
                hosts.serve_datagrams(host, *tickets, env, Arc::clone(controller));
            }
            Process::Server(site, ahead) => {
                let site = Arc::clone(site);
                let clock = SkewedClock { clock: Arc::clone(&env.clock), ahead: *ahead };
                let env = if *ahead == 0 { env } else { Env { clock: Arc::new(clock), ..env } };
                on_listener(&net, self.address, |net, listener| stickler_mock_iis::serve(net, listener, env, site));
            }
            Process::Balancer(proxy) => {
                proxy.boot(&net, self.address, &env);
                if let Some(checks) = &proxy.checks {
                    checks.boot(&net, env);
                }
            }
            Process::Router(Some(checks)) => checks.boot(&net, env),
            Process::Router(None) => {}
        }
    }

    /// Returns the addresses on which its process accepts connections or datagrams.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self.process {
            Process::Controller(_, tickets) => vec![self.address, tickets],
            Process::Server(..) | Process::Balancer(_) | Process::Router(_) => vec![self.address],
        }
    }

    /// Returns the host whose process can be ended and started.
    pub(crate) fn process_host(&self) -> Option<I> {
        self.host.clone().filter(|_| !matches!(self.process, Process::Router(_)))
    }
}

impl Proxy {
    fn boot<N: Net>(&self, net: &N, address: SocketAddr, env: &Env) {
        let (env, farm, control) = (env.clone(), self.farm.clone(), self.control.clone());
        let entropy = env.entropy.clone();
        match self.balancer.make() {
            Make::Plane { make, .. } => match make(farm, entropy, control).expect(CHECKED) {
                DataPlane::L7(mut service) => {
                    if let Some((site, header)) = &self.offload {
                        let gate = AuthOffload::gate(net, env.clone(), Arc::clone(site), header);
                        service.gate = Some(gate.expect("a mechanism's header has a field's name"));
                    }
                    service.tls.clone_from(&self.front_end_tls);
                    service.upstream_tls.clone_from(&self.upstream_tls);
                    on_listener(net, address, |net, listener| serve_l7(net, listener, env, service));
                }
                DataPlane::L4(service) => {
                    on_listener(net, address, |net, listener| serve_l4(net, listener, env, service));
                }
            },
            Make::Proxy(proxy) => {
                let proxy = Arc::clone(proxy);
                on_listener(net, address, move |net, listener| {
                    proxy.serve(AnyNet::new(net), AnyListener::new(listener), env, farm, control)
                });
            }
            Make::Program => {}
        }
    }
}

/// Binds a listener and then serves.
fn on_listener<N, F>(net: &N, address: SocketAddr, serve: impl FnOnce(N, N::Listener) -> F + Send + 'static)
where
    N: Net,
    F: Future<Output = ()> + Send + 'static,
{
    let own = net.clone();
    net.spawn(async move {
        let listener = own.bind(address).await.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        serve(own, listener).await;
    });
}
