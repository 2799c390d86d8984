//! Compares profiles in the simulation with the products themselves.
//!
//! The simulation is as uncertain here as real sockets are (`Overtaking`), so a result that depends on the order of two
//! messages does not count as a difference. A difference is an error, unless an [`Exception`] accepts it. An exception
//! that is out of date is an error, too. `show.rs` has the table and the JSON document.

mod page;
mod show;

use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stickler_catalogue::{Exception, Profile, exceptions};
use stickler_model::topology::LinkSpec;
use stickler_model::trace::Promises;
use stickler_model::{Action, BalancerSpec, Event, Outcome, Time, Topology, Trace, World, WorldError};
use stickler_oracle::{Grade, Requirement};
use stickler_report::json;
use stickler_report::missing::incomplete;
use stickler_report::page::{Grades, Page};
use stickler_report::transcript;
use stickler_runner::compare::{Cell, Tally};
use stickler_runner::{Arm, Run};
use stickler_scenarios::Case;
use stickler_sim::SimArm;
use stickler_wire::InstalledProduct;

use crate::args::{self, Format};
use crate::jobs::{self, Job};
use crate::output::Reports;
use crate::{Failure, balancers, interrupt, namespace, selection, today};

#[cfg(test)]
pub(crate) use show::Comparisons;

/// The divisor that limits exceptions: in a comparison of everything, they may accept one of this number of cells.
const ONE_OF: usize = 50;

/// The comparisons of all profiles, and the profiles that could not be compared.
#[derive(Default)]
struct Comparison {
    compared: Vec<Compared>,
    /// The names of the profiles whose products are missing, each with the reason.
    missing: Vec<(String, String)>,
}

/// The comparison of one profile with its product.
struct Compared {
    profile: String,
    product: InstalledProduct,
    /// The results by scenario, in the order of the scenarios.
    scenarios: Vec<Scenario>,
    took: Duration,
}

/// The results of one scenario over a profile and its product.
struct Scenario {
    name: String,
    /// The reason why the scenario was not compared; `None` if it was.
    not_compared: Option<String>,
    cells: Vec<Judged>,
}

/// A cell, and the result of its comparison.
struct Judged {
    cell: Cell,
    verdict: Verdict,
    /// The violation on the arm that shows more of them, if the cell is not equal.
    shown: Option<Shown>,
}

/// A run that violates the requirement of a cell.
struct Shown {
    /// The place of the run: `simulated`, or `real` for the product on real sockets.
    arm: &'static str,
    seed: u64,
    summary: String,
    /// The events that prove the violation.
    lines: Vec<String>,
    diagram: Option<String>,
}

impl Shown {
    /// Returns the first violation of a requirement in a run.
    fn of(arm: &'static str, run: &Run, requirement: Requirement) -> Option<Self> {
        let verdict = run.graded(Grade::Violated).find(|verdict| verdict.requirement == requirement)?;
        let (trace, first) = (run.trace.as_ref()?, verdict.against_balancer().next()?);
        let lines = transcript::lines(trace, &first.events);
        let diagram = crate::page::diagram(run, requirement);
        Some(Self { arm, seed: run.seed, summary: first.summary.clone(), lines, diagram })
    }
}

/// The counted verdicts of one scenario on one arm, with a run for each requirement that was violated.
#[derive(Clone, Default)]
struct Trials {
    tally: Tally,
    violated: Vec<(Requirement, Rc<Run>)>,
}

impl Trials {
    fn add(&mut self, run: Run) {
        self.tally.add(&run);
        let mut ids: Vec<Requirement> = run.graded(Grade::Violated).map(|verdict| verdict.requirement).collect();
        ids.retain(|id| !self.violated.iter().any(|(known, _)| known == id));
        if !ids.is_empty() {
            let run = Rc::new(run);
            self.violated.extend(ids.into_iter().map(|id| (id, Rc::clone(&run))));
        }
    }

    fn shown(&self, arm: &'static str, requirement: Requirement) -> Option<Shown> {
        let (_, run) = self.violated.iter().find(|(known, _)| *known == requirement)?;
        Shown::of(arm, run, requirement)
    }
}

