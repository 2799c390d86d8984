//! Runs the benchmarks (`cargo bench`), and then writes the benchmark report.
//!
//! Criterion's own switches work: a filter, `--quick`, `--test`, `--list`. The report covers the benchmarks that have
//! run; `--help` describes it, and the environment variables that change it.

mod auth;
mod decisions;
mod exchanges;
mod options;
mod plane;
mod quiet;
mod tickets;
mod worlds;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, WallTime};
use mimalloc::MiMalloc;
use stickler_benches::calibration::{self, Calibration};
use stickler_benches::cpu_time::CpuTime;
use stickler_benches::report::{
    self, Baseline, Conditions, Estimates, Figure, History, LoadAverages, Machine, Mode, Report, ReportError,
};

use options::{HELP, Options};
use quiet::Quiet;

/// The allocator of the command, which the meter wraps.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        // Criterion prints its own help, and ends the process.
        let _ = io::stdout().flush();
    }
    match Options::read().map_err(|error| (2, error)).and_then(|options| run(&arguments, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("{error}");
            ExitCode::from(code)
        }
    }
}

/// Measures, and writes the report. An error has an exit code.
fn run(arguments: &[String], options: Options) -> Result<(), (u8, String)> {
    let failed = |error: ReportError| (1, format!("no benchmark report: {error}"));
    let (target, mode) = (target_directory(), Mode::of(arguments.iter().map(String::as_str)));
    let (output, folder) = (target.join("criterion"), target.join("benchmark-report"));
    let measures = measures(arguments);
    let mut bench = Bench {
        criterion: criterion(CpuTime, &output),
        wall: criterion(WallTime, &output),
        estimates: Estimates::new(output, mode),
        figures: Vec::new(),
        remarks: Vec::new(),
    };
    let filtered = arguments.iter().any(|argument| !argument.starts_with('-'));
    let quiet = (measures && !options.all && !filtered).then(|| Quiet::start(&folder.join("criterion.log")));
    let quiet = quiet.transpose().map_err(|error| (1, format!("criterion.log: {error}")))?;
    let conditions = bench.measure(quiet);
    if !measures {
        return Ok(());
    }
    let report = bench.judge(mode, conditions).map_err(failed)?;
    publish(&report, &folder, options).map_err(failed)
}

/// Writes and prints the report, and stores what the options say.
fn publish(report: &Report, folder: &Path, options: Options) -> Result<(), ReportError> {
    let (stored, baseline) = (here().join("history"), here().join("baseline.json"));
    if options.store_history {
        match History::store(&stored, report)? {
            Some(path) => println!("{}", path.display()),
            None => println!("This is no full run: it is not stored in the history."),
        }
    }
    report.write(folder, &History::load(&stored)?)?;
    if options.save_baseline {
        report.to_baseline().save_over(&baseline)?;
    }
    println!("{}", report.to_table(options.rows));
    for line in report.summary() {
        println!("{line}");
    }
    println!("{}", folder.join("report.html").display());
    Ok(())
}

/// The state that all groups share.
struct Bench {
    criterion: Criterion<CpuTime>,
    /// The measurement by wall time, for the work of several threads and processes.
    wall: Criterion<WallTime>,
    estimates: Estimates,
    figures: Vec<Figure>,
    /// What could not be measured, and why.
    remarks: Vec<String>,
}

impl Bench {
    /// Runs all benchmarks, and returns the conditions under which they ran.
    fn measure(&mut self, mut quiet: Option<Quiet>) -> Conditions {
        let mut say = |what| quiet.iter_mut().for_each(|quiet| quiet.say(what));
        let (date, load) = (report::now(), LoadAverages::now());
        let mut calibration = Calibration::default();
        let start = calibration.measure();
        say("NTLM and Kerberos");
        auth::measure(self);
        tickets::measure(self);
        say("decisions");
        decisions::measure(self);
        let middle = calibration.measure();
        say("exchanges");
        exchanges::measure(self);
        say("worlds");
        worlds::measure(self);
        say("the data plane on loopback");
        plane::measure(self);
        let end = calibration.measure();
        self.estimates.add(calibration::ID, middle);
        Conditions {
            date,
            commit: report::commit(here()),
            machine: Machine::here(),
            load: LoadAverages { before: load, after: LoadAverages::now() },
            calibration: report::Calibration { start: start.value, middle: middle.value, end: end.value },
        }
    }

    fn judge(&self, mode: Mode, conditions: Conditions) -> Result<Report, ReportError> {
        let baseline = Baseline::load(&here().join("baseline.json"))?;
        let report = Report::new(&self.figures, &self.estimates, &baseline, mode, conditions)?;
        Ok(Report { remarks: self.remarks.clone(), ..report })
    }
}

/// Returns the folder of this crate.
fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
fn measures(arguments: &[String]) -> bool {
    let given = |switch: &str| arguments.iter().any(|argument| argument == switch);
    given("--bench") && !given("--test") && !given("--list") && !given("--profile-time")
}

/// Returns Cargo's target directory, derived from the place of this program in it: `target/release/deps/stickler-...`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|program| program.ancestors().nth(3));
    target.map_or_else(|| PathBuf::from("target"), Path::to_owned)
}
