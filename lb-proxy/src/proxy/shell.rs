//! The state of the data plane: one lock around the policy and its connections. The lock is taken once for each
//! decision, and is never held across an `.await`. Decisions are recorded, with the connections concerned, in the order
//! in which the lock is taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use stickler_lb_core::{
    Bond, Change, Decision, DownstreamId, Edit, Exchange, Failure, Farm, Finish, L7Policy, RequestHead, ResponseHead,
    Route, UpstreamId, Work,
};
use stickler_model::event::Decided;
use stickler_model::{Env, RequestId, Time, What};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::config::Limits;
use super::sender::Sender;

/// The state that all connections share.
pub(super) struct Shell {
    pub(super) env: Env,
    pub(super) farm: Farm,
    pub(super) limits: Limits,
    /// Notifies the poll loop that the policy's next deadline has moved forward.
    pub(super) wake: Notify,
    /// Whether the policy can decide on several requests of one downstream connection at a time.
    pub(super) takes_streams: bool,
    state: Mutex<State>,
}

struct State {
    policy: Box<dyn L7Policy>,
    upstreams: IndexMap<UpstreamId, Upstream, FxBuildHasher>,
    downstreams: IndexMap<DownstreamId, Downstream, FxBuildHasher>,
    last_downstream: u32,
    last_upstream: u32,
    last_driver: u32,
    /// The time at which the policy will be polled next.
    armed: Option<Time>,
}

struct Upstream {
    backend: usize,
    task: AbortHandle,
    /// Distinguishes the task from that of an earlier connection with the same number.
    driver: u32,
    /// The sender, while the connection is idle.
    sender: Option<Sender>,
    /// The downstream connection that it serves, or served last.
    downstream: DownstreamId,
    /// Whether a request was sent, and its exchange has not yet received the result. That exchange will report the
    /// connection's end.
    awaited: bool,
    ended: bool,
}

struct Downstream {
    /// The signal to close; `None` once it was sent.
    close: Option<oneshot::Sender<()>>,
    /// The requests that wait: one, or several streams.
    resume: Vec<oneshot::Sender<()>>,
    finishing: Option<oneshot::Receiver<()>>,
}

impl Downstream {
    /// Tells the connection to close after the answers under way. Its requests that still wait for a backend have not
    /// been processed yet: they ask again, and are rejected.
    fn leave(&mut self) {
        for resume in self.resume.drain(..) {
            // The client may have given up the request.
            let _ = resume.send(());
        }
        if let Some(close) = self.close.take() {
            // The connection may have ended already.
            let _ = close.send(());
        }
    }
}

impl State {
    /// Returns whether a downstream connection was told to close.
    fn is_closing(&self, id: DownstreamId) -> bool {
        self.downstreams.get(&id).is_some_and(|downstream| downstream.close.is_none())
    }
}

/// The next step of the data plane for a request.
pub(super) enum Step {
    /// Send the request on this idle connection, which was either picked for it or belongs to its client.
    Send { at: Exchange, sender: Sender, picked: bool },
    /// Open a connection to the backend with this index, and send the request there.
    Open(Exchange, usize),
    /// Ask again when this signal arrives.
    Wait(oneshot::Receiver<()>),
    /// Answer the request with this status.
    Answer(StatusCode),
    /// Close the downstream connection without an answer.
    Close,
}

/// A step, with the changes to the header section of the message that it forwards.
pub(super) type Edited = (Step, Vec<Edit>);

/// The signal to close a downstream connection.
pub(super) type CloseSignal = oneshot::Receiver<()>;

impl Shell {
    pub(super) fn new(env: Env, farm: Farm, policy: Box<dyn L7Policy>, limits: Limits) -> Self {
        let takes_streams = policy.takes_streams();
        let state = State {
            policy,
            upstreams: IndexMap::default(),
            downstreams: IndexMap::default(),
            last_downstream: 0,
            last_upstream: 0,
            last_driver: 0,
            armed: None,
        };
        Self { env, farm, limits, wake: Notify::new(), takes_streams, state: Mutex::new(state) }
    }

    /// Applies a report about a backend, from the operator, a health check or live traffic.
    pub(super) fn apply(&self, backend: usize, change: Change) {
        let mut state = self.lock();
        let now = self.env.clock.now();
        state.policy.change(now, backend, change);
        self.arm(&mut state);
    }

