//! The policy behind all L7 mechanisms: selection, persistence, pool, pin and retry, composed by parameters.
//!
//! [`Rules`] are the parameters; [`Composed`] is the policy that follows them. `connections` holds the state of all
//! connections, and is the only module that changes it. `routing` decides where a request goes, `queue` holds the
//! waiting requests, and `request_edits` changes a request's header section. `defects` lists the mistakes of products
//! that no other rule expresses.

mod connections;
mod defects;
mod queue;
mod request_edits;
mod routing;
mod rules;

use http::HeaderValue;
use http::header::{CONNECTION, SET_COOKIE, WWW_AUTHENTICATE};
use stickler_model::{Entropy, Time};

use self::connections::{AbandonedPins, AfterClose, AfterExchange, ConnectionTable, Ownership, TableRules, Upstream};
pub use self::defects::Defects;
use self::queue::Queue;
use self::request_edits::RequestEdits;
pub use self::rules::{
    Connect, Credentials, HeaderRule, Lost, NoneLeft, OnDown, PreferLast, QueueRule, RetryRule, Rules,
};
use super::backends::{BackendState, Backends};
use super::error::RuleError;
use super::grouped::Pools;
use super::persist::{CookieJar, PersistRule, SourceTable};
use super::pin::{Applied, Host, PinKey, PinRule, Streams};
use super::pool::Share;
use super::select::Selection;
use super::workers::{WorkerRule, Workers};
use crate::{
    BackendAware, Bond, Decision, DownstreamId, Edit, Exchange, Failure, Farm, Finish, L7Policy, Layer, RequestHead,
    ResponseHead, Route, UpstreamId, Work,
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A balancer that reads HTTP. It consists of [`Rules`], the state of its connections, and the data that it remembers
/// about its clients.
#[derive(Debug)]
pub struct Composed {
    rules: Rules,
    table: ConnectionTable,
    /// The selections: one for each service, and for each worker that takes turns by itself.
    selections: Vec<Selection>,
    services: usize,
    workers: Workers,
    queue: Option<Queue>,
    sources: Option<SourceTable>,
    cookies: Option<CookieJar>,
    request_edits: RequestEdits,
}

impl Composed {
    /// Returns a policy without connections that has these rules and this farm. All randomness comes from `entropy`.
    ///
    /// # Errors
    /// The rules contradict themselves or the farm.
    pub fn new(rules: Rules, farm: &Farm, entropy: Entropy) -> Result<Self, RuleError> {
        let backends = farm.backends.len();
        let (mut sources, mut cookies) = (None, None);
        match &rules.persist {
            Some(PersistRule::Source(rule)) => sources = Some(SourceTable::new(*rule)?),
            Some(PersistRule::Cookie(rule)) => cookies = Some(CookieJar::new(rule.clone(), farm, &entropy)?),
            None => {}
        }
        rules.check()?;
        let services = Some(rules.services.len() + 1).filter(|&count| count <= backends).unwrap_or(1);
        let selection = |(service, entropy): (usize, Entropy)| {
            let member = move |backend: usize| backend % services == service % services;
            Selection::among(&rules.select, backends, member, Layer::L7, entropy)
        };
        let turns = rules.workers.map_or(1, WorkerRule::turns);
        let workers = Workers::new(rules.workers, entropy.clone());
        let selections = std::iter::repeat_n(entropy, services * turns).enumerate().map(selection);
        let selections = selections.collect::<Result<_, _>>()?;
        let states = Backends::new(backends, rules.select.max_connections).failing_open(rules.fails_open);
        let pool = |_| rules.pool.clone().map(|rule| Pools::new(rule, farm));
        let pools = (0..workers.len()).filter_map(pool).collect();
        Ok(Self {
            table: ConnectionTable::new(TableRules::new(&rules, services), states, pools),
            selections,
            services,
            workers,
            queue: rules.queue.map(|rule| Queue::new(rule, services)),
            sources,
            cookies,
            request_edits: RequestEdits::new(&rules)?,
            rules,
        })
    }
}

impl L7Policy for Composed {
    fn takes_streams(&self) -> bool {
        self.rules.pin.as_ref().is_none_or(|pin| pin.streams == Streams::Apart)
    }

    fn request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route> {
        let mut decision = self.route(now, downstream, fresh, head);
        self.edit_request(&mut decision, head);
        if matches!(decision.verdict, Route::Reject(_)) && self.is_last_request(downstream) {
            decision.edits.push(Edit::Set(CONNECTION, CLOSE));
        }
        self.end_call(now);
        decision
    }

    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let decision = self.decide_bond(now, at, head);
        self.end_call(now);
        decision
    }

    fn finished(&mut self, now: Time, at: Exchange) -> Finish {
        let finish = self.finish(now, at);
        self.end_call(now);
        finish
    }

    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        let mut decision = self.recover(now, at, fresh, failure);
        if let Some(again) = &failure.again {
            self.edit_request(&mut decision, again);
        }
        self.end_call(now);
        decision
    }

    fn is_dedicated(&self, upstream: UpstreamId) -> bool {
        self.table.is_pinned(upstream)
            && self.pins_with(|pin| pin.applied == Applied::Dedicated || pin.host == Host::Repicked)
    }

    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        if let Some(queue) = &mut self.queue {
            queue.remove(downstream);
        }
        if let Some(holder) = self.table.downstream(downstream) {
            self.workers.leave(holder.worker);
        }
        let closes = self.table.on_downstream_closed(now, downstream, self.after_close(downstream));
        self.end_call(now);
        closes
    }

    fn upstream_closed(&mut self, now: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        let owner = self.table.on_upstream_closed(upstream);
        let closes = owner.filter(|_| self.pins_with(|pin| pin.coupling.closes_when_idle()));
        self.end_call(now);
        closes
    }
}

