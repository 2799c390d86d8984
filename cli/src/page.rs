//! The parts of pages that show balancers and runs.

use std::path::Path;
use std::sync::Arc;

use stickler_catalogue::{Profile, mechanisms, profiles};
use stickler_model::BalancerSpec;
use stickler_oracle::Requirement;
use stickler_report::diagram::{Diagram, Focus};
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::page::{Grades, Page};
use stickler_runner::{Arm, Run, text_file};
use stickler_scenarios::Case;
use stickler_sim::SimArm;

use crate::{Failure, args};

/// The maximum size of an earlier document, in bytes.
const MAX_EARLIER: u64 = 256 << 20;

/// Reads the verdicts of an earlier JSON document of this command. A document of another command is about other runs,
/// and is refused.
pub(crate) fn earlier(file: &Path, command: &str) -> Result<Grades, Failure> {
    let wrong = |why: String| Failure::Wrong(format!("{}: {why}", file.display()));
    let text = text_file::read(file, MAX_EARLIER).map_err(|error| wrong(error.to_string()))?;
    let grades = Grades::parse(&text)
        .map_err(|why| wrong(format!("this is not a JSON document of `stickler {command}`: {why}")))?;
    match grades.command() {
        other if other.is_empty() || other == command => Ok(grades),
        other => Err(wrong(format!(
            "this is a document of `stickler {other}`, and --since of `stickler {command}` needs one of its own"
        ))),
    }
}

/// Returns the heading of a page about the balancers of a table.
pub(crate) fn title(matrix: &Matrix) -> String {
    match matrix.rows() {
        [one] => format!("{} and Windows authentication", one.subject.name),
        rows => format!("{} load balancers and Windows authentication", rows.len()),
    }
}

/// Returns a phrase for the place in which an arm plays its scenarios.
pub(crate) const fn place(arm: args::Arm) -> &'static str {
    match arm {
        args::Arm::Sim => "in a simulated network",
        args::Arm::Wire => "on real sockets, over the product itself if it can be started,",
    }
}

/// Returns a balancer with its description, from the catalogue or from the user's own profile.
pub(crate) fn subject(balancer: &BalancerSpec) -> Subject {
    let name = balancer.to_string();
    let base = name.split('+').next().unwrap_or_default();
    let of_profile = |profile: &Profile| (profile.product.clone(), profile.config.clone());
    let own = match balancer {
        BalancerSpec::Profile { name, toml, .. } => {
            let own = Profile::parse(toml, name).unwrap_or_default();
            own.iter().find(|profile| profile.name == *name).map(of_profile)
        }
        _ => None,
    };
    let shipped = || profiles().iter().find(|profile| profile.name == base).map(of_profile);
    let mechanism = || {
        let known = mechanisms().iter().find(|mechanism| mechanism.name == base)?;
        Some((known.id.as_deref().unwrap_or_default().to_owned(), known.summary.to_string()))
    };
    let (product, config) = own.or_else(shipped).or_else(mechanism).unwrap_or_default();
    Subject { name, product, config }
}

/// Returns a diagram of the first violation of a requirement in a run; `None` if the run has no trace.
pub(crate) fn diagram(run: &Run, requirement: Requirement) -> Option<String> {
    let title = format!("{} over {}", run.source.scenario, run.balancer);
    let focus = Focus::Evidence(requirement, 0);
    Some(Diagram::of(&title, run.trace.as_ref()?, &run.verdicts, focus).svg_without_style())
}

/// Draws the diagrams of a page's examples. Traces are not kept, so the runs are repeated. In the simulation, the same
/// seed gives the same run.
pub(crate) fn illustrate(page: &mut Page, cases: &[Case], balancers: &[BalancerSpec]) {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let names: Vec<String> = page.rows.iter().map(|row| row.subject.name.clone()).collect();
    page.illustrate(|finding| {
        let (scenario, seed) = finding.run.as_ref()?;
        let name = names.get(finding.seen.first()?.0)?;
        let case = cases.iter().find(|case| case.scenario.name() == scenario)?;
        let balancer = balancers.iter().find(|balancer| balancer.to_string() == *name)?;
        diagram(&case.run(balancer, *seed, &arm), finding.requirement)
    });
}
