//! The state of all connections: the place and the owner of each upstream connection, and the connections that are due
//! to be closed.
//!
//! [`ConnectionTable`] is the only code that changes this state. Its fields are private to this module and its
//! children, and it hands out shared references only. Each method that [`super::Composed`] can call is a query or a
//! whole transition. Before and after a transition, both sides of a bond, the pool, the load of the backends and the
//! idle limits agree. [`ConnectionTable::check_invariants`] verifies this in debug builds. A decision that the rules of
//! a mechanism make comes in as an argument ([`AfterExchange`], [`AfterClose`]) or is fixed at the start
//! ([`TableRules`]).
//!
//! `exchanges`, `closes` and `pins` hold the transitions, `idle_owned` the idle connections of single clients and their
//! limits, `invariants` the checks.

mod closes;
mod exchanges;
mod idle_owned;
#[cfg(debug_assertions)]
mod invariants;
mod pins;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use stickler_model::Time;

pub(super) use self::closes::{AbandonedPins, AfterClose};
pub(super) use self::exchanges::AfterExchange;
use self::idle_owned::IdleOwned;
use super::super::backends::Backends;
use super::super::grouped::Pools;
use super::super::pin::{Host, PinKey, PinRule};
use super::super::pool::{PoolKey, Share};
use super::rules::{PreferLast, Rules};
use crate::{DownstreamId, UpstreamId, Work};

/// An open upstream connection, which is in exactly one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upstream {
    /// The backend's index in the farm.
    pub(super) backend: usize,
    /// The number of the location whose requests may share the connection ([`PoolKey::location`]).
    location: usize,
    /// The group of clients that may share the connection ([`PoolKey::group`]).
    group: Option<IpAddr>,
    /// The worker that opened the connection ([`PoolKey::worker`]).
    worker: usize,
    /// The place of the connection, which says what it is doing.
    place: Place,
    /// The downstream connection or client that may use the connection.
    pub(super) ownership: Ownership,
    /// The place of the stream whose request the connection carries, or carried last; `None` for HTTP/1.1.
    pub(super) stream: Option<u32>,
    /// The time at which the connection became idle, if the table tracks that ([`IdleOwned`]).
    idle_since: Option<Time>,
    /// Whether the connection closes after the exchange under way, regardless of the pool's rule.
    pub(super) spent: bool,
    /// The number of exchanges that the connection has completed.
    pub(super) served: u32,
    /// The time at which the policy decided to open the connection.
    pub(super) opened: Time,
}

/// The place of an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The connection is idle in the pool.
    Pooled {
        /// The time at which the connection entered the pool.
        since: Time,
    },
    /// The connection carries an exchange of this downstream connection, or belongs to it.
    HeldBy(DownstreamId),
    /// The connection is pinned, idle and without an owner; the next downstream connection from this address gets it.
    ParkedFor(SocketAddr),
}

/// The way in which an upstream connection belongs to the downstream connection that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// The downstream connection holds it for one exchange.
    Exchange,
    /// The downstream connection holds it until either of the two closes; neither closes the other.
    Private,
    /// The downstream connection holds it by the pin rule.
    Pinned,
}

/// A downstream connection that has a request under way, owns an upstream connection, or has a history that matters to
/// later decisions.
#[derive(Debug, Default)]
pub(super) struct Downstream {
    /// The pinned connection that all requests take.
    pub(super) pinned: Option<UpstreamId>,
    /// The upstream connection that carries the request under way.
    busy: Option<UpstreamId>,
    /// The upstream connections that carry further requests for other streams at the same time. It is empty while
    /// `busy` is `None`.
    others: Vec<UpstreamId>,
    /// The other upstream connections that belong to this downstream connection; the one used last is at the end. They
    /// are private ones, and those that were pinned with the host re-picked, for another service, or while the first
    /// was busy. Except for streams ([`super::super::pin::Streams::Apart`]), there is at most one for each backend and
    /// location.
    pub(super) owned: Vec<UpstreamId>,
    /// Whether all further requests must use upstream connections that nobody else has used.
    pub(super) dedicated: bool,
    /// Whether requests stay with the last backend since an answer matched the pin's trigger.
    pub(super) prefers_last: bool,
    /// The backend of the last request.
    pub(super) last_backend: Option<usize>,
    /// Whether a request that no pinned connection took has been sent.
    sent_unpinned: bool,
    /// Whether the next answer must set the persistence cookie.
    pub(super) needs_cookie: bool,
    /// The client's address and port, from the first request on.
    pub(super) client: Option<SocketAddr>,
    /// The worker that the connection landed on.
    pub(super) worker: usize,
    /// The number of requests that the connection has brought, including the one under way.
    pub(super) requests: u32,
}

