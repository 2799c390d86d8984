//! Runs scripts over balancers, judges the runs and determines the exit code.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indexmap::IndexSet;
use stickler_model::topology::Provider;
use stickler_model::{BalancerSpec, Trace, escape};
use stickler_oracle::Grade;
use stickler_report::fit::fit;
use stickler_report::json::{self, ErrorRecord, Identity, Tail};
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::missing::Missing;
use stickler_report::page::{About, Grades, Page};
use stickler_report::pretty;
use stickler_runner::{Diagnostic, End, Ending, Run};
use stickler_scenarios::Case;

use crate::args::{self, Format, Shard};
use crate::expectations::Expectations;
use crate::jobs::{self, Job};
use crate::output::{Piece, Reports};
use crate::pcap::Capture;
use crate::record::{Folder, Recorded};
use crate::state::{Failed, FailedRun};
use crate::summary::{Summaries, Summary};
use crate::{Failure, balancers, bless, interrupt, page, selection, target, terminal, today};

/// The maximum number of runs for which the evidence of each run is shown by default.
const FEW_RUNS: usize = 64;

/// The maximum number of balancers that have a column each. More balancers have a row each.
const FEW_BALANCERS: usize = 6;

/// The results of all runs.
#[derive(Default)]
struct Done {
    /// The scenarios that the arguments select.
    cases: Vec<Case>,
    runs: Vec<Run>,
    matrix: Matrix,
    summaries: Summaries,
    /// The number of runs that have no trace to record.
    unrecorded: usize,
    /// The messages about run files that could not be written.
    unwritten: Vec<String>,
    /// Whether each run shows its evidence.
    evidence: bool,
    /// The error of a report that could not be written.
    unreported: Option<io::Error>,
    /// The runs that were not made, if there are any.
    missing: Option<Missing>,
    /// The expectations that have expired, one sentence each.
    expired: Vec<String>,
    /// The capture of the run's packets, if it is to be written.
    capture: Option<Capture>,
}

/// The parts of a run that are kept.
struct Kept {
    run: Run,
    one: Matrix,
    recorded: Option<Recorded>,
    summary: Summary,
    piece: Piece,
    /// The indices of the expectations about the run that have expired.
    expired: Vec<usize>,
}

pub(crate) fn run(mut arguments: args::Run) -> Result<(), Failure> {
    let earlier = arguments.since.as_deref().map(|file| page::earlier(file, "run")).transpose()?;
    let mut reports = Reports::of_runs("run", &arguments.report, arguments.format == Format::Json)?;
    let performed = again(&mut arguments).and_then(|only| perform(&arguments, only.as_deref(), &mut reports));
    let arguments = &arguments;
    let mut done = match performed {
        Ok(done) => done,
        Err(failure) => {
            reports.add_failure(&failure);
            reports.finish_runs(Some("nothing was run"), Tail::default())?;
            return Err(failure);
        }
    };
    done.keep_failed(arguments);
    let shown = if reports.takes_stdout() { Ok(()) } else { show(&done, arguments) };
    let identity = done.summaries.iter().map(|(name, summary)| Identity::new(name, summary.confidence)).collect();
    // The outcome comes before the end of the reports, so that they have the errors that become known last.
    let ended = done.end(arguments);
    if let Err(failure @ (Failure::Wrong(_) | Failure::WrongFile(..) | Failure::WrongFiles(_))) = &ended {
        reports.add_late(failure);
    }
    let tail = Tail { identity, requirements: json::requirements(), ..Tail::default() };
    let reported = done.unreported.take().map_or(Ok(()), |error| Err(Failure::from(error)));
    let reported = reported.and_then(|()| reports.write_pages(|| page_of(&done, earlier.as_ref(), arguments)));
    let missing = done.missing.as_ref().map(Missing::to_string);
    for case in done.missing.iter().flat_map(|missing| missing.cases(has_seeds(arguments))) {
        reports.add_case(case);
    }
    reported.and_then(|()| reports.finish_runs(missing.as_deref(), tail)).and(shown).and(ended)
}

