//! Scripts over balancers, judged; what the exit code means.

use std::io::{self, IsTerminal as _, Write as _};

use stickler_lb_core::Profile;
use stickler_model::Trace;
use stickler_model::topology::Provider;
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::{RunReport, json, pretty};

use crate::args::{self, Format};
use crate::jobs::{self, Done};
use crate::{Failure, balancers};

/// Up to so many runs, each shows its evidence unasked.
const FEW_RUNS: usize = 64;

/// Up to so many balancers have a column each; more have a row.
const FEW_BALANCERS: usize = 6;

pub(crate) fn run(arguments: &args::Run) -> Result<(), Failure> {
    let own = balancers::own_profiles(&arguments.profile)?;
    // Profiles of one's own are run over alone, unless others are named beside them.
    let named = own.is_empty() || !arguments.balancer.is_empty();
    let mut balancers = if named { balancers::find(&arguments.balancer)? } else { Vec::new() };
    balancers.extend(own.iter().map(Profile::mechanism));
    let cases = jobs::cases(&arguments.paths)?;
    let jobs = jobs::all(&cases, &balancers, arguments.seed, arguments.repeat.get());
    if jobs.is_empty() {
        return Err(Failure::Nothing(
            "nothing to run: give a script, a folder, or the name of a shipped scenario".into(),
        ));
    }
    let evidence = arguments.evidence || arguments.transcript || jobs.len() <= FEW_RUNS;
    let all = evidence || arguments.format == Format::Json;
    // The table is about balancers in front of IIS, unless somebody asks for these very scenarios.
    let asked = !arguments.paths.is_empty();
    let done = jobs::perform(&jobs, arguments.jobs, |job, done| match done {
        Done::Broken { error, context } => Err((error, context)),
        Done::Report(report) => {
            let mut one = Matrix::default();
            let subject = Subject { name: report.balancer.clone(), product: String::new(), config: String::new() };
            if let Some(takes) = job.case.group.accepts.or(asked.then(|| offered(&report.trace))) {
                let about = (report.scenario.as_str(), takes);
                one.add(&subject, about, &report.trace, &report.verdicts, &report.replay);
            }
            let mut report = report;
            if !all && report.as_expected() {
                // Thousands of traces that nobody will look at would fill the memory.
                report.trace.events = Vec::new();
            }
            Ok((report, one))
        }
    });
    let (mut reports, mut matrix, mut broken) = (Vec::new(), Matrix::default(), Vec::new());
    for one in done {
        match one {
            Ok((report, one)) => {
                reports.push(*report);
                matrix.merge(one);
            }
            Err(error) => broken.push(error),
        }
    }
    show(&reports, &matrix, evidence, arguments)?;
    jobs::broken(broken)?;
    if reports.iter().all(RunReport::as_expected) { Ok(()) } else { Err(Failure::NotAsExpected) }
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

fn show(reports: &[RunReport], matrix: &Matrix, evidence: bool, arguments: &args::Run) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if arguments.format == Format::Json {
        writeln!(out, "{}", json::document(reports, arguments.transcript))?;
        return Ok(());
    }
    for (index, report) in reports.iter().enumerate() {
        // Of many seeds, the first tells what is expected; what is not expected is always told.
        let first = index == 0
            || (&reports[index - 1].scenario, &reports[index - 1].balancer) != (&report.scenario, &report.balancer);
        if !report.as_expected() || arguments.transcript || (evidence && first && pretty::is_notable(report)) {
            writeln!(out, "{}", pretty::details(report, arguments.transcript))?;
        }
    }
    if !reports.is_empty() {
        let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if matrix.rows().len() <= FEW_BALANCERS {
            writeln!(out, "{}{}", pretty::table(reports, color), pretty::legend(reports))?;
        } else {
            writeln!(out, "{}", matrix.text(color))?;
            if arguments.paths.is_empty() {
                writeln!(
                    out,
                    "Scenarios whose servers are not IIS, or an IIS that is set up wrong (groups acceptor, hostile, setup), are judged, and not in the table."
                )?;
            }
            writeln!(out, "{}", pretty::count(reports))?;
        }
    }
    Ok(())
}
