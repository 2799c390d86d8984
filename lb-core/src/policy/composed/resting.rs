//! Idle connections that are some client's own: those that stay too long, and those that make room for others.

use std::collections::BTreeSet;
use std::time::Duration;

use stickler_model::Time;

use super::Composed;
use super::books::{Place, Tie};
use crate::{DownstreamId, UpstreamId, Work};

/// Idle private and pinned connections, each kind by the time since when it is idle.
#[derive(Debug, Default)]
pub(super) struct Resting {
    private: BTreeSet<(Time, UpstreamId)>,
    pinned: BTreeSet<(Time, UpstreamId)>,
}

impl Resting {
    fn of(&mut self, tie: Tie) -> &mut BTreeSet<(Time, UpstreamId)> {
        if tie == Tie::Pinned { &mut self.pinned } else { &mut self.private }
    }

    /// The one that is idle for longest, and since when.
    fn oldest(&self) -> Option<(Time, UpstreamId)> {
        self.private.first().into_iter().chain(self.pinned.first()).min().copied()
    }

    /// How many there are.
    #[cfg(debug_assertions)]
    pub(super) fn len(&self) -> usize {
        self.private.len() + self.pinned.len()
    }
}

impl Composed {
    /// A connection that is its client's own has become idle.
    pub(super) fn rest(&mut self, now: Time, id: UpstreamId) {
        let limited = self.rules.own_idle.is_some() || self.rules.pin.is_some_and(|pin| pin.slots.is_some());
        let Some(upstream) = self.upstreams.get_mut(&id).filter(|_| limited) else { return };
        upstream.rests = Some(now);
        self.resting.of(upstream.tie).insert((now, id));
    }

    /// It is used again, or not any longer its client's own.
    pub(super) fn wake(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if let Some(since) = upstream.rests.take() {
            self.resting.of(upstream.tie).remove(&(since, id));
        }
    }

    /// Closes one that was idle for too long.
    pub(super) fn expire_own(&mut self, now: Time) -> Option<Work> {
        let limit = self.rules.own_idle?;
        let (_, id) = self.resting.oldest().filter(|&(since, _)| since + limit <= now)?;
        self.give_up(now, id);
        self.due.pop_front().map(|(_, work)| work)
    }

    /// When the next will have been idle for too long.
    pub(super) fn own_deadline(&self) -> Option<Time> {
        let limit: Duration = self.rules.own_idle?;
        self.resting.oldest().map(|(since, _)| since + limit)
    }

    /// Whether one more connection can be pinned; makes room if need be.
    pub(super) fn has_slot(&mut self, now: Time) -> bool {
        let Some(slots) = self.rules.pin.and_then(|pin| pin.slots) else { return true };
        if self.pins < slots {
            return true;
        }
        let idle = self.resting.pinned.first().map(|&(_, id)| id);
        let Some(id) = idle.or_else(|| self.orphans.first().map(|(_, &id)| id)) else { return false };
        self.give_up(now, id);
        true
    }

    /// Closes a pinned or private connection, and its client with it where the rule says so.
    fn give_up(&mut self, now: Time, id: UpstreamId) {
        let owner = self.upstreams.get(&id).and_then(|upstream| match (upstream.place, upstream.tie) {
            (Place::With(owner), Tie::Pinned) => Some(owner),
            _ => None,
        });
        self.close(now, id);
        if let Some(owner) = owner.filter(|_| self.couples(|pin| pin.coupling.downstream_follows)) {
            self.close_client(now, owner);
        }
    }

    pub(super) fn close_client(&mut self, now: Time, downstream: DownstreamId) {
        self.due.push_back((now, Work::CloseDownstream(downstream)));
    }
}
