//! How a request finds a backend and a connection, and where it goes when that failed.

use http::HeaderValue;
use http::header::CONNECTION;
use stickler_model::Time;

use super::super::pin::{Applied, Host, PinKey};
use super::super::pool::{PoolKey, PoolRule, Share};
use super::super::select::Subject;
use super::books::{Place, Tie, Upstream};
use super::{Composed, PreferLast};
use crate::{Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, RequestHead, Route, UpstreamId};

impl Composed {
    pub(super) fn route(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let holder = self.downstreams.entry(downstream).or_default();
        if holder.busy.is_some() {
            // The data plane does not ask before the last exchange is over. Were it to, fail closed.
            return Route::CloseDownstream.into();
        }
        let first = !std::mem::replace(&mut holder.begun, true);
        if holder.client.replace(head.client).is_none() {
            self.adopt(downstream, head.client);
        }
        let cookie = self.cookies.as_ref().map(|jar| jar.get(now, head.headers));
        let pinned = self.downstreams.get(&downstream).and_then(|holder| holder.pinned);
        if let Some((id, upstream)) = pinned.and_then(|id| Some((id, self.upstreams.get(&id)?))) {
            let backend = upstream.backend;
            self.settle(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
            return self.send(downstream, id).into();
        }
        let Some(backend) = self.choose(now, downstream, head, cookie.flatten(), None) else {
            self.tidy(downstream);
            return Self::unavailable();
        };
        self.settle(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
        self.connect(now, downstream, fresh, self.key(backend, head), head, first)
    }

    /// Where the request goes after it got no answer.
    pub(super) fn recover(
        &mut self,
        now: Time,
        at: Exchange,
        fresh: UpstreamId,
        failure: &Failure<'_>,
    ) -> Decision<Route> {
        let failed = self.upstreams.get(&at.upstream).copied();
        let status = failure.kind.status();
        let was_pinned = self.forget(at.upstream).is_some();
        if was_pinned && self.couples(|pin| pin.coupling.downstream_follows) {
            // The coupled close: what authenticated this client is gone, so its connection must go too, rather than
            // meet a silent 401 elsewhere. Only a backend that can still be blamed gets a status to say so.
            return if failure.kind == FailureKind::Lost {
                Route::CloseDownstream.into()
            } else {
                let edits = vec![Edit::Set(CONNECTION, HeaderValue::from_static("close"))];
                Decision { verdict: Route::Reject(status), edits }
            };
        }
        let (Some(again), Some(failed)) = (failure.again, failed) else { return Route::Reject(status).into() };
        let backend = match failure.kind {
            // A backend that went down meanwhile did not lose a race.
            FailureKind::Lost
                if self.rules.retry.idle_race
                    && failed.served > 0
                    && again.method.is_idempotent()
                    && self.backends.keeps_old(failed.backend) =>
            {
                failed.backend
            }
            FailureKind::Refused | FailureKind::ConnectTimeout
                if self.rules.retry.redispatch && (failure.attempts as usize) < self.backends.len() =>
            {
                let cookie = self.cookies.as_ref().map(|jar| jar.get(now, again.headers));
                let other = self.choose(now, at.downstream, &again, cookie.flatten(), Some(failed.backend));
                let Some(other) = other else { return Route::Reject(status).into() };
                self.settle(now, at.downstream, other, &again, cookie.map(|named| named != Some(other)));
                other
            }
            _ => return Route::Reject(status).into(),
        };
        let key = PoolKey { backend, location: failed.location, proven: false };
        let decision = self.open(now, at.downstream, fresh, key);
        if failed.tie == Tie::Pinned {
            self.pin(at.downstream, fresh);
        } else {
            self.tie(at.downstream, fresh, &again);
        }
        decision
    }

    /// Finds a connection to the backend that was chosen.
    fn connect(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        key: PoolKey,
        head: &RequestHead<'_>,
        first: bool,
    ) -> Decision<Route> {
        let dedicated = self.wants_own(downstream, head);
        let tie = if dedicated { Tie::Pinned } else { Tie::Private };
        let to_it = |id: &UpstreamId| {
            let Some(own) = self.upstreams.get(id) else { return false };
            own.tie == tie && (own.backend, own.location) == (key.backend, key.location)
        };
        let own = self.downstreams.get(&downstream).and_then(|holder| holder.own.iter().copied().find(to_it));
        let idle = if dedicated || own.is_some() { own } else { self.take(key, first) };
        if let Some(id) = idle {
            self.place(id, Place::With(downstream));
            let route = self.send(downstream, id);
            self.tie(downstream, id, head);
            return route.into();
        }
        let decision = self.open(now, downstream, fresh, key);
        self.tie(downstream, fresh, head);
        decision
    }

    fn open(&mut self, now: Time, downstream: DownstreamId, fresh: UpstreamId, key: PoolKey) -> Decision<Route> {
        let PoolKey { backend, location, .. } = key;
        let (place, tie) = (Place::With(downstream), Tie::Loose);
        self.backends.begin(backend);
        self.upstreams.insert(fresh, Upstream { backend, location, place, tie, served: 0, opened: now });
        self.downstreams.entry(downstream).or_default().busy = Some(fresh);
        let mut decision = Decision::from(Route::Open(backend));
        if self.rules.pool.is_none() && self.rules.pin.is_none() {
            // The connection carries this request alone, and the backend is told so (RFC 9112 9.6).
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        decision
    }

    /// Pins the connection that a request is about to take, where the request asks for it.
    fn tie(&mut self, downstream: DownstreamId, id: UpstreamId, head: &RequestHead<'_>) {
        let dedicated = self.downstreams.get(&downstream).is_some_and(|holder| holder.dedicated);
        if dedicated || self.rules.pin.is_some_and(|pin| pin.matches_request(head)) {
            self.pin(downstream, id);
        }
    }

    /// Whether this request goes over a connection of its own, which nobody else has used.
    fn wants_own(&self, downstream: DownstreamId, head: &RequestHead<'_>) -> bool {
        let dedicated = self.downstreams.get(&downstream).is_some_and(|holder| holder.dedicated);
        dedicated || self.rules.pin.is_some_and(|pin| pin.applied == Applied::Dedicated && pin.matches_request(head))
    }

    /// Sends over a connection that is with this downstream connection.
    fn send(&mut self, downstream: DownstreamId, id: UpstreamId) -> Route {
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.busy = Some(id);
            if let Some(place) = holder.own.iter().position(|own| *own == id) {
                // The one used last goes last.
                holder.own[place..].rotate_left(1);
            }
        }
        match self.upstreams.get(&id).map(|upstream| upstream.tie) {
            Some(Tie::Pinned) => Route::Pinned(id),
            _ => Route::Reuse(id),
        }
    }

    /// An idle connection that this request may share.
    fn take(&mut self, key: PoolKey, first: bool) -> Option<UpstreamId> {
        let proven = match self.rules.pool?.share {
            Share::Never { .. } => return None,
            Share::Safe if first => return None,
            Share::Aggressive => first,
            Share::Safe | Share::Always => false,
        };
        self.pool.as_mut()?.take(PoolKey { proven, ..key })
    }

    /// The backend for a request: where the client was, where this connection was, or by the algorithm.
    fn choose(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        head: &RequestHead<'_>,
        cookie: Option<usize>,
        failed: Option<usize>,
    ) -> Option<usize> {
        let persistent = cookie.or_else(|| self.sources.as_ref()?.get(now, head.client.ip()));
        if let Some(backend) = persistent.filter(|&it| failed != Some(it) && self.backends.keeps_old(it)) {
            return Some(backend);
        }
        let holder = self.downstreams.get(&downstream);
        let prefers = |holder: &&super::Downstream| {
            (holder.prefers_last || self.rules.prefer_last == PreferLast::Always) && !self.rules.select.hashes()
        };
        let last = holder.filter(prefers).and_then(|holder| holder.last);
        if let Some(backend) = last.filter(|&it| failed != Some(it) && self.backends.takes_new(it)) {
            return Some(backend);
        }
        let subject = Subject { client: head.client, front: None, head: Some(head) };
        self.selection.pick(&self.backends, &subject, failed)
    }

    /// Remembers which backend it is.
    fn settle(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        backend: usize,
        head: &RequestHead<'_>,
        needs_cookie: Option<bool>,
    ) {
        if let Some(sources) = &mut self.sources {
            sources.put(now, head.client.ip(), backend);
        }
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.last = Some(backend);
            holder.needs_cookie = needs_cookie.unwrap_or(false);
        }
    }

    fn key(&self, backend: usize, head: &RequestHead<'_>) -> PoolKey {
        let location = self.rules.pool.as_ref().map_or(0, |rule: &PoolRule| rule.location(head.uri.path()));
        PoolKey { backend, location, proven: false }
    }

    /// Whether a downstream connection has a past that matters to its next request.
    pub(super) fn remembers(&self) -> bool {
        let first_differs = self.rules.pool.is_some_and(|pool| matches!(pool.share, Share::Safe | Share::Aggressive));
        let repicked = self.rules.pin.is_some_and(|pin| pin.host == Host::Repicked);
        let by_client = self.rules.pin.is_some_and(|pin| pin.key == PinKey::Client);
        first_differs || repicked || by_client || self.rules.prefer_last != PreferLast::Never
    }
}
