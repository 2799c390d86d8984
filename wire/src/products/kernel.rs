//! The Linux kernel's NAT (nftables), as balancers at L4 use it: packets that a client sends to the site's address go
//! to one of the servers.
//!
//! There is no process of the product; a shell that loads the rules and waits takes its place. The rules are a table
//! `stickler_PORT` of the network namespace, which must be one of Stickler's own, so only its packets pass the rules.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Package, Place, Product, ProductError, Running, in_path};

pub(super) struct Kernel;

/// The program that loads the rules.
const NFT: &str = "nft";

/// The script that loads the rules of a file, and waits for the end.
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

    /// Returns whether the rules are loaded, without a connection, because that would reach a server although no client
    /// made it.
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

/// Returns whether `nft` succeeds with these arguments.
fn nft(arguments: &[&str]) -> bool {
    let Some(program) = in_path(NFT) else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
