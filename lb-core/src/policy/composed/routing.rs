//! How a request finds a backend and a connection, and where it goes when that failed.

use http::header::{AUTHORIZATION, CONNECTION};
use http::{HeaderValue, StatusCode};
use stickler_model::Time;

use super::super::backends::BackendState;
use super::super::pin::{Applied, Host, PinKey, Schemes};
use super::super::pool::{PoolKey, PoolRule, Share, longest_prefix};
use super::super::select::Subject;
use super::Composed;
use super::books::{Place, Tie, Upstream};
use super::queue::Waiter;
use super::rules::{Connect, Lost, PreferLast};
use crate::{Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, RequestHead, Route, UpstreamId};

impl Composed {
    pub(super) fn route(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let stream = head.protocol.stream();
        let holder = self.downstreams.entry(downstream).or_default();
        if holder.busy.is_some() && stream.is_none() {
            // The data plane does not ask before the last exchange is over. Were it to, fail closed.
            return Route::CloseDownstream.into();
        }
        if holder.client.replace(head.client).is_none() {
            self.adopt(now, downstream, head.client);
        }
        let service = self.service(head);
        let cookie = self.cookies.as_ref().map(|jar| jar.get(now, head.headers));
        self.take_over(downstream, stream);
        if let Some((id, backend)) = self.pinned_for(downstream, service, stream) {
            if self.couples(|pin| pin.picks_anyway) {
                let _ = self.pick(service, head, None);
            }
            self.settle(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
            return self.send(downstream, id, stream).into();
        }
        let known = self.known(now, service, head, cookie.flatten(), None);
        if let Some(turned_away) = self.queue_up((downstream, stream), service, known) {
            return turned_away.into();
        }
        let Some(backend) = known.or_else(|| self.choose(downstream, service, head, None)) else {
            self.tidy(downstream);
            return Route::Reject(StatusCode::SERVICE_UNAVAILABLE).into();
        };
        self.settle(now, downstream, backend, head, cookie.map(|named| named != Some(backend)));
        self.connect(now, downstream, fresh, backend, head)
    }

    /// The connection that a request has to take, and its backend. One that is busy cannot be had.
    fn pinned_for(&self, downstream: DownstreamId, service: usize, stream: Option<u32>) -> Option<(UpstreamId, usize)> {
        let holder = self.downstreams.get(&downstream)?;
        let free = |id: &UpstreamId| !holder.carries(*id);
        let backend_of = |id: UpstreamId| self.upstreams.get(&id).map(|upstream| (id, upstream.backend, upstream.tie));
        let first = match stream.filter(|_| self.rules.flaws.streams_share_pin) {
            Some(place) => self.by_stream.get(&place).copied().filter(|id| self.is_with(*id, downstream)),
            None => holder.pinned,
        };
        let pinned = first.filter(free).and_then(backend_of);
        let serves = |&(_, backend, _): &(UpstreamId, usize, Tie)| self.serves(service, backend);
        let found = match pinned {
            Some(pinned) if serves(&pinned) || self.rules.flaws.pin_crosses_services => Some(pinned),
            _ if (self.selections.len() == 1 && stream.is_none()) || self.couples(|pin| pin.host == Host::Repicked) => {
                None
            }
            // Each service has a pinned connection of its own, and streams may have several.
            _ => holder
                .own
                .iter()
                .copied()
                .filter(free)
                .filter_map(backend_of)
                .find(|it| it.2 == Tie::Pinned && serves(it)),
        };
        found.map(|(id, backend, _)| (id, backend))
    }

    fn is_with(&self, id: UpstreamId, downstream: DownstreamId) -> bool {
        self.upstreams.get(&id).is_some_and(|upstream| upstream.place == Place::With(downstream))
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
        let Some(elsewhere) = self.tries_again(&failed, failure, &again) else { return Route::Reject(status).into() };
        let backend = if elsewhere {
            let service = self.service(&again);
            let cookie = self.cookies.as_ref().map(|jar| jar.get(now, again.headers));
            let other = self
                .known(now, service, &again, cookie.flatten(), Some(failed.backend))
                .or_else(|| self.choose(at.downstream, service, &again, Some(failed.backend)));
            let Some(other) = other else { return Route::Reject(status).into() };
            self.settle(now, at.downstream, other, &again, cookie.map(|named| named != Some(other)));
            other
        } else {
            failed.backend
        };
        let key = PoolKey { backend, proven: false, ..failed.key() };
        let decision = self.open(now, at.downstream, fresh, key, again.protocol.stream());
        if failed.tie == Tie::Pinned {
            self.pin_if_possible(now, at.downstream, fresh);
        } else {
            self.tie(now, at.downstream, fresh, &again);
        }
        decision
    }

    /// Whether the request is sent again, and then whether to another backend.
    fn tries_again(&self, failed: &Upstream, failure: &Failure<'_>, again: &RequestHead<'_>) -> Option<bool> {
        let rule = self.rules.retry;
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
                // A backend that went down meanwhile did not lose a race.
                let there = rule.lost_elsewhere || self.backends.keeps_old(failed.backend);
                (sent_again && allowed && there).then_some(rule.lost_elsewhere)
            }
            FailureKind::Refused | FailureKind::ConnectTimeout | FailureKind::Tls => match rule.connect {
                Connect::Fail => None,
                Connect::Same { retries } => {
                    (failure.attempts <= retries && self.backends.keeps_old(failed.backend)).then_some(false)
                }
                Connect::Other => ((failure.attempts as usize) < self.backends.len()).then_some(true),
            },
            FailureKind::Malformed | FailureKind::Silent => None,
        }
    }

    /// Finds a connection to the backend that was chosen.
    fn connect(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        backend: usize,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let key = self.key(backend, head);
        let first =
            self.downstreams.get_mut(&downstream).is_some_and(|holder| !std::mem::replace(&mut holder.begun, true));
        let dedicated = self.wants_own(downstream, head);
        let stream = head.protocol.stream();
        let own = self.own_to(downstream, &key, dedicated);
        let idle = if dedicated || own.is_some() { own } else { self.take(key, first) };
        if let Some(id) = idle {
            self.place(id, Place::With(downstream));
            let route = self.send(downstream, id, stream);
            self.tie(now, downstream, id, head);
            return route.into();
        }
        let decision = self.open(now, downstream, fresh, key, stream);
        self.tie(now, downstream, fresh, head);
        decision
    }

    /// A connection of the client's own, and idle, that such a request can take.
    fn own_to(&self, downstream: DownstreamId, key: &PoolKey, dedicated: bool) -> Option<UpstreamId> {
        let holder = self.downstreams.get(&downstream)?;
        let tie = if dedicated { Tie::Pinned } else { Tie::Private };
        let to_it = |id: &UpstreamId| {
            let own = self.upstreams.get(id);
            own.is_some_and(|own| own.tie == tie && (own.backend, own.location) == (key.backend, key.location))
        };
        holder.own.iter().copied().find(|id| to_it(id) && !holder.carries(*id))
    }

    fn open(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        key: PoolKey,
        stream: Option<u32>,
    ) -> Decision<Route> {
        let PoolKey { backend, location, group, .. } = key;
        let (place, tie) = (Place::With(downstream), Tie::Loose);
        self.backends.begin(backend);
        let opened = Upstream {
            backend,
            location,
            group,
            place,
            tie,
            stream,
            rests: None,
            spent: false,
            served: 0,
            opened: now,
        };
        self.upstreams.insert(fresh, opened);
        self.downstreams.entry(downstream).or_default().begin(fresh);
        let mut decision = Decision::from(Route::Open(backend));
        if self.rules.pool.is_none() && self.rules.pin.is_none() {
            // The connection carries this request alone, and the backend is told so (RFC 9112 9.6).
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        decision
    }

    /// Pins the connection that a request is about to take, where the request asks for it.
    fn tie(&mut self, now: Time, downstream: DownstreamId, id: UpstreamId, head: &RequestHead<'_>) {
        let dedicated = self.downstreams.get(&downstream).is_some_and(|holder| holder.dedicated);
        if dedicated || self.pin_rule(head.protocol.stream()).is_some_and(|pin| pin.matches_request(head)) {
            self.pin_if_possible(now, downstream, id);
        }
    }

    /// Whether this request goes over a connection of its own, which nobody else has used.
    fn wants_own(&self, downstream: DownstreamId, head: &RequestHead<'_>) -> bool {
        if self.rules.flaws.pool_steals_pinned {
            // The pool that takes each connection is asked first, too: nginx, `keepalive` after `ntlm`.
            return false;
        }
        let dedicated = self.downstreams.get(&downstream).is_some_and(|holder| holder.dedicated);
        let rule = self.pin_rule(head.protocol.stream());
        dedicated || rule.is_some_and(|pin| pin.applied == Applied::Dedicated && pin.matches_request(head))
    }

    /// Sends over a connection that is with this downstream connection.
    fn send(&mut self, downstream: DownstreamId, id: UpstreamId, stream: Option<u32>) -> Route {
        self.wake(id);
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.stream = stream;
        }
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.begin(id);
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

    /// Where persistence sends a request.
    fn known(
        &self,
        now: Time,
        service: usize,
        head: &RequestHead<'_>,
        cookie: Option<usize>,
        failed: Option<usize>,
    ) -> Option<usize> {
        let known = cookie.or_else(|| self.sources.as_ref()?.get(now, head.client.ip()));
        known.filter(|&it| failed != Some(it) && self.serves(service, it) && self.backends.keeps_old(it))
    }

    /// Where the request goes that nothing sends anywhere: where its connection was, or by the algorithm. A private
    /// connection is a session that its backend has: draining does not end it.
    fn choose(
        &mut self,
        downstream: DownstreamId,
        service: usize,
        head: &RequestHead<'_>,
        failed: Option<usize>,
    ) -> Option<usize> {
        let holder = self.downstreams.get(&downstream);
        let prefers = |holder: &&super::Downstream| {
            (holder.prefers_last || self.rules.prefer_last == PreferLast::Always) && !self.rules.select.hashes()
        };
        let holder = holder.filter(prefers);
        let last = holder.and_then(|holder| holder.last);
        let open = |&it: &usize| {
            let private = || self.own_to(downstream, &self.key(it, head), self.wants_own(downstream, head)).is_some();
            let kept = || self.backends.state(it) != BackendState::Down && private();
            failed != Some(it) && self.serves(service, it) && (self.backends.takes_new(it) || kept())
        };
        last.filter(open).or_else(|| self.pick(service, head, failed))
    }

    fn pick(&mut self, service: usize, head: &RequestHead<'_>, failed: Option<usize>) -> Option<usize> {
        let subject = Subject { client: head.client, front: None, head: Some(head) };
        self.selections.get_mut(service)?.pick(&self.backends, &subject, failed)
    }

    /// The service that this request is for: 0 for the rest, then in the rule's order.
    fn service(&self, head: &RequestHead<'_>) -> usize {
        if self.selections.len() == 1 { 0 } else { longest_prefix(self.rules.services, head.uri.path()) }
    }

    /// Whether this backend serves this service.
    pub(super) fn serves(&self, service: usize, backend: usize) -> bool {
        backend % self.selections.len() == service
    }

    /// Has a request wait where every backend is full, or turns it away; `None`: it goes on. A session on a backend
    /// that drains does not wait for the others.
    fn queue_up(&mut self, who: Waiter, service: usize, known: Option<usize>) -> Option<Route> {
        if known.is_some_and(|backend| self.backends.state(backend) == BackendState::Drain) {
            return None;
        }
        let up = |backend| self.serves(service, backend) && self.backends.state(backend) == BackendState::Up;
        let some_are_up = self.queue.is_some() && (0..self.backends.len()).any(up);
        let free = self.free(service);
        let queue = self.queue.as_mut()?;
        if queue.admits(who, service, free) || !some_are_up {
            return None;
        }
        let waits = queue.joins(who, service);
        Some(if waits { Route::Wait } else { Route::Reject(StatusCode::SERVICE_UNAVAILABLE) })
    }

    /// How many more connections a service's backends can take.
    pub(super) fn free(&self, service: usize) -> usize {
        self.backends.free(|backend| self.serves(service, backend)).unwrap_or(usize::MAX)
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
        let group = self.pool.as_ref().and_then(|pool| pool.group(head.client.ip()));
        PoolKey { backend, location, group, proven: false }
    }

    /// Whether a downstream connection has a past that matters to its next request.
    pub(super) fn remembers(&self) -> bool {
        let first_differs = self.rules.pool.is_some_and(|pool| matches!(pool.share, Share::Safe | Share::Aggressive));
        let repicked = self.rules.pin.is_some_and(|pin| pin.host == Host::Repicked);
        let by_client = self.rules.pin.is_some_and(|pin| pin.key == PinKey::Client);
        first_differs || repicked || by_client || self.rules.prefer_last != PreferLast::Never
    }
}
