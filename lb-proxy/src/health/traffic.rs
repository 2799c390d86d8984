//! The connection between the data planes and passive checks: one lock around the [`Ledger`], and its timing.

use std::sync::{Mutex, PoisonError};

use stickler_model::{Env, Time};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use stickler_lb_core::Control;
use stickler_lb_core::health::PassiveRule;
use stickler_lb_core::health::passive::{Ledger, News};

/// The reports of live traffic, and their effect on the backends. The methods must not be called under a data plane's
/// lock, because the control's sinks take that lock.
pub(crate) struct Traffic {
    env: Env,
    control: Control,
    ledger: Mutex<Ledger>,
    wake: Notify,
}

impl Traffic {
    pub(crate) fn new(env: Env, control: Control, rule: PassiveRule, backends: usize) -> Self {
        Self { env, control, ledger: Mutex::new(Ledger::new(rule, backends)), wake: Notify::new() }
    }

    /// Reports that a request or a connection goes to this backend.
    pub(crate) fn sent(&self, backend: usize, picked: bool) {
        self.tell(|ledger, now| ledger.sent(now, backend, picked));
    }

    /// Reports that a request or a connection failed at this backend.
    pub(crate) fn failed(&self, backend: usize) {
        self.tell(|ledger, now| ledger.failed(now, backend));
        self.wake.notify_one();
    }

    /// Reports that a request or a connection was answered by this backend.
    pub(crate) fn succeeded(&self, backend: usize) {
        self.tell(|ledger, _| ledger.succeeded(backend));
    }

    /// Puts each backend on trial when its trial is due, until the future is dropped.
    pub(crate) async fn watch(&self) {
        loop {
            let woken = self.wake.notified();
            while self.tell(Ledger::poll) {}
            let deadline = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).next_deadline();
            match deadline {
                None => woken.await,
                Some(deadline) => {
                    let at = Instant::now() + (deadline - self.env.clock.now());
                    tokio::select! {
                        biased;
                        () = woken => {}
                        () = sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// Reports to the ledger. The control is told under the ledger's lock, so that it learns the changes in their
    /// order.
    fn tell(&self, report: impl FnOnce(&mut Ledger, Time) -> Option<News>) -> bool {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let news = report(&mut ledger, self.env.clock.now());
        if let Some((backend, state)) = news {
            self.control.set_traffic(backend, state);
        }
        news.is_some()
    }
}

/// Watches for passive checks until the future is dropped. Without passive checks, it does nothing, and never returns.
pub(crate) async fn watch(traffic: Option<&Traffic>) {
    match traffic {
        Some(traffic) => traffic.watch().await,
        None => std::future::pending().await,
    }
}
