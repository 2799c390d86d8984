//! A balancer that opens one upstream connection for each client's connection, for as long as either lasts.

use std::collections::BTreeMap;

use http::StatusCode;
use stickler_lb_core::{
    BackendAware, BackendState, Bond, Decision, DownstreamId, Exchange, Failure, FailureKind, Farm, Finish, L7Policy,
    RequestHead, ResponseHead, Route, UpstreamId, Work,
};
use stickler_model::Time;

/// Assigns the clients' connections to the backends in turn. Each client's connection has its own upstream connection,
/// which is closed with it. Therefore no other client can use a connection on which a user authenticated, and its loss is
/// never silent.
#[derive(Debug)]
pub struct OneToOne {
    up: Vec<bool>,
    next: usize,
    pairs: BTreeMap<DownstreamId, UpstreamId>,
}

impl OneToOne {
    /// Returns the policy over this farm. All backends count as up.
    pub fn new(farm: &Farm) -> Self {
        Self { up: vec![true; farm.backends.len()], next: 0, pairs: BTreeMap::new() }
    }

    /// Returns the next backend that is up, in turn.
    fn pick(&mut self) -> Option<usize> {
        let count = self.up.len();
        let picked = (self.next..self.next + count).map(|index| index % count).find(|&index| self.up[index])?;
        self.next = (picked + 1) % count;
        Some(picked)
    }

    fn open(&mut self, downstream: DownstreamId, fresh: UpstreamId) -> Route {
        match self.pick() {
            Some(backend) => {
                self.pairs.insert(downstream, fresh);
                Route::Open(backend)
            }
            None => Route::Reject(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

impl L7Policy for OneToOne {
    fn request(&mut self, _: Time, from: DownstreamId, fresh: UpstreamId, _: &RequestHead<'_>) -> Decision<Route> {
        match self.pairs.get(&from) {
            Some(&upstream) => Route::Pinned(upstream).into(),
            None => self.open(from, fresh).into(),
        }
    }

    fn response(&mut self, _: Time, _: Exchange, _: &ResponseHead<'_>) -> Decision<Bond> {
        Bond::Keep.into()
    }

    fn finished(&mut self, _: Time, _: Exchange) -> Finish {
        Finish::Keep
    }

    fn failed(&mut self, _: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route> {
        self.pairs.remove(&at.downstream);
        match failure.kind {
            // Nothing was sent yet, so another backend may get the request. Each backend is tried at most once.
            FailureKind::Refused | FailureKind::ConnectTimeout
                if failure.again.is_some() && (failure.attempts as usize) < self.up.len() =>
            {
                self.open(at.downstream, fresh).into()
            }
            // The authenticated connection is lost, and the client has to know that.
            FailureKind::Lost => Route::CloseDownstream.into(),
            kind => Route::Reject(kind.status()).into(),
        }
    }

    fn downstream_closed(&mut self, _: Time, downstream: DownstreamId) -> Vec<UpstreamId> {
        self.pairs.remove(&downstream).into_iter().collect()
    }

    fn upstream_closed(&mut self, _: Time, upstream: UpstreamId) -> Option<DownstreamId> {
        let owner = self.pairs.iter().find(|(_, other)| **other == upstream).map(|(&owner, _)| owner)?;
        self.pairs.remove(&owner);
        Some(owner)
    }
}

impl BackendAware for OneToOne {
    type Work = Work;

    fn set_state(&mut self, _: Time, backend: usize, state: BackendState) {
        if let Some(up) = self.up.get_mut(backend) {
            *up = state == BackendState::Up;
        }
    }
}