    /// Counts a new downstream connection. Returns `None` if there are too many.
    pub(super) fn connected(&self) -> Option<(DownstreamId, CloseSignal)> {
        let mut state = self.lock();
        if state.downstreams.len() >= self.limits.downstreams {
            return None;
        }
        state.last_downstream = state.last_downstream.wrapping_add(1);
        let id = DownstreamId(state.last_downstream);
        let (close, signal) = oneshot::channel();
        state.downstreams.insert(id, Downstream { close: Some(close), resume: Vec::new(), finishing: None });
        Some((id, signal))
    }

    /// Records that a downstream connection is gone.
    pub(super) fn disconnected(&self, id: DownstreamId) {
        let mut state = self.lock();
        state.downstreams.swap_remove(&id);
        for upstream in state.policy.downstream_closed(self.env.clock.now(), id) {
            self.close_upstream(&mut state, upstream, None, Decided::CloseUpstream);
        }
        self.arm(&mut state);
    }

    /// Decides where a request goes. If its connection was told to close before, the request goes nowhere: the request
    /// was on its way when the close was decided. For the client, the result is the same as if the request had arrived
    /// too late.
    pub(super) fn route(&self, id: DownstreamId, request: Option<RequestId>, head: &RequestHead<'_>) -> Edited {
        let mut state = self.lock();
        let fresh = UpstreamId(state.last_upstream.wrapping_add(1));
        let decision = if state.is_closing(id) {
            Route::CloseDownstream.into()
        } else {
            state.policy.request(self.env.clock.now(), id, fresh, head)
        };
        self.follow(&mut state, id, request, fresh, decision)
    }

    /// Records that a request was answered before the policy was asked.
    pub(super) fn gated(&self, id: DownstreamId, request: Option<RequestId>) {
        self.note(&self.lock(), id, None, request, Decided::Gate);
    }

    /// Decides where a request that got no answer goes next.
    pub(super) fn failed(&self, at: Exchange, request: Option<RequestId>, failure: &Failure<'_>) -> Edited {
        let mut state = self.lock();
        if let Some(upstream) = state.upstreams.swap_remove(&at.upstream) {
            upstream.task.abort();
        }
        let fresh = UpstreamId(state.last_upstream.wrapping_add(1));
        let now = self.env.clock.now();
        let decision = state.policy.failed(now, at, fresh, failure);
        let unable = failure.again.is_none();
        match decision.verdict {
            Route::Open(_) if unable => {
                state.policy.upstream_closed(now, fresh);
                (Step::Answer(failure.kind.status()), Vec::new())
            }
            Route::Pinned(other) | Route::Reuse(other) if unable => {
                self.close_upstream(&mut state, other, request, Decided::CloseUpstream);
                state.policy.upstream_closed(now, other);
                (Step::Answer(failure.kind.status()), Vec::new())
            }
            Route::Wait if unable => (Step::Answer(failure.kind.status()), Vec::new()),
            Route::Open(_) | Route::Pinned(_) | Route::Reuse(_) => {
                self.note(&state, at.downstream, Some(at.upstream), request, Decided::Retry);
                self.follow(&mut state, at.downstream, request, fresh, decision)
            }
            _ => self.follow(&mut state, at.downstream, request, fresh, decision),
        }
    }

    /// Returns whether a connection that is about to be opened will belong to one client.
    pub(super) fn is_dedicated(&self, id: UpstreamId) -> bool {
        self.lock().policy.is_dedicated(id)
    }

    /// Records that TLS could not be established on a new connection.
    pub(super) fn unsecured(&self, at: Exchange, backend: usize, request: Option<RequestId>) {
        self.note_at(&self.lock(), at.downstream, Some(at.upstream), Some(backend), request, Decided::TlsFailed);
    }

    /// Records that a new connection is open. `spawn` starts the task with this number. The connection replaces an
    /// earlier one with the same number.
    pub(super) fn opened(&self, at: Exchange, backend: usize, spawn: impl FnOnce(u32) -> AbortHandle) {
        let mut state = self.lock();
        state.last_driver = state.last_driver.wrapping_add(1);
        let driver = state.last_driver;
        // The task is started under the lock, so that a task that ends at once finds its entry.
        let task = spawn(driver);
        let downstream = at.downstream;
        let entry = Upstream { backend, task, driver, sender: None, downstream, awaited: true, ended: false };
        if let Some(before) = state.upstreams.insert(at.upstream, entry) {
            before.task.abort();
        }
    }

    /// Records that the request is sent again, over another connection with the same number.
    pub(super) fn falls_back(&self, at: Exchange, request: Option<RequestId>) {
        self.note(&self.lock(), at.downstream, Some(at.upstream), request, Decided::Retry);
    }