/// Changes the arguments so that they select the runs that failed last, and returns these runs. Does nothing without
/// `--rerun`.
fn again(arguments: &mut args::Run) -> Result<Option<Vec<FailedRun>>, Failure> {
    if !arguments.rerun {
        return Ok(None);
    }
    let last = Failed::last()?;
    let names = |of: fn(&FailedRun) -> &String| -> Vec<String> {
        let all: IndexSet<&String> = last.runs.iter().map(of).collect();
        all.into_iter().cloned().collect()
    };
    arguments.paths = names(|run| &run.path);
    arguments.balancers.balancer = names(|run| &run.balancer);
    arguments.arm = if last.arm == "wire" { args::Arm::Wire } else { args::Arm::Sim };
    arguments.balancers.profile = last.profiles;
    Ok(Some(last.runs))
}

/// Makes the runs, or those of `only` if it is given, and passes each to the reports.
fn perform(arguments: &args::Run, only: Option<&[FailedRun]>, reports: &mut Reports) -> Result<Done, Failure> {
    let balancers = balancers(arguments)?;
    #[cfg(unix)]
    if arguments.arm == args::Arm::Wire {
        crate::namespace::enter_for(&balancers);
    }
    let cases = selection::cases(&arguments.paths, &arguments.selection)?;
    let expectations = arguments.expectations.as_deref();
    let expectations =
        expectations.map(|file| Expectations::read(file, today::or_given(arguments.today))).transpose()?;
    let jobs = jobs(arguments, only, &cases, &balancers)?;
    arguments.diagram.check(jobs.len(), reports.takes_stdout())?;
    let capture = arguments.pcap.prepare(jobs.len(), arguments.arm == args::Arm::Sim)?;
    // The servers of a target have fixed ports, so only one run can be made at a time.
    let (arm, threads) = match (&arguments.target.url, &capture) {
        (Some(url), _) => (target::arm(url, &balancers[0], arguments)?, NonZeroUsize::new(1)),
        (None, Some(capture)) => (capture.arm(), arguments.jobs),
        (None, None) => (jobs::build(arguments.arm)?, arguments.jobs),
    };
    let over = interrupt::listen()?;
    // The folder is made last, so that a command which is refused leaves none behind.
    let record = arguments.record.as_deref().map(|folder| Folder::prepare(folder, &jobs)).transpose()?;
    let evidence = arguments.evidence || arguments.transcript || jobs.len() <= FEW_RUNS;
    let keeps_traces = evidence && !reports.takes_stdout();
    let wants = reports.wants(arguments.transcript, has_seeds(arguments));
    let keep = |job: &Job<'_>, mut run: Run, took: Duration| {
        let expired = expectations.as_ref().map(|expectations| expectations.apply(&mut run)).unwrap_or_default();
        let summary = Summary::of(job.case, &run);
        let recorded = record.as_ref().map(|folder| folder.record(&run));
        let piece = wants.piece(&run, |run| replay(run, arguments), took);
        let one = in_table(job.case, &run, arguments);
        if !keeps_traces && run.as_expected() {
            // Thousands of traces that nobody will look at would fill the memory.
            run.trace = None;
        }
        Kept { run, one, recorded, summary, piece, expired }
    };
    let mut done = Done { evidence, ..Done::default() };
    let mut expired = BTreeSet::new();
    jobs::perform_until(&jobs, &arm, threads, &over, keep, |mut kept| {
        expired.extend(std::mem::take(&mut kept.expired));
        done.take(kept, arguments, reports)
    });
    done.expired = expired.into_iter().filter_map(|index| expectations.as_ref()?.expired(index)).collect();
    let (why, interrupted) = if over.load(Ordering::Relaxed) {
        ("the command was interrupted", true)
    } else {
        ("--fail-fast ends after the first run that is not as expected", false)
    };
    let missing = jobs.get(done.runs.len()..).unwrap_or_default();
    for job in missing.iter().filter(|job| job.case.group.accepts.is_some() || !arguments.paths.is_empty()) {
        done.matrix.leave_out(&page::subject(job.balancer), 1);
    }
    done.missing = Missing::of(jobs.len(), why, interrupted, missing.iter().map(Job::name).collect());
    done.cases = cases;
    done.capture = capture;
    Ok(done)
}

