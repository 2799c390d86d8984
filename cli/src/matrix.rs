//! Product by requirement, measured.

use std::io::{self, IsTerminal as _, Write as _};

use stickler_lb_core::{Mechanism, Profile, mechanisms};
use stickler_report::matrix::{Matrix, Subject};

use crate::Failure;
use crate::args::{self, TableFormat};
use crate::balancers;
use crate::jobs::{self, Done};

pub(crate) fn matrix(arguments: &args::Matrix) -> Result<(), Failure> {
    let (subjects, balancers) = subjects(arguments)?.into_iter().unzip::<_, _, Vec<_>, Vec<Mechanism>>();
    let mut cases = jobs::cases(&[])?;
    cases.retain(|case| case.group.accepts.is_some());
    let jobs = jobs::all(&cases, &balancers, arguments.seed, arguments.repeat.get());
    let matrices = jobs::perform(&jobs, arguments.jobs, |job, done| match done {
        Done::Broken { error, context } => Err((error, context)),
        // Only what the table needs is kept, not a trace for each run.
        Done::Report(report) => {
            let index = balancers.iter().position(|balancer| balancer.name == job.balancer.name).unwrap_or_default();
            let mut one = Matrix::default();
            if let Some(takes) = job.case.group.accepts {
                let about = (report.scenario.as_str(), takes);
                one.add(&subjects[index], about, &report.trace, &report.verdicts, &report.replay);
            }
            Ok(one)
        }
    });
    let mut matrix = Matrix::with_rows(&subjects);
    let mut broken = Vec::new();
    for one in matrices {
        match one {
            Ok(one) => matrix.merge(one),
            Err(error) => broken.push(error),
        }
    }
    jobs::broken(broken)?;
    show(&matrix, arguments.format)
}

fn subjects(arguments: &args::Matrix) -> Result<Vec<(Subject, Mechanism)>, Failure> {
    if arguments.mechanisms {
        let subject = |mechanism: &Mechanism| Subject {
            name: mechanism.name.into(),
            product: mechanism.id.unwrap_or_default().into(),
            config: mechanism.summary.into(),
        };
        return Ok(mechanisms().iter().map(|mechanism| (subject(mechanism), mechanism.clone())).collect());
    }
    let own = balancers::own_profiles(&arguments.profile)?;
    let named = own.is_empty() || !arguments.profiles.is_empty();
    let shipped = if named { balancers::profiles_like(&arguments.profiles)? } else { Vec::new() };
    let subject = |profile: &Profile| Subject {
        name: profile.name.into(),
        product: profile.product.clone(),
        config: profile.config.clone(),
    };
    Ok(shipped.into_iter().chain(&own).map(|profile| (subject(profile), profile.mechanism())).collect())
}

fn show(matrix: &Matrix, format: TableFormat) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = match format {
        TableFormat::Pretty => matrix.text(color),
        TableFormat::Markdown => matrix.markdown(),
        TableFormat::Json => matrix.json(),
        TableFormat::Html => matrix.html(),
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}
