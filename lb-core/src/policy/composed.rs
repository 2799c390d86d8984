//! The L7 mechanisms, composed of selection, persistence, pool, pin and retry by parameters.
//!
//! [`Rules`] say what; [`Composed`] is the policy. `routing` holds how a request finds its way, `books` which
//! connection is where, `resting` which idle ones have had their time, `queue` who waits, `dress` what is changed in a
//! request, and `flaws` what no product should do.

mod books;
mod dress;
mod flaws;
mod queue;
mod resting;
mod routing;
mod rules;

use std::collections::VecDeque;
use std::net::SocketAddr;

use http::HeaderValue;
use http::header::{CONNECTION, SET_COOKIE};
use indexmap::IndexMap;
use stickler_model::{Entropy, Time};

use self::books::{Downstream, Place, Tie, Upstream};
use self::dress::Dress;
pub use self::flaws::Flaws;
use self::queue::Queue;
use self::resting::Resting;
pub use self::rules::{Connect, HeaderRule, Lost, PreferLast, QueueRule, RetryRule, Rules};
use super::backends::{BackendState, Backends};
use super::error::RuleError;
use super::grouped::Pools;
use super::persist::{CookieJar, PersistRule, SourceTable};
use super::pin::{Applied, Host, PinKey, PinRule, Streams};
use super::pool::{PoolRule, Put, Share};
use super::select::Selection;
use crate::{
    Bond, Decision, DownstreamId, Edit, Exchange, Failure, Farm, Finish, L7Policy, Layer, RequestHead, ResponseHead,
    Route, UpstreamId, Work,
};

/// A balancer that reads HTTP, made of [`Rules`] and their state.
#[derive(Debug)]
pub struct Composed {
    rules: Rules,
    backends: Backends,
    /// One for each service.
    selections: Vec<Selection>,
    queue: Option<Queue>,
    sources: Option<SourceTable>,
    cookies: Option<CookieJar>,
    dress: Dress,
    pool: Option<Pools>,
    upstreams: IndexMap<UpstreamId, Upstream>,
    /// Those that have a request under way, an upstream connection of their own, or something to remember.
    downstreams: IndexMap<DownstreamId, Downstream>,
    /// Pinned connections whose owner is gone, by its address ([`PinKey::Client`] without coupling).
    orphans: IndexMap<SocketAddr, UpstreamId>,
    /// Pinned connections by a stream's place ([`Flaws::streams_share_pin`]).
    by_stream: IndexMap<u32, UpstreamId>,
    /// How many upstream connections are pinned.
    pins: u32,
    resting: Resting,
    /// Unsolicited work, due since the first time.
    due: VecDeque<(Time, Work)>,
}

impl Composed {
    /// These rules over this farm; nothing is connected yet. What is random comes from `entropy`.
    ///
    /// # Errors
    /// The rules contradict themselves or the farm.
    pub fn new(rules: Rules, farm: &Farm, entropy: Entropy) -> Result<Self, RuleError> {
        let backends = farm.backends.len();
        let (mut sources, mut cookies) = (None, None);
        match rules.persist {
            Some(PersistRule::Source(rule)) => sources = Some(SourceTable::new(rule)?),
            Some(PersistRule::Cookie(rule)) => cookies = Some(CookieJar::new(rule, farm, &entropy)?),
            None => {}
        }
        rules.check()?;
        let services = Some(rules.services.len() + 1).filter(|&count| count <= backends).unwrap_or(1);
        let selection = |(service, entropy): (usize, Entropy)| {
            let member = move |backend: usize| backend % services == service;
            Selection::among(&rules.select, backends, member, Layer::L7, entropy)
        };
        let selections = std::iter::repeat_n(entropy, services).enumerate().map(selection);
        let selections = selections.collect::<Result<_, _>>()?;
        let hides_cookie = matches!(rules.persist, Some(PersistRule::Cookie(cookie)) if cookie.indirect);
        Ok(Self {
            backends: Backends::new(backends, rules.select.max_connections).failing_open(rules.fails_open),
            selections,
            queue: rules.queue.map(|rule| Queue::new(rule, services)),
            sources,
            cookies,
            dress: Dress::new(&rules, hides_cookie)?,
            pool: rules.pool.map(|rule| Pools::new(rule, farm)),
            upstreams: IndexMap::new(),
            downstreams: IndexMap::new(),
            orphans: IndexMap::new(),
            by_stream: IndexMap::new(),
            pins: 0,
            resting: Resting::default(),
            due: VecDeque::new(),
            rules,
        })
    }
}

impl L7Policy for Composed {
    fn takes_streams(&self) -> bool {
        self.rules.pin.is_none_or(|pin| pin.streams == Streams::Apart)
    }

