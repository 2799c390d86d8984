//! The events of a run in order, and the journal that collects them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::repeats::{Recording, Repeats, conversation};
use crate::{Action, BalancerSpec, Clock, Event, Name, Plan, Principal, Topology, What, weight};

/// The conditions of a run, and the declarations of its balancer. A requirement that depends on something that is not
/// declared does not apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The seed of everything random in the run.
    pub seed: u64,
    /// The balancer between the clients and the servers.
    pub balancer: BalancerSpec,
    /// The site as the world built it, including what the balancer requires of it, such as a trusted header.
    pub topology: Topology,
    /// The declarations of the balancer about itself.
    pub promises: Promises,
}

/// The declarations of a balancer about itself, for the requirements that depend on them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// The time after a client's last request for which its requests reach the same backend. `None`: there is no
    /// persistence.
    pub persistence: Option<Duration>,
    /// The limit on the unevenness of the load. `None`: no limit is promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// The active health checks. `None`: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    /// The name of the persistence cookie that the balancer sets. `None`: it sets no cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// The request header in which the site trusts the balancer to name the user or the client's connection. `None`:
    /// the site trusts no header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_header: Option<String>,
    /// The time for which a backend is out of use after requests failed at it. `None`: failures of requests are not
    /// counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_after_failures: Option<Duration>,
    /// The answer to a client while no backend is available.
    #[serde(default, skip_serializing_if = "NoneLeft::is_usual")]
    pub none_left: NoneLeft,
    /// The services that have their own backends. Empty: every backend serves all paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Whether nobody has declared anything. Then the balancer may have properties that are missing here. In
    /// particular, it is not known how long a repaired backend stays out of use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

impl Promises {
    /// Returns the promises of an unknown balancer.
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Returns the service to which a path belongs: the one whose prefix of the path is longest. Returns `None` if no
    /// service has its own backends.
    pub fn service(&self, path: &str) -> Option<&Service> {
        let fitting = self.services.iter().filter(|service| path.starts_with(&service.prefix));
        fitting.max_by_key(|service| service.prefix.len())
    }

    /// Returns whether this backend serves this path.
    pub fn serves(&self, backend: &Name, path: &str) -> bool {
        self.service(path).is_none_or(|service| service.backends.contains(backend))
    }

    /// Returns the time, in addition to the time that packets need, until a repaired backend must be in use again. By
    /// then, the declared checks have found it up, and its failures are forgotten. If nothing was declared, this is the
    /// longest possible time.
    pub fn notice_mended(&self) -> Duration {
        if self.unknown {
            return Duration::MAX;
        }
        let checks = self.checks.as_ref().map(Checks::notice_up).unwrap_or_default();
        checks.max(self.out_after_failures.unwrap_or_default())
    }
}

/// The answer to a client while no backend is available. A refused connection counts as equivalent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoneLeft {
    /// The balancer answers with this status.
    Status(u16),
    /// The balancer accepts the connection and closes it without an answer.
    Closed,
}

impl NoneLeft {
    /// Returns whether this is the default, which applies to a balancer that declares nothing else.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for NoneLeft {
    /// Returns 503 (RFC 9110 15.6.4).
    fn default() -> Self {
        Self::Status(503)
    }
}

/// A part of the site that has its own backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The prefix of the service's paths; empty for all paths that belong to no other service.
    pub prefix: String,
    /// The backends of the service.
    pub backends: Vec<Name>,
}

/// The promise about the evenness of the load while every backend is up: of `n` units, a backend with the share `s` of
/// the weights gets at most `n * s * (100 + percent) / 100 + units`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The unit of the load.
    pub unit: SpreadUnit,
    /// The excess over its share that a backend may get, in percent of the share.
    pub percent: u32,
    /// The excess over its share that a backend may get, in units: 1 for a strict round robin.
    pub units: u32,
    /// The weights that differ from 1.
    pub weights: Vec<(Name, u32)>,
}

/// The unit of the load that a balancer spreads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadUnit {
    /// HTTP requests, with each leg of a handshake counted separately.
    Requests,
    /// Connections of clients, each counted at the backend of its first request.
    Connections,
}

/// The declarations of a balancer about its active health checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// The time from one check of a backend to the next.
    pub interval: Duration,
    /// Whether the interval counts from the end of a check, so that a check without an answer delays the next one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_end: bool,
    /// The time after which a check without an answer has failed.
    pub timeout: Duration,
    /// The number of checks in a row that must succeed before a backend is up.
    pub rise: u32,
    /// The number of checks in a row that must fail before a backend is down.
    pub fall: u32,
    /// The account with which an authenticated check logs on. `None`: the check does not log on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Principal>,
}

