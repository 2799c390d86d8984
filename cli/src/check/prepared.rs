//! Sites as a configuration expects them: with a page that health checks may request, and with the servers of its farm.

use std::sync::Arc;

use stickler_model::topology::ServerSpec;
use stickler_model::{BalancerSpec, Topology, World, WorldError};
use stickler_runner::Arm;

/// The path below which no logon is needed. The health checks of an operator's configuration request such a page, and
/// the copy of the configuration uses this path for it.
const ANONYMOUS: &str = "/public";

/// An arm whose sites have such pages.
pub(super) struct Prepared {
    pub(super) arm: Arc<dyn Arm>,
    /// The number of servers of the farm; 0 if it is not known. A failure that needs more servers than that is not the
    /// balancer's fault.
    pub(super) servers: usize,
    /// Whether a site gets all servers of the farm, even if its scenario has fewer. A statement of a file about one
    /// server may not hold for another.
    pub(super) all: bool,
}

/// The maximum number of servers that a site gets.
const MOST: usize = 8;

impl Prepared {
    fn with_servers(&self, mut topology: Topology) -> Topology {
        if self.servers > 0 {
            topology.servers.truncate(self.servers);
        }
        if let (true, Some(first)) = (self.all, topology.servers.first().cloned()) {
            for number in topology.servers.len() + 1..=self.servers.min(MOST) {
                let name = format!("iis{number}").into();
                topology.servers.push(ServerSpec { name, ..first.clone() });
            }
        }
        topology
    }
}

impl Arm for Prepared {
    fn name(&self) -> &'static str {
        self.arm.name()
    }

    fn is_deterministic(&self) -> bool {
        self.arm.is_deterministic()
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let mut topology = self.with_servers(topology);
        for server in &mut topology.servers {
            let paths = &mut server.site.anonymous.paths;
            if !paths.iter().any(|path| path == ANONYMOUS) {
                paths.push(ANONYMOUS.to_owned());
            }
        }
        self.arm.build(topology, balancer, seed)
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.arm.build_control(self.with_servers(topology), seed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// An arm that records the servers of each site, and builds no world.
    #[derive(Default)]
    struct Noted(Mutex<Vec<Vec<String>>>);

    impl Arm for Noted {
        fn name(&self) -> &'static str {
            "noted"
        }

        fn build(&self, topology: Topology, _: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
            self.build_control(topology, seed)
        }

        fn build_control(&self, topology: Topology, _: u64) -> Result<Box<dyn World>, WorldError> {
            let names = topology.servers.iter().map(|server| server.name.to_string()).collect();
            self.0.lock().unwrap().push(names);
            Err(WorldError::Unsupported("a test".into()))
        }
    }

    #[test]
    fn a_site_and_its_control_have_the_servers_of_the_farm() {
        for (scenario, farm, all, expected) in
            [(2, 1, false, 1), (1, 2, false, 1), (3, 2, true, 2), (1, 3, true, 3), (1, 50, true, MOST), (2, 0, true, 2)]
        {
            let noted = Arc::new(Noted::default());
            let arm = Prepared { arm: Arc::clone(&noted) as Arc<dyn Arm>, servers: farm, all };
            let topology = stickler_model::standard::site(scenario);
            let balancer = BalancerSpec::named("shared-pool");
            assert!(arm.build(topology.clone(), &balancer, 0).is_err());
            assert!(arm.build_control(topology, 0).is_err());
            let names: Vec<String> = (1..=expected).map(|number| format!("iis{number}")).collect();
            assert_eq!(*noted.0.lock().unwrap(), [names.clone(), names], "{scenario} of {farm}");
        }
    }
}