    /// Reports the head of a final answer. If `idle` is given, the answer is complete, and the connection is idle
    /// again.
    pub(super) fn answered(
        &self,
        at: Exchange,
        request: Option<RequestId>,
        head: &ResponseHead<'_>,
        idle: Option<Sender>,
    ) -> Vec<Edit> {
        let mut state = self.lock();
        let now = self.env.clock.now();
        let decision = state.policy.response(now, at, head);
        match decision.verdict {
            Bond::Pin => self.note(&state, at.downstream, Some(at.upstream), request, Decided::Pin),
            Bond::Unpin => self.note(&state, at.downstream, Some(at.upstream), request, Decided::Unpin),
            Bond::Keep => {}
        }
        let mut ended = false;
        if let Some(upstream) = state.upstreams.get_mut(&at.upstream) {
            upstream.awaited = false;
            ended = upstream.ended;
        }
        if ended {
            self.lost(&mut state, at.upstream);
        } else if let Some(sender) = idle {
            self.finish(&mut state, now, at, request, sender);
        }
        self.arm(&mut state);
        decision.edits
    }

    /// Reports that the request and the answer are complete.
    pub(super) fn finished(&self, at: Exchange, request: Option<RequestId>, sender: Sender) {
        let mut state = self.lock();
        self.finish(&mut state, self.env.clock.now(), at, request, sender);
        self.arm(&mut state);
    }

    /// Records that the answer is complete and the request is not. The next request waits until the result is dropped.
    pub(super) fn finishing(&self, id: DownstreamId) -> oneshot::Sender<()> {
        let (done, finishing) = oneshot::channel();
        if let Some(downstream) = self.lock().downstreams.get_mut(&id) {
            downstream.finishing = Some(finishing);
        }
        done
    }

    /// Returns the signal for which the next request of this downstream connection must wait.
    pub(super) fn unfinished(&self, id: DownstreamId) -> Option<oneshot::Receiver<()>> {
        self.lock().downstreams.get_mut(&id)?.finishing.take()
    }

    /// Returns whether this downstream connection was told to close, in which case it has no next request.
    pub(super) fn is_closing(&self, id: DownstreamId) -> bool {
        self.lock().is_closing(id)
    }

    /// Records that an exchange was abandoned, so its upstream connection cannot be used any more.
    pub(super) fn aborted(&self, at: Exchange, request: Option<RequestId>) {
        let mut state = self.lock();
        self.close_upstream(&mut state, at.upstream, request, Decided::CloseUpstream);
        let coupled = state.policy.upstream_closed(self.env.clock.now(), at.upstream);
        self.close_downstream(&mut state, coupled);
        self.arm(&mut state);
    }

    /// Records that the task with this number of an upstream connection has ended by itself.
    pub(super) fn upstream_ended(&self, id: UpstreamId, driver: u32) {
        let mut state = self.lock();
        match state.upstreams.get_mut(&id).filter(|upstream| upstream.driver == driver) {
            None => {}
            Some(upstream) if upstream.awaited => upstream.ended = true,
            Some(_) => {
                self.lost(&mut state, id);
                self.arm(&mut state);
            }
        }
    }

    /// Performs the unsolicited work that is due, and returns the time at which more will be due.
    pub(super) fn work(&self) -> Option<Time> {
        let mut state = self.lock();
        while let Some(work) = state.policy.poll(self.env.clock.now()) {
            match work {
                Work::CloseUpstream(id) => {
                    self.close_upstream(&mut state, id, None, Decided::Expire);
                }
                Work::CloseDownstream(id) => self.close_downstream(&mut state, Some(id)),
                Work::Resume(id) => {
                    let waiting = state.downstreams.get_mut(&id).map(|entry| std::mem::take(&mut entry.resume));
                    for resume in waiting.into_iter().flatten() {
                        // The client may have gone meanwhile.
                        let _ = resume.send(());
                    }
                }
            }
        }
        state.armed = state.policy.next_deadline();
        state.armed
    }