impl Checks {
    /// Returns the time in which the death of a backend is noticed: fall x interval + timeout, or fall x (interval +
    /// timeout) if the interval counts from the end of a check.
    pub fn notice_down(&self) -> Duration {
        let timeouts = if self.after_end { self.fall } else { 1 };
        self.interval.saturating_mul(self.fall).saturating_add(self.timeout.saturating_mul(timeouts))
    }

    /// Returns the time in which the return of a backend is noticed: rise x interval + timeout.
    pub fn notice_up(&self) -> Duration {
        self.interval.saturating_mul(self.rise).saturating_add(self.timeout)
    }
}

/// Everything that was observed in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The conditions of the run, and the declarations of the balancer.
    pub header: Header,
    /// The events, in order.
    pub events: Vec<Event>,
}

impl Trace {
    /// Returns the plan that was performed: the contents of the header, and the actions in the trace.
    pub fn plan(&self) -> Plan {
        Plan {
            seed: self.header.seed,
            balancer: self.header.balancer.clone(),
            topology: self.header.topology.clone(),
            steps: self.actions().cloned().collect(),
        }
    }

    /// Returns the actions that the world performed, in order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.events.iter().filter_map(|event| match &event.what {
            What::Action(action) => Some(action),
            _ => None,
        })
    }

    /// Returns the trace as JSON documents, one in each line: first the header, then each event. For a seed, the result
    /// is the same byte for byte.
    pub fn to_json_lines(&self) -> String {
        let mut text = json(&self.header);
        for event in &self.events {
            let _ = write!(text, "\n{}", json(event));
        }
        text.push('\n');
        text
    }

    /// Returns the SHA-256 of [`Trace::to_json_lines`] in hexadecimal.
    pub fn hash(&self) -> String {
        Sha256::digest(self.to_json_lines()).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the vocabulary has no map keys that JSON refuses")
}

/// The maximum number of events that a journal keeps.
pub const MAX_EVENTS: usize = 1_000_000;

/// The approximate limit on the memory that these events take, in bytes.
pub const MAX_EVENT_BYTES: usize = 512 << 20;

/// Adds the time and the observer to each observation, and keeps the events in order or passes them on.
///
/// A journal keeps at most [`MAX_EVENTS`], and about [`MAX_EVENT_BYTES`]. A [full](Journal::is_full) journal keeps
/// nothing more. The caller then ends the run, because a trace with gaps is not evidence. Health checks that repeat for
/// a long time are counted ([`What::Repeated`]).
pub struct Journal {
    clock: Arc<dyn Clock>,
    sink: Sink,
}

enum Sink {
    Keep(Mutex<Chunks>),
    HandOn(Box<dyn Fn(Event) + Send + Sync>),
}

impl Journal {
    /// Returns an empty journal on this clock that keeps the events.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, sink: Sink::Keep(Mutex::default()) })
    }

    /// Returns a journal that passes each event to `sink` and keeps none, for worlds without an end.
    pub fn handing_on(clock: Arc<dyn Clock>, sink: impl Fn(Event) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { clock, sink: Sink::HandOn(Box::new(sink)) })
    }

    /// Records what `by` observed at the current time.
    pub fn record(&self, by: &Name, what: What) {
        let event = Event { at: self.clock.now(), by: by.clone(), what };
        match &self.sink {
            Sink::Keep(events) => lock(events).push(event),
            Sink::HandOn(sink) => sink(event),
        }
    }

    /// Returns whether an event could not be kept.
    pub fn is_full(&self) -> bool {
        match &self.sink {
            Sink::Keep(events) => lock(events).full_up,
            Sink::HandOn(_) => false,
        }
    }

    /// Removes the last event if it is an action, because the world that recorded it could not perform it.
    pub fn retract_action(&self) {
        if let Sink::Keep(events) = &self.sink {
            let mut events = lock(events);
            let is_action = |event: &Event| matches!(event.what, What::Action(_));
            if events.last.last().is_some_and(is_action) {
                events.last.pop();
            }
        }
    }

    /// Passes each event kept so far to `see`, in order. `see` must not record any.
    pub fn visit(&self, see: &mut dyn FnMut(&Event)) {
        if let Sink::Keep(events) = &self.sink {
            let events = lock(events);
            events.full.iter().flatten().chain(&events.last).for_each(see);
        }
    }

    /// Removes and returns all events kept so far.
    pub fn take(&self) -> Vec<Event> {
        match &self.sink {
            Sink::Keep(events) => std::mem::take(&mut *lock(events)).join(),
            Sink::HandOn(_) => Vec::new(),
        }
    }
}

