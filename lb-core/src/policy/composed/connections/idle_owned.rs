//! Idle connections that belong to single clients: their idle limit, and the choice of the one that makes room for
//! another.

use std::collections::BTreeSet;
use std::time::Duration;

use stickler_model::Time;

use super::{ConnectionTable, Ownership, Place};
use crate::UpstreamId;

/// The idle private and pinned connections, each kind ordered by the time since which they have been idle.
#[derive(Debug, Default)]
pub(super) struct IdleOwned {
    private: BTreeSet<(Time, UpstreamId)>,
    pinned: BTreeSet<(Time, UpstreamId)>,
}

impl IdleOwned {
    fn of(&mut self, ownership: Ownership) -> &mut BTreeSet<(Time, UpstreamId)> {
        if ownership == Ownership::Pinned { &mut self.pinned } else { &mut self.private }
    }

    /// Returns the connection that has been idle for longest, and the time since which it has been idle.
    fn oldest(&self) -> Option<(Time, UpstreamId)> {
        self.private.first().into_iter().chain(self.pinned.first()).min().copied()
    }

    /// Returns the pinned connection that has been idle for longest.
    pub(super) fn oldest_pinned(&self) -> Option<UpstreamId> {
        self.pinned.first().map(|&(_, id)| id)
    }

    /// Returns all entries: whether the connection is pinned, the time since which it has been idle, and its number.
    #[cfg(debug_assertions)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (bool, Time, UpstreamId)> {
        let private = self.private.iter().map(|&(since, id)| (false, since, id));
        private.chain(self.pinned.iter().map(|&(since, id)| (true, since, id)))
    }
}

impl ConnectionTable {
    /// Returns whether the table tracks idle owned connections, because a rule limits them.
    pub(super) fn tracks_idle_owned(&self) -> bool {
        self.rules.own_idle.is_some() || self.rules.pin.as_ref().is_some_and(|pin| pin.slots.is_some())
    }

    /// Notes that an owned connection has become idle.
    pub(super) fn mark_idle(&mut self, now: Time, id: UpstreamId) {
        if !self.tracks_idle_owned() {
            return;
        }
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        upstream.idle_since = Some(now);
        self.idle_owned.of(upstream.ownership).insert((now, id));
    }

    /// Notes that a connection is used again, changes its owner, or is about to be removed.
    pub(super) fn mark_busy(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if let Some(since) = upstream.idle_since.take() {
            self.idle_owned.of(upstream.ownership).remove(&(since, id));
        }
    }

    /// Closes the owned connection that has been idle for longest if it has exceeded the limit, and returns whether it
    /// did.
    pub(super) fn expire_owned(&mut self, now: Time) -> bool {
        let Some(limit) = self.rules.own_idle else { return false };
        let Some((_, id)) = self.idle_owned.oldest().filter(|&(since, _)| since + limit <= now) else { return false };
        self.close_owned(now, id);
        true
    }

    /// Returns the time at which the next owned connection exceeds the idle limit.
    pub(super) fn next_owned_expiry(&self) -> Option<Time> {
        let limit: Duration = self.rules.own_idle?;
        self.idle_owned.oldest().map(|(since, _)| since + limit)
    }

    /// Closes an owned connection, and the client to which it is pinned if the pin rule's coupling says so.
    pub(super) fn close_owned(&mut self, now: Time, id: UpstreamId) {
        let owner = self.upstreams.get(&id).and_then(|upstream| match (upstream.place, upstream.ownership) {
            (Place::HeldBy(owner), Ownership::Pinned) => Some(owner),
            _ => None,
        });
        self.close_upstream(now, id);
        let coupled = self.rules.pin.as_ref().is_some_and(|pin| pin.coupling.closes_when_idle());
        if let Some(owner) = owner.filter(|_| coupled) {
            self.close_downstream(now, owner);
        }
    }
}
