//! A balancer that somebody else runs, and the ports at which it expects servers.
//!
//! [`Target`] has the servers' ports, which stay open from one world to the next. [`Target::fit`] gives a site as many
//! servers as there are ports, and [`Target::settle`] waits until the balancer reaches them. Nothing else is known of
//! the balancer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stickler_model::topology::{Acceptor, ServerSpec};
use stickler_model::{Journal, Name, REQUEST_ID_HEADER, RequestId, Topology, What, WorldError};
use stickler_net::{Net as _, TokioNet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use crate::addresses;
use crate::open_ports::OpenPorts;

/// The id of the requests by which it is determined whether the target reaches servers. No client's request has this
/// id.
const PROBE: RequestId = RequestId(u32::MAX);

/// The pause between the first two of these requests. Each further pause is 50% longer, up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The time that one of these requests may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A balancer that somebody else runs, with Stickler's servers behind it. One world at a time uses them.
#[derive(Debug)]
pub struct Target {
    /// The address to which clients connect.
    address: SocketAddr,
    /// The addresses at which the balancer expects its servers.
    servers: Vec<SocketAddr>,
    /// The time that the balancer may take until it reaches them.
    settle: Duration,
    ports: Arc<OpenPorts>,
    /// The indices of the servers that requests reached without further action, as determined the first time.
    usual: Mutex<Option<BTreeSet<usize>>>,
}

/// The result of a request to the target.
enum Probed {
    /// The target could not be reached, for this reason.
    Refused(io::Error),
    /// The target accepted the connection, and did not answer.
    Silent,
    /// The target answered with this status.
    Answered(u16),
}

impl Target {
    /// Returns the balancer at this address, which expects servers at `servers`. Their ports are opened wherever they
    /// are, because the user has decided on the addresses.
    ///
    /// # Errors
    /// The first port that is not available.
    pub fn open(address: SocketAddr, servers: Vec<SocketAddr>, settle: Duration) -> Result<Self, WorldError> {
        let ports = Arc::new(OpenPorts::new(&servers));
        let target = Self { address, servers, settle, ports, usual: Mutex::default() };
        target.prepare()?;
        Ok(target)
    }

    /// Returns the address to which clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the addresses of the servers, in order.
    pub(crate) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Returns the ports of the servers.
    pub(crate) fn ports(&self) -> &Arc<OpenPorts> {
        &self.ports
    }

    /// Returns the source of the connections of a client on this machine. On loopback each client has its own address, by
    /// which balancers distinguish clients.
    ///
    /// # Errors
    /// There are more clients than addresses.
    pub(crate) fn source(address: SocketAddr, client: usize) -> Result<SocketAddr, WorldError> {
        let any: IpAddr = match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => addresses::client(client)?,
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(SocketAddr::new(any, 0))
    }

    /// Opens the servers' ports that are closed, and closes the connections that have come since the world before.
    ///
    /// # Errors
    /// The first port that is not available.
    pub(crate) fn prepare(&self) -> Result<(), WorldError> {
        self.ports.open().map_err(|(address, error)| {
            WorldError::Invalid(format!("cannot listen on {address}, where the target looks for a server: {error}"))
        })
    }

    /// Gives a site as many servers as there are ports: additional servers get the settings of the existing ones. A site
    /// with more servers, or with servers that differ from one another, is not changed.
    ///
    /// # Errors
    /// [`WorldError::Unsupported`]: the site cannot have that many servers.
    pub(crate) fn fit(&self, topology: &mut Topology) -> Result<(), WorldError> {
        let (own, ports) = (topology.servers.len(), self.servers.len());
        if own > ports {
            let message = format!("the scenario has {own} servers, and --servers names {ports}");
            return Err(WorldError::Unsupported(message));
        }
        let Some(first) = topology.servers.first().cloned() else { return Ok(()) };
        let differs = |server: &ServerSpec| ServerSpec { name: first.name.clone(), ..server.clone() } != first;
        if own < ports && topology.servers.iter().any(differs) {
            let message = format!(
                "the scenario's {own} servers differ from each other, and nothing says how each of the {ports} of --servers is set up"
            );
            return Err(WorldError::Unsupported(message));
        }
        let names = (1_usize..).map(|number| Name::from(format!("iis{number}")));
        let taken: BTreeSet<Name> = topology.servers.iter().map(|server| server.name.clone()).collect();
        let added = names.filter(|name| !taken.contains(name)).take(ports - own);
        topology.servers.extend(added.map(|name| ServerSpec { name, ..first.clone() }));
        Ok(())
    }

    /// Requests a page from the target until the target has reached the servers: all of them in the first call, and in
    /// later calls those that it reached in the first one. The journal contains the servers' events of these requests,
    /// which belong to no client.
    ///
    /// # Errors
    /// * [`WorldError::Invalid`]: the target does not answer, has reached no server, or (in the first call) has not
    ///   even connected to one of the servers as a health check does.
    /// * [`WorldError::Unsupported`]: the target no longer reaches a server that it reached in the first call.
    pub(crate) async fn settle(&self, topology: &Topology, journal: &Journal) -> Result<(), WorldError> {
        // A panic elsewhere leaves the set complete.
        let usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = usual.clone().unwrap_or_else(|| (0..self.servers.len()).collect());
        let until = Instant::now() + self.settle;
        let (mut seen, mut number, mut pause) = (Seen::default(), 0, PAUSE);
        loop {
            let probed = self.probe(number).await;
            number += 1;
            seen.read(topology, journal);
            if seen.reached.is_superset(&wanted) {
                break;
            }
            if Instant::now() < until {
                sleep(pause).await;
                pause = (pause + pause / 2).min(LONGEST_PAUSE);
                continue;
            }
            if seen.reached.is_empty() {
                return Err(WorldError::Invalid(self.unreached(&probed)));
            }
            let missing = |by: &BTreeSet<usize>| {
                wanted.iter().find(|index| !by.contains(index)).map(|&index| self.servers[index])
            };
            match (&usual, missing(&seen.reached), missing(&seen.contacted)) {
                (Some(_), Some(server), _) => return Err(WorldError::Unsupported(self.not_again(server))),
                (None, _, Some(server)) => return Err(WorldError::Invalid(self.never_contacted(&seen, server))),
                _ => break,
            }
        }
        *self.usual.lock().unwrap_or_else(PoisonError::into_inner) = Some(usual.unwrap_or(seen.reached));
        Ok(())
    }

    /// Requests a page from the target. Each request has its own address, for balancers that choose by address.
    async fn probe(&self, number: usize) -> Probed {
        let asked = async {
            let mut stream = match self.address.ip() {
                IpAddr::V4(ip) if ip.is_loopback() => {
                    TokioNet.connect_from(SocketAddr::new(addresses::probe(number), 0), self.address).await?
                }
                _ => TokioNet.connect(self.address).await?,
            };
            let host = addresses::HOST_HEADER;
            let request =
                format!("GET / HTTP/1.1\r\nHost: {host}\r\n{REQUEST_ID_HEADER}: {PROBE}\r\nConnection: close\r\n\r\n");
            // A server that closes at once does not answer.
            let _ = stream.write_all(request.as_bytes()).await;
            let mut line = [0; 12];
            Ok(stream.read_exact(&mut line).await.ok().and_then(|_| status(&line)))
        };
        match timeout(PATIENCE.min(self.settle), asked).await {
            Ok(Ok(Some(status))) => Probed::Answered(status),
            Ok(Ok(None)) | Err(_) => Probed::Silent,
            Ok(Err(error)) => Probed::Refused(error),
        }
    }

    fn unreached(&self, last: &Probed) -> String {
        let Self { address, settle, .. } = self;
        let seconds = settle.as_secs_f64();
        let mut text = match last {
            Probed::Refused(error) => return format!("the target {address} answers nothing: {error}; is it running?"),
            Probed::Silent => format!("the target {address} takes connections and answers nothing"),
            Probed::Answered(status) => format!("the target {address} answers {status}"),
        };
        let servers: Vec<String> = self.servers.iter().map(SocketAddr::to_string).collect();
        let _ = write!(
            text,
            ", and has sent no request to a server within {seconds} s: is it configured to send to {}?",
            servers.join(" and ")
        );
        text
    }

    fn never_contacted(&self, seen: &Seen, server: SocketAddr) -> String {
        let Self { address, settle, .. } = self;
        let reached: Vec<String> = seen.reached.iter().map(|&index| self.servers[index].to_string()).collect();
        format!(
            "the target {address} sends to {}, and has not even connected to {server} within {} s: is it configured to send there? \
             If it is not, leave that out of --servers",
            reached.join(" and "),
            settle.as_secs_f64()
        )
    }

    fn not_again(&self, server: SocketAddr) -> String {
        let Self { address, settle, .. } = self;
        let seconds = settle.as_secs_f64();
        format!(
            "the target {address} has not reached {server} again within {seconds} s after the scenario before: --settle gives it more time"
        )
    }
}

/// The servers that have been reached, by their indices.
#[derive(Default)]
struct Seen {
    /// The servers that received one of these requests.
    reached: BTreeSet<usize>,
    /// The servers to which somebody connected.
    contacted: BTreeSet<usize>,
}

impl Seen {
    fn read(&mut self, topology: &Topology, journal: &Journal) {
        let server = |by: &Name| topology.servers.iter().enumerate().find(|(_, server)| server.name == *by);
        journal.visit(&mut |event| {
            let Some((index, spec)) = server(&event.by) else { return };
            match event.what {
                What::ServerAccepted { .. } => {
                    self.contacted.insert(index);
                    // A server that speaks no HTTP receives no request.
                    if matches!(spec.acceptor, Acceptor::Rogue(_)) {
                        self.reached.insert(index);
                    }
                }
                What::ServerReceived { request: Some(PROBE), .. } => _ = self.reached.insert(index),
                _ => {}
            }
        });
    }
}

/// Returns the status in a status line (RFC 9112 4), given its first twelve bytes.
fn status(line: &[u8; 12]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.")?.get(2..)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use stickler_model::standard;

    use super::*;

    fn target(servers: usize) -> Target {
        let servers =
            (0..servers).map(|index| SocketAddr::from(([127, 0, 0, 1], index as u16 + 1))).collect::<Vec<_>>();
        let ports = Arc::new(OpenPorts::new(&servers));
        Target { address: ([127, 0, 0, 1], 8081).into(), servers, settle: PAUSE, ports, usual: Mutex::default() }
    }

    fn names(topology: &Topology) -> Vec<&str> {
        topology.servers.iter().map(|server| server.name.as_str()).collect()
    }

    #[test]
    fn a_site_gets_as_many_servers_as_there_are_ports_if_its_own_are_alike() {
        let mut topology = standard::site(1);
        topology.servers[0].providers.clear();
        target(3).fit(&mut topology).unwrap();
        assert_eq!(names(&topology), ["iis1", "iis2", "iis3"]);
        assert!(topology.servers.iter().all(|server| server.providers.is_empty()), "they are set up alike");
    }

    #[test]
    fn a_site_with_more_servers_or_different_ones_is_no_other() {
        let error = target(1).fit(&mut standard::site(2)).unwrap_err().to_string();
        assert!(error.contains("has 2 servers, and --servers names 1"), "{error}");
        let mut different = standard::site(2);
        different.servers[1].clock_skew = 60;
        assert!(target(2).fit(&mut different.clone()).is_ok(), "each server has its port");
        assert!(matches!(target(3).fit(&mut different), Err(WorldError::Unsupported(_))));
    }

    /// Returns the result of waiting for two servers, and the servers that count as usual from then on. The arguments
    /// give the servers that were usual before, and those that were now reached by a request and by a connection.
    async fn settled(
        usual: Option<&[usize]>,
        reached: &[usize],
        contacted: &[usize],
    ) -> Result<BTreeSet<usize>, WorldError> {
        let topology = standard::site(2);
        let journal = Journal::new(Arc::new(crate::WallClock::default()));
        let name = |index: &usize| Name::from(format!("iis{}", index + 1));
        for index in contacted.iter().chain(reached) {
            let peer = ([127, 0, 0, 1], 5000).into();
            journal.record(&name(index), What::ServerAccepted { connection: 1, peer });
        }
        for index in reached {
            let leg = stickler_model::Leg::Anonymous;
            journal.record(&name(index), What::ServerReceived { connection: 1, number: 1, request: Some(PROBE), leg });
        }
        // Nobody listens there.
        let target = Target { address: ([127, 0, 0, 1], 1).into(), settle: 5 * PAUSE, ..target(2) };
        *target.usual.lock().unwrap() = usual.map(|usual| usual.iter().copied().collect());
        target.settle(&topology, &journal).await?;
        Ok(target.usual.into_inner().unwrap().unwrap())
    }

    #[tokio::test]
    async fn a_target_is_waited_for_until_it_reaches_what_it_reached_first() {
        assert_eq!(settled(None, &[0, 1], &[]).await.unwrap(), BTreeSet::from([0, 1]));
        assert_eq!(settled(None, &[0], &[1]).await.unwrap(), BTreeSet::from([0]), "the other one is for emergencies");
        assert_eq!(settled(Some(&[0]), &[0], &[]).await.unwrap(), BTreeSet::from([0]));
        let again = settled(Some(&[0, 1]), &[0], &[1]).await.unwrap_err();
        assert!(matches!(again, WorldError::Unsupported(_)), "the run is skipped: {again}");
        assert!(again.to_string().contains("has not reached 127.0.0.1:2 again within 0.1 s"), "{again}");
        for (reached, contacted, why) in [
            (&[0][..], &[][..], "has not even connected to 127.0.0.1:2"),
            (&[], &[], "answers nothing: Connection refused"),
        ] {
            let error = settled(None, reached, contacted).await.unwrap_err();
            assert!(matches!(error, WorldError::Invalid(_)) && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_status_is_read_from_a_status_line_alone() {
        assert_eq!(status(b"HTTP/1.1 503"), Some(503));
        for line in [b"HTTP/1.1 +42", b"SSH-2.0-Open", b"HTTP/2.0 200", b"HTTP/1.1 999"] {
            assert_eq!(status(line), None);
        }
    }

    #[test]
    fn clients_have_addresses_of_their_own_where_they_are_on_loopback() {
        let source = |address: &str| Target::source(address.parse().unwrap(), 1).unwrap().to_string();
        assert_eq!(source("127.0.0.1:80"), "127.1.0.2:0");
        assert_eq!(source("192.0.2.1:80"), "0.0.0.0:0");
        assert_eq!(source("[::1]:80"), "[::]:0");
    }
}