/// The events, in pieces of bounded length, so that a growing run does not move the events that it already has.
#[derive(Default)]
struct Chunks {
    full: Vec<Vec<Event>>,
    last: Vec<Event>,
    /// The approximate number of bytes that the events take.
    bytes: usize,
    /// Whether an event had to be left out.
    full_up: bool,
    repeats: Repeats,
}

impl Chunks {
    /// The number of events in a piece, which takes about 120 KiB.
    const LENGTH: usize = 1024;

    fn push(&mut self, event: Event) {
        let bytes = self.bytes + weight::of(&event);
        if self.full_up || bytes > MAX_EVENT_BYTES || self.full.len() * Self::LENGTH + self.last.len() == MAX_EVENTS {
            self.full_up = true;
            return;
        }
        self.bytes = bytes;
        if self.last.len() == Self::LENGTH {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(Self::LENGTH)));
        }
        let (ends, acts) = (matches!(event.what, What::ServerClosed { .. }), matches!(event.what, What::Action(_)));
        self.last.push(event);
        if acts {
            self.repeats.forget();
        } else if ends {
            self.count_repeated();
        }
    }

    /// Removes the conversation that ends with the last event, and counts it instead, if it only repeats earlier ones.
    fn count_repeated(&mut self) {
        let Some(places) = conversation(&self.last) else { return };
        let Some(Event { at: until, by, what: What::ServerClosed { connection, .. } }) = self.last.last().cloned()
        else {
            return;
        };
        let events: Vec<&Event> = places.iter().map(|&place| &self.last[place]).collect();
        let Recording::Count { at, like } = self.repeats.ended(&by, connection, &events) else { return };
        let before = self.full.len() * Self::LENGTH;
        // The events are removed from the end, so that the earlier positions remain valid.
        let mut at = at;
        for &place in places.iter().rev() {
            self.bytes = self.bytes.saturating_sub(weight::of(&self.last.remove(place)));
            self.repeats.removed(before + place);
            at = at.map(|at| at - usize::from(at > before + place));
        }
        let counts = at.and_then(|at| self.at(at)).map(|event| &mut event.what);
        if let Some(What::Repeated { last, times, until: end, .. }) = counts {
            (*last, *times, *end) = (connection, times.saturating_add(1), until);
        } else {
            let what = What::Repeated { like, last: connection, times: 1, until };
            self.repeats.counted_at(&by, before + self.last.len());
            self.last.push(Event { at: until, by, what });
        }
    }

    /// Returns the event at a position from the start.
    fn at(&mut self, place: usize) -> Option<&mut Event> {
        match self.full.get_mut(place / Self::LENGTH) {
            Some(chunk) => chunk.get_mut(place % Self::LENGTH),
            None => self.last.get_mut(place % Self::LENGTH),
        }
    }

    fn join(mut self) -> Vec<Event> {
        if self.full.is_empty() {
            return self.last;
        }
        let mut events = Vec::with_capacity(self.full.len() * Self::LENGTH + self.last.len());
        for mut chunk in self.full {
            events.append(&mut chunk);
        }
        events.append(&mut self.last);
        events
    }
}

