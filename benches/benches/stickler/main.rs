//! Runs the benchmarks (`cargo bench`), and then writes the benchmark report.
//!
//! Criterion's own switches work: a filter, `--quick`, `--test`, `--list`. The report covers the benchmarks that have
//! run. `STICKLER_SAVE_BASELINE=1` makes this run the baseline of later ones.

mod auth;
mod decisions;
mod exchanges;
mod plane;
mod tickets;
mod worlds;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, WallTime};
use mimalloc::MiMalloc;
use stickler_benches::cpu_time::CpuTime;
use stickler_benches::report::{Baseline, Estimates, Figure, Report, ReportError};

/// The allocator of the command, which the meter wraps.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let target = target_directory();
    let output = target.join("criterion");
    let mut bench = Bench {
        criterion: criterion(CpuTime, &output),
        wall: criterion(WallTime, &output),
        estimates: Estimates::new(output),
        figures: Vec::new(),
    };
    auth::measure(&mut bench);
    tickets::measure(&mut bench);
    decisions::measure(&mut bench);
    exchanges::measure(&mut bench);
    worlds::measure(&mut bench);
    plane::measure(&mut bench);
    if !measures() {
        return ExitCode::SUCCESS;
    }
    match bench.report(&target.join("benchmark-report")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("no benchmark report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The state that all groups share.
struct Bench {
    criterion: Criterion<CpuTime>,
    /// The measurement by wall time, for the work of several threads and processes.
    wall: Criterion<WallTime>,
    estimates: Estimates,
    figures: Vec<Figure>,
}

impl Bench {
    fn report(&self, directory: &Path) -> Result<(), ReportError> {
        let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json");
        let report = Report::new(&self.figures, &self.estimates, &Baseline::load(&stored)?)?;
        report.write(directory)?;
        if std::env::var_os("STICKLER_SAVE_BASELINE").is_some_and(|value| value == "1") {
            report.to_baseline().save_over(&stored)?;
        }
        println!("{}\n{}", report.to_markdown(), directory.join("report.md").display());
        Ok(())
    }
}

fn criterion<M: Measurement + 'static>(clock: M, output: &Path) -> Criterion<M> {
    Criterion::default()
        .with_measurement(clock)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .nresamples(2000)
        .sample_size(20)
        .without_plots()
        .output_directory(output)
        .configure_from_args()
}

/// Returns whether criterion measures: `cargo test` and `--test` run each benchmark once, and `--list` runs none.
fn measures() -> bool {
    let given = |switch: &str| std::env::args().any(|argument| argument == switch);
    given("--bench") && !given("--test") && !given("--list") && !given("--profile-time")
}

/// Returns Cargo's target directory, derived from the place of this program in it: `target/release/deps/stickler-...`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|program| program.ancestors().nth(3));
    target.map_or_else(|| PathBuf::from("target"), Path::to_owned)
}