    fn request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let mut decision = self.route(now, downstream, fresh, head);
        self.dress(&mut decision, head);
        self.settled(now);
        decision
    }

    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let decision = self.judge(now, at, head);
        self.settled(now);
        decision
    }

    fn finished(&mut self, now: Time, at: Exchange) -> Finish {
        let finish = self.finish(now, at);
        self.settled(now);
        finish
    }

    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        let mut decision = self.recover(now, at, fresh, failure);
        if let Some(again) = &failure.again {
            self.dress(&mut decision, again);
        }
        self.settled(now);
        decision
    }

    fn is_dedicated(&self, upstream: UpstreamId) -> bool {
        self.upstreams.get(&upstream).is_some_and(|upstream| upstream.tie == Tie::Pinned)
            && self.couples(|pin| pin.applied == Applied::Dedicated || pin.host == Host::Repicked)
    }

    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        let closes = self.part(now, downstream);
        self.settled(now);
        closes
    }

    fn upstream_closed(&mut self, now: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        let closes = self.forget(upstream).filter(|_| self.couples(|pin| pin.coupling.downstream_follows));
        self.settled(now);
        closes
    }

    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        // What fails open is not down.
        if self.backends.set_state(backend, state) && self.backends.state(backend) == BackendState::Down {
            self.evacuate(now, backend);
        }
        self.settled(now);
    }

    fn set_share(&mut self, _now: Time, backend: usize, percent: u8) {
        for selection in &mut self.selections {
            selection.set_share(backend, percent);
        }
    }

    fn poll(&mut self, now: Time) -> Option<Work> {
        self.settled(now);
        if let Some((_, work)) = self.due.pop_front() {
            return Some(work);
        }
        if let Some(work) = self.expire_own(now) {
            self.settled(now);
            return Some(work);
        }
        let expired = self.pool.as_mut()?.expire(now)?;
        self.upstreams.swap_remove(&expired);
        self.settled(now);
        Some(Work::CloseUpstream(expired))
    }

    fn next_deadline(&self) -> Option<Time> {
        let due = self.due.front().map(|&(at, _)| at);
        due.or_else(|| {
            let pooled = self.pool.as_ref().and_then(Pools::next_deadline);
            let called = self.queue.as_ref().and_then(Queue::next_deadline);
            [pooled, self.own_deadline(), called].into_iter().flatten().min()
        })
    }
}

impl Composed {
    /// Ends each call: whoever waits is called where there is a place again.
    fn settled(&mut self, now: Time) {
        if let Some(mut queue) = self.queue.take() {
            while let Some(called) = queue.call(now, |service| self.free(service)) {
                self.due.push_back((now, Work::Resume(called)));
            }
            self.queue = Some(queue);
        }
        self.check_invariants();
    }

