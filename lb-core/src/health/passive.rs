//! Passive checks by [`PassiveRule`]: which backends are out because live traffic failed on them, until when, and which
//! are on trial.
//!
//! The model is nginx (`ngx_http_upstream_round_robin.c`): a backend that has failed too often gets no requests for a
//! while; then *one* request tries it, and the outcome of that request decides. The only backend of a farm is never out
//! ("max_fails ... ignored, and such a server will never be considered unavailable").

use std::collections::VecDeque;

use stickler_model::Time;

use super::rule::{FailureTarget, PassiveRule};
use crate::BackendState;

/// Records the results of live traffic for each backend. The ledger is pure: the same calls give the same answers.
///
/// Each state that a method returns is a change to be reported: `Down` while the backend is out, `Up` when a trial is
/// due, `Drain` while the trial is under way, so no second request joins it, and `Up` when the trial has succeeded.
#[derive(Debug)]
pub struct Ledger {
    rule: PassiveRule,
    backends: Vec<Account>,
    picked: Option<usize>,
}

/// A change of a backend's state: the index of the backend, and its new state.
pub type News = (usize, BackendState);

#[derive(Debug, Default)]
struct Account {
    /// The times of failures within the rule's window; at most as many as the rule needs to take a backend out.
    failures: VecDeque<Time>,
    standing: Standing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The backend serves.
    #[default]
    In,
    /// The backend gets no requests until this time.
    Out(Time),
    /// The backend is out, and the next request is a trial.
    Due,
    /// A request tries the backend. If its outcome is not known by this time, another trial follows.
    Trial(Time),
}

impl Ledger {
    /// Returns a ledger for this number of backends, none of which has failed.
    pub fn new(rule: PassiveRule, backends: usize) -> Self {
        // The only backend of a farm is never out, so it has no account.
        let accounts = if backends > 1 { backends } else { 0 };
        let backends = std::iter::repeat_with(Account::default).take(accounts).collect();
        Self { rule, backends, picked: None }
    }

    /// Records that a request goes to a backend, either because the backend was `picked` for it or because its
    /// connection is pinned there. Returns the change that this makes.
    pub fn sent(&mut self, now: Time, backend: usize, picked: bool) -> Option<News> {
        if picked {
            self.picked = Some(backend);
        }
        let until = now + self.rule.out_for;
        let account = self.backends.get_mut(backend).filter(|account| account.standing == Standing::Due)?;
        account.standing = Standing::Trial(until);
        Some((backend, BackendState::Drain))
    }

    /// Records that a request to this backend got no answer, for a reason that is not the client's fault. Returns the
    /// change that this makes.
    pub fn failed(&mut self, now: Time, carrier: usize) -> Option<News> {
        let blamed = match self.rule.blame {
            FailureTarget::Carrier => carrier,
            FailureTarget::PickedLast => self.picked.unwrap_or(carrier),
        };
        let PassiveRule { fails, within, out_for, .. } = self.rule;
        let account = self.backends.get_mut(blamed)?;
        if account.standing == Standing::In {
            account.failures.retain(|&at| now - at < within);
            account.failures.push_back(now);
            if account.failures.len() < fails.max(1) as usize {
                return None;
            }
            account.failures.clear();
        }
        let was_out = matches!(account.standing, Standing::Out(_));
        // A failure of another request that was under way postpones the trial, because nginx notes the time of the
        // latest failure (`checked`).
        account.standing = Standing::Out(now + out_for);
        (!was_out).then_some((blamed, BackendState::Down))
    }

    /// Records that a request to this backend was answered. Returns the change that this makes.
    pub fn succeeded(&mut self, backend: usize) -> Option<News> {
        let account = self.backends.get_mut(backend)?;
        // While the backend is out, or not yet tried, the answer came over an old connection. It does not show whether
        // new connections would work.
        if !matches!(account.standing, Standing::Trial(_)) {
            return None;
        }
        account.standing = Standing::In;
        Some((backend, BackendState::Up))
    }

    /// Returns the next backend that is due for a trial, or `None` if no more are due at this time.
    pub fn poll(&mut self, now: Time) -> Option<News> {
        let due = self.backends.iter().position(|account| account.until().is_some_and(|until| until <= now))?;
        self.backends[due].standing = Standing::Due;
        Some((due, BackendState::Up))
    }

    /// Returns the time at which [`Ledger::poll`] will have the next change, or `None` if there is none before another
    /// failure.
    pub fn next_deadline(&self) -> Option<Time> {
        self.backends.iter().filter_map(Account::until).min()
    }
}

impl Account {
    fn until(&self) -> Option<Time> {
        match self.standing {
            Standing::Out(until) | Standing::Trial(until) => Some(until),
            Standing::In | Standing::Due => None,
        }
    }
}
