//! Requests that wait while every backend of their service is full.

use std::collections::VecDeque;
use std::time::Duration;

use stickler_model::Time;

use super::rules::QueueRule;
use crate::DownstreamId;

/// How long a resumed request has to claim its place. The data plane asks again at once; only a request that was given
/// up meanwhile never claims it, and must not keep the place for ever.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);

/// A waiting request, named by its downstream connection and, where that has streams, by its stream.
pub(super) type Waiter = (DownstreamId, Option<u32>);

/// One queue for each service, which resumes requests in the order of arrival.
#[derive(Debug)]
pub(super) struct Queue {
    rule: QueueRule,
    waiting: Vec<VecDeque<Waiter>>,
    /// Resumed requests: until when each may claim its place, and of which service that is.
    resumed: VecDeque<(Time, Waiter, usize)>,
}

impl Queue {
    /// Returns empty queues for so many services.
    pub(super) fn new(rule: QueueRule, services: usize) -> Self {
        Self { rule, waiting: vec![VecDeque::new(); services], resumed: VecDeque::new() }
    }

    /// Returns whether the request may take one of so many free places: it was resumed, or no request is queued ahead
    /// of it. Whatever the queues knew of the request is removed.
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

    /// Removes all of the downstream connection's requests. Costs the queues' length, which is bounded, and nothing
    /// while no request waits.
    pub(super) fn remove(&mut self, downstream: DownstreamId) {
        self.remove_if(|(waiting, _)| waiting == downstream);
    }

    fn remove_if(&mut self, gone: impl Fn(Waiter) -> bool) {
        self.resumed.retain(|&(_, resumed, _)| !gone(resumed));
        self.waiting.iter_mut().for_each(|queue| queue.retain(|&waiting| !gone(waiting)));
    }

    /// Resumes the first request of a service that has a free place, `free` saying how many each service has, and
    /// returns the request's downstream connection.
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

    /// Returns when the next unclaimed place is free for another request.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.resumed.front().map(|&(until, ..)| until)
    }

    fn resumed_of(&self, service: usize) -> usize {
        self.resumed.iter().filter(|&&(.., of)| of == service).count()
    }

    /// Verifies that the queues are bounded and that no request waits while its service has a free place.
    ///
    /// # Panics
    /// Either does not hold.
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
}
