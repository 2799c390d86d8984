//! A comparison as a page.

use stickler_catalogue::profiles;
use stickler_model::escape;
use stickler_oracle::Requirement;
use stickler_report::matrix::Subject;
use stickler_report::page::{Fact, Mark, Page, Sort, Told};
use stickler_runner::compare::{Cell, Rate};

use super::{Compared, Comparison, Scenario, Verdict, show};
use crate::args;
use crate::jobs;

/// Returns the page of a comparison: a row for each profile that was compared with its product.
pub(super) fn page(comparison: &Comparison, arguments: &args::Compare) -> Page {
    let Comparison { compared, missing } = comparison;
    let mut files = String::new();
    for file in &arguments.profile {
        files.push_str(" --profile ");
        files.push_str(&jobs::quoted(&file.display().to_string()));
    }
    let told = compared.iter().enumerate().flat_map(|(row, one)| {
        let command = format!("stickler compare {}{files}", one.profile);
        one.scenarios.iter().flat_map(move |scenario| told(row, scenario, &command))
    });
    let told: Vec<Told> = told.collect();
    let count = |mark| told.iter().filter(|told| told.mark == mark).count();
    let fact = |count, of, text: &str, is_bad| Fact { count, of, text: text.to_owned(), is_bad };
    let facts = vec![
        fact(count(Mark::Violated), told.len(), "verdicts differ", true),
        fact(count(Mark::Partly), told.len(), "verdicts differ and are explained", false),
        fact(compared.len(), compared.len() + missing.len(), "profiles were compared with their products", false),
    ];
    let subjects: Vec<Subject> = compared.iter().map(subject).collect();
    let again = |subject: &Subject| format!("stickler compare {}{files}", subject.name);
    let page = Page {
        sort: Sort::Comparison,
        title: "Profiles compared with their products".to_owned(),
        lead: vec![
            "The same scenarios over each profile in the simulation, and over the product itself on real sockets. A verdict differs where \
             the real rate of violations is, with 99% confidence, further than a tenth from the simulated one."
                .to_owned(),
        ],
        facts,
        notes: std::iter::once(trials(arguments)).chain(notes(comparison)).collect(),
        caption: "Profiles, and whether their products behave in the same way, by requirement".to_owned(),
        ..Page::default()
    };
    page.with_told(&subjects, told, &again)
}

fn subject(compared: &Compared) -> Subject {
    let product = escape::line(&compared.product.to_string()).into_owned();
    match profiles().iter().find(|profile| profile.name == compared.profile) {
        Some(profile) => Subject {
            name: profile.name.clone(),
            product: profile.product.clone(),
            config: format!("{} ({product})", profile.config),
        },
        None => Subject { name: compared.profile.clone(), product: String::new(), config: product },
    }
}

fn told(row: usize, scenario: &Scenario, command: &str) -> Vec<Told> {
    let told = scenario.cells.iter().map(|judged| {
        let (mark, reason) = match judged.verdict {
            Verdict::Equal => (Mark::Kept, None),
            Verdict::Explained(exception) => (Mark::Partly, Some(exception.reason.clone())),
            Verdict::Differs | Verdict::Expired(_) | Verdict::Needless(_) => (Mark::Violated, None),
        };
        let shown = judged.shown.as_ref();
        let lines = shown.map_or_else(Vec::new, |shown| {
            let seed = if shown.arm == "simulated" { format!(", seed {}", shown.seed) } else { String::new() };
            let head =
                format!("A {} run that violates {}{seed}: {}", shown.arm, judged.cell.requirement, shown.summary);
            std::iter::once(head).chain(shown.lines.iter().map(|line| format!("    {line}"))).collect()
        });
        Told {
            row,
            requirement: judged.cell.requirement,
            mark,
            summary: show::sentence(judged),
            place: scenario.name.clone(),
            lines,
            diagram: shown.and_then(|shown| shown.diagram.clone()),
            reason,
            replay: format!("{command} --scenario {}", scenario.name),
        }
    });
    told.collect()
}

/// Returns the number of runs of each scenario, and what so few of them cannot show.
fn trials(arguments: &args::Compare) -> String {
    let (seeds, trials) = (arguments.seeds.get(), arguments.trials.get());
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let made =
        format!("Each scenario was run {} in the simulation and {} over the product.", times(seeds), times(trials));
    let cell = |simulated, real| Cell {
        requirement: Requirement::Id1,
        simulated: Rate { violated: simulated, trials: 1 },
        real: Rate { violated: real, trials },
    };
    let least = (1..=trials).find(|&violated| cell(0, violated).differs());
    match least {
        None => format!("{made} So few runs over the product cannot show any difference; --trials makes more."),
        Some(least) => format!(
            "{made} If the simulation never violates a requirement, the product has to violate it in {least} of {trials} runs before that \
             counts as a difference; --trials makes more runs, which show smaller differences."
        ),
    }
}

/// Returns the notes of the page: the profiles and scenarios that could not be compared, with the reasons.
fn notes(comparison: &Comparison) -> Vec<String> {
    let missing = comparison.missing.iter().map(|(profile, why)| format!("{profile}: not compared: {why}"));
    let skipped = comparison.compared.iter().filter_map(|compared| {
        let left_out = compared.scenarios.iter().filter_map(|scenario| scenario.not_compared.as_deref());
        let first = left_out.clone().next()?;
        let (count, profile) = (left_out.count(), &compared.profile);
        let scenarios = if count == 1 { "1 scenario is".to_owned() } else { format!("{count} scenarios are") };
        Some(format!("{profile}: {scenarios} not compared: {first}"))
    });
    missing.chain(skipped).collect()
}