impl BackendAware for Composed {
    type Work = Work;

    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        self.table.set_backend_state(now, backend, state, self.rules.on_down);
        if state == BackendState::Drain && self.rules.drain_moves {
            self.table.loosen_pins_to(now, backend);
        }
        self.end_call(now);
    }

    fn set_share(&mut self, _now: Time, backend: usize, percent: u8) {
        for selection in &mut self.selections {
            selection.set_share(backend, percent);
        }
    }

    fn poll(&mut self, now: Time) -> Option<Work> {
        self.end_call(now);
        let work = self.table.poll(now)?;
        self.end_call(now);
        Some(work)
    }

    fn next_deadline(&self) -> Option<Time> {
        self.table.due_since().or_else(|| {
            let unclaimed = self.queue.as_ref().and_then(Queue::next_deadline);
            [self.table.next_expiry(), unclaimed].into_iter().flatten().min()
        })
    }
}

impl Composed {
    /// Ends a call: resumes waiting requests if there is a free place, and verifies the state in debug builds.
    fn end_call(&mut self, now: Time) {
        if let Some(mut queue) = self.queue.take() {
            while let Some(resumed) = queue.resume_next(now, |service| self.free(service)) {
                self.table.resume(now, resumed);
            }
            self.queue = Some(queue);
        }
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        self.table.check_invariants();
        if let Some(queue) = &self.queue {
            queue.check_invariants(|service| self.free(service));
        }
    }