    fn follow(
        &self,
        state: &mut State,
        id: DownstreamId,
        request: Option<RequestId>,
        fresh: UpstreamId,
        decision: Decision<Route>,
    ) -> Edited {
        let (decided, named, step) = match decision.verdict {
            Route::Pinned(upstream) => (Decided::Pinned, Some(upstream), Self::take(state, id, upstream, false)),
            Route::Reuse(upstream) => (Decided::Reuse, Some(upstream), Self::take(state, id, upstream, true)),
            Route::Open(backend) => {
                state.last_upstream = fresh.0;
                let at = Exchange { downstream: id, upstream: fresh };
                (Decided::Open, Some(fresh), Some(Step::Open(at, backend)))
            }
            Route::Wait => {
                let (resume, resumed) = oneshot::channel();
                if let Some(entry) = state.downstreams.get_mut(&id) {
                    entry.resume.retain(|other| !other.is_closed());
                    entry.resume.push(resume);
                }
                (Decided::Wait, None, Some(Step::Wait(resumed)))
            }
            Route::Reject(status) => (Decided::Reject, None, Some(Step::Answer(status))),
            Route::CloseDownstream => {
                if let Some(entry) = state.downstreams.get_mut(&id) {
                    entry.leave();
                }
                (Decided::CloseDownstream, None, Some(Step::Close))
            }
        };
        let backend = if let Route::Open(backend) = decision.verdict { Some(backend) } else { None };
        self.note_at(state, id, named, backend, request, decided);
        self.arm(state);
        // If the connection does not exist, or is not idle, the policy has made a mistake, and the request goes
        // nowhere.
        (step.unwrap_or(Step::Answer(StatusCode::BAD_GATEWAY)), decision.edits)
    }

    fn take(state: &mut State, id: DownstreamId, upstream: UpstreamId, picked: bool) -> Option<Step> {
        let entry = state.upstreams.get_mut(&upstream)?;
        let sender = entry.sender.take()?;
        entry.downstream = id;
        entry.awaited = true;
        Some(Step::Send { at: Exchange { downstream: id, upstream }, sender, picked })
    }

    fn finish(&self, state: &mut State, now: Time, at: Exchange, request: Option<RequestId>, sender: Sender) {
        if !state.upstreams.contains_key(&at.upstream) {
            return;
        }
        match state.policy.finished(now, at) {
            Finish::Keep => {}
            Finish::Pool => self.note(state, at.downstream, Some(at.upstream), request, Decided::Pool),
            Finish::Close => {
                self.close_upstream(state, at.upstream, request, Decided::CloseUpstream);
                return;
            }
        }
        if let Some(upstream) = state.upstreams.get_mut(&at.upstream) {
            upstream.sender = Some(sender);
        }
    }

    /// Handles the end of an upstream connection on which no exchange waits.
    fn lost(&self, state: &mut State, id: UpstreamId) {
        let Some(upstream) = state.upstreams.get(&id) else { return };
        self.note(state, upstream.downstream, Some(id), None, Decided::UpstreamClosed);
        state.upstreams.swap_remove(&id);
        let coupled = state.policy.upstream_closed(self.env.clock.now(), id);
        self.close_downstream(state, coupled);
    }

    fn close_upstream(&self, state: &mut State, id: UpstreamId, request: Option<RequestId>, decision: Decided) {
        let Some(upstream) = state.upstreams.get(&id) else { return };
        self.note(state, upstream.downstream, Some(id), request, decision);
        if let Some(upstream) = state.upstreams.swap_remove(&id) {
            upstream.task.abort();
        }
    }

    fn close_downstream(&self, state: &mut State, id: Option<DownstreamId>) {
        let Some(id) = id.filter(|id| state.downstreams.contains_key(id) && !state.is_closing(*id)) else { return };
        self.note(state, id, None, None, Decided::CloseDownstream);
        if let Some(entry) = state.downstreams.get_mut(&id) {
            entry.leave();
        }
    }

    /// Wakes the poll loop if the policy has work to do sooner than the loop knows.
    fn arm(&self, state: &mut State) {
        let next = state.policy.next_deadline();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.wake.notify_one();
        }
    }

    fn note(
        &self,
        state: &State,
        downstream: DownstreamId,
        upstream: Option<UpstreamId>,
        request: Option<RequestId>,
        decision: Decided,
    ) {
        self.note_at(state, downstream, upstream, None, request, decision);
    }

    fn note_at(
        &self,
        state: &State,
        downstream: DownstreamId,
        upstream: Option<UpstreamId>,
        backend: Option<usize>,
        request: Option<RequestId>,
        decision: Decided,
    ) {
        let backend = backend.or_else(|| Some(state.upstreams.get(&upstream?)?.backend));
        let backend = backend.and_then(|index| self.farm.backends.get(index)).map(|backend| backend.name.clone());
        let upstream = upstream.map(|id| id.0);
        self.env.record(What::Decision { downstream: downstream.0, upstream, backend, request, decision });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a policy must not affect the other connections.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
