//! Requests that wait while every backend is full.

use std::collections::VecDeque;
use std::time::Duration;

use stickler_model::Time;

use super::rules::QueueRule;
use crate::DownstreamId;

/// Who was called has this long to come. The data plane asks again at once; only one whose request was given up
/// meanwhile does not come, and must not keep the place for ever.
const GRACE: Duration = Duration::from_secs(1);

/// A request that waits: of this downstream connection, and of this stream, where it has streams.
pub(super) type Waiter = (DownstreamId, Option<u32>);

/// One queue for each service: first come, first served.
#[derive(Debug)]
pub(super) struct Queue {
    rule: QueueRule,
    waiting: Vec<VecDeque<Waiter>>,
    /// Those whose turn it is, each until then, and of which service.
    called: VecDeque<(Time, Waiter, usize)>,
}

impl Queue {
    pub(super) fn new(rule: QueueRule, services: usize) -> Self {
        Self { rule, waiting: vec![VecDeque::new(); services], called: VecDeque::new() }
    }

    /// Whether this request may take one of so many free places: it was called, or nobody is before it.
    pub(super) fn admits(&mut self, who: Waiter, service: usize, free: usize) -> bool {
        let was_called = self.called.iter().any(|&(_, called, of)| called == who && of == service);
        self.drop_all(|waiter| waiter == who);
        if was_called { free > 0 } else { free > self.called_of(service) && self.waiting[service].is_empty() }
    }

    /// Whether there is room to wait; then it waits.
    pub(super) fn joins(&mut self, who: Waiter, service: usize) -> bool {
        let room = self.waiting[service].len() < self.rule.length as usize;
        if room {
            self.waiting[service].push_back(who);
        }
        room
    }

    /// Nothing of it waits any more. Costs the queue's length, which is bounded, and nothing while nobody waits.
    pub(super) fn leave(&mut self, downstream: DownstreamId) {
        self.drop_all(|(waiting, _)| waiting == downstream);
    }

    fn drop_all(&mut self, gone: impl Fn(Waiter) -> bool) {
        self.called.retain(|&(_, called, _)| !gone(called));
        self.waiting.iter_mut().for_each(|queue| queue.retain(|&waiting| !gone(waiting)));
    }

    /// The next whose turn it is, with so many places free in each service.
    pub(super) fn call(&mut self, now: Time, free: impl Fn(usize) -> usize) -> Option<DownstreamId> {
        while self.called.pop_front_if(|&mut (until, ..)| until <= now).is_some() {}
        for service in 0..self.waiting.len() {
            if !self.waiting[service].is_empty() && free(service) > self.called_of(service) {
                let next = self.waiting[service].pop_front()?;
                self.called.push_back((now + GRACE, next, service));
                return Some(next.0);
            }
        }
        None
    }

    /// When a place that nobody came for is free again.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.called.front().map(|&(until, ..)| until)
    }

    fn called_of(&self, service: usize) -> usize {
        self.called.iter().filter(|&&(.., of)| of == service).count()
    }

    /// Nobody waits while there is a place.
    #[cfg(debug_assertions)]
    pub(super) fn check_invariants(&self, free: impl Fn(usize) -> usize) {
        for (service, queue) in self.waiting.iter().enumerate() {
            assert!(queue.len() <= self.rule.length as usize, "the queue is bounded");
            assert!(queue.is_empty() || free(service) <= self.called_of(service), "who waits has a reason to");
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
    fn who_comes_first_is_called_first_and_nobody_slips_in_between() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 1);
        assert!(!queue.admits(ONE, 0, 0) && queue.joins(ONE, 0));
        assert!(!queue.admits(TWO, 0, 0) && queue.joins(TWO, 0));
        assert!(!queue.admits(THREE, 0, 0) && !queue.joins(THREE, 0), "full");
        assert_eq!((queue.call(Time(0), |_| 1), queue.call(Time(0), |_| 1)), (Some(ONE.0), None));
        assert!(!queue.admits(THREE, 0, 1), "the place is taken");
        assert!(queue.admits(ONE, 0, 1));
        assert_eq!(queue.call(Time(0), |_| 1), Some(TWO.0));
    }

    #[test]
    fn a_place_that_nobody_comes_for_goes_to_the_next() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 1);
        queue.joins(ONE, 0);
        queue.joins(TWO, 0);
        assert_eq!(queue.call(Time(0), |_| 1), Some(ONE.0));
        let until = queue.next_deadline().unwrap();
        assert_eq!(queue.call(until, |_| 1), Some(TWO.0));
        queue.leave(TWO.0);
        assert_eq!((queue.call(until, |_| 1), queue.next_deadline()), (None, None));
    }

    #[test]
    fn a_full_service_does_not_hold_up_another() {
        let mut queue = Queue::new(QueueRule { length: 2 }, 2);
        queue.joins(ONE, 0);
        queue.joins(TWO, 1);
        assert_eq!(queue.call(Time(0), |service| service), Some(TWO.0));
    }
}
