//! Links: the time that packets take, the order in which they arrive, and the packets that are held.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use indexmap::IndexMap;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::packet::Segment;
use super::settings::{Link, Settings};

/// The delay that a lost SYN causes (RFC 6298 2.1: an initial timeout of one second).
pub const SYN_RTO: Duration = Duration::from_secs(1);

/// A segment between the two ends of a link.
#[derive(Debug)]
pub(super) struct Transit {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// The router at `to`; `None` if `to` is a host.
    pub(super) router: Option<usize>,
    pub(super) segment: Segment,
}

/// All links. Packets of one flow arrive in the order in which they were sent, whatever jitter and loss do, because the
/// kernels drop packets that are out of order.
#[derive(Debug)]
pub(super) struct Links {
    default: Link,
    pairs: BTreeMap<(IpAddr, IpAddr), Link>,
    held: BTreeMap<(IpAddr, IpAddr), Vec<Transit>>,
    rng: ChaCha8Rng,
    rto: u64,
    quantum: u64,
    /// The last arrival on each link of each flow. It is recorded only from the first change of delays on: while delays
    /// are constant, the order is kept without it.
    last: Option<IndexMap<(IpAddr, SocketAddr, SocketAddr), u64>>,
    /// The latest of all arrivals until then, which flows that were already under way must not overtake.
    latest: u64,
    prune_at: usize,
}

impl Links {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut links = Self {
            default: settings.link,
            pairs: BTreeMap::new(),
            held: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            rto: nanos(settings.rto),
            quantum: nanos(settings.quantum).max(1),
            last: None,
            latest: 0,
            prune_at: 1024,
        };
        links.changed(settings.link);
        links
    }

    pub(super) fn set(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.pairs.insert((from, to), link);
        self.changed(link);
    }

    pub(super) fn set_default(&mut self, link: Link) {
        self.default = link;
        self.changed(link);
    }

    pub(super) fn hold(&mut self, from: IpAddr, to: IpAddr) {
        self.held.entry((from, to)).or_default();
    }

    /// Ends a hold, and returns the held packets in order.
    pub(super) fn release(&mut self, from: IpAddr, to: IpAddr) -> Vec<Transit> {
        self.held.remove(&(from, to)).unwrap_or_default()
    }

    /// Returns whether packets from one address to another are held.
    pub(super) fn holds(&self, from: IpAddr, to: IpAddr) -> bool {
        !self.held.is_empty() && self.held.contains_key(&(from, to))
    }

    /// Adds a packet to a hold. Without a hold, the packet is lost.
    pub(super) fn keep(&mut self, transit: Transit) {
        if let Some(held) = self.held.get_mut(&(transit.from, transit.to)) {
            held.push(transit);
        }
    }

    /// Returns the time at which a packet that sets out at `now` arrives, in nanoseconds, which is always later than
    /// `now`.
    pub(super) fn arrival(&mut self, transit: &Transit, now: u64) -> u64 {
        let link = self.link(transit.from, transit.to);
        let mut at = now.saturating_add(nanos(link.latency)).max(now + 1);
        if varies(link) {
            at = at.saturating_add(self.vary(link, transit.segment.is_syn()));
        }
        let Some(last) = &mut self.last else {
            self.latest = self.latest.max(at);
            return at.next_multiple_of(self.quantum);
        };
        let segment = &transit.segment;
        let flow = last.entry((transit.from, segment.src, segment.dst)).or_insert(self.latest);
        at = at.max(*flow);
        *flow = at;
        if last.len() >= self.prune_at {
            // Packets that have arrived can no longer be overtaken.
            last.retain(|_, at| *at > now);
            self.prune_at = (2 * last.len()).max(1024);
        }
        at.next_multiple_of(self.quantum)
    }

    fn vary(&mut self, link: Link, syn: bool) -> u64 {
        let jitter = nanos(link.jitter);
        // A multiplication and a shift give an even draw, with a bias that is smaller than that of a remainder.
        let delay = (u128::from(self.rng.next_u64()) * (u128::from(jitter) + 1)) >> 64;
        let lost = link.loss_per_million > 0
            && (u64::from(self.rng.next_u32()) * 1_000_000) >> 32 < u64::from(link.loss_per_million);
        let retransmission = match (lost, syn) {
            (false, _) => 0,
            (true, false) => self.rto,
            (true, true) => nanos(SYN_RTO),
        };
        delay as u64 + retransmission
    }

    fn link(&self, from: IpAddr, to: IpAddr) -> Link {
        if self.pairs.is_empty() {
            return self.default;
        }
        self.pairs.get(&(from, to)).copied().unwrap_or(self.default)
    }

    /// Records a change of a link. If a link is set before the first packet and is constant, the order is kept without it.
    fn changed(&mut self, link: Link) {
        if varies(link) || self.latest > 0 {
            self.last.get_or_insert_default();
        }
    }
}

