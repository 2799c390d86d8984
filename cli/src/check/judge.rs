//! Runs the scenarios of a check over one balancer, and judges the runs.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use stickler_model::BalancerSpec;
use stickler_model::event::What;
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_runner::confidence::{Conclusion, Confidence};
use stickler_runner::{Arm, End, Run};

use super::prepared::Prepared;
use crate::Failure;
use crate::jobs::{self, Job};

/// The scenarios of a check. They test that users are kept apart, can log on, stay with their server and survive its
/// crash. Scenarios that take minutes of real time are left out.
const SCENARIOS: [&str; 20] = [
    "user-after-user",
    "anonymous-after-user",
    "address-reused",
    "closes-with-logon",
    "leaves-in-turn",
    "re-authentication",
    "one-shot",
    "persisted",
    "lone-one-backend",
    "lone-two-backends",
    "interleaved",
    "parity",
    "many-at-once",
    "mixed",
    "post-curl",
    "post-browser",
    "wrong-password",
    "negotiate-with-ntlm",
    "same-backend",
    "all-down",
];

/// The scenarios in which two servers crash.
const TAKES_TWO: [&str; 1] = ["all-down"];

/// The scenarios with crowds. Each seed gives another order of requests.
const CROWDS: [&str; 2] = ["crowd", "crowd-with-tickets"];

/// The number of seeds of each crowd on real sockets. They give enough requests for the result *clean*.
const SEEDS: u32 = 6;

/// The runs of all scenarios of a check over one balancer.
pub(super) struct Judged {
    runs: Vec<Run>,
    pub(super) confidence: Confidence,
}

/// The numbers of runs that put a requirement to the test, and that violated it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) tested: u32,
    pub(super) violated: u32,
}

/// The result of a check for one balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The balancer violates a requirement that it has to fulfil.
    Violated,
    /// The balancer violates no requirement, and there were enough requests to show a leak.
    Clean,
    /// The balancer violates no requirement, but there were too few requests to show a leak.
    Inconclusive,
    /// Nothing could be judged, for this reason.
    Nothing(String),
}

/// Returns the names of the scenarios for a farm with this number of servers, without the crowds.
fn single(servers: usize) -> Vec<String> {
    let fits = |name: &&&str| servers != 1 || !TAKES_TWO.contains(name);
    SCENARIOS.iter().filter(fits).map(ToString::to_string).collect()
}

impl Judged {
    /// Performs the scenarios over a balancer whose farm has `servers` servers; 0 if the number is not known. A
    /// requirement that is violated once on real sockets counts as violated. As always, the control shows whether a
    /// busy machine made a run fail.
    pub(super) fn new(
        balancer: &BalancerSpec,
        (arm, servers): (&Arc<dyn Arm>, usize),
        threads: Option<NonZeroUsize>,
    ) -> Result<Self, Failure> {
        let balancer = std::slice::from_ref(balancer);
        let mut runs = Vec::new();
        for (names, seeds, all) in [(single(servers), 1, false), (CROWDS.map(str::to_owned).to_vec(), SEEDS, true)] {
            let cases = jobs::cases(&names)?;
            let jobs: Vec<Job<'_>> = jobs::all(&cases, balancer, 0, seeds)?;
            let arm: Arc<dyn Arm> = Arc::new(Prepared { arm: Arc::clone(arm), servers, all });
            runs.extend(jobs::perform_on(&jobs, &arm, threads, &AtomicBool::new(false), |_: &Job<'_>, run| run));
        }
        let mut confidence = Confidence::default();
        for run in &runs {
            confidence.add(Confidence::of(run));
        }
        Ok(Self { runs, confidence })
    }

    /// Returns every requirement that was put to the test, with its numbers of runs.
    pub(super) fn counts(&self) -> BTreeMap<Requirement, Count> {
        let mut counts: BTreeMap<Requirement, Count> = BTreeMap::new();
        for verdict in self.complete().flat_map(|run| &run.verdicts) {
            let is_tested = matches!(verdict.grade, Grade::Ok | Grade::Violated | Grade::NonStrict);
            let count = counts.entry(verdict.requirement).or_default();
            count.tested += u32::from(is_tested);
            count.violated += u32::from(verdict.grade == Grade::Violated);
        }
        counts.retain(|_, count| count.tested > 0);
        counts
    }

    /// Returns the violated requirements, those of the severity MUST only.
    pub(super) fn violated(&self) -> Vec<Requirement> {
        let counts = self.counts().into_iter();
        counts.filter(|(id, count)| count.violated > 0 && id.severity() == Severity::Must).map(|(id, _)| id).collect()
    }

    /// Returns the first run that violates a requirement.
    pub(super) fn example(&self, requirement: Requirement) -> Option<&Run> {
        self.complete().find(|run| run.grade(requirement) == Grade::Violated)
    }

    /// Returns the result over all runs.
    pub(super) fn outcome(&self) -> Outcome {
        if let Some(why) = self.unreached() {
            return Outcome::Nothing(why);
        }
        match self.confidence.conclusion() {
            _ if !self.violated().is_empty() => Outcome::Violated,
            Conclusion::Leaks => Outcome::Violated,
            Conclusion::Clean => Outcome::Clean,
            Conclusion::Inconclusive => Outcome::Inconclusive,
        }
    }

    /// Returns the reasons why runs were not performed to their end, each with its scenarios.
    pub(super) fn not_performed(&self) -> BTreeMap<String, Vec<&str>> {
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for run in &self.runs {
            let reason = match &run.end {
                End::Complete => continue,
                End::Skipped(reason) => reason.clone(),
                End::Failed(diagnostic) => diagnostic.message.clone(),
            };
            let names = reasons.entry(reason).or_default();
            if !names.contains(&&*run.source.scenario) {
                names.push(&run.source.scenario);
            }
        }
        reasons
    }

    /// Returns the number of runs that were performed to their end.
    pub(super) fn performed(&self) -> usize {
        self.complete().count()
    }

    /// Returns the reason why no run can be judged: no request of a client has reached a server. Returns `None` if one
    /// has.
    pub(super) fn unreached(&self) -> Option<String> {
        let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
        for run in self.complete() {
            let Some(trace) = &run.trace else { continue };
            for event in &trace.events {
                match &event.what {
                    What::ServerReceived { request: Some(_), .. } => return None,
                    What::ClientReceived { status, .. } => *statuses.entry(*status).or_default() += 1,
                    _ => {}
                }
            }
        }
        let most = statuses.into_iter().max_by_key(|&(_, count)| count);
        let answer = most.map_or("nothing".into(), |(status, _)| format!("status {status}"));
        Some(format!(
            "no request reached a server, and clients were answered {answer}: does the configuration expect another name of the site (--host NAME)?"
        ))
    }

    fn complete(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.end == End::Complete)
    }
}
