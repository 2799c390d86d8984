//! The text and the JSON document of a comparison.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use stickler_model::escape;
use stickler_report::test_case::{Problem, TestCase, TestResult};
use stickler_runner::compare::Rate;

use super::{Compared, Comparison, Judged, Scenario, Verdict};
use crate::Failure;

/// Writes the comparison of one profile with its product as text.
pub(super) fn text(out: &mut impl io::Write, compared: &Compared) -> Result<(), Failure> {
    let (cells, explained) = (compared.cells().count(), compared.explained());
    let equal = compared.cells().filter(|judged| !judged.cell.differs()).count();
    let performed = compared.scenarios.iter().filter(|scenario| scenario.not_compared.is_none()).count();
    let (profile, product) = (&compared.profile, compared.product.to_string());
    write!(
        out,
        "{profile} and {}: {equal} of {cells} verdicts in {performed} scenario{} are equal, {} differ",
        escape::line(&product),
        if performed == 1 { "" } else { "s" },
        cells - equal - explained
    )?;
    if explained > 0 {
        write!(out, ", {explained} differ and are explained")?;
    }
    writeln!(out, "; {:.0} s", compared.took.as_secs_f64())?;
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Scenario { name, not_compared, cells } in &compared.scenarios {
        for judged in cells.iter().filter(|judged| judged.verdict != Verdict::Equal) {
            line(out, name, judged)?;
        }
        if let Some(why) = not_compared {
            skipped.entry(why).or_default().push(name);
        }
    }
    for (why, names) in skipped {
        writeln!(out, "  not compared, {}: {}", names.len(), escape::line(why))?;
    }
    Ok(())
}

fn line(out: &mut impl io::Write, scenario: &str, judged: &Judged) -> Result<(), Failure> {
    Ok(writeln!(out, "  {scenario:40} {}", sentence(judged))?)
}

/// Returns the result of comparing one cell, as a sentence.
pub(super) fn sentence(judged: &Judged) -> String {
    let (requirement, real, simulated) = (judged.cell.requirement, judged.cell.real, judged.cell.simulated);
    let (violated, of, again, all) = (simulated.violated, simulated.trials, real.violated, real.trials);
    let rest = match judged.verdict {
        Verdict::Explained(exception) => format!(" (explained: {})", exception.reason),
        Verdict::Expired(exception) => format!(" (its exception ended on {})", exception.until),
        Verdict::Needless(_) => ": equal, so that its exception has to be removed".to_owned(),
        Verdict::Equal | Verdict::Differs => String::new(),
    };
    format!("{requirement}: violated in {violated} of {of} simulated runs, and in {again} of {all} real ones{rest}")
}

/// Returns everything as cases of a report: one for each scenario over a profile, and one for each missing product.
pub(super) fn cases(comparison: &Comparison) -> Vec<TestCase> {
    let case = |suite: &str, name: &str, result| {
        let (suite, name) = (suite.to_owned(), name.to_owned());
        TestCase { suite, name, result, place: None, took: None }
    };
    let missing = comparison.missing.iter().map(|(profile, why)| {
        case(profile, "product", TestResult::Error(Problem { summary: why.clone(), details: String::new() }))
    });
    let compared = comparison.compared.iter().flat_map(|Compared { profile, scenarios, .. }| {
        scenarios.iter().map(|scenario| case(profile, &scenario.name, result(profile, scenario)))
    });
    compared.chain(missing).collect()
}

fn result(profile: &str, Scenario { name, not_compared, cells }: &Scenario) -> TestResult {
    if let Some(why) = not_compared {
        return TestResult::Skipped(why.clone());
    }
    let wrong: Vec<String> = cells.iter().filter(|judged| judged.verdict.is_wrong()).map(sentence).collect();
    let Some(first) = wrong.first() else { return TestResult::Passed };
    let details = format!("{}\nstickler compare {profile} --scenario {name}", wrong.join("\n"));
    TestResult::Failed(Problem { summary: first.clone(), details })
}

/// Writes that a profile's product is missing.
pub(super) fn missing(out: &mut impl io::Write, profile: &str, why: &str) -> Result<(), Failure> {
    Ok(writeln!(out, "{profile}: not compared: {}", escape::line(why))?)
}

/// Returns the JSON document of a comparison.
pub(super) fn document(comparison: &Comparison) -> Comparisons<'_> {
    let Comparison { compared, missing } = comparison;
    let missing = missing.iter().map(|(profile, why)| Missing { profile, why });
    Comparisons { comparisons: compared.iter().map(Pair::of).collect(), missing: missing.collect() }
}

/// The JSON document of `stickler compare`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Comparisons<'a> {
    /// The comparisons of profiles with their products.
    comparisons: Vec<Pair<'a>>,
    /// The profiles whose products are missing.
    missing: Vec<Missing<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Missing<'a> {
    /// The profile's name.
    profile: &'a str,
    /// The reason why the product could not be compared.
    why: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Pair<'a> {
    /// The profile's name.
    profile: &'a str,
    /// The product's name.
    product: &'a str,
    /// The version of the product; null if the product does not state it.
    version: Option<&'a str>,
    /// The duration of the comparison in seconds.
    seconds: f64,
    /// The scenarios, in their order.
    scenarios: Vec<One<'a>>,
}

impl<'a> Pair<'a> {
    fn of(compared: &'a Compared) -> Self {
        let Compared { profile, product, scenarios, took } = compared;
        let scenarios = scenarios.iter().map(One::of).collect();
        let (product, version) = (product.name, product.version.as_deref());
        Self { profile, product, version, seconds: took.as_secs_f64(), scenarios }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct One<'a> {
    /// The scenario's name.
    scenario: &'a str,
    /// The reason why the scenario was not compared; missing if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<&'a str>,
    /// A cell for each requirement that was put to the test.
    cells: Vec<Cell<'a>>,
}

impl<'a> One<'a> {
    fn of(scenario: &'a Scenario) -> Self {
        let Scenario { name, not_compared, cells } = scenario;
        Self { scenario: name, not_compared: not_compared.as_deref(), cells: cells.iter().map(Cell::of).collect() }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Cell<'a> {
    /// The requirement's id.
    requirement: String,
    /// The number of simulated runs that violated the requirement.
    simulated: Counts,
    /// The number of runs over the product that violated the requirement.
    real: Counts,
    /// `equal`, `differs`, `explained`, `expired exception` or `needless exception`.
    verdict: &'a str,
    /// The reason that the exception gives; missing if there is no exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Cell<'a> {
    fn of(judged: &'a Judged) -> Self {
        let Judged { cell, verdict, .. } = judged;
        let (verdict, exception) = match *verdict {
            Verdict::Equal => ("equal", None),
            Verdict::Differs => ("differs", None),
            Verdict::Explained(exception) => ("explained", Some(exception)),
            Verdict::Expired(exception) => ("expired exception", Some(exception)),
            Verdict::Needless(exception) => ("needless exception", Some(exception)),
        };
        let reason = exception.map(|exception| &*exception.reason);
        let (simulated, real) = (cell.simulated.into(), cell.real.into());
        Self { requirement: cell.requirement.to_string(), simulated, real, verdict, reason }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Counts {
    /// The number of runs in which the requirement was violated.
    violated: u32,
    /// The number of all runs.
    trials: u32,
}

impl From<Rate> for Counts {
    fn from(Rate { violated, trials }: Rate) -> Self {
        Self { violated, trials }
    }
}