/// Returns whether packets of the same flow can take different times.
fn varies(link: Link) -> bool {
    !link.jitter.is_zero() || link.loss_per_million > 0
}

/// Returns a duration in nanoseconds, but at most a year, so that no sum with the clock overflows.
fn nanos(duration: Duration) -> u64 {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    duration.min(YEAR).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One step: either time passes and a packet of one of three flows is sent, or a link changes.
    #[derive(Debug, Clone)]
    enum Step {
        Send { after: u64, flow: u16 },
        Set { latency: u64, jitter: u64, loss_per_million: u32 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400_000_u64, 0..3_u16).prop_map(|(after, flow)| Step::Send { after, flow }),
            1 => (0..1_000_000_u64, 0..1_000_000_u64, 0..300_000_u32)
                .prop_map(|(latency, jitter, loss_per_million)| Step::Set { latency, jitter, loss_per_million }),
        ]
    }

    fn transit(flow: u16) -> Transit {
        let (from, to) = (SocketAddr::from(([10, 0, 0, 1], 50_000 + flow)), SocketAddr::from(([10, 0, 0, 2], 80)));
        Transit { from: from.ip(), to: to.ip(), router: None, segment: Segment::reset(from, to) }
    }

    proptest! {
        #[test]
        fn packets_of_a_flow_arrive_in_order_later_than_sent_and_on_the_grid(
            seed: u64,
            constant: bool,
            quantum in prop_oneof![Just(0), Just(50_000_u64)],
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let jitter = Duration::from_micros(if constant { 0 } else { 100 });
            let link = Link::new(Duration::from_micros(250)).with_jitter(jitter);
            let mut links = Links::new(&Settings { seed, link, quantum: Duration::from_nanos(quantum), ..Settings::default() });
            let (mut now, mut last) = (0, [0; 3]);
            for step in steps {
                match step {
                    Step::Set { latency, jitter, loss_per_million } => links.set_default(Link {
                        latency: Duration::from_nanos(latency),
                        jitter: Duration::from_nanos(jitter),
                        loss_per_million,
                    }),
                    Step::Send { after, flow } => {
                        now += after;
                        let at = links.arrival(&transit(flow), now);
                        prop_assert!(at > now);
                        prop_assert!(at >= last[usize::from(flow)], "overtaken");
                        prop_assert!(at.is_multiple_of(quantum.max(1)));
                        last[usize::from(flow)] = at;
                    }
                }
            }
        }
    }

    #[test]
    fn loss_happens_as_often_as_set() {
        let link = Link::new(Duration::ZERO).with_loss_per_million(100_000);
        let mut links = Links::new(&Settings { link, ..Settings::default() });
        let lost = (0..10_000_u64)
            .filter(|i| {
                let now = i * 1_000_000_000;
                links.arrival(&transit(0), now) - now > 100_000_000
            })
            .count();
        assert!((900..1100).contains(&lost), "{lost} of 10,000");
    }
}
