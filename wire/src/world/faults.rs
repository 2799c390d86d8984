//! The faults that can be injected on real sockets.
//!
//! * A crash ends the tasks of a machine, and its sockets with them; a product is killed.
//! * A process that hangs reads nothing from its connections, and accepts none; a product is stopped (SIGSTOP).
//! * Packets on a link are not lost: data waits at one end, although the operating system acknowledges it.
//! * A reset concerns connections of which one end is in this process.
//! * A loss of power of a server or a DC drops its packets, in a network namespace of Stickler's own (`power_cut.rs`).

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_model::{Fault, Name, Outcome, WorldError};
use stickler_site::BALANCER;

use super::{WireWorld, invalid, not_ours};
use crate::gate::Gate;
use crate::power_cut::PowerCut;
use crate::products::Running;

impl WireWorld {
    pub(super) fn fault(&mut self, fault: &Fault) -> Result<Outcome, WorldError> {
        if let Fault::Crash(name) | Fault::Restart(name) | Fault::Hang(name) | Fault::Resume(name) = fault
            && self.is_target
            && name.as_str() == BALANCER
        {
            return Err(not_ours("crash, hang or start again"));
        }
        if let Fault::Crash(name) | Fault::Restart(name) | Fault::Hang(name) | Fault::Resume(name) = fault
            && self.product_called(name).is_some_and(|product| !product.has_process())
        {
            let message = format!("`{name}` has no process here that could crash, hang or start again");
            return Err(WorldError::Unsupported(message));
        }
        match fault {
            Fault::Crash(name) => self.crash(name)?,
            Fault::Restart(name) => self.restart(name)?,
            Fault::Hang(name) => self.hang(name, true)?,
            Fault::Resume(name) => self.hang(name, false)?,
            Fault::Hold(a, b) => self.link(a, b)?.close(),
            Fault::Release(a, b) => self.link(a, b)?.open(),
            Fault::Reset(a, b) => {
                self.link(a, b)?.reset();
                self.settle();
            }
            Fault::PowerLoss(name) => self.lose_power(name)?,
        }
        Ok(Outcome::Done)
    }

    fn crash(&mut self, name: &Name) -> Result<(), WorldError> {
        let host = self.site.process(name)?;
        match &mut self.product {
            Some(product) if name.as_str() == BALANCER => self.runtime.block_on(product.crash()),
            _ => self.hosts.crash(host),
        }
        self.settle();
        Ok(())
    }

    /// Drops the packets of a host, and then ends its tasks, which nobody notices.
    fn lose_power(&mut self, name: &Name) -> Result<(), WorldError> {
        let host = self.site.process(name)?;
        if name.as_str() == BALANCER {
            let message = "on real sockets the balancer cannot lose power: the operating system closes its connections";
            return Err(WorldError::Unsupported(message.to_owned()));
        }
        if !self.without_power.contains_key(name) {
            let cut = PowerCut::of(name, &self.site.addresses(name))?;
            self.without_power.insert(name.clone(), cut);
        }
        self.hosts.gates(host).host().cut();
        self.hosts.crash(host);
        self.settle();
        Ok(())
    }

    fn restart(&mut self, name: &Name) -> Result<(), WorldError> {
        let host = self.site.process(name)?;
        self.without_power.remove(name);
        if self.product_called(name).is_some() {
            let Some(product) = &mut self.product else { return Ok(()) };
            self.runtime.block_on(product.crash());
            return self.runtime.block_on(product.start_process()).map_err(invalid);
        }
        self.hosts.gates(host).host().open();
        self.restart_process(name, host);
        Ok(())
    }

    /// Starts the process of a host again. Its ports are open when the method returns.
    pub(super) fn restart_process(&mut self, name: &Name, host: usize) {
        self.hosts.restart(host);
        let entered = self.runtime.enter();
        self.site.boot(&self.hosts, name);
        drop(entered);
        self.settle();
    }

    fn hang(&mut self, name: &Name, on: bool) -> Result<(), WorldError> {
        let host = self.site.process(name)?;
        let up = self.product_called(name).map_or_else(|| self.hosts.is_up(host), Running::is_up);
        if on && !up {
            return Err(WorldError::Invalid(format!("`{name}` is down: restart it before it can hang")));
        }
        match (self.product_called(name), on) {
            (Some(product), on) => product.hang(on),
            (None, true) => self.hosts.gates(host).host().close(),
            (None, false) => self.hosts.gates(host).host().open(),
        }
        Ok(())
    }

    /// Returns the product, if this is its name.
    fn product_called(&self, name: &Name) -> Option<&Running> {
        self.product.as_ref().filter(|_| name.as_str() == BALANCER)
    }

    /// Returns the gate that the connections between two hosts must pass, at the end that is in this process.
    fn link(&self, a: &Name, b: &Name) -> Result<Arc<Gate>, WorldError> {
        let gate = match (self.end(a)?, self.end(b)?) {
            (End::Client, End::Balancer) => Some(self.clients.net(a)?.gates().link(Some(self.site.front_end()))),
            (End::Balancer, End::Client) => Some(self.clients.net(b)?.gates().link(Some(self.site.front_end()))),
            // Connections that arrive at a server come from the balancer, or from its checks.
            (End::Server(host), End::Balancer) | (End::Balancer, End::Server(host)) => {
                Some(self.hosts.gates(host).link(None))
            }
            (End::Server(host), End::Controller(logons)) | (End::Controller(logons), End::Server(host)) => {
                Some(self.hosts.gates(host).link(Some(logons)))
            }
            _ => None,
        };
        gate.ok_or_else(|| {
            WorldError::Unsupported(format!("on real sockets, Stickler can neither hold messages between `{a}` and `{b}` nor reset their connections"))
        })
    }

    fn end(&self, name: &Name) -> Result<End, WorldError> {
        if self.clients.names().any(|client| client == name) {
            return Ok(End::Client);
        }
        let host = self.site.process(name)?;
        let is_server = self.site.farm().backends.iter().any(|backend| backend.name == *name);
        Ok(match self.site.socket_address(name) {
            _ if is_server => End::Server(host),
            Some(address) if name.as_str() != BALANCER => End::Controller(address),
            _ => End::Balancer,
        })
    }
}

/// One end of a link.
enum End {
    Client,
    Balancer,
    /// A server, on this host.
    Server(usize),
    /// A DC, which accepts logons at this address. Its tickets have another address.
    Controller(SocketAddr),
}