impl Downstream {
    /// Returns whether the upstream connection carries a request of this downstream connection.
    pub(super) fn carries(&self, id: UpstreamId) -> bool {
        self.busy == Some(id) || self.others.contains(&id)
    }

    fn begin(&mut self, id: UpstreamId) {
        if self.busy.is_none() {
            self.busy = Some(id);
        } else {
            self.others.push(id);
        }
    }

    fn end(&mut self, id: UpstreamId) {
        if self.busy == Some(id) {
            self.busy = self.others.pop();
        } else {
            self.others.retain(|other| *other != id);
        }
    }

    /// Gives up the ownership of an upstream connection.
    fn disown(&mut self, id: UpstreamId) {
        self.pinned = self.pinned.filter(|pinned| *pinned != id);
        self.owned.retain(|owned| *owned != id);
    }
}

impl Upstream {
    const fn key(&self) -> PoolKey {
        let Self { backend, location, group, worker, served, .. } = *self;
        PoolKey { backend, location, group, worker, proven: served > 1 }
    }

    /// Returns the key of a connection that replaces this one.
    pub(super) const fn key_of_successor(&self, backend: usize) -> PoolKey {
        PoolKey { backend, location: self.location, group: self.group, worker: self.worker, proven: false }
    }
}

/// The parameters of a mechanism that the table obeys throughout.
#[derive(Debug, Clone)]
pub(super) struct TableRules {
    /// The pin rule: its slots, its coupling, and whether it pins the backend as well.
    pin: Option<PinRule>,
    /// The time for which an owned connection may be idle ([`super::Rules::own_idle`]).
    own_idle: Option<Duration>,
    /// The number of services among which the farm is divided.
    services: usize,
    /// Whether the table keeps a downstream connection that holds nothing, because its history matters.
    remembers: bool,
    /// Whether pins are found by the stream's place as well ([`super::Defects::streams_share_pin`]).
    pins_by_stream: bool,
}

impl TableRules {
    /// Extracts the parameters that the table obeys from the rules.
    pub(super) fn new(rules: &Rules, services: usize) -> Self {
        let first_differs =
            rules.pool.as_ref().is_some_and(|pool| matches!(pool.share, Share::Safe | Share::Aggressive));
        let repicked = rules.pin.as_ref().is_some_and(|pin| pin.host == Host::Repicked);
        let by_client = rules.pin.as_ref().is_some_and(|pin| pin.key == PinKey::Client);
        Self {
            pin: rules.pin.clone(),
            own_idle: rules.own_idle,
            services,
            remembers: first_differs
                || repicked
                || by_client
                || rules.prefer_last != PreferLast::Never
                || rules.workers.is_some()
                || rules.client_requests.is_some(),
            pins_by_stream: rules.defects.streams_share_pin,
        }
    }
}

/// All connections, the pool, the backends' load and the work that is due.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    rules: TableRules,
    backends: Backends,
    /// The pools, one for each worker; empty if the mechanism has no pool.
    pools: Vec<Pools>,
    /// All open upstream connections.
    upstreams: IndexMap<UpstreamId, Upstream, FxBuildHasher>,
    downstreams: IndexMap<DownstreamId, Downstream, FxBuildHasher>,
    /// Pinned connections whose owner has closed, by the owner's address.
    parked: IndexMap<SocketAddr, UpstreamId>,
    /// The connections that were pinned last by a stream in each place. It is empty unless
    /// [`TableRules::pins_by_stream`] is set.
    by_stream: IndexMap<u32, UpstreamId>,
    /// The number of upstream connections that are pinned.
    pins: u32,
    idle_owned: IdleOwned,
    /// The unsolicited work, each item with the time from which it is due.
    due: VecDeque<(Time, Work)>,
}

/// Methods that only read the state.
impl ConnectionTable {
    /// Returns a table without connections.
    pub(super) fn new(rules: TableRules, backends: Backends, pools: Vec<Pools>) -> Self {
        Self {
            rules,
            backends,
            pools,
            upstreams: IndexMap::default(),
            downstreams: IndexMap::default(),
            parked: IndexMap::new(),
            by_stream: IndexMap::new(),
            pins: 0,
            idle_owned: IdleOwned::default(),
            due: VecDeque::new(),
        }
    }

    /// Returns the states and loads of the backends.
    pub(super) const fn backends(&self) -> &Backends {
        &self.backends
    }