    /// Decides how an answer's head affects the bond between the connections, and how the head is changed.
    fn decide_bond(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond> {
        let mut decision = Decision::from(Bond::Keep);
        let Some(holder) = self.table.downstream(at.downstream) else { return decision };
        let needs_cookie = holder.needs_cookie;
        // A connection that ended while its last answer was still on the way cannot be pinned any more.
        let present = self.table.upstream(at.upstream).copied().filter(|_| holder.carries(at.upstream));
        if let Some(Upstream { backend, ownership, stream, .. }) = present {
            if needs_cookie && let Some(jar) = self.cookies.as_ref().filter(|jar| jar.sets_on(head.status)) {
                self.table.note_cookie_set(at.downstream);
                decision.edits.extend(jar.set(now, backend).map(|value| Edit::Append(SET_COOKIE, value)));
            }
            let rule = self.pin_rule(stream).filter(|pin| ownership != Ownership::Pinned && pin.matches(head));
            if let Some(pin) = rule {
                let prefers_last = self.rules.prefer_last == PreferLast::AfterChallenge;
                let dedicated = pin.applied == Applied::Dedicated || pin.host == Host::Repicked;
                let at_once = pin.applied == Applied::AtOnce;
                self.table.note_trigger(at.downstream, prefers_last, dedicated);
                if at_once && self.table.try_pin(now, at.downstream, at.upstream) {
                    decision.verdict = Bond::Pin;
                }
            }
        }
        if self.rules.credentials == Credentials::NeverPooled && head.headers.contains_key(WWW_AUTHENTICATE) {
            self.table.spend(at.upstream);
        }
        let coupled = self.table.is_pinned(at.upstream) && self.pins_with(|pin| pin.coupling.closes_when_idle());
        if self.is_last_request(at.downstream) || (head.closes && coupled) {
            // The close will be passed on. If the client knows of it, the client sends no request into a closing
            // connection.
            decision.edits.push(Edit::Set(CONNECTION, CLOSE));
        }
        if let Some(schemes) = &self.rules.strip {
            decision.edits.extend(schemes.strip(head.headers));
        }
        decision
    }

    /// Ends an exchange that is complete, and decides the fate of its upstream connection.
    fn finish(&mut self, now: Time, at: Exchange) -> Finish {
        let Some(upstream) = self.table.upstream(at.upstream) else { return Finish::Close };
        let next = self.after_exchange(now, upstream);
        self.table.end_exchange(now, at, next)
    }

    /// Decides the fate of an upstream connection whose exchange is about to end.
    fn after_exchange(&self, now: Time, upstream: &Upstream) -> AfterExchange {
        if upstream.ownership == Ownership::Pinned && !self.rules.defects.pool_steals_pinned {
            return AfterExchange::StayPinned;
        }
        let down = self.table.backends().state(upstream.backend) == BackendState::Down;
        let served = upstream.served.saturating_add(1);
        match self
            .rules
            .pool
            .as_ref()
            .filter(|rule| !down && !upstream.spent && rule.keeps(now, upstream.opened, served))
        {
            None => AfterExchange::Close,
            Some(rule) => match rule.share {
                Share::Never { slots } => AfterExchange::KeepPrivate { slots: usize::from(slots) },
                // A drain has ended the pin of this connection, but no other client may get it.
                _ if upstream.ownership == Ownership::Private => AfterExchange::KeepPrivate { slots: usize::MAX },
                Share::Safe | Share::Aggressive | Share::Always => AfterExchange::Pool,
            },
        }
    }

    /// Decides what happens to other connections when a downstream connection closes.
    fn after_close(&self, downstream: DownstreamId) -> AfterClose {
        let coupled = self.pins_with(|pin| pin.coupling.upstream_follows);
        let shares = self.rules.pool.as_ref().is_some_and(|rule| !matches!(rule.share, Share::Never { .. }));
        let client = self.table.downstream(downstream).and_then(|holder| holder.client);
        let pins = match client.filter(|_| self.pins_with(|pin| pin.key == PinKey::Client)) {
            Some(client) if !coupled => AbandonedPins::ParkFor(client),
            None if !coupled && shares => AbandonedPins::Pool,
            _ => AbandonedPins::Close,
        };
        AfterClose { pins, drops_another: self.rules.defects.cleanup_drops_another }
    }

    /// Returns whether a client's connection has brought as many requests as it may.
    fn is_last_request(&self, downstream: DownstreamId) -> bool {
        let Some(most) = self.rules.client_requests else { return false };
        // If the table does not know the connection, this is its first request.
        self.table.downstream(downstream).map_or(1, |holder| holder.requests) >= most
    }

    /// Returns whether there is a pin rule that fulfils a condition.
    fn pins_with(&self, condition: impl Fn(&PinRule) -> bool) -> bool {
        self.rules.pin.as_ref().is_some_and(condition)
    }
}

#[cfg(test)]
#[cfg(debug_assertions)]
mod tests {
    use std::net::SocketAddr;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Backend;
    use crate::policy::select::{Algorithm, SelectRule};

    const WAITER: queue::Waiter = (DownstreamId(1), None);

    /// Returns a policy with one backend that can take one connection, and one place in the queue.
    fn composed() -> Composed {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let farm = Farm { backends: vec![Backend { name: stickler_model::Name::from("iis"), address }] };
        let select = SelectRule { max_connections: Some(1), ..SelectRule::new(Algorithm::RoundRobin) };
        let rules = Rules { select, queue: Some(QueueRule { length: 1 }), ..Rules::PLAIN };
        Composed::new(rules, &farm, Entropy::new(0, "test")).unwrap()
    }

    fn is_sound(composed: &Composed) -> bool {
        catch_unwind(AssertUnwindSafe(|| composed.check_invariants())).is_ok()
    }

    #[test]
    fn a_queue_that_waits_for_nothing_is_found() {
        let mut composed = composed();
        assert!(is_sound(&composed));
        assert!(composed.queue.as_mut().unwrap().join(WAITER, 0));
        assert!(!is_sound(&composed), "a backend is free");
        composed.set_state(Time(0), 0, BackendState::Down);
        composed.queue.as_mut().unwrap().join(WAITER, 0);
        assert!(is_sound(&composed), "none is free");
    }

    #[test]
    fn a_table_that_contradicts_itself_is_found() {
        let mut composed = composed();
        composed.table.open(Time(0), DownstreamId(1), UpstreamId(1), super::super::pool::PoolKey::from(0), None);
        assert!(is_sound(&composed));
        composed.table.resume(Time(1), DownstreamId(1));
        composed.table.resume(Time(0), DownstreamId(1));
        assert!(!is_sound(&composed), "work is due in the order of time");
    }
}