/// Returns the violation to show of a cell that is not equal, from the arm that has more violations.
fn shown(cell: &Cell, (simulated, real): &(Trials, Trials)) -> Option<Shown> {
    if cell.real.value() > cell.simulated.value() {
        real.shown("real", cell.requirement)
    } else {
        simulated.shown("simulated", cell.requirement)
    }
}

/// The result of comparing one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Both arms agree.
    Equal,
    /// The arms differ, and no exception explains it.
    Differs,
    /// The arms differ, and an exception explains it.
    Explained(&'static Exception),
    /// The arms differ, and the exception that explained it has expired.
    Expired(&'static Exception),
    /// The arms agree, although there is an exception.
    Needless(&'static Exception),
}

impl Verdict {
    fn of(differs: bool, exception: Option<&'static Exception>, today: &str) -> Self {
        match (differs, exception) {
            (false, None) => Self::Equal,
            (false, Some(exception)) if exception.sometimes => Self::Equal,
            (false, Some(exception)) => Self::Needless(exception),
            (true, None) => Self::Differs,
            (true, Some(exception)) if exception.has_expired(today) => Self::Expired(exception),
            (true, Some(exception)) => Self::Explained(exception),
        }
    }

    /// Returns whether somebody has to correct something.
    const fn is_wrong(self) -> bool {
        !matches!(self, Self::Equal | Self::Explained(_))
    }
}

impl Compared {
    fn cells(&self) -> impl Iterator<Item = &Judged> {
        self.scenarios.iter().flat_map(|scenario| &scenario.cells)
    }

    fn explained(&self) -> usize {
        self.cells().filter(|judged| matches!(judged.verdict, Verdict::Explained(_))).count()
    }
}

pub(crate) fn compare(arguments: &args::Compare) -> Result<(), Failure> {
    let earlier = arguments.since.as_deref().map(|file| crate::page::earlier(file, "compare")).transpose()?;
    let mut reports = Reports::open("compare", &arguments.report, arguments.format == Format::Json)?;
    let mut comparison = Comparison::default();
    let compared = comparison.add_all(arguments, reports.takes_stdout());
    for case in show::cases(&comparison) {
        reports.add_case(case);
    }
    let missing = compared.as_ref().err().map(|failure| {
        reports.add_failure(failure);
        match failure {
            Failure::Interrupted => {
                let why = "not everything was compared: the command was interrupted";
                reports.add_case(incomplete(why));
                why
            }
            _ => "not everything was compared",
        }
    });
    reports.write_pages(|| {
        let page = Page {
            incomplete: missing.map(|missing| format!("This is not everything that was requested: {missing}.")),
            ..page::page(&comparison, arguments)
        };
        match &earlier {
            Some(earlier) => page.since(earlier, &grades(&comparison)),
            None => page,
        }
    })?;
    reports.finish(missing, &show::document(&comparison))?;
    compared?;
    let all = arguments.profiles.is_empty()
        && arguments.scenario.is_empty()
        && arguments.profile.is_empty()
        && arguments.selection.is_empty();
    comparison.end(all)
}

/// Returns the results of a comparison in the form in which they are compared with earlier ones.
fn grades(comparison: &Comparison) -> Grades {
    Grades::parse(&json::to_text(&show::document(comparison))).unwrap_or_default()
}

/// Returns the profiles that the arguments select and whose products can be started.
fn profiles<'a>(arguments: &args::Compare, own: &'a [Profile]) -> Result<Vec<&'a Profile>, Failure> {
    let shipped = || balancers::profiles_like(&arguments.profiles);
    let profiles = if own.is_empty() { shipped()? } else { own.iter().collect() };
    // Of the user's own profiles, the named ones count.
    let named = |profile: &&Profile| {
        own.is_empty() || arguments.profiles.is_empty() || arguments.profiles.contains(&profile.name)
    };
    let profiles: Vec<&Profile> =
        profiles.into_iter().filter(|profile| profile.program.is_some()).filter(named).collect();
    if profiles.is_empty() {
        return Err(Failure::Nothing("no product of these profiles can be started".into()));
    }
    Ok(profiles)
}

