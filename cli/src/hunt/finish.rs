//! Shrinks findings, and writes their scripts.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use stickler_hunt::folder::{Folder, FolderError, Short};
use stickler_hunt::search::Found;
use stickler_hunt::shrink::{actions, seeds_that_show};
use stickler_hunt::{Finding, Judged, Kind, judge, shrink};
use stickler_model::Plan;
use stickler_runner::{Arm, Run, Source, file};
use stickler_scenarios::write::{self as script, Story};
use stickler_scenarios::{canonical, named_after_users};

use super::wrong;
use crate::{Failure, jobs};

/// The most runs that shrinking one finding takes, about.
pub(crate) const MOST: u64 = 2_000;

/// The same on real sockets, where a run takes a thousand times as long.
pub(crate) const MOST_ON_WIRE: u64 = 60;

/// Shrinks every finding that is not shrunk, on several threads, and writes what is left of each. Whoever asks for the end
/// gets it after those under way.
pub(super) fn shrink_all(
    folder: &mut Folder,
    found: &Found,
    arm: &dyn Arm,
    threads: NonZeroUsize,
    over: &AtomicBool,
) -> Result<(), Failure> {
    let is_open = |finding: &&Finding| folder.record(finding).is_some_and(|record| record.short.is_none());
    let open: Vec<&Finding> = found.findings.values().filter(is_open).collect();
    let progress = jobs::progress_of(open.len(), "findings shrunk");
    let next = AtomicUsize::new(0);
    let kept: Mutex<(&mut Folder, Result<(), FolderError>)> = Mutex::new((folder, Ok(())));
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let Some(finding) = open.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Some(short) = Shortened::of(finding, arm) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let Shortened { short, run, script } = short;
                if let Err(error) = kept.0.keep_short(finding, short, &run, script.as_deref()) {
                    kept.1 = Err(error);
                    over.store(true, Ordering::Relaxed);
                }
            }
            progress.inc(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.get().min(open.len()) {
            scope.spawn(work);
        }
    });
    progress.finish_and_clear();
    let (folder, written) = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    written.map_err(wrong)?;
    let left =
        open.iter().filter(|finding| folder.record(finding).is_some_and(|record| record.short.is_none())).count();
    if left > 0 {
        let _ = writeln!(io::stderr(), "stickler: {left} findings are not shrunk; the same command goes on with them");
    }
    Ok(())
}

/// The most runs that shrinking takes on an arm.
pub(crate) fn most(arm: &dyn Arm) -> u64 {
    if arm.is_deterministic() { MOST } else { MOST_ON_WIRE }
}

/// What is left of a finding.
pub(crate) struct Shortened {
    pub(crate) short: Short,
    /// The bytes of its run file.
    pub(crate) run: Vec<u8>,
    /// Its script; `None` where no script can say it.
    pub(crate) script: Option<String>,
}

impl Shortened {
    /// Shrinks the plan of a finding; `None` where the plan does not show it, as on real sockets it may not.
    pub(crate) fn of(finding: &Finding, arm: &dyn Arm) -> Option<Self> {
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
            script: script.is_some(),
        };
        let name = kind.file_name();
        let run = Run { source: Source { path: "finding.star".to_owned(), scenario: name }, ..run };
        let mut bytes = Vec::new();
        // A vector takes whatever is written.
        let _ = file::write(&run, &mut bytes);
        Some(Self { short, run: bytes, script })
    }
}

/// Returns the plan as its script asks for it, with clients called as their users are where it shows the finding then as well.
fn presentable(plan: &Plan, kind: &Kind, arm: &dyn Arm) -> Option<(Plan, Judged)> {
    let plan = canonical(plan);
    [named_after_users(&plan), plan].into_iter().find_map(|plan| {
        let judged = judge::judge(&plan, arm);
        judged.summary(kind).is_some().then_some((plan, judged))
    })
}

/// The script of a plan, with what it shows.
fn script(plan: &Plan, kind: &Kind, summary: &str, run: &Run) -> Option<String> {
    let requirement = kind.requirement();
    let verdicts = run.verdicts.iter().filter(|verdict| Some(verdict.requirement) == requirement);
    let mut evidence = verdicts.flat_map(|verdict| verdict.against_balancer().map(move |evidence| (verdict, evidence)));
    let finding = evidence
        .find(|(_, evidence)| evidence.summary == summary)
        .map(|(verdict, evidence)| script::Finding { requirement: verdict.requirement, evidence: evidence.clone() });
    let balancer = &run.balancer;
    let story = Story { title: format!("{balancer}: {kind}."), text: String::new(), finding };
    script::write_script(plan, &story).ok()
}
