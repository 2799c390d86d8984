//! How a comparison is shown.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use stickler_model::escape;
use stickler_runner::compare::Rate;

use super::{Compared, Comparison, Judged, Scenario, Verdict};
use crate::Failure;

/// Writes one profile and its product as text.
pub(super) fn text(out: &mut impl io::Write, compared: &Compared<'_>) -> Result<(), Failure> {
    let (cells, explained) = (compared.cells().count(), compared.explained());
    let equal = compared.cells().filter(|judged| !judged.cell.differs()).count();
    let performed = compared.scenarios.iter().filter(|scenario| scenario.not_compared.is_none()).count();
    let (profile, product) = (compared.profile, compared.product.to_string());
    write!(
        out,
        "{profile} and {}: {equal} of {cells} verdicts in {performed} scenarios are equal, {} differ",
        escape::line(&product),
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
    let (requirement, real, simulated) = (judged.cell.requirement, judged.cell.real, judged.cell.simulated);
    let (violated, of, again, all) = (simulated.violated, simulated.trials, real.violated, real.trials);
    write!(
        out,
        "  {scenario:40} {requirement}: violated in {violated} of {of} simulated runs, and in {again} of {all} real ones"
    )?;
    match judged.verdict {
        Verdict::Explained(exception) => writeln!(out, " (explained: {})", exception.reason)?,
        Verdict::Expired(exception) => writeln!(out, " (its exception ended on {})", exception.until)?,
        Verdict::Needless(_) => writeln!(out, ": equal, so that its exception has to go")?,
        Verdict::Equal | Verdict::Differs => writeln!(out)?,
    }
    Ok(())
}

/// Writes that a profile's product is missing.
pub(super) fn missing(out: &mut impl io::Write, profile: &str, why: &str) -> Result<(), Failure> {
    Ok(writeln!(out, "{profile}: not compared: {}", escape::line(why))?)
}

/// Writes everything as one JSON document.
pub(super) fn json(out: &mut impl io::Write, comparison: &Comparison<'_>) -> Result<(), Failure> {
    let Comparison { compared, missing } = comparison;
    let missing = missing.iter().map(|(profile, why)| Missing { profile, why });
    let document =
        Document { format: 1, comparisons: compared.iter().map(Pair::of).collect(), missing: missing.collect() };
    serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    comparisons: Vec<Pair<'a>>,
    missing: Vec<Missing<'a>>,
}

#[derive(Serialize)]
struct Missing<'a> {
    profile: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Pair<'a> {
    profile: &'a str,
    product: &'a str,
    version: Option<&'a str>,
    seconds: f64,
    scenarios: Vec<One<'a>>,
}

impl<'a> Pair<'a> {
    fn of(compared: &'a Compared<'_>) -> Self {
        let Compared { profile, product, scenarios, took } = compared;
        let scenarios = scenarios.iter().map(One::of).collect();
        let (product, version) = (product.name, product.version.as_deref());
        Self { profile, product, version, seconds: took.as_secs_f64(), scenarios }
    }
}

#[derive(Serialize)]
struct One<'a> {
    scenario: &'a str,
    /// Why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<&'a str>,
    cells: Vec<Cell<'a>>,
}

impl<'a> One<'a> {
    fn of(scenario: &'a Scenario<'_>) -> Self {
        let Scenario { name, not_compared, cells } = scenario;
        Self { scenario: name, not_compared: not_compared.as_deref(), cells: cells.iter().map(Cell::of).collect() }
    }
}

#[derive(Serialize)]
struct Cell<'a> {
    requirement: String,
    simulated: Counts,
    real: Counts,
    verdict: &'a str,
    /// Of an exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Cell<'a> {
    fn of(judged: &'a Judged) -> Self {
        let Judged { cell, verdict } = judged;
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
struct Counts {
    violated: u32,
    trials: u32,
}

impl From<Rate> for Counts {
    fn from(Rate { violated, trials }: Rate) -> Self {
        Self { violated, trials }
    }
}
