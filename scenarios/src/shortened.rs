//! A finding of a hunt in the form in which people read it: the shortest plan that shows the same, its run file, and
//! its script.

use stickler_hunt::folder::Short;
use stickler_hunt::shrink::{actions, seeds_that_show};
use stickler_hunt::{Finding, Judged, Kind, judge, shrink};
use stickler_model::Plan;
use stickler_runner::{Arm, Run, Source, file};

use crate::write::{self, Story, Unwritable, canonical, named_after_users};

/// The approximate limit on the runs for shrinking one finding.
const MOST: u64 = 2_000;

/// The limit on real sockets, where a run takes a thousand times as long as in the simulation.
const MOST_ON_WIRE: u64 = 60;

/// A finding after shrinking.
pub struct Shortened {
    /// The description of the finding.
    pub short: Short,
    /// The bytes of the run file.
    pub run: Vec<u8>,
    /// The script, or the reason why it cannot be written.
    pub script: Result<String, Unwritable>,
}

impl Shortened {
    /// Shrinks the plan of a finding; `None` if the plan does not show the finding again, as can happen on real
    /// sockets.
    pub fn of(finding: &Finding, arm: &dyn Arm) -> Option<Self> {
        let kind = &finding.kind;
        let shrunk = shrink(&finding.plan, kind, arm, most(arm))?;
        let (plan, judged) = presentable(&shrunk.plan, kind, arm)?;
        let summary = judged.summary(kind)?.to_owned();
        let run = judged.run?;
        let script = script(&plan, kind, &summary, &run);
        let short = Short {
            summary,
            seed: plan.seed,
            actions: actions(&plan),
            seeds: arm.is_deterministic().then(|| seeds_that_show(&plan, kind, arm)),
            runs: shrunk.runs,
            no_script: script.as_ref().err().map(ToString::to_string),
        };
        let name = kind.file_name();
        let run = Run { source: Source { path: "finding.star".to_owned(), scenario: name }, ..run };
        let mut bytes = Vec::new();
        // Writing to a vector never fails.
        let _ = file::write(&run, &mut bytes);
        Some(Self { short, run: bytes, script })
    }
}

/// Returns the plan in the form in which its script asks for it. Clients are named after their users if the plan shows
/// the finding then as well.
fn presentable(plan: &Plan, kind: &Kind, arm: &dyn Arm) -> Option<(Plan, Judged)> {
    let plan = canonical(plan);
    [named_after_users(&plan), plan].into_iter().find_map(|plan| {
        let judged = judge::judge(&plan, arm);
        judged.summary(kind).is_some().then_some((plan, judged))
    })
}

/// Writes the script of a plan, with the finding that it shows.
fn script(plan: &Plan, kind: &Kind, summary: &str, run: &Run) -> Result<String, Unwritable> {
    let requirement = kind.requirement();
    let verdicts = run.verdicts.iter().filter(|verdict| Some(verdict.requirement) == requirement);
    let mut evidence = verdicts.flat_map(|verdict| verdict.against_balancer().map(move |evidence| (verdict, evidence)));
    let finding = evidence
        .find(|(_, evidence)| evidence.summary == summary)
        .map(|(verdict, evidence)| write::Finding { requirement: verdict.requirement, evidence: evidence.clone() });
    let balancer = &run.balancer;
    let title = format!("{balancer}: {kind}.");
    let story = match finding {
        Some(finding) => Story { title, ..Story::of_finding(plan, finding) },
        None => Story { title, ..Story::default() },
    };
    write::write_script(plan, &story)
}

/// Returns the limit on the runs for shrinking on an arm.
fn most(arm: &dyn Arm) -> u64 {
    if arm.is_deterministic() { MOST } else { MOST_ON_WIRE }
}
