//! Product by requirement, measured.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use stickler_catalogue::{Mechanism, Profile, mechanisms};
use stickler_model::BalancerSpec;
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::page::{About, Grades, Page};
use stickler_runner::{Run, text_file};

use crate::Failure;
use crate::args::{self, TableFormat};
use crate::balancers;
use crate::jobs;

/// The longest earlier document, in bytes.
const MAX_EARLIER: u64 = 256 << 20;

pub(crate) fn matrix(arguments: &args::Matrix) -> Result<(), Failure> {
    let earlier = arguments.since.as_deref().map(earlier).transpose()?;
    let (subjects, balancers) = subjects(arguments)?.into_iter().unzip::<_, _, Vec<_>, Vec<BalancerSpec>>();
    #[cfg(unix)]
    if arguments.arm == args::Arm::Wire {
        crate::namespace::enter_for(&balancers);
    }
    let mut cases = jobs::cases(&[])?;
    cases.retain(|case| case.group.accepts.is_some());
    let jobs = jobs::all(&cases, &balancers, arguments.seed, arguments.repeat.get())?;
    let replay = |run: &Run| jobs::replay(run, arguments.arm, &arguments.profile);
    // Only what the table needs is kept, not a trace for each run.
    let done = jobs::perform(&jobs, arguments.arm, arguments.jobs, |job, run| {
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
    let again = |subject: &Subject| {
        let index = subjects.iter().position(|other| other == subject).unwrap_or_default();
        jobs::everything_over(&balancers[index], arguments.arm, &arguments.profile)
    };
    show(&matrix, arguments, earlier.as_ref(), &again)
}

/// The verdicts of an earlier JSON document.
fn earlier(file: &Path) -> Result<Grades, Failure> {
    let wrong = |why: String| Failure::Wrong(format!("{}: {why}", file.display()));
    let text = text_file::read(file, MAX_EARLIER).map_err(|error| wrong(error.to_string()))?;
    Grades::parse(&text).map_err(|why| wrong(format!("no JSON document of `stickler matrix`: {why}")))
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

fn show(
    matrix: &Matrix,
    arguments: &args::Matrix,
    earlier: Option<&Grades>,
    again: &dyn Fn(&Subject) -> String,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = match arguments.format {
        TableFormat::Pretty => matrix.text(color),
        TableFormat::Markdown => matrix.markdown(),
        TableFormat::Json => matrix.json(),
        TableFormat::Html => page(matrix, arguments, earlier, again).render(),
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}

fn page(
    matrix: &Matrix,
    arguments: &args::Matrix,
    earlier: Option<&Grades>,
    again: &dyn Fn(&Subject) -> String,
) -> Page {
    let title = match matrix.rows() {
        [one] => format!("{} and Windows authentication", one.subject.name),
        rows => format!("{} load balancers and Windows authentication", rows.len()),
    };
    let place = match arguments.arm {
        args::Arm::Sim => "in a simulated network",
        args::Arm::Wire => "on real sockets, over the product itself where it can be started,",
    };
    let page = matrix.page(&About { title, place, again });
    match earlier {
        Some(earlier) => page.since(earlier, &Grades::of_matrix(matrix)),
        None => page,
    }
}
