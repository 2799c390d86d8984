//! Scripts over balancers, judged; what the exit code means.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZeroUsize;

use stickler_model::topology::Provider;
use stickler_model::{Trace, escape};
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::{json, pretty};
use stickler_runner::{Diagnostic, End, Ending, Run};

use crate::args::{self, Format};
use crate::jobs::{self, Job};
use crate::record::{Folder, Recorded};
use crate::summary::{Summaries, Summary};
use crate::{Failure, balancers, target};

/// Up to so many runs, each shows its evidence unasked.
const FEW_RUNS: usize = 64;

/// Up to so many balancers have a column each; more have a row.
const FEW_BALANCERS: usize = 6;

pub(crate) fn run(arguments: &args::Run) -> Result<(), Failure> {
    let balancers = match &arguments.target.url {
        Some(url) => vec![target::spec(url, arguments)?],
        None => balancers::find(&arguments.balancer, &balancers::own_profiles(&arguments.profile)?)?,
    };
    #[cfg(unix)]
    if arguments.arm == args::Arm::Wire {
        crate::namespace::enter_for(&balancers);
    }
    let cases = jobs::cases(&arguments.paths)?;
    let jobs = jobs::all(&cases, &balancers, arguments.seed, arguments.repeat.get())?;
    if jobs.is_empty() {
        return Err(Failure::Nothing(
            "nothing to run: give a script, a folder, or the name of a shipped scenario".into(),
        ));
    }
    arguments.diagram.check(jobs.len(), arguments.format == Format::Json)?;
    let record = arguments.record.as_deref().map(|folder| Folder::prepare(folder, &jobs)).transpose()?;
    let replay = |run: &Run| replay(run, arguments);
    let evidence = arguments.evidence || arguments.transcript || jobs.len() <= FEW_RUNS;
    let all = evidence || arguments.format == Format::Json;
    // The table is about balancers in front of IIS, unless somebody asks for these very scenarios.
    let asked = !arguments.paths.is_empty();
    let keep = |job: &Job<'_>, mut run: Run| {
        let summary = Summary::of(job.case, &run);
        let recorded = record.as_ref().map(|folder| folder.record(&run));
        let mut one = Matrix::default();
        let subject = Subject { name: run.balancer.to_string(), product: String::new(), config: String::new() };
        // What fails at a site that is declared broken says nothing about a balancer.
        let broken = run.trace.as_ref().is_some_and(|trace| trace.header.topology.broken.is_some());
        let offered = run.trace.as_ref().filter(|_| asked).map(offered);
        let takes = job.case.group.accepts.or(offered).filter(|_| !broken);
        if let (Some(takes), End::Complete) = (takes, &run.end) {
            one.add(&subject, takes, &run, &replay(&run));
        }
        if !all && run.as_expected() {
            // Thousands of traces that nobody will look at would fill the memory.
            run.trace = None;
        }
        (run, one, recorded, summary)
    };
    let done = match &arguments.target.url {
        // The ports of its servers are there once.
        Some(url) => jobs::perform_on(&jobs, &target::arm(url, &balancers[0], arguments)?, NonZeroUsize::new(1), keep),
        None => jobs::perform(&jobs, arguments.arm, arguments.jobs, keep)?,
    };
    let (mut runs, mut matrix, mut summaries) = (Vec::new(), Matrix::default(), Summaries::default());
    let (mut unrecorded, mut unwritten) = (0, Vec::new());
    for (run, one, recorded, summary) in done {
        if arguments.arm == args::Arm::Wire {
            summaries.add(&run.balancer, summary);
        }
        match recorded {
            None | Some(Recorded::Written) => {}
            Some(Recorded::NoTrace) => unrecorded += 1,
            Some(Recorded::Failed(message)) => unwritten.push(message),
        }
        runs.push(run);
        matrix.merge(one);
    }
    show(&runs, &matrix, (evidence, &summaries), arguments)?;
    if unrecorded > 0 {
        // Where even this cannot be written, the run files are there all the same.
        let all = runs.len();
        let why = "without a trace, there is nothing to replay";
        let _ = writeln!(io::stderr(), "stickler: {unrecorded} of {all} runs not recorded: {why}");
    }
    match (jobs::failed(&runs, &replay), first_of(&unwritten)) {
        (Err(Failure::Wrong(scripts)), Some(files)) => Err(Failure::Wrong(format!("{scripts}\n{files}"))),
        (Ok(()), Some(files)) => Err(Failure::Wrong(files)),
        (Ok(()), None) => outcome(&runs).and_then(|()| summaries.outcome()),
        (failed, _) => failed,
    }
}

