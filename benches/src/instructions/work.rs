//! The pieces of work whose instructions are counted.

use std::hint::black_box;
use std::sync::Arc;

use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_catalogue::find;
use stickler_http1::{HeadLimits, RequestHead};
use stickler_model::{BalancerSpec, Trace};
use stickler_oracle::judge;
use stickler_runner::Arm;
use stickler_scenarios::suite::Case;
use stickler_sim::SimArm;

use crate::decisions::Desk;
use crate::handshake::Handshake;
use crate::tickets::Realm;
use crate::worlds::{idle_heavy_hour, small_world};

/// A piece of work.
pub struct Work {
    /// The name of the work in `benches/instructions.toml`.
    pub name: &'static str,
    /// Sets the work up, and returns it.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// The number of open connections among which decisions are made, and of decisions in one repetition. Debug builds, which
/// check a policy's state at each decision, use few.
const CONNECTIONS: usize = if cfg!(debug_assertions) { 10 } else { 1000 };

/// The number of heads of HTTP that are read in one repetition.
const HEADS: usize = 1000;

const HEAD: &[u8] = b"GET /reports/q3?year=2026 HTTP/1.1\r\nHost: www.corp.example\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium\r\nAccept: text/html,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Authorization: NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==\r\n\r\n";

const SCRIPT: &str = include_str!("../../../scenarios/scripts/identity/anonymous-after-user.star");

impl Work {
    /// All pieces of work.
    pub const ALL: [Self; 14] = [
        Self { name: "world-l4-nat", prepare: || world("l4-nat") },
        Self { name: "world-pin-on-401", prepare: || world("pin-on-401") },
        Self { name: "world-shared-pool", prepare: || world("shared-pool") },
        Self { name: "idle-heavy-hour", prepare: || Box::new(|| drop(black_box(idle_heavy_hour("l4-nat")))) },
        Self { name: "ntlm-authentication", prepare: ntlm },
        Self { name: "ap-req-aes256-sha1", prepare: || ap_req(Etype::Aes256Sha1) },
        Self { name: "ap-req-aes128-sha256", prepare: || ap_req(Etype::Aes128Sha256) },
        Self { name: "tgs-exchange", prepare: tgs },
        Self { name: "decision-l4-nat", prepare: || decision("l4-nat") },
        Self { name: "decision-pin-on-401", prepare: || decision("pin-on-401") },
        Self { name: "decision-shared-pool", prepare: || decision("shared-pool") },
        Self { name: "oracle", prepare: oracle },
        Self { name: "http-head", prepare: heads },
        Self { name: "script", prepare: script },
    ];

    /// Returns the work of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name == name)
    }

    /// Sets the work up, and performs it so many times.
    pub fn perform(&self, times: u32) {
        let mut work = (self.prepare)();
        for _ in 0..times {
            work();
        }
    }
}

/// A small world, from the start to its trace.
fn world(balancer: &'static str) -> Box<dyn FnMut()> {
    Box::new(move || drop(black_box(small_world(balancer))))
}

/// Both sides of an NTLM handshake, and the verification at the DC.
fn ntlm() -> Box<dyn FnMut()> {
    let mut handshake = Handshake::new(NtlmProfile::windows());
    Box::new(move || drop(black_box(handshake.run())))
}

/// The verification of a ticket, and the answer.
fn ap_req(etype: Etype) -> Box<dyn FnMut()> {
    let realm = Realm::new(etype);
    Box::new(move || drop(black_box(realm.verify(&mut realm.host()))))
}

/// A ticket for a service: request, the KDC's part, and the client's.
fn tgs() -> Box<dyn FnMut()> {
    let realm = Realm::new(Etype::Aes256Sha1);
    Box::new(move || drop(black_box(realm.ticket_granting())))
}

/// Decisions of a balancer among many open connections.
fn decision(balancer: &'static str) -> Box<dyn FnMut()> {
    let mut desk = Desk::new(&find(balancer).expect("it is one of ours"), CONNECTIONS, CONNECTIONS);
    Box::new(move || (0..CONNECTIONS).for_each(|_| desk.decide()))
}

/// The judgement of a small world.
fn oracle() -> Box<dyn FnMut()> {
    let trace: Trace = small_world("pin-on-401");
    Box::new(move || drop(black_box(judge(&trace))))
}

/// The heads of requests that carry NTLM.
fn heads() -> Box<dyn FnMut()> {
    let limits = HeadLimits { length: 16 << 10, fields: 100 };
    let mut head = RequestHead::default();
    Box::new(move || {
        for _ in 0..HEADS {
            let read = head.parse(black_box(HEAD), limits);
            assert!(matches!(read, Ok(Some(length)) if length == HEAD.len()), "{read:?}");
        }
    })
}

/// A shipped script over a balancer, with the world that it asks for, and the judgement.
fn script() -> Box<dyn FnMut()> {
    let case = Case::of_source("anonymous-after-user", "anonymous-after-user.star", SCRIPT).expect("it is a script");
    let (balancer, arm): (_, Arc<dyn Arm>) = (BalancerSpec::named("pin-on-401"), Arc::new(SimArm));
    Box::new(move || {
        let run = case.run(&balancer, 1, &arm);
        assert!(run.as_expected(), "{:?}", run.end);
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_piece_of_work_can_be_repeated_and_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Work::ALL.iter().map(|work| work.name).collect();
        assert_eq!(names.len(), Work::ALL.len());
        for work in Work::ALL {
            work.perform(2);
        }
    }

    #[test]
    fn the_committed_counts_are_those_of_the_work() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
        let committed = super::super::Committed::load(&path).unwrap();
        let names: BTreeSet<&str> = committed.instructions.keys().map(String::as_str).collect();
        assert_eq!(names, Work::ALL.iter().map(|work| work.name).collect());
    }
}
