//! The L7 mechanisms, composed of selection, pool, pin and retry by parameters.

use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use indexmap::IndexMap;
use stickler_model::Time;

use super::pin::PinRule;
use super::pool::{Pool, PoolRule};
use super::select::RoundRobin;
use crate::{
    Bond, Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, Farm, Finish, L7Policy, RequestHead,
    ResponseHead, Route, UpstreamId, Work,
};

/// What makes one L7 mechanism differ from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Idle upstream connections are shared; `None`: an upstream connection that is not pinned carries one request.
    pub pool: Option<PoolRule>,
    /// Some answers pin host and upstream connection to the downstream connection; the close of either side closes
    /// the other, and a pinned connection never returns to the pool. `None`: nothing pins.
    pub pin: Option<PinRule>,
    /// What is tried again.
    pub retry: RetryRule,
}

/// Which failures are hidden from the client by another attempt. A pinned connection is never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// A reused connection that ended before any byte of an answer came gives an idempotent request (RFC 9110 9.2.2)
    /// one more try, on a new connection to the same backend: it lost the race with an idle close.
    pub idle_race: bool,
    /// A connection that could not be opened sends the request to another backend, each of the farm at most once.
    /// Nothing has been sent, so this is safe for every request.
    pub redispatch: bool,
}

/// A balancer that reads HTTP, made of [`Rules`] and their state. Selection is round robin, for each request.
#[derive(Debug)]
pub struct Composed {
    rules: Rules,
    backends: usize,
    selection: RoundRobin,
    pool: Option<Pool>,
    upstreams: IndexMap<UpstreamId, Upstream>,
    /// Those that have a request under way, or a pinned upstream connection.
    downstreams: IndexMap<DownstreamId, Downstream>,
}

/// An open upstream connection. It is in exactly one place: in the pool, or with one downstream connection.
#[derive(Debug)]
struct Upstream {
    backend: usize,
    place: Place,
    /// Whether it carried a whole exchange before the present one.
    reused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pooled { since: Time },
    With(DownstreamId),
}

#[derive(Debug, Default)]
struct Downstream {
    pinned: Option<UpstreamId>,
    /// What carries the request under way.
    busy: Option<UpstreamId>,
}

impl Composed {
    /// These rules over this farm; nothing is connected yet.
    pub fn new(rules: Rules, farm: &Farm) -> Self {
        Self {
            rules,
            backends: farm.backends.len(),
            selection: RoundRobin::new(farm.backends.len()),
            pool: rules.pool.map(|rule| Pool::new(rule, farm)),
            upstreams: IndexMap::new(),
            downstreams: IndexMap::new(),
        }
    }

    fn open(&mut self, downstream: DownstreamId, fresh: UpstreamId, backend: usize) -> Decision<Route> {
        self.upstreams.insert(fresh, Upstream { backend, place: Place::With(downstream), reused: false });
        self.downstreams.entry(downstream).or_default().busy = Some(fresh);
        let mut decision = Decision::from(Route::Open(backend));
        if self.rules.pool.is_none() && self.rules.pin.is_none() {
            // The connection carries this request alone, and the backend is told so (RFC 9112 9.6).
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        decision
    }

    /// Forgets an upstream connection wherever it is. Returns the downstream connection that it was pinned to.
    fn forget(&mut self, upstream: UpstreamId) -> Option<DownstreamId> {
        let entry = self.upstreams.swap_remove(&upstream)?;
        match entry.place {
            Place::Pooled { since } => {
                if let Some(pool) = &mut self.pool {
                    pool.remove(entry.backend, since, upstream);
                }
                None
            }
            Place::With(downstream) => {
                let holder = self.downstreams.get_mut(&downstream)?;
                let pinned = holder.pinned == Some(upstream);
                if pinned {
                    holder.pinned = None;
                }
                if holder.busy == Some(upstream) {
                    holder.busy = None;
                }
                self.tidy(downstream);
                pinned.then_some(downstream)
            }
        }
    }

    /// Drops a downstream connection's entry when it holds nothing any more.
    fn tidy(&mut self, downstream: DownstreamId) {
        let idle = |entry: &Downstream| entry.pinned.is_none() && entry.busy.is_none();
        if self.downstreams.get(&downstream).is_some_and(idle) {
            self.downstreams.swap_remove(&downstream);
        }
    }

    /// Each upstream connection is in one place, and both sides agree on which.
    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        for (id, upstream) in &self.upstreams {
            match upstream.place {
                Place::Pooled { .. } => {
                    let pool = self.pool.as_ref().expect("only a mechanism with a pool puts connections there");
                    assert_eq!(pool.iter().filter(|other| other == id).count(), 1, "{id} is pooled once");
                }
                Place::With(downstream) => {
                    let holder = self.downstreams.get(&downstream).expect("a held connection has a holder");
                    assert!(holder.pinned == Some(*id) || holder.busy == Some(*id), "{downstream} knows of {id}");
                }
            }
        }
        for (id, downstream) in &self.downstreams {
            let held = [downstream.pinned, downstream.busy];
            assert!(held.iter().any(Option::is_some), "{id} is remembered for a reason");
            for upstream in held.into_iter().flatten() {
                assert_eq!(self.upstreams[&upstream].place, Place::With(*id), "{upstream} is with {id} alone");
            }
        }
        let pooled = self.upstreams.values().filter(|up| matches!(up.place, Place::Pooled { .. })).count();
        assert_eq!(self.pool.as_ref().map_or(0, |pool| pool.iter().count()), pooled, "the pool holds idle ones only");
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the checks cost time, and run in debug builds only")]
    fn check_invariants(&self) {}
}

impl L7Policy for Composed {
    fn request(
        &mut self,
        _now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        _head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let decision = self.route(downstream, fresh);
        self.check_invariants();
        decision
    }

