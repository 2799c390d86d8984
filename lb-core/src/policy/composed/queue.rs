//! The queues of requests that wait while every backend of their service is full.

use std::collections::VecDeque;
use std::time::Duration;

use stickler_model::Time;

use super::rules::QueueRule;
use crate::DownstreamId;

/// The time within which a resumed request must claim its place. The data plane asks again at once. Therefore only a
/// request that was given up in the meantime never claims its place, and such a request must not keep the place for
/// ever.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);

/// A waiting request, identified by its downstream connection and, for HTTP/2, by its stream.
pub(super) type Waiter = (DownstreamId, Option<u32>);

/// The queues, one for each service. Each resumes requests in the order of arrival.
#[derive(Debug)]
pub(super) struct Queue {
    rule: QueueRule,
    waiting: Vec<VecDeque<Waiter>>,
    /// The resumed requests: the time by which each must claim its place, the request, and its service.
    resumed: VecDeque<(Time, Waiter, usize)>,
}

impl Queue {
    /// Returns empty queues for the given number of services.
    pub(super) fn new(rule: QueueRule, services: usize) -> Self {
        Self { rule, waiting: vec![VecDeque::new(); services], resumed: VecDeque::new() }
    }

    /// Returns whether the request may take one of the `free` places: either it was resumed, or no request is queued
    /// ahead of it. Removes everything that the queues know of the request.
    pub(super) fn admit(&mut self, waiter: Waiter, service: usize, free: usize) -> bool {
        let was_resumed = self.resumed.iter().any(|&(_, resumed, of)| resumed == waiter && of == service);
        self.remove_if(|other| other == waiter);
        if was_resumed { free > 0 } else { free > self.resumed_of(service) && self.waiting[service].is_empty() }
    }

    /// Queues the request if there is room, and returns whether there was.
    pub(super) fn join(&mut self, waiter: Waiter, service: usize) -> bool {
        let room = self.waiting[service].len() < self.rule.length as usize;
        if room {
            self.waiting[service].push_back(waiter);
        }
        room
    }

    /// Removes all requests of the downstream connection. The cost is proportional to the length of the queues, which
    /// is bounded. It is zero while no request waits.
    pub(super) fn remove(&mut self, downstream: DownstreamId) {
        self.remove_if(|(waiting, _)| waiting == downstream);
    }

    fn remove_if(&mut self, gone: impl Fn(Waiter) -> bool) {
        self.resumed.retain(|&(_, resumed, _)| !gone(resumed));
        self.waiting.iter_mut().for_each(|queue| queue.retain(|&waiting| !gone(waiting)));
    }

    /// Resumes the first request of a service that has a free place, and returns the request's downstream connection.
    /// `free` returns the number of free places of a service.
    pub(super) fn resume_next(&mut self, now: Time, free: impl Fn(usize) -> usize) -> Option<DownstreamId> {
        while self.resumed.pop_front_if(|&mut (until, ..)| until <= now).is_some() {}
        for service in 0..self.waiting.len() {
            if !self.waiting[service].is_empty() && free(service) > self.resumed_of(service) {
                let next = self.waiting[service].pop_front()?;
                self.resumed.push_back((now + CLAIM_TIMEOUT, next, service));
                return Some(next.0);
            }
        }
        None
    }

    /// Returns the time at which the next unclaimed place becomes free for another request.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.resumed.front().map(|&(until, ..)| until)
    }

    fn resumed_of(&self, service: usize) -> usize {
        self.resumed.iter().filter(|&&(.., of)| of == service).count()
    }

    /// Verifies that the queues are bounded, and that no request waits while its service has a free place.
    ///
    /// # Panics
    /// One of the two does not hold.
    #[cfg(debug_assertions)]
    pub(super) fn check_invariants(&self, free: impl Fn(usize) -> usize) {
        for (service, queue) in self.waiting.iter().enumerate() {
            assert!(queue.len() <= self.rule.length as usize, "the queue is bounded");
            assert!(queue.is_empty() || free(service) <= self.resumed_of(service), "requests wait for a reason");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Waiter = (DownstreamId(1), None);
    const TWO: Waiter = (DownstreamId(2), None);
    const THREE: Waiter = (DownstreamId(3), None);

    #[test]
    fn requests_are_resumed_in_order_of_arrival_and_none_overtakes() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 1);
        assert!(!queue.admit(ONE, 0, 0) && queue.join(ONE, 0));
        assert!(!queue.admit(TWO, 0, 0) && queue.join(TWO, 0));
        assert!(!queue.admit(THREE, 0, 0) && !queue.join(THREE, 0), "full");
        assert_eq!((queue.resume_next(Time(0), |_| 1), queue.resume_next(Time(0), |_| 1)), (Some(ONE.0), None));
        assert!(!queue.admit(THREE, 0, 1), "the place is taken");
        assert!(queue.admit(ONE, 0, 1));
        assert_eq!(queue.resume_next(Time(0), |_| 1), Some(TWO.0));
    }

    #[test]
    fn an_unclaimed_place_goes_to_the_next_request() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 1);
        queue.join(ONE, 0);
        queue.join(TWO, 0);
        assert_eq!(queue.resume_next(Time(0), |_| 1), Some(ONE.0));
        let until = queue.next_deadline().unwrap();
        assert_eq!(queue.resume_next(until, |_| 1), Some(TWO.0));
        queue.remove(TWO.0);
        assert_eq!((queue.resume_next(until, |_| 1), queue.next_deadline()), (None, None));
    }

    #[test]
    fn a_full_service_does_not_hold_up_another() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 2);
        queue.join(ONE, 0);
        queue.join(TWO, 1);
        assert_eq!(queue.resume_next(Time(0), |service| service), Some(TWO.0));
    }

    #[test]
    fn a_resumed_request_needs_a_place_that_is_still_free() {
        for (free, admitted) in [(0, false), (1, true)] {
            let mut queue = Queue::new(QueueRule { length: 1 }, 1);
            queue.join(ONE, 0);
            assert_eq!(queue.resume_next(Time(0), |_| 1), Some(ONE.0));
            assert_eq!(queue.admit(ONE, 0, free), admitted, "{free}");
        }
    }
}
