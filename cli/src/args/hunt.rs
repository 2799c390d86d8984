//! The arguments of `hunt` and `merge`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stickler_hunt::exhaustive::MAX_STEPS;

use super::ReportFormat::{Github, Html, Json, Junit, Tap};
use super::shared::Balancers;
use super::{Arm, Format, Report, report};

/// The arguments of `hunt`: the balancers, the plans, and the folder for findings.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing found; 1 findings; 2 the arguments, the folder or the corpus are wrong; 4 nothing found, but runs are missing because the hunt was ended, or a product is missing.\n\n\
Examples:\n  stickler hunt --balancer haproxy-safe --runs 2000\n  stickler hunt --for 10m --undeclared\n  \
stickler hunt --exhaustive --steps 3 --balancer pin-on-401 --undeclared\n  \
stickler hunt --runs 1000000 --shard 3/16 --out shard-3    (then: stickler merge shard-* --out all)"
)]
pub(crate) struct Hunt {
    #[command(flatten)]
    pub(crate) balancers: Balancers,
    /// The arm: the simulation; or real sockets of this machine, over the real product if the profile says how to start it. On real
    /// sockets, plans inject no faults and need no long times, and a violation by only one of product and simulation is a finding, too.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arm: Arm,
    /// Hunt for this long: 90s, 10m, 2h, 1day.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "runs", value_parser = time)]
    pub(crate) time: Option<Duration>,
    /// The number of runs, in all shards together; by default 20,000, and 200 on real sockets.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<NonZeroU64>,
    /// Instead of random plans, play every plan of at most --steps steps in six worlds. Each step is a letter of an alphabet,
    /// which is printed. The search is not random: a failure that is not found has no example of this size.
    #[arg(long, requires = "steps", conflicts_with_all = ["time", "runs", "seed", "corpus", "no_guidance", "without"])]
    pub(crate) exhaustive: bool,
    /// The maximum number of steps of a plan, 1 to 8. Each further step takes about ten times as long.
    #[arg(long, value_name = "N", requires = "exhaustive", value_parser = clap::value_parser!(u8).range(1..=MAX_STEPS as i64))]
    pub(crate) steps: Option<u8>,
    /// The seed from which all plans are derived: the same seed has the same findings.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Begin with the plans of this folder: that of an earlier hunt, or any folder with run files.
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: Option<PathBuf>,
    /// Do only this part of the hunt: the I-th of N, from 1. `stickler merge` merges the parts, whichever machines made them.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "1/1")]
    pub(crate) shard: Shard,
    /// Keep everything in this folder: findings with their scripts, the plans that reached something new, and the progress.
    /// If a hunt ends early, the same command continues it. The folder of another hunt is refused.
    #[arg(long, value_name = "DIR", default_value = "stickler-hunt")]
    pub(crate) out: PathBuf,
    /// Report only violations that the shipped expectations do not declare for the balancer or, for a product, that the
    /// shipped scenarios do not show.
    #[arg(long)]
    pub(crate) undeclared: bool,
    /// Leave a feature out of all plans (http2, kerberos, server-faults ...); may be given more than once.
    #[arg(long, value_name = "FEATURE")]
    pub(crate) without: Vec<String>,
    /// Draw every plan from the seed, instead of changing those that reach something new.
    #[arg(long)]
    pub(crate) no_guidance: bool,
    #[command(flatten)]
    pub(crate) findings: Findings,
}

/// The treatment of findings.
#[derive(Debug, Args)]
pub(crate) struct Findings {
    /// Leave the plans of findings unchanged.
    #[arg(long)]
    pub(crate) no_shrink: bool,
    /// The form in which findings are shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write a report at the end: junit=FILE, tap=FILE, github=FILE (workflow commands), json=FILE or html=FILE (one page for
    /// people). An older file is replaced. `-` is standard output, and replaces what --format shows. May be given more than
    /// once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[Junit, Tap, Github, Json, Html]))]
    pub(crate) report: Vec<Report>,
    /// The number of worlds that run at a time, at most 256; by default the number of cores, and twice that on real sockets.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// The arguments of `merge`: the folders of the shards.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing found; 1 findings; 2 the folders are wrong, or belong to different hunts; 4 nothing found, but shards are missing or incomplete.\n\n\
Examples:\n  stickler merge shard-1 shard-2 shard-3 --out all"
)]
pub(crate) struct Merge {
    /// The folders of shards of one hunt. They are only read.
    #[arg(value_name = "DIR", required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// The folder for the result: a new one, or that of an earlier merge of the same hunt, but none of those that are merged.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) findings: Findings,
}

/// A part of a hunt, or of many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The number of the part, from 0.
    pub(crate) index: u64,
    /// The number of parts.
    pub(crate) count: u64,
}

/// Parses a part: `3/16`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    let wrong = || "a part is I/N, with I from 1 to N: 3/16".to_owned();
    let (index, count): (u64, u64) = parts.ok_or_else(wrong)?;
    if index == 0 || index > count || count > 1_000_000 { Err(wrong()) } else { Ok(Shard { index: index - 1, count }) }
}

/// Parses a time: `90s`, `10m`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; for example 90s, 10m, 2h"))?;
    if time.is_zero() { Err("a hunt needs a time above zero".to_owned()) } else { Ok(time) }
}