    /// What an answer's head does to the bond, and what is changed in it.
    fn judge(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let mut decision = Decision::from(Bond::Keep);
        // A connection that ended while its last answer was still on the way cannot be pinned any more.
        let present = self.upstreams.get(&at.upstream).copied();
        let rule = self.pin_rule(present.and_then(|upstream| upstream.stream));
        let Some(holder) = self.downstreams.get_mut(&at.downstream) else { return decision };
        if let Some(Upstream { backend, tie, .. }) = present.filter(|_| holder.carries(at.upstream)) {
            if holder.needs_cookie
                && let Some(jar) = self.cookies.as_ref().filter(|jar| jar.sets_on(head.status))
            {
                holder.needs_cookie = false;
                decision.edits.extend(jar.set(now, backend).map(|value| Edit::Append(SET_COOKIE, value)));
            }
            if let Some(pin) = rule.filter(|pin| tie != Tie::Pinned && pin.matches(head)) {
                holder.prefers_last |= self.rules.prefer_last == PreferLast::AfterChallenge;
                holder.dedicated |= pin.applied == Applied::Dedicated || pin.host == Host::Repicked;
                if pin.applied == Applied::AtOnce && self.pin_if_possible(now, at.downstream, at.upstream) {
                    decision.verdict = Bond::Pin;
                }
            }
        }
        let pinned = self.upstreams.get(&at.upstream).is_some_and(|upstream| upstream.tie == Tie::Pinned);
        if head.closes && pinned && self.couples(|pin| pin.coupling.downstream_follows) {
            // The close will be passed on; saying so spares the client a request into a closing connection.
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        if let Some(schemes) = self.rules.strip {
            decision.edits.extend(schemes.strip(head.headers));
        }
        decision
    }

    fn finish(&mut self, now: Time, at: Exchange) -> Finish {
        let (Some(holder), Some(upstream)) =
            (self.downstreams.get_mut(&at.downstream), self.upstreams.get_mut(&at.upstream))
        else {
            return Finish::Close;
        };
        holder.end(at.upstream);
        upstream.served = upstream.served.saturating_add(1);
        if upstream.tie == Tie::Pinned {
            if !self.rules.flaws.pool_steals_pinned {
                self.rest(now, at.upstream);
                return Finish::Keep;
            }
            self.steal(at.downstream, at.upstream);
        }
        let finish = self.retire(now, at);
        self.tidy(at.downstream);
        finish
    }

    /// Keeps a connection that is not pinned and became idle, where the pool's rule lets it.
    fn retire(&mut self, now: Time, at: Exchange) -> Finish {
        let Some(upstream) = self.upstreams.get(&at.upstream) else { return Finish::Close };
        let worn = |rule: &PoolRule| upstream.spent || !rule.keeps(now, upstream.opened, upstream.served);
        let down = self.backends.state(upstream.backend) == BackendState::Down;
        let Some(rule) = self.rules.pool.filter(|rule| !down && !worn(rule)) else {
            self.forget(at.upstream);
            return Finish::Close;
        };
        if let Share::Never { slots } = rule.share {
            return self.keep_private(now, at, usize::from(slots));
        }
        self.share(now, at.upstream)
    }

    fn keep_private(&mut self, now: Time, at: Exchange, slots: usize) -> Finish {
        let Some(holder) = self.downstreams.get_mut(&at.downstream) else { return Finish::Close };
        if !holder.own.contains(&at.upstream) {
            holder.own.push(at.upstream);
        }
        if let Some(upstream) = self.upstreams.get_mut(&at.upstream) {
            upstream.tie = Tie::Private;
        }
        let private = |id: &UpstreamId| self.upstreams.get(id).is_some_and(|upstream| upstream.tie == Tie::Private);
        let idle: Vec<_> = holder.own.iter().copied().filter(|id| private(id) && !holder.carries(*id)).collect();
        self.rest(now, at.upstream);
        if idle.len() > slots {
            // The oldest: used ones are put at the end.
            self.close(now, idle[0]);
        }
        Finish::Keep
    }

    /// Puts a connection into the pool for all.
    fn share(&mut self, now: Time, id: UpstreamId) -> Finish {
        let (Some(pool), Some(upstream)) = (&mut self.pool, self.upstreams.get(&id)) else { return Finish::Close };
        match pool.put(now, upstream.key(), id) {
            Put::Refused => {
                self.forget(id);
                return Finish::Close;
            }
            Put::Kept => self.place(id, Place::Pooled { since: now }),
            Put::InPlaceOf(oldest) => {
                self.place(id, Place::Pooled { since: now });
                self.upstreams.swap_remove(&oldest);
                self.due.push_back((now, Work::CloseUpstream(oldest)));
            }
        }
        Finish::Pool
    }

    /// A client is gone: what it held closes with it, is shared, or waits for its address.
    fn part(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        if let Some(queue) = &mut self.queue {
            queue.leave(downstream);
        }
        let Some(entry) = self.downstreams.swap_remove(&downstream) else { return Vec::new() };
        if self.rules.flaws.cleanup_drops_another && entry.pinned.is_some() {
            self.drop_another(now);
        }
        let mut held: Vec<_> = entry.pinned.iter().chain(&entry.own).copied().collect();
        for busy in entry.busy.iter().chain(&entry.others) {
            if !held.contains(busy) {
                held.push(*busy);
            }
        }
        held.retain(|&id| {
            let Some(upstream) = self.upstreams.get(&id) else { return false };
            let released = upstream.tie == Tie::Pinned && !entry.carries(id);
            let down = self.backends.state(upstream.backend) == BackendState::Down;
            if down || !released || self.couples(|pin| pin.coupling.upstream_follows) {
                self.forget(id);
                return true;
            }
            if let Some(client) = entry.client.filter(|_| self.couples(|pin| pin.key == PinKey::Client)) {
                self.orphan(now, client, id);
                return false;
            }
            self.loosen(id);
            let shared = self.rules.pool.is_some_and(|rule| !matches!(rule.share, Share::Never { .. }));
            let closed = !shared || self.share(now, id) == Finish::Close;
            if closed {
                self.forget(id);
            }
            closed
        });
        held
    }

    /// A backend went down: nobody is to meet it by an idle connection, nor, where the rules say so, by a pinned one.
    fn evacuate(&mut self, now: Time, backend: usize) {
        let of_it = self.upstreams.iter().filter(|(_, upstream)| upstream.backend == backend);
        let all: Vec<_> = of_it.map(|(&id, upstream)| (id, upstream.place, upstream.tie)).collect();
        for (id, place, tie) in all {
            match place {
                Place::With(owner) if tie == Tie::Pinned && self.rules.close_on_down => {
                    self.close_client(now, owner);
                }
                Place::With(_) => {}
                Place::Orphan(_) | Place::Pooled { .. } => self.close(now, id),
            }
        }
    }

    fn couples(&self, is_so: impl Fn(&PinRule) -> bool) -> bool {
        self.rules.pin.as_ref().is_some_and(is_so)
    }
}
