//! Failures of live traffic, by [`PassiveRule`]: who is out, until when, and who is on trial.
//!
//! After nginx (`ngx_http_upstream_round_robin.c`): a backend that has failed too often gets nothing for a while; then
//! *one* request tries it, and its outcome decides. A farm's only backend is never out ("max_fails ... ignored, and
//! such a server will never be considered unavailable").

use std::collections::VecDeque;

use stickler_model::Time;

use super::rule::{FailureTarget, PassiveRule};
use crate::BackendState;

/// What traffic says of each backend. Pure: the same calls give the same answers.
///
/// A state that it returns is news for the one who asks: `Down` while out, `Up` when a trial is due, `Drain` while the
/// trial is under way, so that it stays alone; `Up` when it is over well.
#[derive(Debug)]
pub struct Ledger {
    rule: PassiveRule,
    backends: Vec<Account>,
    picked: Option<usize>,
}

/// What is news of a backend: its index, and its state.
pub type News = (usize, BackendState);

#[derive(Debug, Default)]
struct Account {
    /// When it failed, within the rule's window; at most as many as the rule needs.
    failures: VecDeque<Time>,
    standing: Standing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It serves.
    #[default]
    In,
    /// It gets nothing until then.
    Out(Time),
    /// It is out; the next request tries it.
    Due,
    /// A request tries it. One whose outcome nobody learns by then is followed by another.
    Trial(Time),
}

impl Ledger {
    /// Nobody has failed yet.
    pub fn new(rule: PassiveRule, backends: usize) -> Self {
        // The only one of a farm is never out: it has no account.
        let accounts = if backends > 1 { backends } else { 0 };
        let backends = std::iter::repeat_with(Account::default).take(accounts).collect();
        Self { rule, backends, picked: None }
    }

    /// A request goes to this backend: because it was `picked` for it, or because its connection is pinned there.
    pub fn sent(&mut self, now: Time, backend: usize, picked: bool) -> Option<News> {
        if picked {
            self.picked = Some(backend);
        }
        let until = now + self.rule.out_for;
        let account = self.backends.get_mut(backend).filter(|account| account.standing == Standing::Due)?;
        account.standing = Standing::Trial(until);
        Some((backend, BackendState::Drain))
    }

    /// A request that this backend carried got no answer, and it is not the client's fault.
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
        // Another failure of those under way puts the trial off: nginx notes the time of the latest (`checked`).
        account.standing = Standing::Out(now + out_for);
        (!was_out).then_some((blamed, BackendState::Down))
    }

    /// A request that this backend carried was answered.
    pub fn succeeded(&mut self, backend: usize) -> Option<News> {
        let account = self.backends.get_mut(backend)?;
        // While it is out, or not yet tried, this is an old connection's answer: it says nothing of new ones.
        if !matches!(account.standing, Standing::Trial(_)) {
            return None;
        }
        account.standing = Standing::In;
        Some((backend, BackendState::Up))
    }

    /// The next backend that is due for a trial; `None` when there is no more for now.
    pub fn poll(&mut self, now: Time) -> Option<News> {
        let due = self.backends.iter().position(|account| account.until().is_some_and(|until| until <= now))?;
        self.backends[due].standing = Standing::Due;
        Some((due, BackendState::Up))
    }

    /// When [`Ledger::poll`] has something next; `None`: not before another failure.
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
