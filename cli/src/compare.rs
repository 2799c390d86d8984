//! Profiles in the simulation beside the products themselves.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use stickler_catalogue::Profile;
use stickler_model::{BalancerSpec, escape};
use stickler_runner::Run;
use stickler_runner::compare::{Cell, Tally};
use stickler_scenarios::Case;

use crate::args::{self, Arm};
use crate::jobs::{self, Job};
use crate::{Failure, balancers};

/// The comparison of one profile with its product.
struct Compared<'a> {
    profile: &'a Profile,
    /// The product, as it names itself.
    product: String,
    /// By scenario, in order.
    scenarios: Vec<Scenario<'a>>,
    took: Duration,
}

/// One scenario over a profile and its product.
struct Scenario<'a> {
    name: &'a str,
    simulated: Tally,
    real: Tally,
}

impl Scenario<'_> {
    /// Why there is nothing to compare; `None` if there is.
    fn not_compared(&self) -> Option<&str> {
        self.real.not_performed().or(self.simulated.not_performed())
    }

    /// Its cells, if all trials were performed.
    fn cells(&self) -> Vec<Cell> {
        if self.not_compared().is_some() { Vec::new() } else { Cell::all(&self.simulated, &self.real) }
    }

    fn differs(&self) -> bool {
        self.cells().iter().any(Cell::differs)
    }
}

pub(crate) fn compare(arguments: &args::Compare) -> Result<(), Failure> {
    let profiles = balancers::profiles_like(&arguments.profiles)?;
    let profiles: Vec<&Profile> = profiles.into_iter().filter(|profile| profile.program.is_some()).collect();
    if profiles.is_empty() {
        return Err(Failure::Nothing("none of these profiles says how its product is started".into()));
    }
    let cases = jobs::cases(&arguments.scenario)?;
    let mut out = io::stdout().lock();
    let (mut different, mut compared, mut missing) = (false, 0, Vec::new());
    for profile in profiles {
        let product = match stickler_wire::installed(profile) {
            Ok(product) => product,
            Err(why) => {
                let why = why.to_string();
                writeln!(out, "{}: not compared: {}", profile.name, escape::line(&why))?;
                missing.push(format!("{}: {why}", profile.name));
                continue;
            }
        };
        let result = one(profile, product, &cases, arguments)?;
        show(&mut out, &result)?;
        compared += result.scenarios.iter().map(|scenario| scenario.cells().len()).sum::<usize>();
        different |= result.scenarios.iter().any(Scenario::differs);
    }
    match (different, compared, missing.first()) {
        (true, ..) => Err(Failure::NotAsExpected),
        (false, _, Some(first)) => Err(Failure::Missing(first.clone())),
        (false, 0, None) => Err(Failure::Nothing("every scenario was skipped, so nothing was compared".into())),
        (false, _, None) => Ok(()),
    }
}

/// Compares one profile with its product.
fn one<'a>(
    profile: &'a Profile,
    product: String,
    cases: &'a [Case],
    arguments: &args::Compare,
) -> Result<Compared<'a>, Failure> {
    let started = now();
    let spec = [profile.spec()];
    let simulated = tallies(cases, &spec, (Arm::Sim, None), arguments.seeds.get())?;
    let real = tallies(cases, &spec, (Arm::Wire, arguments.jobs), arguments.trials.get())?;
    let pairs = cases.iter().zip(simulated.into_iter().zip(real));
    let mut scenarios: Vec<Scenario<'_>> =
        pairs.map(|(case, (simulated, real))| Scenario { name: case.scenario.name(), simulated, real }).collect();
    // Chance, or a busy machine, may have made a difference: what differs has to differ again.
    let again: Vec<Case> =
        cases.iter().zip(&scenarios).filter(|(_, scenario)| scenario.differs()).map(|(case, _)| case.clone()).collect();
    let repeated = tallies(&again, &spec, (Arm::Wire, arguments.jobs), arguments.trials.get())?;
    let mut repeated: BTreeMap<&str, Tally> = again.iter().map(|case| case.scenario.name()).zip(repeated).collect();
    for scenario in &mut scenarios {
        if let Some(tally) = repeated.remove(scenario.name) {
            scenario.real = tally;
        }
    }
    Ok(Compared { profile, product, scenarios, took: started.elapsed() })
}

/// Runs each scenario over one balancer on an arm, and counts its verdicts.
fn tallies(
    cases: &[Case],
    balancer: &[BalancerSpec; 1],
    (arm, threads): (Arm, Option<NonZeroUsize>),
    trials: u32,
) -> Result<Vec<Tally>, Failure> {
    let jobs = jobs::all(cases, balancer, 0, trials)?;
    let runs = jobs::perform(&jobs, arm, threads, |_: &Job<'_>, run: Run| Run { trace: None, ..run })?;
    let mut tallies = vec![Tally::default(); cases.len()];
    for (index, run) in runs.iter().enumerate() {
        tallies[index / trials as usize].add(run);
    }
    Ok(tallies)
}

fn show(out: &mut impl io::Write, compared: &Compared<'_>) -> Result<(), Failure> {
    let Compared { profile, product, scenarios, took } = compared;
    let mut cells = 0;
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut lines = Vec::new();
    for scenario in scenarios {
        if let Some(why) = scenario.not_compared() {
            skipped.entry(why).or_default().push(scenario.name);
        }
        for cell in scenario.cells() {
            cells += 1;
            if cell.differs() {
                let Cell { requirement, simulated, real } = cell;
                let (name, wide) = (scenario.name, 40);
                lines.push(format!(
                    "  {name:wide$} {requirement}: violated in {} of {} simulated runs, and in {} of {} real ones",
                    simulated.violated, simulated.trials, real.violated, real.trials
                ));
            }
        }
    }
    let compared = scenarios.len() - skipped.values().map(Vec::len).sum::<usize>();
    writeln!(
        out,
        "{} and {}: {} of {cells} verdicts in {compared} scenarios are equal, {} differ; {:.0} s",
        profile.name,
        escape::line(product),
        cells - lines.len(),
        lines.len(),
        took.as_secs_f64()
    )?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    for (why, names) in skipped {
        writeln!(out, "  not compared, {}: {}", names.len(), escape::line(why))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it says how long the products took")]
fn now() -> Instant {
    Instant::now()
}
