//! The limits on a topology, which are the same for every world.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::bounds::{MAX_NAME, TooLong, bounded};
use crate::standard::MAX_BACKENDS;
use crate::{ActionProblem, Name, Topology, escape};

/// The maximum latency or jitter of a link.
pub const MAX_LATENCY: Duration = Duration::from_secs(10);

/// The longest time that each logon waits at a DC.
pub const MAX_SLOW: Duration = Duration::from_hours(1);

/// The highest `MaxConcurrentApi` (Microsoft, KB 2688798, Windows Server 2008 R2 and later).
pub const MAX_CONCURRENT_API: u16 = 150;

/// The maximum number of groups of a user (Microsoft, KB 328889: a logon fails with more than 1,010 to 1,015 of them).
pub const MAX_GROUPS: u16 = 1_010;

/// The maximum size of a topology: that of its JSON in a run file, in bytes.
pub const MAX_TOPOLOGY: usize = 1 << 20;

/// The reason why no world can be built from a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyProblem {
    /// There is no server, or there are too many.
    #[error("a site must have from 1 to {MAX_BACKENDS} servers, but this one has {0}")]
    Servers(usize),
    /// A server or a DC has a name that is not valid for a host.
    #[error("`{0}` is not a valid name of a host: use at most {MAX_NAME} letters, digits, - and _")]
    Name(String),
    /// Two servers or DCs have the same name.
    #[error("two hosts are called `{0}`: rename one of them")]
    Duplicate(Name),
    /// `MaxConcurrentApi` of a server or a DC is zero or too large.
    #[error("MaxConcurrentApi of `{0}` is {1}, but must be from 1 to {MAX_CONCURRENT_API}")]
    MaxConcurrentApi(Name, u16),
    /// A user has more groups than Windows allows for a logon.
    #[error("`{0}` is a member of {1} groups, but Windows allows a logon with at most {MAX_GROUPS}")]
    Groups(String, u16),
    /// A time is too long.
    #[error(transparent)]
    Time(#[from] TooLong),
    /// A server has settings that no server can have.
    #[error("the server `{0}` is not valid: {1}")]
    Server(Name, ActionProblem),
    /// The topology is too large.
    #[error(
        "a topology can have at most {MAX_TOPOLOGY} bytes as JSON, but this one has {0}: use fewer users, names or files"
    )]
    TooLarge(usize),
}