/// Locks the list. If a thread panics, an event is in the list either as a whole or not at all, so the list stays
/// valid.
fn lock(events: &Mutex<Chunks>) -> MutexGuard<'_, Chunks> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RequestId, Time};

    fn closed(connection: u32) -> What {
        What::ServerClosed { connection, how: crate::event::Closed::Here }
    }

    #[test]
    fn a_journal_is_full_at_its_limit_of_events_and_empty_when_they_are_taken() {
        let journal = Journal::new(Arc::new(Still));
        let client_closed = |connection| What::ClientClosed { connection, how: crate::event::Closed::Here };
        for connection in 0..MAX_EVENTS as u32 {
            journal.record(&"alice".into(), client_closed(connection));
        }
        assert!(!journal.is_full());
        journal.record(&"alice".into(), client_closed(0));
        assert!(journal.is_full());
        assert_eq!(journal.take().len(), MAX_EVENTS);
        assert!(!journal.is_full());
    }

    /// Records a check of this server that logs on, on the connection with this number.
    fn check(journal: &Journal, by: &str, connection: u32, request: Option<RequestId>, status: u32) {
        let (server, account, logon) = (Name::from(by), Principal::new("CORP", "probe"), u64::from(connection));
        let peer = ([10, 0, 0, 1], 40_000 + connection as u16).into();
        let dc = What::DcLogon { server: server.clone(), logon, account: account.clone(), status, bad_count: 0 };
        journal.record(&server, What::ServerAccepted { connection, peer });
        journal.record(&"dc".into(), dc);
        journal.record(&server, What::ServerLogon { connection, request, logon, account, status });
        journal.record(&server, closed(connection));
    }

    fn repeated(events: &[Event]) -> Vec<(&str, u32, u32, u32)> {
        let counts = events.iter().filter_map(|event| match event.what {
            What::Repeated { like, last, times, .. } => Some((event.by.as_str(), like, last, times)),
            _ => None,
        });
        counts.collect()
    }

    #[test]
    fn checks_that_are_alike_are_counted_after_a_while_and_what_differs_is_kept() {
        let journal = Journal::new(Arc::new(Still));
        let kept = crate::repeats::KEPT;
        for connection in 1..=kept + 1_000 {
            for server in ["iis1", "iis2"] {
                check(&journal, server, connection, None, 0);
            }
        }
        check(&journal, "iis1", 5_000, None, 0xC000_006D);
        check(&journal, "iis1", 5_001, None, 0);
        let events = journal.take();
        let (like, last) = (kept, kept + 1_000);
        assert_eq!(repeated(&events), [("iis1", like, last, 1_000), ("iis2", like, last, 1_000)]);
        assert_eq!(events.len(), 2 * (4 * kept as usize + 1) + 8);
        assert!(events.iter().filter(|event| event.by.as_str() == "dc").count() == 2 * kept as usize + 2);
    }

    #[test]
    fn requests_with_an_id_are_kept_and_an_action_begins_anew() {
        let journal = Journal::new(Arc::new(Still));
        let kept = crate::repeats::KEPT;
        for connection in 1..=2 * kept {
            check(&journal, "iis1", connection, Some(RequestId(1)), 0);
        }
        for _ in 0..2 {
            journal.record(&"world".into(), What::Action(Action::Advance(Duration::ZERO)));
            for connection in 1..=kept + 10 {
                check(&journal, "iis1", connection, None, 0);
            }
        }
        let events = journal.take();
        // A conversation that lies across two pieces of the journal is kept as well.
        let counted = repeated(&events);
        assert!(
            counted.len() == 2 && counted.iter().all(|(_, like, last, times)| like + times == *last),
            "{counted:?}"
        );
        assert!(counted.iter().all(|(_, like, last, _)| (kept..kept + 3).contains(like) && *last == kept + 10));
        let kept_in_full: u32 = counted.iter().map(|(_, like, ..)| like).sum();
        assert_eq!(events.len(), 4 * (2 * kept + kept_in_full) as usize + 4);
    }

    #[test]
    fn conversations_of_two_servers_that_overlap_are_counted_each_for_itself() {
        let journal = Journal::new(Arc::new(Still));
        let accepted = |connection| What::ServerAccepted { connection, peer: ([10, 0, 0, 1], 1).into() };
        let all = crate::repeats::KEPT + 10_000;
        for connection in 1..=all {
            journal.record(&"iis1".into(), accepted(connection));
            journal.record(&"iis2".into(), accepted(connection));
            journal.record(&"iis1".into(), closed(connection));
            journal.record(&"iis2".into(), closed(connection));
        }
        let events = journal.take();
        let like = crate::repeats::KEPT;
        assert_eq!(repeated(&events), [("iis1", like, all, 10_000), ("iis2", like, all, 10_000)]);
        assert_eq!(events.len(), 4 * like as usize + 2);
    }

    #[test]
    fn a_journal_is_full_at_its_limit_of_memory() {
        let journal = Journal::new(Arc::new(Still));
        let value = "x".repeat(64 << 20);
        for times in 0..8 {
            assert!(!journal.is_full(), "{times}");
            let value = value.clone();
            journal.record(&"iis1".into(), What::ServerTrusted { connection: 1, number: 1, request: None, value });
        }
        assert!(journal.is_full());
        assert_eq!(journal.take().len(), 7);
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time(7)
        }

        fn epoch(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_journal_keeps_order_beyond_one_piece_and_starts_afresh_when_taken() {
        let journal = Journal::new(Arc::new(Still));
        let count = 2 * Chunks::LENGTH as u32 + 3;
        for connection in 1..=count {
            journal.record(&"iis1".into(), closed(connection));
        }
        let numbers: Vec<u32> = journal
            .take()
            .into_iter()
            .map(|event| match event.what {
                What::ServerClosed { connection, .. } => connection,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(numbers.iter().copied().eq(1..=count));
        assert!(journal.take().is_empty());
    }
}