    /// Returns the state of an open upstream connection.
    pub(super) fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.upstreams.get(&id)
    }

    /// Returns the state of a downstream connection, or `None` if the table knows nothing about it.
    pub(super) fn downstream(&self, id: DownstreamId) -> Option<&Downstream> {
        self.downstreams.get(&id)
    }

    /// Returns whether an upstream connection is pinned.
    pub(super) fn is_pinned(&self, id: UpstreamId) -> bool {
        self.upstreams.get(&id).is_some_and(|upstream| upstream.ownership == Ownership::Pinned)
    }

    /// Returns the upstream connection that a stream in this place pinned last, if the downstream connection holds it.
    pub(super) fn pinned_by_stream(&self, stream: u32, downstream: DownstreamId) -> Option<UpstreamId> {
        let id = self.by_stream.get(&stream).copied()?;
        self.upstreams.get(&id).is_some_and(|upstream| upstream.place == Place::HeldBy(downstream)).then_some(id)
    }

    /// Returns an idle connection to the key's backend and location that the downstream connection holds with this
    /// ownership.
    pub(super) fn idle_owned_by(
        &self,
        downstream: DownstreamId,
        ownership: Ownership,
        key: &PoolKey,
    ) -> Option<UpstreamId> {
        let holder = self.downstreams.get(&downstream)?;
        let fits = |upstream: &Upstream| {
            upstream.ownership == ownership && (upstream.backend, upstream.location) == (key.backend, key.location)
        };
        let mut idle = holder.owned.iter().copied().filter(|id| !holder.carries(*id));
        idle.find(|id| self.upstreams.get(id).is_some_and(fits))
    }

    /// Returns the group of clients with which a client at this address shares pooled connections.
    pub(super) fn pool_group(&self, client: IpAddr) -> Option<IpAddr> {
        self.pools.first().and_then(|pool| pool.group(client))
    }

    /// Returns the time from which the first unsolicited work is due.
    pub(super) fn due_since(&self) -> Option<Time> {
        self.due.front().map(|&(since, _)| since)
    }

    /// Returns the time at which the next idle connection expires.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        let pooled = self.pools.iter().filter_map(Pools::next_deadline);
        pooled.chain(self.next_owned_expiry()).min()
    }
}

/// The steps that transitions consist of.
impl ConnectionTable {
    /// Drops a downstream connection's entry if it holds nothing and nothing about it needs to be remembered.
    pub(super) fn drop_if_unused(&mut self, downstream: DownstreamId) {
        let unused = |entry: &Downstream| {
            let holds = entry.pinned.is_some() || entry.busy.is_some() || !entry.owned.is_empty();
            !holds && !entry.dedicated && !entry.needs_cookie && !self.rules.remembers
        };
        if self.downstreams.get(&downstream).is_some_and(unused) {
            self.downstreams.swap_remove(&downstream);
        }
    }

    /// Removes an upstream connection and schedules its close.
    fn close_upstream(&mut self, now: Time, id: UpstreamId) {
        self.remove(id);
        self.due.push_back((now, Work::CloseUpstream(id)));
    }

    /// Schedules the close of a downstream connection, which stays in the table until it is reported closed.
    fn close_downstream(&mut self, now: Time, downstream: DownstreamId) {
        self.due.push_back((now, Work::CloseDownstream(downstream)));
    }

    /// Removes an upstream connection from its place, and returns the downstream connection that it was pinned to.
    fn remove(&mut self, id: UpstreamId) -> Option<DownstreamId> {
        self.mark_busy(id);
        let entry = self.upstreams.swap_remove(&id)?;
        self.by_stream.retain(|_, other| *other != id);
        if entry.ownership == Ownership::Pinned {
            self.pins -= 1;
        }
        match entry.place {
            Place::Pooled { since } => {
                if let Some(pool) = self.pools.get_mut(entry.worker) {
                    pool.remove(entry.key(), since, id);
                }
                None
            }
            Place::ParkedFor(client) => {
                self.parked.swap_remove(&client);
                None
            }
            Place::HeldBy(downstream) => {
                self.backends.end(entry.backend);
                let holder = self.downstreams.get_mut(&downstream)?;
                holder.disown(id);
                holder.end(id);
                self.drop_if_unused(downstream);
                (entry.ownership == Ownership::Pinned).then_some(downstream)
            }
        }
    }

    /// Removes an upstream connection that the pool itself has given up.
    fn remove_unpooled(&mut self, id: UpstreamId) {
        self.upstreams.swap_remove(&id);
        self.by_stream.retain(|_, other| *other != id);
    }

    /// Moves a connection to another place, and counts the connections in use.
    fn set_place(&mut self, id: UpstreamId, place: Place) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        let used = |place| matches!(place, Place::HeldBy(_));
        match (used(std::mem::replace(&mut upstream.place, place)), used(place)) {
            (false, true) => self.backends.begin(upstream.backend),
            (true, false) => self.backends.end(upstream.backend),
            _ => {}
        }
    }
}