    fn response(&mut self, _now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let Some(holder) = self.downstreams.get_mut(&at.downstream) else { return Bond::Keep.into() };
        let mut decision = Decision::from(Bond::Keep);
        // A connection that ended while its last answer was still on the way cannot be pinned any more.
        let present = holder.busy == Some(at.upstream);
        if present && holder.pinned.is_none() && self.rules.pin.is_some_and(|rule| rule.matches(head)) {
            holder.pinned = Some(at.upstream);
            decision.verdict = Bond::Pin;
        }
        if head.closes && holder.pinned == Some(at.upstream) {
            // The close will be passed on; saying so spares the client a request into a closing connection.
            decision.edits.push(Edit::Set(CONNECTION, HeaderValue::from_static("close")));
        }
        self.check_invariants();
        decision
    }

    fn finished(&mut self, now: Time, at: Exchange) -> Finish {
        let finish = self.finish(now, at);
        self.check_invariants();
        finish
    }

    fn failed(&mut self, _now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        let decision = self.recover(at, fresh, failure);
        self.check_invariants();
        decision
    }

    fn downstream_closed(&mut self, _now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        let Some(entry) = self.downstreams.swap_remove(&downstream) else { return Vec::new() };
        let mut closes: Vec<_> = entry.pinned.into_iter().chain(entry.busy).collect();
        closes.dedup();
        for upstream in &closes {
            self.upstreams.swap_remove(upstream);
        }
        self.check_invariants();
        closes
    }

    fn upstream_closed(&mut self, _now: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        let closes = self.forget(upstream);
        self.check_invariants();
        closes
    }

    fn poll(&mut self, now: Time) -> Option<Work> {
        let expired = self.pool.as_mut()?.expire(now)?;
        self.upstreams.swap_remove(&expired);
        self.check_invariants();
        Some(Work::CloseUpstream(expired))
    }

    fn next_deadline(&self) -> Option<Time> {
        self.pool.as_ref().and_then(Pool::next_deadline)
    }
}

impl Composed {
    fn route(&mut self, downstream: DownstreamId, fresh: UpstreamId) -> Decision<Route> {
        if let Some(entry) = self.downstreams.get_mut(&downstream) {
            if entry.busy.is_some() {
                // The data plane does not ask before the last exchange is over. Were it to, fail closed.
                return Route::CloseDownstream.into();
            }
            if let Some(upstream) = entry.pinned {
                entry.busy = Some(upstream);
                return Route::Pinned(upstream).into();
            }
        }
        let Some(backend) = self.selection.pick() else {
            return Route::Reject(StatusCode::SERVICE_UNAVAILABLE).into();
        };
        let Some(upstream) = self.pool.as_mut().and_then(|pool| pool.take(backend)) else {
            return self.open(downstream, fresh, backend);
        };
        if let Some(entry) = self.upstreams.get_mut(&upstream) {
            entry.place = Place::With(downstream);
        }
        self.downstreams.entry(downstream).or_default().busy = Some(upstream);
        Route::Reuse(upstream).into()
    }

    fn finish(&mut self, now: Time, at: Exchange) -> Finish {
        let (Some(holder), Some(upstream)) =
            (self.downstreams.get_mut(&at.downstream), self.upstreams.get_mut(&at.upstream))
        else {
            return Finish::Close;
        };
        holder.busy = None;
        upstream.reused = true;
        if holder.pinned == Some(at.upstream) {
            return Finish::Keep;
        }
        let finish = if let Some(pool) = &mut self.pool {
            upstream.place = Place::Pooled { since: now };
            pool.put(now, upstream.backend, at.upstream);
            Finish::Pool
        } else {
            self.upstreams.swap_remove(&at.upstream);
            Finish::Close
        };
        self.tidy(at.downstream);
        finish
    }

    fn recover(&mut self, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        let (backend, reused) = self.upstreams.get(&at.upstream).map_or((0, false), |up| (up.backend, up.reused));
        let status = failure.kind.status();
        if self.forget(at.upstream).is_some() {
            // The coupled close: what authenticated this client is gone, so its connection must go too, rather than
            // meet a silent 401 elsewhere. Only a backend that can still be blamed gets a status to say so.
            return if failure.kind == FailureKind::Lost {
                Route::CloseDownstream.into()
            } else {
                let edits = vec![Edit::Set(CONNECTION, HeaderValue::from_static("close"))];
                Decision { verdict: Route::Reject(status), edits }
            };
        }
        let Some(again) = failure.again else { return Route::Reject(status).into() };
        match failure.kind {
            FailureKind::Lost if self.rules.retry.idle_race && reused && again.method.is_idempotent() => {
                self.open(at.downstream, fresh, backend)
            }
            FailureKind::Refused | FailureKind::ConnectTimeout
                if self.rules.retry.redispatch && (failure.attempts as usize) < self.backends =>
            {
                match self.selection.pick_other(backend) {
                    Some(other) => self.open(at.downstream, fresh, other),
                    None => Route::Reject(status).into(),
                }
            }
            _ => Route::Reject(status).into(),
        }
    }
}
