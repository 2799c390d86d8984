//! One unit of a hunt.

use std::collections::BTreeMap;

use stickler_model::{BalancerSpec, Plan, Trace};
use stickler_runner::Arm;

use super::{Declared, Finding, Hunt, Place, Watch};
use crate::generate::{self, Draw};
use crate::judge::{self, Judged, Kind, Point};

/// The interval, in runs, at which a run is made twice so that its traces can be compared.
const REPEATED: u64 = 64;

/// The results of one unit.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The number of the unit.
    pub number: u64,
    /// The balancer, in the form in which users write it.
    pub balancer: String,
    /// The number of runs that were made, which is less than requested if the hunt was ended.
    pub runs: u64,
    /// The points that were reached, each with the number of the first run that reached it.
    pub coverage: BTreeMap<Point, u64>,
    /// The findings, each kind once, in the order in which they were made.
    pub findings: Vec<Finding>,
    /// The plans that reached a point that no earlier plan had reached, in order, with the numbers of their runs.
    pub corpus: Vec<(u64, Plan)>,
}

impl Unit {
    /// Makes the runs of a unit, at most `runs`, on this thread. The same hunt, number and arm give the same unit.
    pub(super) fn run(hunt: &Hunt<'_>, number: u64, runs: u64, arm: &dyn Arm, watch: &dyn Watch) -> Self {
        let balancer = hunt.balancer(number);
        let mut unit = Self::new(number, balancer);
        // Plans of earlier hunts are first played unchanged. Then it is known what they reach, and they can be changed.
        let mut old = hunt.corpus.iter();
        while unit.runs < runs && !watch.is_over() {
            let plan = match old.next() {
                Some(plan) => Plan { balancer: balancer.clone(), ..plan.clone() },
                None => unit.next(hunt),
            };
            unit.play(hunt, &plan, arm, watch);
        }
        unit
    }

    /// Returns a unit before its first run.
    pub(crate) fn new(number: u64, balancer: &BalancerSpec) -> Self {
        Self {
            number,
            balancer: balancer.to_string(),
            runs: 0,
            coverage: BTreeMap::new(),
            findings: Vec::new(),
            corpus: Vec::new(),
        }
    }

    /// Returns the plan of the next run.
    fn next(&self, hunt: &Hunt<'_>) -> Plan {
        let draw = Draw::of_run(hunt.seed, self.number, self.runs);
        let seed = draw.between(0, 0xffff_ffff);
        if hunt.guidance && !self.corpus.is_empty() && draw.chance(33) {
            // The latest plans have been changed least.
            let newest = self.corpus.len().saturating_sub(16);
            let from = if draw.chance(50) { newest } else { 0 };
            let (_, parent) = draw.one_of(&self.corpus[from..]);
            Plan { seed, ..generate::mutate(&hunt.limits, parent, &draw) }
        } else {
            generate::generate_within(&hunt.limits, seed, hunt.balancer(self.number).clone())
        }
    }

    fn play(&mut self, hunt: &Hunt<'_>, plan: &Plan, arm: &dyn Arm, watch: &dyn Watch) {
        let mut judged = judge::judge(plan, arm);
        if let Some(trace) = judged.trace() {
            let repeated = !self.runs.is_multiple_of(REPEATED) || is_repeated(plan, trace, arm);
            let reached = judge::coverage(&judged);
            if !repeated {
                judged.shown.push((Kind::NotRepeated, "the same plan gave another trace".to_owned()));
            }
            let before = self.coverage.len();
            for point in reached {
                self.coverage.entry(point).or_insert(self.runs);
            }
            if self.coverage.len() > before {
                self.corpus.push((self.runs, plan.clone()));
            }
        }
        if let Some(simulation) = hunt.simulation {
            judged.shown.extend(judge::differences(plan, &judged, arm, simulation));
        }
        self.keep((hunt.declared, hunt.undeclared_only), plan, judged, watch);
        self.runs += 1;
        watch.ran();
    }

    /// Keeps the findings and points of the latest run that are new in this unit. `known` contains the function that
    /// returns the declared violations, and whether these are left out.
    pub(crate) fn keep(&mut self, known: (&Declared<'_>, bool), plan: &Plan, judged: Judged, watch: &dyn Watch) {
        let (declared, undeclared_only) = known;
        let new = |shown: &(Kind, String)| !self.findings.iter().any(|finding| finding.kind == shown.0);
        let shown: Vec<(Kind, String)> = judged.shown.into_iter().filter(new).collect();
        if shown.is_empty() {
            return;
        }
        let declared = declared(plan);
        for (kind, summary) in shown {
            let declared = kind.requirement().is_some_and(|requirement| declared.contains(&requirement));
            if declared && undeclared_only {
                continue;
            }
            let place = Place { unit: self.number, run: self.runs };
            let finding = Finding { kind, declared, summary, place, plan: plan.clone() };
            watch.found(&finding);
            self.findings.push(finding);
        }
    }
}

fn is_repeated(plan: &Plan, trace: &Trace, arm: &dyn Arm) -> bool {
    !arm.is_deterministic() || judge::is_repeated(plan, trace, arm)
}
