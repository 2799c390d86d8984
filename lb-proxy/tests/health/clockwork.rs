//! Tests of the times at which checks are made, and of the effect of their results. Time is paused, so it advances
//! whenever nothing else happens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_lb_core::health::CheckRule;
use stickler_lb_core::{Backend, Change, Control, Farm};
use stickler_lb_proxy::BoxFuture;
use stickler_lb_proxy::health::{Prober, run_with};
use stickler_model::{Clock, Entropy, Env, Journal, Name, Time};
use stickler_net::{Net as _, TokioNet};
use tokio::time::{Instant, sleep};

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn epoch(&self) -> u64 {
        0
    }
}

/// A prober that passes or fails by script, each after a given time. After the script it passes at once.
struct Script {
    start: Instant,
    results: Mutex<VecDeque<(bool, u64)>>,
    /// The time at which each check began, in milliseconds, and its backend.
    log: Mutex<Vec<(u64, usize)>>,
    running: Mutex<[bool; 4]>,
}

impl Prober for Script {
    fn probe<'a>(&'a self, index: usize, _backend: &'a Backend) -> BoxFuture<'a, bool> {
        self.log.lock().unwrap().push((millis(self.start), index));
        let (passes, after) = self.results.lock().unwrap().pop_front().unwrap_or((true, 0));
        let doubled = std::mem::replace(&mut self.running.lock().unwrap()[index], true);
        assert!(!doubled, "checks of one backend do not overlap");
        Box::pin(async move {
            let _running = Running(self, index);
            sleep(Duration::from_millis(after)).await;
            passes
        })
    }
}

struct Running<'a>(&'a Script, usize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.lock().unwrap()[self.1] = false;
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

type Told = Vec<(u64, usize, Change)>;

/// Checks this number of backends for this time. Returns the times of the checks, and the times and contents of the
/// reports to the control.
async fn run_for(rule: CheckRule, backends: usize, script: &[(bool, u64)], seconds: u64) -> (Vec<(u64, usize)>, Told) {
    let start = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(TokioClock(start));
    let journal = Journal::new(Arc::clone(&clock));
    let env = Env { name: Name::from("lb"), clock, entropy: Entropy::new(1, "lb"), journal };
    let backend = |index| Backend { name: Name::from(format!("iis{index}")), address: ([127, 0, 0, 1], 1).into() };
    let farm = Farm { backends: (0..backends).map(backend).collect() };
    let prober = Arc::new(Script {
        start,
        results: Mutex::new(script.iter().copied().collect()),
        log: Mutex::default(),
        running: Mutex::default(),
    });
    let control = Control::new();
    let told: Arc<Mutex<Told>> = Arc::default();
    let own = Arc::clone(&told);
    let _attached = control.attach(move |backend, change| own.lock().unwrap().push((millis(start), backend, change)));
    let checks = TokioNet.spawn(run_with(TokioNet, env, farm, rule, Arc::<Script>::clone(&prober), control.clone()));
    // The time ends just before a check, not together with one.
    sleep(Duration::from_millis(seconds * 1000 - 1)).await;
    checks.abort();
    let made = prober.log.lock().unwrap().clone();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(prober.log.lock().unwrap().len(), made.len(), "checks end with their owner");
    let told = told.lock().unwrap().clone();
    (made, told)
}

fn state(up: bool) -> Change {
    use stickler_lb_core::BackendState::{Down, Up};
    Change::State(if up { Up } else { Down })
}

#[tokio::test(start_paused = true)]
async fn the_farms_checks_are_spread_over_the_interval_and_keep_their_pace() {
    let (made, told) = run_for(CheckRule::TCP, 4, &[], 5).await;
    let of = |backend| made.iter().filter(|(_, of)| *of == backend).map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![0, 2000, 4000], vec![500, 2500, 4500]));
    assert_eq!((of(2), of(3)), (vec![1000, 3000], vec![1500, 3500]));
    assert!(told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn fall_takes_it_down_and_rise_brings_it_back() {
    let (_, told) = run_for(CheckRule::TCP, 1, &[(true, 0), (false, 5), (false, 5), (false, 5)], 20).await;
    assert_eq!(told, [(6005, 0, state(false)), (10_000, 0, state(true))]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_does_not_end_fails_at_its_timeout_and_is_not_doubled() {
    let rule = CheckRule { interval: Duration::from_secs(1), timeout: Duration::from_millis(2500), ..CheckRule::TCP };
    let (made, told) = run_for(rule, 1, &[(true, 60_000); 3], 12).await;
    let made: Vec<u64> = made.into_iter().map(|(at, _)| at).collect();
    assert_eq!(made[..6], [0, 2500, 5000, 7500, 8500, 9500], "a late one starts when the one before is over");
    assert_eq!(told, [(2500, 0, state(false)), (8500, 0, state(true))]);
}

#[tokio::test(start_paused = true)]
async fn an_interval_from_the_end_of_a_check_is_a_pause() {
    let rule = CheckRule { after_end: true, ..CheckRule::TCP };
    let (made, _) = run_for(rule, 1, &[(true, 60_000); 3], 16).await;
    let made: Vec<u64> = made.into_iter().map(|(at, _)| at).collect();
    assert_eq!(made, [0, 4000, 8000, 12_000, 14_000], "the first three end at their time limit of 2 s");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_came_back_gets_its_share_in_steps() {
    let rule = CheckRule { slow_start: Duration::from_millis(4500), rise: 1, ..CheckRule::TCP };
    let (_, told) = run_for(rule, 1, &[(false, 0)], 10).await;
    let mut expected = vec![(0, 0, state(false)), (2000, 0, Change::Share(10)), (2000, 0, state(true))];
    expected.extend((1..10).map(|step| (2000 + 500 * step, 0, Change::Share(10 + 10 * step as u8))));
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_ends_when_the_backend_dies_again() {
    let rule = CheckRule { slow_start: Duration::from_secs(90), rise: 1, fall: 1, ..CheckRule::TCP };
    let (_, told) = run_for(rule, 1, &[(false, 0), (true, 0), (false, 0)], 7).await;
    let states: Vec<_> = told.iter().map(|&(at, _, change)| (at, change)).collect();
    let up_again = [(6000, state(true))];
    assert_eq!(
        states,
        [
            [(0, state(false)), (2000, Change::Share(10)), (2000, state(true)), (4000, state(false))].as_slice(),
            &up_again
        ]
        .concat(),
        "the share is still that of the first step"
    );
}

#[tokio::test(start_paused = true)]
async fn jitter_varies_the_interval_and_a_seed_repeats_it() {
    let rule = CheckRule { jitter: 20, ..CheckRule::TCP };
    let (first, _) = run_for(rule.clone(), 1, &[], 60).await;
    let (again, _) = run_for(rule, 1, &[], 60).await;
    assert_eq!(first, again);
    let gaps: Vec<u64> = first.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| (1600..=2401).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 1950) && gaps.iter().any(|gap| *gap > 2050), "{gaps:?}");
}