impl Comparison {
    /// Compares everything that the arguments select, and shows each profile as soon as it is done, unless `silent` is
    /// set.
    fn add_all(&mut self, arguments: &args::Compare, silent: bool) -> Result<(), Failure> {
        let own = balancers::own_profiles(&arguments.profile)?;
        let profiles: Vec<&Profile> = profiles(arguments, &own)?;
        let cases = selection::cases(&arguments.scenario, &arguments.selection)?;
        let specs: Vec<BalancerSpec> = profiles.iter().map(|profile| profile.spec()).collect();
        namespace::enter_for(&specs);
        let over = interrupt::listen()?;
        let mut out = io::stdout().lock();
        for profile in profiles {
            match stickler_wire::installed(profile) {
                Ok(product) => {
                    let compared = one(profile, product, &cases, arguments, &over)?;
                    if !silent {
                        show::text(&mut out, &compared)?;
                    }
                    self.compared.push(compared);
                }
                Err(why) => {
                    if !silent {
                        show::missing(&mut out, &profile.name, &why.to_string())?;
                    }
                    self.missing.push((profile.name.clone(), why.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Returns the result of the command. `all` says that everything was compared, so the limit on exceptions applies.
    fn end(&self, all: bool) -> Result<(), Failure> {
        let cells = || self.compared.iter().flat_map(Compared::cells);
        let explained: usize = self.compared.iter().map(Compared::explained).sum();
        if cells().any(|judged| judged.verdict.is_wrong()) {
            return Err(Failure::NotAsExpected);
        }
        if all && explained * ONE_OF > cells().count() {
            let cells = cells().count();
            let message = format!("{explained} of {cells} verdicts are exceptions, but at most 1 of {ONE_OF} may be");
            return Err(Failure::Wrong(message));
        }
        match (self.missing.first(), cells().next()) {
            (Some((profile, why)), _) => Err(Failure::Missing(format!("{profile}: {why}"))),
            (None, None) => Err(Failure::Nothing("every scenario was skipped, so nothing was compared".into())),
            (None, Some(_)) => Ok(()),
        }
    }
}

/// Compares one profile with its product.
fn one(
    profile: &Profile,
    product: InstalledProduct,
    cases: &[Case],
    arguments: &args::Compare,
    over: &AtomicBool,
) -> Result<Compared, Failure> {
    let started = now();
    let spec = [profile.spec()];
    let (sim, wire): (Arc<dyn Arm>, _) = (Arc::new(Overtaking(SimArm)), jobs::build(args::Arm::Wire)?);
    let real = |cases: &[Case]| tallies(cases, &spec, (&wire, arguments.jobs, over), arguments.trials.get());
    let simulated = tallies(cases, &spec, (&sim, None, over), arguments.seeds.get())?;
    let mut pairs: Vec<(Trials, Trials)> = simulated.into_iter().zip(real(cases)?).collect();
    // Chance or a busy machine may have caused a difference. A scenario that differs is run over the product again, and
    // the second result counts.
    let differs = |pair: &(Trials, Trials)| cells(pair).iter().any(Cell::differs);
    let again: Vec<usize> = (0..cases.len()).filter(|&index| differs(&pairs[index])).collect();
    let repeated: Vec<Case> = again.iter().map(|&index| cases[index].clone()).collect();
    for (index, tally) in again.into_iter().zip(real(&repeated)?) {
        pairs[index].1 = tally;
    }
    let version = product.version.as_deref().unwrap_or("unknown");
    let today = today::or_given(arguments.today).to_string();
    let scenarios = cases.iter().zip(&pairs).map(|(case, pair)| {
        let name = case.scenario.name();
        let not_compared = pair.1.tally.not_performed().or(pair.0.tally.not_performed()).map(str::to_owned);
        let judge = |cell: Cell| {
            let requirement = cell.requirement.to_string();
            let is_for = |exception: &&Exception| exception.is_for(&profile.name, version, name, &requirement);
            let exception = exceptions().iter().find(is_for);
            let verdict = Verdict::of(cell.differs(), exception, &today);
            let shown = if verdict == Verdict::Equal { None } else { shown(&cell, pair) };
            Judged { cell, verdict, shown }
        };
        Scenario { name: name.to_owned(), not_compared, cells: cells(pair).into_iter().map(judge).collect() }
    });
    let scenarios = scenarios.collect();
    Ok(Compared { profile: profile.name.clone(), product, scenarios, took: started.elapsed() })
}

/// Returns the cells of a scenario; none, unless all trials were performed both on the simulated and on the real arm.
fn cells((simulated, real): &(Trials, Trials)) -> Vec<Cell> {
    let (simulated, real) = (&simulated.tally, &real.tally);
    let all = simulated.not_performed().is_none() && real.not_performed().is_none();
    if all { Cell::all(simulated, real) } else { Vec::new() }
}

/// Runs each scenario over one balancer on an arm, counts its verdicts, and keeps a run for each violated requirement.
///
/// # Errors
/// The jobs cannot be made, or the command was interrupted.
fn tallies(
    cases: &[Case],
    balancer: &[BalancerSpec; 1],
    (arm, threads, over): (&Arc<dyn Arm>, Option<NonZeroUsize>, &AtomicBool),
    trials: u32,
) -> Result<Vec<Trials>, Failure> {
    let jobs = jobs::all(cases, balancer, 0, trials)?;
    // A trace can be drawn, but those without a violation would only fill the memory.
    let runs = jobs::perform_on(&jobs, arm, threads, over, |_: &Job<'_>, mut run: Run| {
        if run.graded(Grade::Violated).next().is_none() {
            run.trace = None;
        }
        run
    });
    if over.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted);
    }
    let mut tallies = vec![Trials::default(); cases.len()];
    for (index, run) in runs.into_iter().enumerate() {
        tallies[index / trials as usize].add(run);
    }
    Ok(tallies)
}

/// The maximum additional delay of a message in a comparison. It is about the time that threads of one machine take to
/// wake up.
const JITTER: Duration = Duration::from_micros(500);

/// A simulated world that waits for health checks only as long as real sockets do. In a longer wait, a pool would close
/// connections, which would show as a difference.
struct Hurried(Box<dyn World>);

impl World for Hurried {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        let action = match action {
            Action::AwaitChecks(wait) => Action::Advance(wait.hurried(&self.0.promises())),
            action => action,
        };
        self.0.perform(action)
    }

    fn now(&self) -> Time {
        self.0.now()
    }

    fn promises(&self) -> Promises {
        self.0.promises()
    }

    fn visit(&self, see: &mut dyn FnMut(&Event)) {
        self.0.visit(see);
    }

    fn finish(self: Box<Self>) -> Trace {
        self.0.finish()
    }
}

/// The simulation, in which messages of different connections overtake each other by chance with every second seed.
/// Real sockets are in between: messages that are sent at the same moment mostly arrive in their order. Links that a
/// script specifies stay unchanged.
struct Overtaking(SimArm);

impl Overtaking {
    fn uncertain(topology: Topology, seed: u64) -> Topology {
        let usual = LinkSpec::default();
        let overtaking = topology.link == usual && !seed.is_multiple_of(2);
        let link = if overtaking { LinkSpec { jitter: JITTER, ..usual } } else { topology.link };
        Topology { link, ..topology }
    }
}

impl Arm for Overtaking {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(Hurried(self.0.build(Self::uncertain(topology, seed), balancer, seed)?)))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(Hurried(self.0.build_control(Self::uncertain(topology, seed), seed)?)))
    }
}

