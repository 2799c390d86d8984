//! The processor time of the measuring thread. All measured work runs on one thread, and other work on the machine must
//! not count.

use std::time::Duration;

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Measures the processor time of the current thread, or wall time if the system has no such clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Moment;
    type Value = Duration;

    fn start(&self) -> Moment {
        now()
    }

    fn end(&self, start: Moment) -> Duration {
        since(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Formatter
    }
}

/// Formats nanoseconds as criterion formats wall time.
struct Formatter;

impl ValueFormatter for Formatter {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}

/// A reading of the thread's clock.
#[cfg(unix)]
pub type Moment = Duration;

/// A reading of the clock.
#[cfg(not(unix))]
pub type Moment = std::time::Instant;

#[cfg(unix)]
fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("a thread has not run for less than no time");
    let nanos = u32::try_from(time.tv_nsec).expect("a second has 10^9 nanoseconds");
    Duration::new(seconds, nanos)
}

#[cfg(unix)]
fn since(start: Moment) -> Duration {
    now().saturating_sub(start)
}

#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "measuring is what a benchmark is for; no trace sees it")]
fn now() -> Moment {
    std::time::Instant::now()
}

#[cfg(not(unix))]
fn since(start: Moment) -> Duration {
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_durations_add_up() {
        let start = CpuTime.start();
        let sum = (0..200_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        std::hint::black_box(sum);
        let elapsed = CpuTime.end(start);
        assert!(elapsed > Duration::ZERO);
        let twice = CpuTime.add(&elapsed, &elapsed);
        assert!((CpuTime.to_f64(&twice) - 2.0 * CpuTime.to_f64(&elapsed)).abs() < 1.0);
    }
}
