//! The choice of a backend and a connection for a request, at first and after a failure.

use http::HeaderValue;
use http::header::{AUTHORIZATION, CONNECTION};
use stickler_model::Time;

use super::super::backends::BackendState;
use super::super::pin::{Applied, Host, Schemes};
use super::super::pool::{PoolKey, Share, longest_prefix};
use super::super::select::Subject;
use super::Composed;
use super::connections::{Downstream, Ownership, Upstream};
use super::queue::Waiter;
use super::rules::{Connect, Credentials, Lost, NoneLeft, PreferLast};
use crate::{Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, RequestHead, Route, UpstreamId};

impl Composed {
    /// Decides where a request goes.
    pub(super) fn route(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let stream = head.protocol.stream();
        let known = self.table.downstream(downstream).map(|holder| holder.worker);
        let worker = known.unwrap_or_else(|| self.workers.land(head.client));
        if !self.table.accept_request(now, downstream, head.client, stream, worker) {
            // The data plane does not ask before the last exchange is over. If it did, closing would be the safe
            // answer.
            return Route::CloseDownstream.into();
        }
        let service = self.service(head);
        let cookie = self.cookies.as_ref().map(|jar| jar.get(now, head.headers));
        let pinned = if self.covers(head) { self.pinned_for(downstream, service, stream) } else { None };
        if let Some((id, backend)) = pinned {
            if self.pins_with(|pin| pin.picks_anyway) {
                let _ = self.pick(worker, service, head, None);
            }
            self.remember_backend(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
            return self.send_over(downstream, id, stream).into();
        }
        let known = self.known(now, service, head, cookie.flatten(), None);
        if let Some(turned_away) = self.queue_up((downstream, stream), service, known) {
            return turned_away.into();
        }
        if known.is_some() && self.rules.select.bound_take_turns {
            let _ = self.pick(worker, service, head, None);
        }
        let Some(backend) = known.or_else(|| self.choose(downstream, service, head, None)) else {
            self.table.drop_if_unused(downstream);
            return self.none_left().into();
        };
        self.remember_backend(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
        self.connect(now, downstream, fresh, backend, head)
    }

    /// Returns the pinned connection that a request has to take, and its backend. A pinned connection that is busy
    /// cannot be taken.
    fn pinned_for(&self, downstream: DownstreamId, service: usize, stream: Option<u32>) -> Option<(UpstreamId, usize)> {
        let holder = self.table.downstream(downstream)?;
        let idle = |id: UpstreamId| self.table.upstream(id).filter(|_| !holder.carries(id)).map(|found| (id, found));
        let serves = |upstream: &Upstream| self.serves(service, upstream.backend);
        let first = match stream.filter(|_| self.rules.defects.streams_share_pin) {
            Some(stream) => self.table.pinned_by_stream(stream, downstream),
            None => holder.pinned,
        };
        let found = match first.and_then(idle) {
            Some((id, first)) if serves(first) || self.rules.defects.pin_crosses_services => Some((id, first)),
            _ if self.services == 1 && stream.is_none() => None,
            _ if self.pins_with(|pin| pin.host == Host::Repicked) => None,
            // Each service has its own pinned connection, and streams may have several.
            _ => {
                let mut owned = holder.owned.iter().copied().filter_map(idle);
                owned.find(|(_, other)| other.ownership == Ownership::Pinned && serves(other))
            }
        };
        found.map(|(id, upstream)| (id, upstream.backend))
    }

    /// Decides where a request goes after it got no answer.
    pub(super) fn recover(
        &mut self,
        now: Time,
        at: Exchange,
        fresh: UpstreamId,
        failure: &Failure<'_>,
    ) -> Decision<Route> {
        let failed = self.table.upstream(at.upstream).copied();
        let status = self.rules.retry.status(failure.kind);
        let was_pinned = self.table.on_upstream_closed(at.upstream).is_some();
        if was_pinned && self.pins_with(|pin| pin.coupling.downstream_follows) {
            // The coupled close: the connection that authenticated this client is gone. The client's connection must
            // close as well, or its next request would get an unexpected 401 elsewhere. A status reports the failure
            // unless the connection was lost.
            return if failure.kind == FailureKind::Lost {
                Route::CloseDownstream.into()
            } else {
                let edits = vec![Edit::Set(CONNECTION, HeaderValue::from_static("close"))];
                Decision { verdict: Route::Reject(status), edits }
            };
        }
        let (Some(again), Some(failed)) = (failure.again, failed) else { return Route::Reject(status).into() };
        let Some(elsewhere) = self.tries_again(&failed, failure, &again) else { return Route::Reject(status).into() };
        let backend = if elsewhere {
            let service = self.service(&again);
            let cookie = self.cookies.as_ref().map(|jar| jar.get(now, again.headers));
            let other = self
                .known(now, service, &again, cookie.flatten(), Some(failed.backend))
                .or_else(|| self.choose(at.downstream, service, &again, Some(failed.backend)));
            let Some(other) = other else { return Route::Reject(status).into() };
            self.remember_backend(now, at.downstream, other, &again, cookie.map(|named| named != Some(other)));
            other
        } else {
            failed.backend
        };
        let (key, stream) = (failed.key_of_successor(backend), again.protocol.stream());
        let is_pinned = failed.ownership == Ownership::Pinned;
        let credentials = again.headers.contains_key(AUTHORIZATION);
        let own = credentials && self.rules.credentials == Credentials::OwnConnection;
        let shared =
            if elsewhere && self.rules.retry.pooled && !is_pinned && !own { self.pool_key(key, true) } else { None };
        let (id, decision) = match shared.and_then(|key| self.table.reuse_pooled(at.downstream, key, stream)) {
            Some(id) => (id, Route::Reuse(id).into()),
            None => (fresh, self.open(now, at.downstream, fresh, key, stream)),
        };
        if own || (credentials && self.rules.credentials == Credentials::NeverPooled) {
            self.table.spend(id);
        }
        if is_pinned {
            self.table.try_pin(now, at.downstream, id);
        } else {
            self.pin_if_requested(now, at.downstream, id, &again);
        }
        decision
    }

    /// Decides whether a failed request is sent again, and if so, whether to another backend.
    fn tries_again(&self, failed: &Upstream, failure: &Failure<'_>, again: &RequestHead<'_>) -> Option<bool> {
        let rule = self.rules.retry;
        let keeps_old = self.table.backends().keeps_old(failed.backend);
        match failure.kind {
            FailureKind::Lost => {
                let sent_again = match rule.lost {
                    Lost::Never => false,
                    Lost::IdleRace => failed.served > 0 && again.method.is_idempotent(),
                    Lost::Idempotent => again.method.is_idempotent(),
                    Lost::Any => true,
                };
                let credentials = || Schemes::HAPROXY.any(again.headers, &AUTHORIZATION);
                let allowed = rule.carries_authenticate || !credentials();
                // If the backend has gone down meanwhile, a race is not the cause.
                (sent_again && allowed && (rule.lost_elsewhere || keeps_old)).then_some(rule.lost_elsewhere)
            }
            FailureKind::Refused | FailureKind::ConnectTimeout | FailureKind::Tls => match rule.connect {
                Connect::Fail => None,
                Connect::Same { retries } => (failure.attempts <= retries && keeps_old).then_some(false),
                Connect::Other => ((failure.attempts as usize) < self.table.backends().len()).then_some(true),
            },
            FailureKind::Malformed | FailureKind::Silent => None,
        }
    }

    /// Sends a request to the backend that was chosen: over an idle connection if the rules allow one, otherwise over a
    /// new one.
    fn connect(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        backend: usize,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let key = self.key(downstream, backend, head);
        let first = self.table.note_unpinned_request(downstream);
        let dedicated = self.wants_dedicated(downstream, head);
        let stream = head.protocol.stream();
        let credentials = head.headers.contains_key(AUTHORIZATION);
        if credentials && self.rules.credentials == Credentials::OwnConnection {
            let decision = self.open(now, downstream, fresh, key, stream);
            self.table.spend(fresh);
            return decision;
        }
        let owned = self.owned_for(downstream, &key, dedicated);
        let shared = if dedicated { None } else { self.pool_key(key, first) };
        let (id, decision) = if let Some(id) = owned {
            (id, self.send_over(downstream, id, stream).into())
        } else if let Some(id) = shared.and_then(|key| self.table.reuse_pooled(downstream, key, stream)) {
            (id, Route::Reuse(id).into())
        } else {
            (fresh, self.open(now, downstream, fresh, key, stream))
        };
        if credentials && self.rules.credentials == Credentials::NeverPooled {
            self.table.spend(id);
        }
        self.pin_if_requested(now, downstream, id, head);
        decision
    }

    /// Returns the route of a request for which no backend is available.
    const fn none_left(&self) -> Route {
        match self.rules.none_left {
            NoneLeft::Status(status) => Route::Reject(status),
            NoneLeft::Closed => Route::CloseDownstream,
        }
    }

    /// Returns whether the pin rule covers a request.
    fn covers(&self, head: &RequestHead<'_>) -> bool {
        self.rules.pin.as_ref().is_none_or(|pin| pin.covers(head))
    }

    /// Returns an idle connection to the key's backend that belongs to the downstream connection: a pinned one for a
    /// request that wants a dedicated one, otherwise a private one.
    fn owned_for(&self, downstream: DownstreamId, key: &PoolKey, dedicated: bool) -> Option<UpstreamId> {
        let ownership = if dedicated { Ownership::Pinned } else { Ownership::Private };
        self.table.idle_owned_by(downstream, ownership, key)
    }

    /// Sends a request over a new connection.
    fn open(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        key: PoolKey,
        stream: Option<u32>,
    ) -> Decision<Route> {
        self.table.open(now, downstream, fresh, key, stream);
        let mut decision = Decision::from(Route::Open(key.backend));
        if self.rules.pool.is_none() && self.rules.pin.is_none() {
            // The connection carries this request alone, and the backend is informed of it (RFC 9112 9.6).
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        decision
    }

    /// Sends a request over an idle connection that belongs to the downstream connection.
    fn send_over(&mut self, downstream: DownstreamId, id: UpstreamId, stream: Option<u32>) -> Route {
        self.table.reuse_owned(downstream, id, stream);
        if self.table.is_pinned(id) { Route::Pinned(id) } else { Route::Reuse(id) }
    }

    /// Pins the connection that carries a request, if the request triggers the pin rule.
    fn pin_if_requested(&mut self, now: Time, downstream: DownstreamId, id: UpstreamId, head: &RequestHead<'_>) {
        let dedicated = self.table.downstream(downstream).is_some_and(|holder| holder.dedicated) && self.covers(head);
        if dedicated || self.pin_rule(head.protocol.stream()).is_some_and(|pin| pin.matches_request(head)) {
            self.table.try_pin(now, downstream, id);
        }
    }

    /// Returns whether a request needs a connection that nobody but its client has used.
    fn wants_dedicated(&self, downstream: DownstreamId, head: &RequestHead<'_>) -> bool {
        if self.rules.defects.pool_steals_pinned {
            // With this defect, the pool takes each connection, and it is also asked first: nginx, `keepalive` after
            // `ntlm`.
            return false;
        }
        let dedicated = self.table.downstream(downstream).is_some_and(|holder| holder.dedicated) && self.covers(head);
        let rule = self.pin_rule(head.protocol.stream());
        dedicated || rule.is_some_and(|pin| pin.applied == Applied::Dedicated && pin.matches_request(head))
    }

    /// Returns the key of the pooled connections that a request may share, or `None` if it may share none.
    fn pool_key(&self, key: PoolKey, first: bool) -> Option<PoolKey> {
        let proven = match self.rules.pool.as_ref()?.share {
            Share::Never { .. } => return None,
            Share::Safe if first => return None,
            Share::Aggressive => first,
            Share::Safe | Share::Always => false,
        };
        Some(PoolKey { proven, ..key })
    }

    /// Returns the backend to which persistence sends a request.
    fn known(
        &self,
        now: Time,
        service: usize,
        head: &RequestHead<'_>,
        cookie: Option<usize>,
        failed: Option<usize>,
    ) -> Option<usize> {
        let known = cookie.or_else(|| self.sources.as_ref()?.get(now, head.client.ip()));
        known.filter(|&backend| {
            failed != Some(backend) && self.serves(service, backend) && self.table.backends().keeps_old(backend)
        })
    }

    /// Chooses a backend when persistence did not: the connection's last backend if the rules prefer it, otherwise the
    /// pick of the selection algorithm. A private connection is a session that its backend already has, so draining
    /// does not end it.
    fn choose(
        &mut self,
        downstream: DownstreamId,
        service: usize,
        head: &RequestHead<'_>,
        failed: Option<usize>,
    ) -> Option<usize> {
        let prefers_last = |holder: &&Downstream| {
            (holder.prefers_last || self.rules.prefer_last == PreferLast::Always) && !self.rules.select.hashes()
        };
        let last = self.table.downstream(downstream).filter(prefers_last).and_then(|holder| holder.last_backend);
        let backends = self.table.backends();
        let usable = |&backend: &usize| {
            let owned = || {
                let dedicated = self.wants_dedicated(downstream, head);
                self.owned_for(downstream, &self.key(downstream, backend, head), dedicated).is_some()
            };
            let stays = backends.state(backend) != BackendState::Down && !self.rules.drain_moves;
            let kept = || stays && owned();
            failed != Some(backend) && self.serves(service, backend) && (backends.takes_new(backend) || kept())
        };
        last.filter(usable).or_else(|| self.pick(self.worker(downstream), service, head, failed))
    }

    /// Returns the pick of the selection algorithm among the backends of a service. The pick counts as a turn of this
    /// worker.
    fn pick(&mut self, worker: usize, service: usize, head: &RequestHead<'_>, failed: Option<usize>) -> Option<usize> {
        let subject = Subject { client: head.client, front: None, head: Some(head) };
        let turns = worker * self.services % self.selections.len().max(1);
        self.selections.get_mut(turns + service)?.pick(self.table.backends(), &subject, failed)
    }

    /// Returns the worker that a downstream connection landed on.
    fn worker(&self, downstream: DownstreamId) -> usize {
        self.table.downstream(downstream).map_or(0, |holder| holder.worker)
    }

    /// Returns the number of the service that a request is for: 0 if no prefix matches, otherwise the place of the
    /// prefix in the rule, from 1.
    fn service(&self, head: &RequestHead<'_>) -> usize {
        if self.services == 1 { 0 } else { longest_prefix(&self.rules.services, head.uri.path()) }
    }

    /// Returns whether a backend serves a service.
    pub(super) fn serves(&self, service: usize, backend: usize) -> bool {
        backend % self.services == service
    }

    /// Makes a request wait if every backend is full, or rejects it. Returns `None` if the request can go on. A session
    /// on a draining backend does not wait for the other backends.
    fn queue_up(&mut self, waiter: Waiter, service: usize, known: Option<usize>) -> Option<Route> {
        let backends = self.table.backends();
        if known.is_some_and(|backend| backends.state(backend) == BackendState::Drain) {
            return None;
        }
        let up = |backend| self.serves(service, backend) && backends.state(backend) == BackendState::Up;
        let some_are_up = self.queue.is_some() && (0..backends.len()).any(up);
        let free = self.free(service);
        let queue = self.queue.as_mut()?;
        if queue.admit(waiter, service, free) || !some_are_up {
            return None;
        }
        let waits = queue.join(waiter, service);
        Some(if waits { Route::Wait } else { self.none_left() })
    }

    /// Returns how many more connections a service's backends can take.
    pub(super) fn free(&self, service: usize) -> usize {
        self.table.backends().free(|backend| self.serves(service, backend)).unwrap_or(usize::MAX)
    }

    /// Remembers the backend that a request goes to, for its client and for its connection.
    fn remember_backend(
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
        self.table.remember_backend(downstream, backend, needs_cookie.unwrap_or(false));
    }

    /// Returns the key of the connections to a backend that suit a request.
    fn key(&self, downstream: DownstreamId, backend: usize, head: &RequestHead<'_>) -> PoolKey {
        let location = self.rules.pool.as_ref().map_or(0, |rule| rule.location(head.uri.path()));
        let (group, worker) = (self.table.pool_group(head.client.ip()), self.worker(downstream));
        PoolKey { backend, location, group, worker, proven: false }
    }
}
