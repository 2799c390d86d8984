//! The L7 mechanisms, composed of selection, persistence, pool, pin and retry by parameters.
//!
//! [`Rules`] say what; [`Composed`] is the policy. `routing` holds how a request finds its way, and `books` which
//! connection is where.

mod books;
mod routing;

use std::collections::VecDeque;
use std::net::SocketAddr;

use http::header::{CONNECTION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use indexmap::IndexMap;
use stickler_model::{Entropy, Time};

use self::books::{Downstream, Place, Tie, Upstream};
use super::backends::{BackendState, Backends};
use super::error::RuleError;
use super::persist::{CookieJar, PersistRule, SourceTable};
use super::pin::{Applied, Host, PinKey, PinRule, Schemes};
use super::pool::{Pool, PoolRule, Put, Share};
use super::select::{Algorithm, SelectRule, Selection};
use crate::{
    Bond, Decision, DownstreamId, Edit, Exchange, Failure, Farm, Finish, L7Policy, Layer, RequestHead, ResponseHead,
    Route, UpstreamId, Work,
};

/// What makes one L7 mechanism differ from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which backend a request goes to, where nothing below says otherwise.
    pub select: SelectRule,
    /// What brings a client back to its backend, on any connection. `None`: nothing does.
    pub persist: Option<PersistRule>,
    /// When a downstream connection's requests stay with one backend. A hash is never overridden.
    pub prefer_last: PreferLast,
    /// Idle upstream connections are kept; `None`: an upstream connection that is not pinned carries one request.
    pub pool: Option<PoolRule>,
    /// Some messages pin an upstream connection to the downstream connection. `None`: nothing pins.
    pub pin: Option<PinRule>,
    /// Challenges of these schemes are taken out of answers. They still pin.
    pub strip: Option<Schemes>,
    /// What is tried again.
    pub retry: RetryRule,
    /// When a backend goes down, clients with connections pinned to it are closed (HAProxy `on-marked-down
    /// shutdown-sessions`, off by default).
    pub close_on_down: bool,
}

/// When a downstream connection's requests stay with the backend of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreferLast {
    /// Never.
    Never,
    /// From an answer on that matches the pin's trigger: HAProxy, so that a client whose pinned connection is lost
    /// comes back to the same backend.
    AfterChallenge,
    /// Always: HAProxy `option prefer-last-server`.
    Always,
}

/// Which failures are hidden from the client by another attempt. A connection whose close is coupled is never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// A reused connection that ended before any byte of an answer came gives an idempotent request (RFC 9110 9.2.2)
    /// one more try, on a new connection to the same backend: it lost the race with an idle close.
    pub idle_race: bool,
    /// A connection that could not be opened sends the request to another backend, each of the farm at most once.
    /// Nothing has been sent, so this is safe for every request.
    pub redispatch: bool,
}

impl Rules {
    /// Round robin for each request, each on a connection of its own; nothing is kept and nothing tried again.
    pub const PLAIN: Self = Self {
        select: SelectRule::new(Algorithm::RoundRobin),
        persist: None,
        prefer_last: PreferLast::Never,
        pool: None,
        pin: None,
        strip: None,
        retry: RetryRule { idle_race: false, redispatch: false },
        close_on_down: false,
    };
}

/// A balancer that reads HTTP, made of [`Rules`] and their state.
#[derive(Debug)]
pub struct Composed {
    rules: Rules,
    backends: Backends,
    selection: Selection,
    sources: Option<SourceTable>,
    cookies: Option<CookieJar>,
    pool: Option<Pool>,
    upstreams: IndexMap<UpstreamId, Upstream>,
    /// Those that have a request under way, an upstream connection of their own, or something to remember.
    downstreams: IndexMap<DownstreamId, Downstream>,
    /// Pinned connections whose owner is gone, by its address ([`PinKey::Client`] without coupling).
    orphans: IndexMap<SocketAddr, UpstreamId>,
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
        rules.pool.as_ref().map_or(Ok(()), PoolRule::check)?;
        rules.pin.map_or(Ok(()), |pin| pin.schemes.check("the pin"))?;
        rules.strip.map_or(Ok(()), |schemes| schemes.check("the stripping of challenges"))?;
        Ok(Self {
            rules,
            backends: Backends::new(backends, rules.select.max_connections),
            selection: Selection::new(&rules.select, backends, Layer::L7, entropy)?,
            sources,
            cookies,
            pool: rules.pool.map(|rule| Pool::new(rule, farm)),
            upstreams: IndexMap::new(),
            downstreams: IndexMap::new(),
            orphans: IndexMap::new(),
            due: VecDeque::new(),
        })
    }
}

