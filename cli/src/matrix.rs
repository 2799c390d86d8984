//! Product by requirement, measured.

use std::io::{self, Write as _};
use std::sync::atomic::Ordering;

use stickler_catalogue::{Mechanism, Profile, mechanisms};
use stickler_model::BalancerSpec;
use stickler_report::matrix::{Matrix, Subject};
use stickler_runner::Run;

use crate::Failure;
use crate::args::{self, TableFormat};
use crate::balancers;
use crate::jobs;
use crate::output::Reports;
use crate::{interrupt, selection, terminal};

pub(crate) fn matrix(arguments: &args::Matrix) -> Result<(), Failure> {
    let mut reports = Reports::open("matrix", &arguments.report, arguments.format == TableFormat::Json)?;
    match measure(arguments) {
        Ok((matrix, interrupted)) => {
            let shown = if reports.takes_stdout() { Ok(()) } else { show(&matrix, arguments.format) };
            let missing = interrupted.then_some("the command was interrupted");
            reports.finish(missing, &matrix).and(shown)?;
            if interrupted { Err(Failure::Interrupted) } else { Ok(()) }
        }
        Err(failure) => {
            reports.add_failure(&failure);
            reports.finish(Some("not everything was measured"), &Matrix::default())?;
            Err(failure)
        }
    }
}

/// Makes the runs, and returns the table of them, and whether somebody ended that before its time.
fn measure(arguments: &args::Matrix) -> Result<(Matrix, bool), Failure> {
    let (subjects, balancers) = subjects(arguments)?.into_iter().unzip::<_, _, Vec<_>, Vec<BalancerSpec>>();
    #[cfg(unix)]
    if arguments.arm == args::Arm::Wire {
        crate::namespace::enter_for(&balancers);
    }
    let mut cases = selection::cases(&arguments.scenario, &arguments.selection)?;
    cases.retain(|case| case.group.accepts.is_some());
    if cases.is_empty() {
        let message = "these scenarios have no place in the table: it is about balancers in front of IIS";
        return Err(Failure::Nothing(message.into()));
    }
    let jobs = jobs::all(&cases, &balancers, arguments.seed, arguments.repeat.get())?;
    let replay = |run: &Run| jobs::replay(run, arguments.arm, &arguments.profile);
    let over = interrupt::listen()?;
    // Only what the table needs is kept, not a trace for each run.
    let done = jobs::perform(&jobs, arguments.arm, arguments.jobs, &over, |job, run| {
        let index = balancers.iter().position(|balancer| balancer == job.balancer).unwrap_or_default();
        let mut one = Matrix::default();
        if let Some(takes) = job.case.group.accepts {
            one.add(&subjects[index], takes, &run, &replay(&run));
        }
        (one, run.error().is_some().then_some(run))
    })?;
    let mut matrix = Matrix::with_rows(&subjects);
    let mut failed = Vec::new();
    for (one, run) in done {
        matrix.merge(one);
        failed.extend(run);
    }
    jobs::failed(&failed, &replay)?;
    Ok((matrix, over.load(Ordering::Relaxed)))
}

fn subjects(arguments: &args::Matrix) -> Result<Vec<(Subject, BalancerSpec)>, Failure> {
    if arguments.mechanisms {
        let subject = |mechanism: &Mechanism| Subject {
            name: mechanism.name.to_string(),
            product: mechanism.id.as_deref().unwrap_or_default().into(),
            config: mechanism.summary.to_string(),
        };
        return Ok(mechanisms().iter().map(|mechanism| (subject(mechanism), mechanism.spec())).collect());
    }
    let own = balancers::own_profiles(&arguments.profile)?;
    let named = own.is_empty() || !arguments.profiles.is_empty();
    let shipped = if named { balancers::profiles_like(&arguments.profiles)? } else { Vec::new() };
    let subject = |profile: &Profile| Subject {
        name: profile.name.clone(),
        product: profile.product.clone(),
        config: profile.config.clone(),
    };
    Ok(shipped.into_iter().chain(&own).map(|profile| (subject(profile), profile.spec())).collect())
}

fn show(matrix: &Matrix, format: TableFormat) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let color = terminal::has_color();
    let text = match format {
        TableFormat::Pretty => matrix.text(color),
        TableFormat::Markdown => matrix.markdown(),
        TableFormat::Html => matrix.html(),
        // A report has been written there.
        TableFormat::Json => return Ok(()),
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}
