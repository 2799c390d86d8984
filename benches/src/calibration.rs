//! A fixed piece of work that uses nothing of Stickler, by which a change of the machine's speed shows.

use std::hint::black_box;

use criterion::measurement::Measurement as _;

use crate::cpu_time::CpuTime;
use crate::report::Estimate;

/// The number of entries of the table: 256 KiB, which fit the processor's second cache.
const ENTRIES: usize = 1 << 16;

/// The number of steps of one piece of work.
const STEPS: usize = 200_000;

/// The number of times that the work is measured.
const SAMPLES: usize = 31;

/// The id of the calibration in the report.
pub const ID: &str = "calibration";

/// The work: dependent reads and writes of a table at places that a generator chooses (xorshift64, Marsaglia 2003), which take
/// arithmetic and the caches in turn.
pub struct Calibration {
    table: Vec<u32>,
    state: u64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { table: (0..ENTRIES as u32).collect(), state: 0x9E37_79B9_7F4A_7C15 }
    }
}

impl Calibration {
    /// Returns the median time of the work in nanoseconds of the processor. The interval is that of the order
    /// statistics of the samples: it contains the true median with a probability of 97%.
    pub fn measure(&mut self) -> Estimate {
        let clock = CpuTime;
        // The first run fills the caches.
        black_box(self.work());
        let mut times: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let start = clock.start();
                black_box(self.work());
                clock.to_f64(&clock.end(start))
            })
            .collect();
        times.sort_by(f64::total_cmp);
        // The 10th and the 22nd of 31 (Conover, "Practical Nonparametric Statistics", 3.2).
        Estimate::new(times[SAMPLES / 2], times[9], times[21])
    }

    fn work(&mut self) -> u64 {
        for _ in 0..STEPS {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let place = &mut self.table[self.state as usize % ENTRIES];
            self.state = self.state.wrapping_add(u64::from(*place)) | 1;
            *place = self.state as u32;
        }
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_takes_time_and_is_the_same_each_time() {
        let estimate = Calibration::default().measure();
        let interval = estimate.interval.expect("there are samples");
        assert!(interval.low > 0.0 && interval.low <= estimate.value && estimate.value <= interval.high);
        let (mut one, mut other) = (Calibration::default(), Calibration::default());
        assert_eq!((one.work(), one.work()), (other.work(), other.work()));
    }
}