/// Returns the runs to be made: those of `only`, or else this shard of all runs.
fn jobs<'a>(
    arguments: &args::Run,
    only: Option<&[FailedRun]>,
    cases: &'a [Case],
    balancers: &'a [BalancerSpec],
) -> Result<Vec<Job<'a>>, Failure> {
    let jobs: Vec<Job<'a>> = if let Some(only) = only {
        let job = |failed: &FailedRun| {
            let case = cases.iter().find(|case| case.scenario.path() == failed.path)?;
            let balancer = balancers.iter().find(|balancer| balancer.to_string() == failed.balancer)?;
            Some(Job { case, balancer, seed: failed.seed })
        };
        only.iter().filter_map(job).collect()
    } else {
        let all = jobs::all(cases, balancers, arguments.seeds.seed, arguments.seeds.repeat.get())?;
        let Shard { index, count } = arguments.shard;
        all.into_iter().zip(0_u64..).filter(|(_, number)| number % count == index).map(|(job, _)| job).collect()
    };
    if jobs.is_empty() {
        return Err(Failure::Nothing(
            "nothing to run: give a script, a folder, or the name of a shipped scenario, and no more shards than runs"
                .into(),
        ));
    }
    Ok(jobs)
}

/// Returns the balancers that the arguments select.
fn balancers(arguments: &args::Run) -> Result<Vec<BalancerSpec>, Failure> {
    match &arguments.target.url {
        Some(url) => Ok(vec![target::spec(url, arguments)?]),
        None => balancers::find(&arguments.balancers.balancer, &balancers::own_profiles(&arguments.balancers.profile)?),
    }
}

/// Returns the cells of the table for a run. The table contains only scenarios with balancers in front of IIS, unless
/// the arguments name the scenarios.
fn in_table(case: &Case, run: &Run, arguments: &args::Run) -> Matrix {
    let mut one = Matrix::default();
    let subject = page::subject(&run.balancer);
    // A failure at a site that is declared broken says nothing about a balancer.
    let broken = run.trace.as_ref().is_some_and(|trace| trace.header.topology.broken.is_some());
    let offered = run.trace.as_ref().filter(|_| !arguments.paths.is_empty()).map(offered);
    let takes = case.group.accepts.or(offered).filter(|_| !broken);
    match (takes, &run.end) {
        (Some(takes), End::Complete) => one.add(&subject, takes, run, &replay(run, arguments)),
        // Nobody knows what the rest of the run would have shown.
        (Some(_), End::Failed(_)) => one.leave_out(&subject, 1),
        (_, End::Skipped(_)) | (None, _) => {}
    }
    one
}

/// Returns whether cases need their seeds as a part of their names.
const fn has_seeds(arguments: &args::Run) -> bool {
    arguments.seeds.repeat.get() > 1 || arguments.rerun
}