#[expect(clippy::disallowed_methods, reason = "it says how long the products took")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use stickler_runner::compare::Rate;

    use super::*;

    fn exception() -> &'static Exception {
        Box::leak(Box::new(Exception {
            profile: "p".into(),
            version: "1".into(),
            scenario: "s".into(),
            requirement: "ID-1".into(),
            reason: "a test".into(),
            until: "2027-06-30".into(),
            sometimes: false,
        }))
    }

    #[test]
    fn an_exception_accepts_a_difference_until_its_day_and_nothing_else() {
        let one = exception();
        let of = Verdict::of;
        assert_eq!(of(false, None, "2027-01-01"), Verdict::Equal);
        assert_eq!(of(true, None, "2027-01-01"), Verdict::Differs);
        assert_eq!(of(true, Some(one), "2027-06-30"), Verdict::Explained(one));
        assert_eq!(of(true, Some(one), "2027-07-01"), Verdict::Expired(one));
        assert_eq!(of(false, Some(one), "2027-01-01"), Verdict::Needless(one));
        let sometimes = Box::leak(Box::new(Exception { sometimes: true, ..one.clone() }));
        assert_eq!(of(false, Some(sometimes), "2027-01-01"), Verdict::Equal);
        assert_eq!(of(true, Some(sometimes), "2027-07-01"), Verdict::Expired(sometimes));
        let wrong = [of(true, None, ""), Verdict::Expired(one), Verdict::Needless(one)];
        assert!(wrong.into_iter().all(Verdict::is_wrong));
        assert!(![Verdict::Equal, Verdict::Explained(one)].into_iter().any(Verdict::is_wrong));
    }

    /// Returns a comparison with these numbers of equal cells and of explained ones.
    fn comparison(equal: usize, explained: usize) -> Comparison {
        let rate = Rate { violated: 0, trials: 3 };
        let cell = Cell { requirement: Requirement::Id1, simulated: rate, real: rate };
        let verdicts = vec![Verdict::Equal; equal].into_iter().chain(vec![Verdict::Explained(exception()); explained]);
        let cells = verdicts.map(|verdict| Judged { cell, verdict, shown: None }).collect();
        let product = InstalledProduct { name: "haproxy", version: None };
        let scenarios = vec![Scenario { name: "s".into(), not_compared: None, cells }];
        let compared = vec![Compared { profile: "p".into(), product, scenarios, took: Duration::ZERO }];
        Comparison { compared, missing: Vec::new() }
    }

    #[test]
    fn a_difference_is_shown_with_a_run_of_the_side_that_violates_it_more_often() {
        let cases = stickler_scenarios::select(&["user-after-user".to_owned()], &stickler_catalogue::names()).unwrap();
        let arm: Arc<dyn Arm> = Arc::new(SimArm);
        let run = |balancer: &str| cases[0].run(&BalancerSpec::named(balancer), 0, &arm);
        let (mut leaks, mut keeps) = (Trials::default(), Trials::default());
        for _ in 0..3 {
            leaks.add(run("shared-pool"));
            keeps.add(run("l4-nat"));
        }
        let cells = |pair: &(Trials, Trials)| {
            let cell = cells(pair).into_iter().find(|cell| cell.requirement == Requirement::Id1).unwrap();
            shown(&cell, pair).unwrap()
        };
        let simulated = cells(&(leaks.clone(), keeps.clone()));
        assert_eq!((simulated.arm, simulated.seed), ("simulated", 0));
        assert!(simulated.lines.len() > 2 && simulated.diagram.is_some_and(|svg| svg.contains("ID-1 violated")));
        assert_eq!(cells(&(keeps, leaks)).arm, "real");
    }

    #[test]
    fn exceptions_are_two_percent_at_the_most_where_everything_is_compared() {
        assert!(comparison(98, 2).end(true).is_ok());
        assert!(matches!(comparison(97, 3).end(true), Err(Failure::Wrong(_))));
        assert!(comparison(97, 3).end(false).is_ok(), "a part may have more");
        assert!(matches!(comparison(0, 0).end(true), Err(Failure::Nothing(_))));
        let missing = Comparison { missing: vec![("p".into(), "why".into())], ..comparison(1, 0) };
        assert!(matches!(missing.end(true), Err(Failure::Missing(_))));
    }
}
