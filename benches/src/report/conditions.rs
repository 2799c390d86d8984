//! The conditions of a run: the machine, its load, and how much its speed changed meanwhile.

use std::path::Path;
use std::process::{Command, Stdio};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// The conditions under which figures were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// The time at which the run began, in UTC (RFC 3339).
    pub date: String,
    /// The commit of the sources, followed by `-dirty` if there were changes. `None` if git does not know it.
    pub commit: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// The load of the machine, which includes the run itself.
    pub load: LoadAverages,
    /// The speed of the machine during the run.
    pub calibration: Calibration,
}

/// A machine, as far as it says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The model of the processor.
    pub processor: Option<String>,
    /// The number of processors that this process can use.
    pub processors: usize,
    /// The size of the memory in MiB.
    pub memory_mib: Option<u64>,
    /// The operating system and the architecture, such as `linux x86_64`.
    pub system: String,
    /// The release of the kernel.
    pub kernel: Option<String>,
}

/// The load averages of the system over the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoadAverages {
    /// The load average before the first benchmark.
    pub before: Option<f32>,
    /// The load average after the last benchmark.
    pub after: Option<f32>,
}

/// The time of a fixed piece of work that uses nothing of Stickler, at three moments of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The nanoseconds before the first benchmark.
    pub start: f64,
    /// The nanoseconds after about half of the benchmarks.
    pub middle: f64,
    /// The nanoseconds after the last benchmark.
    pub end: f64,
}

impl Machine {
    /// Returns the machine on which this process runs.
    pub fn here() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let mut machine = Self { processor: None, processors, memory_mib: None, system, kernel: None };
        machine.ask_kernel();
        machine
    }

    #[cfg(target_os = "linux")]
    fn ask_kernel(&mut self) {
        use procfs::Current as _;
        let processor = procfs::CpuInfo::current().ok();
        self.processor = processor.and_then(|info| info.model_name(0).map(str::to_owned));
        self.memory_mib = procfs::Meminfo::current().ok().map(|memory| memory.mem_total >> 20);
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        self.kernel = release.map(|release| release.trim().to_owned());
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_kernel(&mut self) {}
}

impl LoadAverages {
    /// Returns the current load average, if the system tells it.
    pub fn now() -> Option<f32> {
        #[cfg(target_os = "linux")]
        {
            use procfs::Current as _;
            procfs::LoadAverage::current().ok().map(|load| load.one)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

impl Calibration {
    /// Returns the drift: the share by which the slowest moment was slower than the fastest one.
    pub fn drift(&self) -> f64 {
        let all = [self.start, self.middle, self.end];
        let (least, most) =
            all.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), &at| (least.min(at), most.max(at)));
        most / least - 1.0
    }
}

/// Returns the current time in UTC, to the second (RFC 3339).
pub fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

/// Returns the commit of a folder's sources, as git describes it.
pub fn commit(folder: &Path) -> Option<String> {
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude", "*"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(git.stdout).ok()?;
    (git.status.success() && !said.trim().is_empty()).then(|| said.trim().to_owned())
}