impl Topology {
    /// Checks that a world can be built from this topology. Only the world knows what a balancer requires of it, and
    /// which other hosts exist.
    ///
    /// # Errors
    /// [`TopologyProblem`] names the first part that no world can have.
    pub fn check(&self) -> Result<(), TopologyProblem> {
        if !(1..=MAX_BACKENDS as usize).contains(&self.servers.len()) {
            return Err(TopologyProblem::Servers(self.servers.len()));
        }
        let mut names = BTreeSet::new();
        let hosts = self.servers.iter().map(|server| &server.name);
        for name in hosts.chain(self.controllers.iter().map(|controller| &controller.name)) {
            if !Name::is_plain(name.as_str()) {
                return Err(TopologyProblem::Name(name.as_str().chars().take(40).collect()));
            }
            if !names.insert(name) {
                return Err(TopologyProblem::Duplicate(name.clone()));
            }
        }
        for server in &self.servers {
            server.check().map_err(|problem| TopologyProblem::Server(server.name.clone(), problem))?;
        }
        let servers = self.servers.iter().map(|server| (&server.name, server.max_concurrent_api()));
        let controllers = self.controllers.iter().map(|controller| (&controller.name, controller.max_concurrent_api()));
        for (name, calls) in servers.chain(controllers) {
            if !(1..=MAX_CONCURRENT_API).contains(&calls) {
                return Err(TopologyProblem::MaxConcurrentApi(name.clone(), calls));
            }
        }
        let partners = self.partner.iter().flat_map(|partner| &partner.domain.users);
        if let Some(user) = self.domain.users.iter().chain(partners).find(|user| user.groups > MAX_GROUPS) {
            return Err(TopologyProblem::Groups(user.name.clone(), user.groups));
        }
        bounded("the latency of a link", self.link.latency, MAX_LATENCY)?;
        bounded("the jitter of a link", self.link.jitter, MAX_LATENCY)?;
        let slow = self.controllers.iter().filter_map(|controller| controller.slow);
        slow.max().map_or(Ok(()), |slow| bounded("the time that a logon waits at a DC", slow, MAX_SLOW))?;
        let json = serde_json::to_string(self).expect("the vocabulary has no map keys that JSON refuses");
        let length = escape::json(&json).len();
        if length > MAX_TOPOLOGY { Err(TopologyProblem::TooLarge(length)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard;
    use crate::topology::{Acceptor, ControllerSpec, Tracked, TrackedBy, TrackedCheck};

    fn wrong(change: impl FnOnce(&mut Topology)) -> String {
        let mut topology = standard::site(2);
        assert_eq!(topology.check(), Ok(()));
        change(&mut topology);
        topology.check().expect_err("no world can be built from it").to_string()
    }

    #[test]
    fn the_number_of_servers_is_bounded() {
        assert_eq!(standard::site(MAX_BACKENDS).check(), Ok(()));
        assert_eq!(
            wrong(|topology| topology.servers.clear()),
            "a site must have from 1 to 64 servers, but this one has 0"
        );
        let many = wrong(|topology| topology.servers = standard::servers(MAX_BACKENDS + 1));
        assert_eq!(many, "a site must have from 1 to 64 servers, but this one has 65");
    }

    #[test]
    fn hosts_have_plain_names_of_their_own() {
        let twice = wrong(|topology| topology.servers[1].name = "iis1".into());
        assert_eq!(twice, "two hosts are called `iis1`: rename one of them");
        let controllers = |names: [&str; 2]| names.map(|name| ControllerSpec::new(name.into())).to_vec();
        assert_eq!(
            wrong(|topology| topology.controllers = controllers(["dc1", "dc1"])),
            "two hosts are called `dc1`: rename one of them"
        );
        assert_eq!(
            wrong(|topology| topology.controllers = controllers(["dc1", "iis2"])),
            "two hosts are called `iis2`: rename one of them"
        );
        assert!(
            wrong(|topology| topology.servers[0].name = "a b".into())
                .starts_with("`a b` is not a valid name of a host")
        );
        let long = wrong(|topology| topology.controllers = controllers(["dc1", &"x".repeat(33)]));
        assert!(long.contains("is not a valid name of a host"), "{long}");
    }

    #[test]
    fn a_trusted_header_is_one_that_clients_do_not_send() {
        let trusting = |header: &str| {
            let by = TrackedBy::Header(header.into());
            let tracked = Acceptor::Tracked(Tracked { by, check: TrackedCheck::Nothing });
            [Acceptor::TrustedHeader(header.into()), tracked].map(|acceptor| {
                let mut topology = standard::site(2);
                topology.servers[1].acceptor = acceptor;
                topology.check()
            })
        };
        for header in ["X-Remote-User", "Jespa-Connection-Id", "REMOTE_USER"] {
            assert_eq!(trusting(header), [Ok(()), Ok(())]);
        }
        for header in ["", "a b", "ü", "Host", "authorization", "User-Agent", "Cookie", &"x".repeat(65)] {
            let problem = ActionProblem::TrustedHeader(header.chars().take(40).collect());
            let refused = Err(TopologyProblem::Server("iis2".into(), problem));
            assert_eq!(trusting(header), [refused.clone(), refused]);
        }
    }

    #[test]
    fn a_server_is_set_up_as_one_can_be() {
        let timeout = |time| wrong(|topology| topology.servers[1].site.connection_timeout = time);
        let short = timeout(Duration::ZERO);
        assert_eq!(short, "the server `iis2` is not valid: `connection_timeout` is 0ns; it must be at least 1ms");
        assert!(timeout(Duration::from_micros(999)).contains("at least 1ms"));
        assert!(timeout(Duration::from_hours(25)).contains("at most 86400s"));
        let skewed = wrong(|topology| topology.servers[0].clock_skew = i64::MIN);
        assert!(skewed.starts_with("the server `iis1` is not valid: `clock_skew`, either way, is "), "{skewed}");
        let mut topology = standard::site(2);
        topology.servers[1].site.connection_timeout = Duration::from_millis(1);
        topology.servers[1].clock_skew = -600;
        assert_eq!(topology.check(), Ok(()));
    }

    #[test]
    fn as_many_logons_at_once_are_asked_for_as_windows_allows() {
        for calls in [0, 151] {
            let server = wrong(|topology| topology.servers[1].site.max_concurrent_api = Some(calls));
            assert_eq!(server, format!("MaxConcurrentApi of `iis2` is {calls}, but must be from 1 to 150"));
            let dc = ControllerSpec { max_concurrent_api: Some(calls), ..ControllerSpec::new("dc".into()) };
            assert!(wrong(|topology| topology.controllers = vec![dc]).starts_with("MaxConcurrentApi of `dc` is "));
        }
        let mut topology = standard::site(2);
        topology.servers[0].site.max_concurrent_api = Some(150);
        assert_eq!(topology.check(), Ok(()));
    }

    #[test]
    fn nobody_has_more_groups_than_windows_logs_on() {
        let many = wrong(|topology| topology.domain.users[0].groups = 1_011);
        assert_eq!(many, "`alice` is a member of 1011 groups, but Windows allows a logon with at most 1010");
    }

    #[test]
    fn times_and_the_whole_are_bounded() {
        let late = wrong(|topology| topology.link.latency = Duration::from_secs(11));
        assert_eq!(late, "the latency of a link is 11s; it must be at most 10s");
        assert!(wrong(|topology| topology.link.jitter = Duration::MAX).starts_with("the jitter of a link is "));
        let slow = ControllerSpec { slow: Some(Duration::from_secs(3_601)), ..ControllerSpec::new("dc".into()) };
        let slow = wrong(|topology| topology.controllers = vec![slow]);
        assert_eq!(slow, "the time that a logon waits at a DC is 3601s; it must be at most 3600s");
        let large = wrong(|topology| topology.domain.users[0].password = "x".repeat(MAX_TOPOLOGY));
        assert!(large.starts_with("a topology can have at most 1048576 bytes as JSON, but this one has 10"), "{large}");
        // Text that JSON escapes counts with its escaped length.
        assert!(wrong(|topology| topology.broken = Some("\u{7f}".repeat(MAX_TOPOLOGY / 5))).contains("bytes as JSON"));
    }
}
