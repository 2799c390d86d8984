//! The addresses on which the processes of a product listen.

use std::net::SocketAddr;

use rustix::process::Pid;

/// Returns the addresses outside loopback on which processes of a group accept connections, or receive datagrams on a
/// port that the system does not assign. Processes that have ended have none. If the system does not provide the
/// information, the result is empty.
#[cfg(target_os = "linux")]
pub(super) fn of_group(leader: Pid) -> Vec<SocketAddr> {
    let sockets = sockets_of_group(leader);
    let mut exposed: Vec<SocketAddr> = listeners()
        .into_iter()
        .filter(|(address, inode)| !address.ip().to_canonical().is_loopback() && sockets.contains(inode))
        .map(|(address, _)| address)
        .collect();
    exposed.sort_unstable();
    exposed.dedup();
    exposed
}

/// Returns an empty list, because this system does not report where other processes listen.
#[cfg(not(target_os = "linux"))]
pub(super) fn of_group(_: Pid) -> Vec<SocketAddr> {
    Vec::new()
}

/// Returns the inodes of the sockets that processes of a group have open.
#[cfg(target_os = "linux")]
fn sockets_of_group(leader: Pid) -> std::collections::BTreeSet<u64> {
    use procfs::process::{FDTarget, all_processes};

    let group = leader.as_raw_nonzero().get();
    let all = all_processes().into_iter().flatten().flatten();
    let members = all.filter(|process| process.stat().is_ok_and(|stat| stat.pgrp == group));
    let files = members.filter_map(|process| process.fd().ok()).flatten().flatten();
    files.filter_map(|file| if let FDTarget::Socket(inode) = file.target { Some(inode) } else { None }).collect()
}

/// Returns the addresses on which any process in this network namespace listens, with the sockets' inodes.
#[cfg(target_os = "linux")]
fn listeners() -> Vec<(SocketAddr, u64)> {
    use procfs::net::{TcpState, tcp, tcp6, udp, udp6};

    let connections = [tcp(), tcp6()].into_iter().flatten().flatten();
    let connections = connections.filter(|entry| entry.state == TcpState::Listen);
    let mut all: Vec<(SocketAddr, u64)> = connections.map(|entry| (entry.local_address, entry.inode)).collect();
    let given_away = ephemeral_ports();
    let datagrams = [udp(), udp6()].into_iter().flatten().flatten();
    let datagrams = datagrams.filter(|entry| !given_away.contains(&entry.local_address.port()));
    all.extend(datagrams.map(|entry| (entry.local_address, entry.inode)));
    all
}

/// Returns the ports that the system assigns to sockets that choose none.
#[cfg(target_os = "linux")]
fn ephemeral_ports() -> std::ops::RangeInclusive<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = range.split_whitespace().filter_map(|port| port.parse().ok());
    ports.next().unwrap_or(32_768)..=ports.next().unwrap_or(60_999)
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "what listens beyond loopback is no socket of a Net")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_beyond_loopback_is_seen_and_one_on_loopback_is_not() {
        let group = rustix::process::getpgrp();
        let inner = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let outer = TcpListener::bind("0.0.0.0:0").unwrap();
        let exposed = of_group(group);
        assert!(exposed.contains(&outer.local_addr().unwrap()), "{exposed:?}");
        assert!(!exposed.contains(&inner));
    }
}