/// The command that makes a run again.
fn replay(run: &Run, arguments: &args::Run) -> String {
    match &arguments.target.url {
        Some(url) => jobs::replay_over(run, url, &arguments.target.servers, &arguments.profile),
        None => jobs::replay(run, arguments.arm, &arguments.profile),
    }
}

/// The first of the messages, and how many there are; `None` where there is none.
fn first_of(messages: &[String]) -> Option<String> {
    let first = messages.first()?;
    let more = messages.len() - 1;
    Some(if more == 0 { first.clone() } else { format!("{first}; and {more} more of the files") })
}

/// What the endings of all runs mean for the exit code. A run that was skipped is neither good nor bad; where all were,
/// nothing was judged.
fn outcome(runs: &[Run]) -> Result<(), Failure> {
    let mut judged = false;
    for run in runs {
        match run.ending() {
            Ending::AsExpected => judged = true,
            Ending::NotAsExpected(_) => return Err(Failure::NotAsExpected),
            // Those have been told of already.
            Ending::Failed(_) | Ending::Skipped(_) => {}
        }
    }
    if judged { Ok(()) } else { Err(Failure::Nothing("every run was skipped, so nothing was judged".into())) }
}

/// What the first server of a run offered.
fn offered(trace: &Trace) -> Provider {
    let first = trace.header.topology.servers.first().and_then(|server| server.providers.first());
    match first {
        None | Some(Provider::Ntlm) => Provider::Ntlm,
        Some(Provider::NegotiateKerberos) => Provider::NegotiateKerberos,
        Some(Provider::Negotiate | Provider::Nego2) => Provider::Negotiate,
    }
}

fn show(
    runs: &[Run],
    matrix: &Matrix,
    (evidence, summaries): (bool, &Summaries),
    arguments: &args::Run,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let replay = |run: &Run| replay(run, arguments);
    if let (Some(alone), [run]) = (arguments.diagram.alone(), runs) {
        return alone.write(&mut out, run);
    }
    if arguments.format == Format::Json {
        let identity: Vec<_> = summaries.iter().map(|(name, summary)| (name, summary.confidence)).collect();
        writeln!(out, "{}", json::document_with(runs, &identity, &replay, arguments.transcript))?;
        return Ok(());
    }
    let mut mistakes: Vec<&Diagnostic> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        if let Some(mistake) = run.error() {
            // A mistake is the same over each balancer; what came before it may differ, and the table has that.
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            } else if !arguments.transcript && !arguments.evidence {
                continue;
            }
        }
        // Of many seeds, the first tells what is expected; what is not expected is always told.
        let first = index == 0 || (&runs[index - 1].source, &runs[index - 1].balancer) != (&run.source, &run.balancer);
        if !run.as_expected() || arguments.transcript || (evidence && first && pretty::is_notable(run)) {
            writeln!(out, "{}", pretty::details(run, &replay(run), arguments.transcript))?;
            arguments.diagram.write_below(&mut out, run)?;
        } else if evidence && first {
            arguments.diagram.write_below(&mut out, run)?;
        }
    }
    if !runs.is_empty() {
        let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let balancers: BTreeSet<String> = runs.iter().map(|run| run.balancer.to_string()).collect();
        if balancers.len() <= FEW_BALANCERS {
            writeln!(out, "{}{}", pretty::table(runs, color), pretty::legend(runs, &replay))?;
        } else {
            // Without a row, all that there is has been told of above.
            if !matrix.rows().is_empty() {
                writeln!(out, "{}", matrix.text(color))?;
            }
            if arguments.paths.is_empty() {
                writeln!(
                    out,
                    "Scenarios whose servers are not IIS, or an IIS that is set up wrong (groups acceptor, hostile, setup), are judged, and not in the table."
                )?;
            }
            writeln!(out, "{}", pretty::count(runs))?;
        }
    }
    if let Some(note) = target::not_applicable(runs) {
        writeln!(out, "{note}")?;
    }
    for (balancer, summary) in summaries.iter() {
        writeln!(out, "{}: {}", escape::line(balancer), summary.sentence(arguments.repeat.get()))?;
    }
    Ok(())
}
