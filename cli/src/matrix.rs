//! `stickler matrix`: measures the table of balancers by requirement.

use std::io::{self, Write as _};

use stickler_catalogue::{Mechanism, Profile, mechanisms};
use stickler_model::BalancerSpec;
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::missing::Missing;
use stickler_report::page::{About, Grades, Page};
use stickler_runner::Run;
use stickler_scenarios::Case;

use crate::args::{self, TableFormat};
use crate::jobs::Job;
use crate::output::Reports;
use crate::{Failure, balancers, interrupt, jobs, page, selection, terminal};

pub(crate) fn matrix(arguments: &args::Matrix) -> Result<(), Failure> {
    let mut reports = Reports::open("matrix", &arguments.report, arguments.format == TableFormat::Json)?;
    match measure(arguments) {
        Ok(measured) => {
            let shown = if reports.takes_stdout() { Ok(()) } else { show(&measured, arguments) };
            reports.write_pages(|| measured.page(arguments))?;
            let missing = measured.missing.as_ref().map(Missing::to_string);
            reports.finish(missing.as_deref(), &measured.matrix).and(shown)?;
            match missing {
                None => Ok(()),
                Some(message) => {
                    let _ = writeln!(io::stderr(), "stickler: {message}");
                    Err(Failure::Interrupted)
                }
            }
        }
        Err(failure) => {
            reports.add_failure(&failure);
            reports.finish(Some("not everything was measured"), &Matrix::default())?;
            Err(failure)
        }
    }
}

/// The table, and the data from which it was made.
struct Measured {
    matrix: Matrix,
    subjects: Vec<Subject>,
    /// The balancer of each subject.
    balancers: Vec<BalancerSpec>,
    cases: Vec<Case>,
    /// The verdicts of an earlier document, if one is given.
    earlier: Option<Grades>,
    /// The runs that were not made because the command was interrupted, if there are any.
    missing: Option<Missing>,
}

/// Makes the runs, and returns their table.
fn measure(arguments: &args::Matrix) -> Result<Measured, Failure> {
    let earlier = arguments.since.as_deref().map(|file| page::earlier(file, "matrix")).transpose()?;
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
    let jobs = jobs::all(&cases, &balancers, arguments.seeds.seed, arguments.seeds.repeat.get())?;
    let replay = |run: &Run| jobs::replay(run, arguments.arm, &arguments.profile);
    let over = interrupt::listen()?;
    // Only the data for the table is kept, without the traces.
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
    let missing = jobs.get(done.len()..).unwrap_or_default();
    for job in missing {
        let index = balancers.iter().position(|balancer| balancer == job.balancer).unwrap_or_default();
        matrix.leave_out(&subjects[index], 1);
    }
    let missing = Missing::of(jobs.len(), "the command was interrupted", true, missing.iter().map(Job::name).collect());
    for (one, run) in done {
        matrix.merge(one);
        failed.extend(run);
    }
    jobs::failed(&failed, &replay)?;
    Ok(Measured { matrix, subjects, balancers, cases, earlier, missing })
}

impl Measured {
    /// Returns the table as a page.
    fn page(&self, arguments: &args::Matrix) -> Page {
        let Self { matrix, subjects, balancers, cases, earlier, .. } = self;
        let again = |subject: &Subject| {
            let index = subjects.iter().position(|other| other == subject).unwrap_or_default();
            jobs::everything_over(&balancers[index], arguments.arm, &arguments.profile)
        };
        let about = About { title: page::title(matrix), place: page::place(arguments.arm), again: &again };
        let incomplete = self.missing.as_ref().map(|missing| format!("{missing}."));
        let mut page = Page { incomplete, ..matrix.page(&about) };
        if arguments.arm == args::Arm::Sim {
            page::illustrate(&mut page, cases, balancers);
        }
        match earlier {
            Some(earlier) => page.since(earlier, &Grades::of_matrix(matrix)),
            None => page,
        }
    }
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

fn show(measured: &Measured, arguments: &args::Matrix) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let color = terminal::has_color();
    let incomplete = measured.missing.as_ref().map(|missing| format!("INCOMPLETE: {missing}\n\n")).unwrap_or_default();
    let text = match arguments.format {
        TableFormat::Pretty => incomplete + &measured.matrix.text(color),
        TableFormat::Markdown => incomplete + &measured.matrix.markdown(),
        TableFormat::Html => measured.page(arguments).render(),
        // The JSON report has been written to standard output already.
        TableFormat::Json => return Ok(()),
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}
