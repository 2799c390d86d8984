//! The arguments of `run`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::civil::Date;

use super::ReportFormat::{Github, Html, Json, Jsonl, Junit, Tap};
use super::shared::{Balancers, Seeds};
use super::{Arm, Format, Report, Selection, Shard, hunt, report};

/// The arguments of `run`: scripts, balancers, and the reports on their runs.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 as expected; 1 not as expected; 2 a script, a file or the arguments are wrong; 3 nothing matched, or every run was skipped; 4 a product is missing, or a target had too few requests to be called clean; 130 interrupted, after the results so far were shown.\n\nExamples:\n  stickler run user-after-user --balancer pin-on-401 --evidence\n  stickler run my-scripts --report junit=stickler.xml\n  stickler run 'lone-*' --requirement HS-1 --repeat 20 --fail-fast\n  stickler run --rerun\n  stickler run identity --arm wire --target http://127.0.0.1:8081 --servers 127.0.0.1:9001,127.0.0.1:9002"
)]
pub(crate) struct Run {
    /// Scripts, folders of scripts (*.star), or names of shipped scenarios or of their groups, or patterns of these ('lone-*'); `-`
    /// is a script from standard input. All shipped ones by default.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) balancers: Balancers,
    /// The arm: the simulation; or real sockets of this machine, over the real product if the profile says how to start it (HAProxy,
    /// nginx, httpd, Envoy ...), and otherwise over Stickler's own balancer.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arm: Arm,
    #[command(flatten)]
    pub(crate) seeds: Seeds,
    /// The form in which the result is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Show the evidence of every run, including those that ended as expected. This is the default if there are few runs.
    #[arg(long)]
    pub(crate) evidence: bool,
    /// Show all events, with the evidence marked.
    #[arg(long)]
    pub(crate) transcript: bool,
    /// The number of worlds that run at a time, at most 256; by default the number of cores, and twice that on real sockets.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Write a run file for each run into this folder, as SCENARIO/BALANCER/SEED.jsonl. No file is ever overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Write a report: junit=FILE, tap=FILE, github=FILE (workflow commands), json=FILE, jsonl=FILE (one line for each run,
    /// written when the run ends) or html=FILE (one page for people). An older file is replaced. `-` is standard output, and
    /// replaces what --format shows. May be given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[Junit, Tap, Github, Json, Jsonl, Html]))]
    pub(crate) report: Vec<Report>,
    /// The JSON document of an earlier run: the page of --report html=FILE then shows the changes since.
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) diagram: crate::diagram::DiagramOptions,
    #[command(flatten)]
    pub(crate) pcap: crate::pcap::PcapOptions,
    /// Make only this part of the runs: the I-th of N, from 1. All parts together contain each run once.
    #[arg(long, value_name = "I/N", value_parser = hunt::shard, default_value = "1/1")]
    pub(crate) shard: Shard,
    /// Stop after the first run that is not as expected, in the order in which runs are shown.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Repeat only the runs that failed when `stickler run` was last used in this folder. The list of these runs is kept in
    /// $XDG_STATE_HOME/stickler, by default ~/.local/state/stickler.
    #[arg(long, conflicts_with_all = ["paths", "balancer", "profile", "arm", "seed", "repeat", "shard", "target", "requirement", "group", "tag"])]
    pub(crate) rerun: bool,
    /// Accept the violations that this file lists, each until its expiry date (see docs/selection.md). A listed violation
    /// that does not happen is not as expected.
    #[arg(long, value_name = "FILE")]
    pub(crate) expectations: Option<PathBuf>,
    /// The date with which expiry dates are compared, instead of today.
    #[arg(long, value_name = "DATE", requires = "expectations", value_parser = crate::today::parse)]
    pub(crate) today: Option<Date>,
    /// Write the outcomes that were not as expected into the expected.toml beside each script, so that they are expected from
    /// now on. Existing rows are not changed.
    #[arg(long, requires = "reason", conflicts_with = "expectations")]
    pub(crate) bless: bool,
    /// The reason why these outcomes are expected.
    #[arg(long, value_name = "TEXT", requires = "bless")]
    pub(crate) reason: Option<String>,
    /// Bless even violations that mix users up (the requirements ID-...).
    #[arg(long, requires = "bless")]
    pub(crate) allow_identity: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A balancer that runs already.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Run over a balancer, container or appliance that runs already, and that Stickler neither starts nor configures, with
    /// --arm wire. Clients connect to this address (http://127.0.0.1:8081), and Stickler provides the servers behind it
    /// (--servers). Requests carry `Host: www.corp.example`. The target is judged by the requirements for every balancer.
    /// Requirements that depend on promises (persistence, health checks) are judged only if --balancer or --profile names a
    /// balancer as which it behaves. Scenarios that need TLS, or a balancer that is stopped or drained, are skipped. One
    /// scenario runs at a time.
    #[arg(id = "target", long = "target", value_name = "URL", requires = "servers", conflicts_with = "jobs", value_parser = crate::target::url)]
    pub(crate) url: Option<TargetUrl>,
    /// The addresses to which the target sends requests, separated by commas. Stickler's servers listen only there. A scenario
    /// with fewer servers gets more of the same kind; one with more is skipped.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', requires = "target")]
    pub(crate) servers: Vec<SocketAddr>,
    /// The time within which the target must send requests to all servers again before each scenario; at most an hour.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) settle: Duration,
}

/// The address of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetUrl {
    /// The address as the user gave it.
    pub(crate) text: String,
    /// The address to which its host name resolves.
    pub(crate) address: SocketAddr,
}

/// Parses a number of seconds: `10`, `0.5` or `10s`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let time = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= Duration::from_hours(1)).ok_or_else(|| "a number of seconds, at most 3600".to_owned())
}
