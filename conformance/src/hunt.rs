//! The hunt over the author's own balancer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use stickler_hunt::{Finding, Hunt, Kind, Limits, Watch, judge, search};
use stickler_model::Plan;
use stickler_oracle::Severity;
use stickler_runner::Arm;
use stickler_runner::file::Reader;
use stickler_scenarios::Shortened;
use stickler_sim::OwnArm;
use stickler_site::Balancer;

use crate::suite::{Settings, as_foreign};

/// Generates a test for Rust's own harness that searches for plans over which a balancer violates a MUST.
///
/// ```no_run
/// # fn my_balancer() -> stickler_conformance::Balancer { unimplemented!() }
/// // In tests/hunt.rs, with the harness that every test has.
/// stickler_conformance::hunt!(my_balancer, runs = 2_000);
/// ```
///
/// `without = ["http2"]` after the number of runs leaves features out; `stickler hunt --without help` lists them.
/// Extended protection is always left out.
///
/// When the test finds such a plan, it shows the shortest script with the same failure, and keeps its plan in the
/// folder `hunt-regressions` of the package. The test plays the plans in that folder first, so the folder belongs under
/// version control. The same seed (`STICKLER_SEED`, 0 by default) plays the same plans.
#[macro_export]
macro_rules! hunt {
    ($balancer:expr, runs = $runs:expr) => {
        $crate::hunt!($balancer, runs = $runs, without = []);
    };
    ($balancer:expr, runs = $runs:expr, without = [$($feature:expr),* $(,)?]) => {
        #[test]
        fn no_random_plan_makes_the_balancer_violate_a_must() {
            if let Err(found) = $crate::hunt::hunt($balancer, $runs, &[$($feature),*], env!("CARGO_MANIFEST_DIR")) {
                panic!("{found}");
            }
        }
    };
}

/// The features that no plan over an external balancer has. A site that binds tokens to certificates cannot be used
/// through any balancer that terminates TLS (RFC 5929 4, and Microsoft's "Extended Protection for Authentication").
const ALWAYS_WITHOUT: [&str; 1] = ["extended_protection"];

/// The folder of the plans that were found before.
const FOLDER: &str = "hunt-regressions";

/// Plays the plans that were found before, followed by this number of random plans without these features, over the
/// balancers that `balancer` creates. `package` is the folder of the package under test.
///
/// # Errors
/// A plan makes the balancer violate a MUST, or panic; the error has the failure, the script, and the file in which the
/// plan is kept. Other errors are a file in the folder of regressions that is not valid, and the name of a feature that
/// does not exist.
pub fn hunt(balancer: impl Fn() -> Balancer, runs: u64, without: &[&str], package: &str) -> Result<(), String> {
    let settings = Settings::from_environment()?;
    let arm = OwnArm::new(as_foreign(balancer()));
    let folder = Path::new(package).join(FOLDER);
    regressions(&folder, &arm)?;
    let hunt = Hunt {
        seed: settings.seed,
        balancers: vec![arm.balancer().clone()],
        limits: Limits::default().without(&ALWAYS_WITHOUT)?.without(without)?,
        guidance: true,
        unit: Hunt::unit_for(runs, 1),
        corpus: Vec::new(),
        declared: &|_| BTreeSet::new(),
        undeclared_only: false,
        simulation: None,
    };
    let first = First::default();
    let units = (0..runs.div_ceil(hunt.unit)).map(|unit| (unit, hunt.unit.min(runs - unit * hunt.unit)));
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    search(&hunt, units, threads, &arm, &first);
    let found = first.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.map_or(Ok(()), |finding| Err(told(&finding, &folder, &arm)))
}

/// Plays the plans that were found before.
fn regressions(folder: &Path, arm: &OwnArm) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    for path in paths {
        let plan = Reader::open(&path).and_then(Reader::into_plan).map_err(|error| error.to_string())?;
        let plan = Plan { balancer: arm.balancer().clone(), ..plan };
        let shown = judge::judge(&plan, arm).shown;
        if let Some((kind, summary)) = shown.iter().find(|(kind, _)| is_failure(kind)) {
            return Err(format!("{kind}: {summary}\nAs before: {}", path.display()));
        }
    }
    Ok(())
}

/// Returns whether this kind of finding is a failure. A SHOULD that is not followed is not a failure.
fn is_failure(kind: &Kind) -> bool {
    kind.requirement().is_none_or(|requirement| requirement.severity() == Severity::Must)
}

/// Keeps the plan, and returns the description of the finding for the author.
fn told(finding: &Finding, folder: &Path, arm: &dyn Arm) -> String {
    let name = finding.kind.file_name();
    let path = folder.join(format!("{name}.jsonl"));
    let mut told = format!("{}: {}\n", finding.kind, finding.summary);
    let Some(shortened) = Shortened::of(finding, arm) else {
        return told + "It does not show a second time: does the balancer decide by anything but what it is given?";
    };
    let kept = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &shortened.run));
    // Writing to a string never fails.
    let _ = match shortened.script {
        Ok(script) => write!(told, "\n{script}\n"),
        Err(why) => writeln!(told, "The shortest plan: {} (no script: {why})", shortened.short.summary),
    };
    match kept {
        Ok(()) => told + &format!("The plan is kept in {}, and played first from now on.", path.display()),
        Err(error) => told + &format!("The plan cannot be kept in {}: {error}", path.display()),
    }
}

/// Keeps the first failure in the order of the plans, and ends the hunt.
#[derive(Default)]
struct First {
    found: Mutex<Option<Finding>>,
    over: AtomicBool,
}

impl Watch for First {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn found(&self, finding: &Finding) {
        if is_failure(&finding.kind) {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.as_ref().is_none_or(|known| finding.place < known.place) {
                *found = Some(finding.clone());
            }
            self.over.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(name: &str) -> Balancer {
        Balancer::of(&stickler_model::BalancerSpec::named(name)).expect("the catalogue has it")
    }

    #[test]
    fn a_failure_is_told_with_its_script_kept_and_played_first_from_then_on() {
        let package = tempfile::tempdir().unwrap();
        let path = package.path().to_str().unwrap();
        let told = hunt(|| balancer("shared-pool"), 100, &[], path).unwrap_err();
        assert!(told.contains("site(") && told.contains("hunt-regressions"), "{told}");
        // No run is made: the plan in the folder already shows the failure.
        let again = hunt(|| balancer("shared-pool"), 0, &[], path).unwrap_err();
        assert!(again.contains("As before: "), "{again}");
        // After the balancer was corrected, its author keeps the plan, which then fails nothing.
        assert_eq!(hunt(|| balancer("l4-nat"), 0, &[], path), Ok(()));
    }

    #[test]
    fn a_sound_balancer_fails_nothing() {
        let package = tempfile::tempdir().unwrap();
        assert_eq!(hunt(|| balancer("l4-nat"), 60, &[], package.path().to_str().unwrap()), Ok(()));
        assert!(!package.path().join(FOLDER).exists());
    }

    #[test]
    fn a_kept_file_that_is_no_plan_is_an_error() {
        let package = tempfile::tempdir().unwrap();
        let folder = package.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.jsonl"), "{").unwrap();
        let wrong = hunt(|| balancer("l4-nat"), 1, &[], package.path().to_str().unwrap()).unwrap_err();
        assert!(wrong.contains("a.jsonl"), "{wrong}");
    }
}