impl Done {
    /// Adds a run, and passes it to the reports. Returns whether to continue.
    fn take(&mut self, kept: Kept, arguments: &args::Run, reports: &mut Reports) -> ControlFlow<()> {
        let Kept { run, one, recorded, summary, piece, .. } = kept;
        if arguments.arm == args::Arm::Wire {
            self.summaries.add(&run.balancer, summary);
        }
        match recorded {
            None | Some(Recorded::Written) => {}
            Some(Recorded::NoTrace) => self.unrecorded += 1,
            Some(Recorded::Failed(message)) => self.unwritten.push(message),
        }
        let failed = matches!(run.ending(), Ending::NotAsExpected(_) | Ending::Failed(_));
        self.runs.push(run);
        self.matrix.merge(one);
        // After an error, nobody reads the reports of the other runs.
        self.unreported = reports.add(piece).err();
        let enough = self.unreported.is_some() || (failed && arguments.fail_fast);
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Stores the runs that failed, for --rerun. Runs over a target, and those of a script from standard input, cannot
    /// be repeated and are left out.
    fn keep_failed(&self, arguments: &args::Run) {
        if arguments.target.url.is_none() {
            let failed = self.runs.iter().filter(|run| run.source.path != "-").filter_map(FailedRun::of);
            let arm = if arguments.arm == args::Arm::Wire { "wire" } else { "sim" };
            Failed::keep(arm, &arguments.balancers.profile, failed.collect());
        }
    }

    /// Returns the result of the command, after everything was shown.
    fn end(&self, arguments: &args::Run) -> Result<(), Failure> {
        self.capture.as_ref().map_or(Ok(()), Capture::write)?;
        let Self { runs, summaries, unrecorded, unwritten, missing, expired, .. } = self;
        if *unrecorded > 0 {
            // If even this message cannot be written, the run files still exist.
            let all = runs.len();
            let why = "without a trace, there is nothing to replay";
            let _ = writeln!(io::stderr(), "stickler: {unrecorded} of {all} runs not recorded: {why}");
        }
        if let Some(missing) = missing {
            let _ = writeln!(io::stderr(), "stickler: {missing}");
            if missing.interrupted {
                return Err(Failure::Interrupted);
            }
        }
        for message in expired {
            let _ = writeln!(io::stderr(), "stickler: {}", escape::line(message));
        }
        match (jobs::failed(runs, &|run| replay(run, arguments)), first_of(unwritten)) {
            (Err(Failure::WrongFiles(mut errors)), Some(message)) => {
                errors.push(ErrorRecord { message, place: None });
                Err(Failure::WrongFiles(errors))
            }
            (Ok(()), Some(files)) => Err(Failure::Wrong(files)),
            (Ok(()), None) => match &arguments.reason {
                Some(reason) => bless::bless(runs, reason, arguments.allow_identity),
                None if !expired.is_empty() => Err(Failure::NotAsExpected),
                None => outcome(runs).and_then(|()| summaries.outcome()),
            },
            (failed, _) => failed,
        }
    }
}

/// Returns the page of the runs.
fn page_of(done: &Done, earlier: Option<&Grades>, arguments: &args::Run) -> Page {
    let Done { runs, matrix, .. } = done;
    let balancers = balancers(arguments).unwrap_or_default();
    let again = |subject: &Subject| {
        let balancer = balancers.iter().find(|balancer| balancer.to_string() == subject.name);
        balancer.map_or_else(String::new, |it| jobs::everything_over(it, arguments.arm, &arguments.balancers.profile))
    };
    let about = About { title: page::title(matrix), place: page::place(arguments.arm), again: &again };
    let mut page = Page::of_runs(matrix, runs, done.missing.as_ref(), &about, &|run| replay(run, arguments));
    if arguments.arm == args::Arm::Sim {
        page::illustrate(&mut page, &done.cases, &balancers);
    }
    match earlier {
        Some(earlier) => page.since(earlier, &Grades::of_runs(runs)),
        None => page,
    }
}

/// Returns the command that repeats a run.
fn replay(run: &Run, arguments: &args::Run) -> String {
    match &arguments.target.url {
        Some(url) => jobs::replay_over(run, url, &arguments.target.servers, &arguments.balancers.profile),
        None => jobs::replay(run, arguments.arm, &arguments.balancers.profile),
    }
}

/// Returns the first of the messages, with the number of further ones; `None` if there is no message.
fn first_of(messages: &[String]) -> Option<String> {
    let first = messages.first()?;
    let more = messages.len() - 1;
    Some(if more == 0 { first.clone() } else { format!("{first}; and {more} more of the files") })
}

/// Returns the meaning of all endings for the exit code. A skipped run counts neither as expected nor as not expected.
/// If all runs were skipped, nothing was judged.
fn outcome(runs: &[Run]) -> Result<(), Failure> {
    let mut judged = false;
    for run in runs {
        match run.ending() {
            Ending::AsExpected => judged = true,
            Ending::NotAsExpected(_) => return Err(Failure::NotAsExpected),
            // These runs have been reported already.
            Ending::Failed(_) | Ending::Skipped(_) => {}
        }
    }
    if judged { Ok(()) } else { Err(Failure::Nothing("every run was skipped, so nothing was judged".into())) }
}

/// Returns the authentication that the first server of a run offered.
fn offered(trace: &Trace) -> Provider {
    let first = trace.header.topology.servers.first().and_then(|server| server.providers.first());
    match first {
        None | Some(Provider::Ntlm) => Provider::Ntlm,
        Some(Provider::NegotiateKerberos) => Provider::NegotiateKerberos,
        Some(Provider::Negotiate | Provider::Nego2) => Provider::Negotiate,
    }
}

fn show(done: &Done, arguments: &args::Run) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let Done { runs, matrix, summaries, evidence, missing, .. } = done;
    let missing = missing.as_ref();
    if let (Some(alone), [run]) = (arguments.diagram.alone(), &runs[..]) {
        return alone.write(&mut out, run);
    }
    let mut mistakes: Vec<&Diagnostic> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        if let Some(mistake) = run.error() {
            // A mistake in the script is the same over each balancer, but the failures before it may differ.
            let found_before = !run.failures.is_empty() || run.graded(Grade::Violated).next().is_some();
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            } else if !arguments.transcript && !arguments.evidence && !found_before {
                continue;
            }
        }
        // With many seeds, an expected result is shown for the first seed only; a result that is not expected is always
        // shown.
        let first = index == 0 || (&runs[index - 1].source, &runs[index - 1].balancer) != (&run.source, &run.balancer);
        if !run.as_expected() || arguments.transcript || (*evidence && first && pretty::is_notable(run)) {
            let details = pretty::details(run, &replay(run, arguments), arguments.transcript);
            writeln!(out, "{}", fit(&details, pretty::columns()))?;
            arguments.diagram.write_below(&mut out, run)?;
        } else if *evidence && first {
            arguments.diagram.write_below(&mut out, run)?;
        }
    }
    if !runs.is_empty() {
        let color = terminal::has_color();
        let balancers: BTreeSet<String> = runs.iter().map(|run| run.balancer.to_string()).collect();
        if balancers.len() <= FEW_BALANCERS {
            let legend = pretty::legend(runs, missing, color, &|run| replay(run, arguments));
            writeln!(out, "{}{}", pretty::table(runs, missing, color), fit(&legend, pretty::columns()))?;
        } else {
            // If the table has no row, everything has been shown above.
            if !matrix.rows().is_empty() {
                writeln!(out, "{}", matrix.text(color))?;
            }
            if arguments.paths.is_empty() {
                writeln!(
                    out,
                    "Scenarios whose servers are not IIS, or an IIS that is set up wrong (groups acceptor, hostile, setup), are judged, but are not in the table."
                )?;
            }
            writeln!(out, "{}", pretty::count(runs, missing))?;
        }
    }
    if let Some(note) = target::not_applicable(runs) {
        writeln!(out, "{note}")?;
    }
    for (balancer, summary) in summaries.iter() {
        writeln!(out, "{}: {}", escape::line(balancer), summary.sentence(arguments.seeds.repeat.get()))?;
    }
    Ok(())
}
