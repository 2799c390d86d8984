//! The Linux kernel's NAT (nftables), as balancers at L4 use it: what a client sends to the site's address goes to one of the servers.
//!
//! There is no process: a shell stands for one, which loads the rules and waits. The rules are a table `stickler_PORT` of the network
//! namespace, which has to be one of Stickler's own: nobody else's packets pass them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Package, Place, Product, ProductError, Running, in_path};

pub(super) struct Kernel;

/// The program that loads rules.
const NFT: &str = "nft";

/// Loads the rules of a file, and waits for the end.
const LOAD: &str = "nft -f \"$1\" && exec sleep infinity";

impl Product for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn package(&self) -> Package {
        Package::Debian("nftables")
    }

    fn find(&self) -> Option<PathBuf> {
        in_path(NFT).and_then(|_| in_path("sh"))
    }

    fn version(&self, _: &Path) -> Option<String> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        Some(release.trim().to_owned())
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        ["-c", LOAD, "sh", &place.configuration.display().to_string()].map(str::to_owned).into()
    }

    fn needs_own_network(&self) -> bool {
        true
    }

    fn has_process(&self) -> bool {
        false
    }

    /// A connection would go on to a server, and be one that no client made.
    fn is_ready(&self, address: SocketAddr) -> Option<bool> {
        Some(nft(&["list", "table", "ip", &table(address)]))
    }

    fn ended(&self, address: SocketAddr) {
        nft(&["delete", "table", "ip", &table(address)]);
    }

    fn drain(&self, _: &Running, _: &str, _: bool) -> Result<(), ProductError> {
        self.cannot_drain("its rules are as they were loaded")
    }
}

fn table(address: SocketAddr) -> String {
    format!("stickler_{}", address.port())
}

/// Whether `nft` succeeds.
fn nft(arguments: &[&str]) -> bool {
    let Some(program) = in_path(NFT) else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
