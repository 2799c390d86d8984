//! A balancer's decisions alone, among many open downstream connections that hold as much state as possible.
//!
//! * [`Desk`]: a policy with its connections; [`Desk::decide`] is one decision from its beginning to its end.
//! * `flows` and `exchanges`: decisions at L4 and at L7.
//! * [`Table`]: a reference for the cost of one look-up in a table that is larger than the caches.
//!
//! The order in which the connections take turns is independent of the order in which they were opened, so no data is
//! in a cache because its neighbour was used before.

mod exchanges;
mod flows;

use std::net::SocketAddr;

use indexmap::IndexMap;
use stickler_catalogue::{Mechanism, mechanisms};
use stickler_lb_core::{Backend, Farm};
use stickler_model::Entropy;

use self::exchanges::Exchanges;
use self::flows::Flows;

/// The number of backends in the farm, which is constant, since a decision may depend on it.
const BACKENDS: u8 = 8;

/// Returns the mechanisms, without those whose policy is the same as that of an earlier one. Such mechanisms differ only
/// in how a connection is carried, who checks the backends, or who authenticates, and the policy decides none of these.
pub fn distinct() -> Vec<&'static Mechanism> {
    let all = mechanisms();
    let is_new = |index: usize| !all[..index].iter().any(|before| before.kind == all[index].kind);
    (0..all.len()).filter(|&index| is_new(index)).map(|index| &all[index]).collect()
}

/// A policy, and the downstream connections that are open to it.
pub enum Desk {
    /// A policy that is asked once for each connection.
    L4(Box<Flows>),
    /// A policy that is asked for each request.
    L7(Box<Exchanges>),
}

impl Desk {
    /// Returns a mechanism's policy over eight backends, with `connections` open downstream connections. At most
    /// `asking` of them take turns; the others are idle.
    ///
    /// # Panics
    /// The mechanism does not fit its own farm, which would be a bug in it.
    pub fn new(mechanism: &Mechanism, connections: usize, asking: usize) -> Self {
        let (farm, entropy) = (farm(), Entropy::new(1, "lb"));
        if let Some(policy) = mechanism.l4(&farm, entropy.clone()).expect("a mechanism fits any farm") {
            return Self::L4(Box::new(Flows::new(policy, connections, asking)));
        }
        let policy = mechanism.l7(&farm, entropy).expect("a mechanism fits any farm");
        let policy = policy.expect("a mechanism works at L4 or at L7");
        Self::L7(Box::new(Exchanges::new(policy, connections, asking)))
    }

    /// Makes one decision. At L4 a connection ends and another begins; at L7 a request arrives, then its answer, then
    /// their end. Like the data plane, it also asks for unsolicited work and its time.
    ///
    /// # Panics
    /// A connection that was served before is turned away, which would be a bug in the policy.
    pub fn decide(&mut self) {
        match self {
            Self::L4(flows) => flows.decide(),
            Self::L7(exchanges) => exchanges.decide(),
        }
    }

    /// Returns the number of connections that the mechanism has served. It may make others wait, or turn them away.
    pub fn served(&self) -> usize {
        match self {
            Self::L4(flows) => flows.served(),
            Self::L7(exchanges) => exchanges.served(),
        }
    }
}

/// A table that is as large as a policy's tables, and nothing else.
pub struct Table {
    entries: IndexMap<u32, [u64; 12]>,
    keys: Vec<u32>,
    next: usize,
}

impl Table {
    /// Returns a table with this number of entries.
    pub fn new(entries: usize) -> Self {
        let keys = shuffled(entries);
        Self { entries: (0..entries as u32).map(|key| (key, [0; 12])).collect(), keys, next: 0 }
    }

    /// Looks one entry up, and reads and writes it.
    ///
    /// # Panics
    /// The function never panics, because all keys exist.
    pub fn look(&mut self) -> u64 {
        let key = self.keys[self.next];
        self.next = (self.next + 1) % self.keys.len();
        let entry = self.entries.get_mut(&key).expect("no entry leaves");
        entry[5] += 1;
        entry[5]
    }
}

fn farm() -> Farm {
    let backend =
        |index: u8| Backend { name: format!("iis{index}").into(), address: SocketAddr::from(([10, 0, 1, index], 80)) };
    Farm { backends: (1..=BACKENDS).map(backend).collect() }
}

/// Returns the address of a client. Each client has its own.
fn address(client: u32, port: u16) -> SocketAddr {
    SocketAddr::from(((0x0A10_0000 + client).to_be_bytes(), port))
}

/// Returns the numbers below `count` in a shuffled order that is always the same (Fisher and Yates).
fn shuffled(count: usize) -> Vec<u32> {
    let entropy = Entropy::new(1, "order");
    let mut all: Vec<u32> = (0..count as u32).collect();
    for last in (1..all.len()).rev() {
        all.swap(last, entropy.below(last as u64 + 1) as usize);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distinct_mechanism_decides_among_connections_that_it_serves() {
        let distinct = distinct();
        assert!(distinct.iter().any(|mechanism| mechanism.name == "pin-on-401"));
        assert!(!distinct.iter().any(|mechanism| mechanism.name == "l4-dsr"), "it decides as l4-nat does");
        for mechanism in distinct {
            for asking in [12, 3] {
                let mut desk = Desk::new(mechanism, 12, asking);
                assert_eq!(desk.served(), 12, "{}", mechanism.name);
                for _ in 0..50 {
                    desk.decide();
                }
            }
        }
    }

    #[test]
    fn an_order_has_each_number_once_and_is_no_order_of_theirs() {
        let mut all = shuffled(100);
        assert!(all.windows(2).any(|pair| pair[0] > pair[1]));
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
