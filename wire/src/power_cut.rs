//! A loss of power on real sockets: the packets of a host are dropped.
//!
//! A host that has no power announces nothing: its peers see neither FIN nor RST, and packets to it are not answered. On
//! one machine, nftables drops the packets to and from the ports of the host, so its sockets can close without anybody
//! noticing. When the power is back, the kernel answers packets of earlier connections with RST, as a host does that has
//! just started (RFC 9293 3.5.1).
//!
//! The rules are a table of the network namespace. Therefore the namespace must be one of Stickler's own, in which nobody
//! else has connections.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use stickler_model::{Name, WorldError};

use crate::products::{in_path, is_own_network};

/// The program that loads the rules, from Debian's package `nftables`.
const NFT: &str = "nft";

/// The rules that cut the power of one host. Dropping this value removes them.
#[derive(Debug)]
pub(crate) struct PowerCut {
    table: String,
}

impl PowerCut {
    /// Drops all packets to and from these addresses of a host, until the value is dropped.
    ///
    /// # Errors
    /// [`WorldError::Unsupported`]: the network namespace is shared with others, or nftables is not available in it.
    pub(crate) fn of(name: &Name, addresses: &[SocketAddr]) -> Result<Self, WorldError> {
        let impossible =
            |why: &str| Err(WorldError::Unsupported(format!("on real sockets `{name}` can lose power only {why}")));
        if !is_own_network() {
            return impossible(
                "in a network namespace of Stickler's own: start the command by `unshare --net --map-root-user sh -c \
                 'ip link set lo up && stickler ...'`",
            );
        }
        let Some(first) = addresses.first() else { return impossible("if it has an address") };
        let table = format!("stickler_power_{}", first.port());
        match load(&rules(&table, addresses)) {
            Ok(()) => Ok(Self { table }),
            Err(why) => impossible(&format!("with nftables (Debian package `nftables`): {why}")),
        }
    }
}

impl Drop for PowerCut {
    fn drop(&mut self) {
        // If this fails, the rules end together with the namespace.
        let _ = load(&format!("delete table inet {}\n", self.table));
    }
}

/// Returns the table that drops the packets to and from these addresses. All hosts are on this machine, so each packet passes
/// the hook `output` once, after the kernel's NAT of destinations has found its server.
fn rules(table: &str, addresses: &[SocketAddr]) -> String {
    let mut rules = format!("table inet {table} {{\n  chain cut {{\n    type filter hook output priority 0;\n");
    for address in addresses {
        let (family, ip, port) = (if address.is_ipv4() { "ip" } else { "ip6" }, address.ip(), address.port());
        let _ = writeln!(rules, "    {family} saddr {ip} meta l4proto {{ tcp, udp }} th sport {port} drop");
        let _ = writeln!(rules, "    {family} daddr {ip} meta l4proto {{ tcp, udp }} th dport {port} drop");
    }
    rules.push_str("  }\n}\n");
    rules
}

/// Passes commands to `nft`.
///
/// # Errors
/// `nft` is missing, or refuses the commands. The error is its message.
fn load(commands: &str) -> Result<(), String> {
    let program = in_path(NFT).ok_or("`nft` is not installed")?;
    let mut command = Command::new(program);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(commands.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_each_port_are_dropped_in_both_directions() {
        let addresses = ["127.0.0.1:389".parse().unwrap(), "[::1]:88".parse().unwrap()];
        let expected = "table inet stickler_power_389 {\n  chain cut {\n    type filter hook output priority 0;\n    \
             ip saddr 127.0.0.1 meta l4proto { tcp, udp } th sport 389 drop\n    \
             ip daddr 127.0.0.1 meta l4proto { tcp, udp } th dport 389 drop\n    \
             ip6 saddr ::1 meta l4proto { tcp, udp } th sport 88 drop\n    \
             ip6 daddr ::1 meta l4proto { tcp, udp } th dport 88 drop\n  }\n}\n";
        assert_eq!(rules("stickler_power_389", &addresses), expected);
    }

    #[test]
    fn in_a_shared_network_nothing_is_dropped() {
        if !is_own_network() {
            let error = PowerCut::of(&"iis1".into(), &["127.0.0.1:80".parse().unwrap()]).unwrap_err();
            assert!(error.to_string().contains("network namespace of Stickler's own"), "{error}");
        }
    }
}