impl L7Policy for Composed {
    fn request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let decision = self.route(now, downstream, fresh, head);
        self.check_invariants();
        decision
    }

    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let decision = self.judge(now, at, head);
        self.check_invariants();
        decision
    }

    fn finished(&mut self, now: Time, at: Exchange) -> Finish {
        let finish = self.finish(now, at);
        self.check_invariants();
        finish
    }

    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        let decision = self.recover(now, at, fresh, failure);
        self.check_invariants();
        decision
    }

    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        let closes = self.part(now, downstream);
        self.check_invariants();
        closes
    }

    fn upstream_closed(&mut self, _now: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        let closes = self.forget(upstream).filter(|_| self.couples(|pin| pin.coupling.downstream_follows));
        self.check_invariants();
        closes
    }

    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        if self.backends.set_state(backend, state) && state == BackendState::Down {
            self.evacuate(now, backend);
        }
        self.check_invariants();
    }

    fn poll(&mut self, now: Time) -> Option<Work> {
        if let Some((_, work)) = self.due.pop_front() {
            return Some(work);
        }
        let expired = self.pool.as_mut()?.expire(now)?;
        self.upstreams.swap_remove(&expired);
        self.check_invariants();
        Some(Work::CloseUpstream(expired))
    }

    fn next_deadline(&self) -> Option<Time> {
        let due = self.due.front().map(|&(at, _)| at);
        due.or_else(|| self.pool.as_ref().and_then(Pool::next_deadline))
    }
}

impl Composed {
    /// What an answer's head does to the bond, and what is changed in it.
    fn judge(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let Some(holder) = self.downstreams.get_mut(&at.downstream) else { return Bond::Keep.into() };
        let mut decision = Decision::from(Bond::Keep);
        // A connection that ended while its last answer was still on the way cannot be pinned any more.
        let present = self.upstreams.get(&at.upstream).filter(|_| holder.busy == Some(at.upstream));
        if let Some(&Upstream { backend, tie, .. }) = present {
            if holder.needs_cookie
                && let Some(jar) = self.cookies.as_ref().filter(|jar| jar.sets_on(head.status))
            {
                holder.needs_cookie = false;
                decision.edits.extend(jar.set(now, backend).map(|value| Edit::Append(SET_COOKIE, value)));
            }
            if let Some(pin) = self.rules.pin.filter(|pin| tie != Tie::Pinned && pin.matches(head)) {
                holder.prefers_last |= self.rules.prefer_last == PreferLast::AfterChallenge;
                holder.dedicated |= pin.applied == Applied::Dedicated || pin.host == Host::Repicked;
                if pin.applied == Applied::AtOnce {
                    self.pin(at.downstream, at.upstream);
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
        if holder.busy == Some(at.upstream) {
            holder.busy = None;
        }
        upstream.served = upstream.served.saturating_add(1);
        if upstream.tie == Tie::Pinned {
            return Finish::Keep;
        }
        let finish = self.retire(now, at);
        self.tidy(at.downstream);
        finish
    }

    /// Keeps a connection that is not pinned and became idle, where the pool's rule lets it.
    fn retire(&mut self, now: Time, at: Exchange) -> Finish {
        let Some(upstream) = self.upstreams.get(&at.upstream) else { return Finish::Close };
        let worn = |rule: &PoolRule| !rule.keeps(now, upstream.opened, upstream.served);
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
        let idle: Vec<_> = holder.own.iter().copied().filter(private).collect();
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
        let Some(entry) = self.downstreams.swap_remove(&downstream) else { return Vec::new() };
        let mut held: Vec<_> = entry.pinned.into_iter().chain(entry.own).collect();
        held.extend(entry.busy.filter(|busy| !held.contains(busy)));
        held.retain(|&id| {
            let Some(upstream) = self.upstreams.get(&id) else { return false };
            let released = upstream.tie == Tie::Pinned && entry.busy != Some(id);
            let down = self.backends.state(upstream.backend) == BackendState::Down;
            if down || !released || self.couples(|pin| pin.coupling.upstream_follows) {
                self.forget(id);
                return true;
            }
            if let Some(client) = entry.client.filter(|_| self.couples(|pin| pin.key == PinKey::Client)) {
                self.orphan(now, client, id);
                return false;
            }
            if let Some(upstream) = self.upstreams.get_mut(&id) {
                upstream.tie = Tie::Loose;
            }
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
                    self.due.push_back((now, Work::CloseDownstream(owner)));
                }
                Place::With(_) => {}
                Place::Orphan(_) | Place::Pooled { .. } => self.close(now, id),
            }
        }
    }

    fn couples(&self, is_so: impl Fn(&PinRule) -> bool) -> bool {
        self.rules.pin.as_ref().is_some_and(is_so)
    }

    fn unavailable() -> Decision<Route> {
        Route::Reject(StatusCode::SERVICE_UNAVAILABLE).into()
    }
}
