//! The summary of the suite: each requirement once, instead of every scenario with all of its evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stickler_oracle::{Grade, Requirement};

use crate::outcome::{Judged, Outcome};

/// The maximum number of names of scenarios that are listed; the rest are counted.
const MOST_NAMES: usize = 8;

/// The amount of evidence that the summary shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// One example for each requirement that is not kept.
    Short,
    /// All the evidence of each scenario that did not end as it should, followed by the same examples.
    Evidence,
}

/// Returns the summary of these outcomes, which is empty if there are none. `ignored` is the number of scenarios that
/// this build cannot play.
pub(crate) fn summary(outcomes: &[Outcome], ignored: usize, length: Length) -> String {
    let mut text = String::new();
    if outcomes.is_empty() {
        return text;
    }
    if length == Length::Evidence {
        for outcome in outcomes {
            text.push_str(&outcome.details);
        }
    }
    // The evidence of a single scenario has already been shown completely.
    if outcomes.len() > 1 || (length == Length::Short && !outcomes[0].sound) {
        for requirement in Requirement::all() {
            text.push_str(&not_kept(outcomes, requirement, Grade::Violated));
            text.push_str(&not_kept(outcomes, requirement, Grade::NonStrict));
        }
        text.push_str(&stopped(outcomes));
        text.push_str(&scripts(outcomes));
        text.push_str(&missed(outcomes));
    }
    if outcomes.len() > 1 {
        text.push_str(&requirements(outcomes));
        if ignored > 0 {
            let _ = writeln!(
                text,
                "{} need the feature `scripts` of stickler-conformance, and so do the scripts' own expectations",
                scenarios(ignored)
            );
        }
    }
    text
}

/// Returns the scenarios in which a requirement got this grade, with an example. The result is empty if there are none.
fn not_kept(outcomes: &[Outcome], requirement: Requirement, grade: Grade) -> String {
    let mut text = String::new();
    let found = |outcome: &Outcome| outcome.graded(grade).any(|judged| judged.requirement == requirement);
    let all: Vec<&Outcome> = outcomes.iter().filter(|outcome| found(outcome)).collect();
    let Some(first) = all.first() else { return text };
    let verb = if grade == Grade::Violated { "violated" } else { "not followed (SHOULD)" };
    let _ = writeln!(
        text,
        "\n{requirement} is {verb} in {}: {} [{}]",
        names(&all),
        requirement.text(),
        requirement.source()
    );
    let of_it = first.graded(grade).find(|judged| judged.requirement == requirement);
    if let Some(Judged { example: Some(example), times, exercised, .. }) = of_it {
        let _ = writeln!(text, "  for example in {} ({} of {exercised}):", first.name, self::times(*times));
        indented(&mut text, example);
        let _ = writeln!(text, "  all of it: {}", first.replay);
    }
    text
}

/// Returns the scenarios that did not come to their end, with an example.
fn stopped(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let all: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.stopped.is_some()).collect();
    let Some(first) = all.first() else { return text };
    let _ = writeln!(text, "\nNot played to the end: {}", names(&all));
    let _ = writeln!(text, "  for example {}:", first.name);
    indented(&mut text, first.stopped.as_deref().unwrap_or_default());
    let _ = writeln!(text, "  alone: {}", first.replay);
    text
}

/// Returns the scenarios in which the scripts' own expectations do not hold.
fn scripts(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let failed: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| !outcome.sound && !outcome.failures.is_empty()).collect();
    let Some(first) = failed.first() else { return text };
    let _ = writeln!(text, "\nWhat a script expects does not hold in {}", names(&failed));
    let _ = writeln!(text, "  for example in {} (the first of {}):", first.name, first.failures.len());
    indented(&mut text, first.failures.first().map_or("", String::as_str));
    let _ = writeln!(text, "  all of it: {}", first.replay);
    text
}

/// Returns the requirements that were not put to the test although they had to be.
fn missed(outcomes: &[Outcome]) -> String {
    let mut by_text: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        for missed in &outcome.missed {
            by_text.entry(missed).or_default().push(outcome);
        }
    }
    by_text.iter().fold(String::new(), |text, (missed, found)| text + &format!("\n{missed}, in {}\n", names(found)))
}

/// Returns one line for each requirement, and the number of scenarios that ended as they must.
fn requirements(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\nrequirements:\n");
    for requirement in Requirement::all() {
        let judged = || outcomes.iter().flat_map(|outcome| &outcome.judged).filter(|it| it.requirement == requirement);
        let exercised: usize = judged().map(|judged| judged.exercised).sum();
        let with = |grade| judged().filter(|judged| judged.grade == grade).count();
        let found = match (with(Grade::Violated), with(Grade::NonStrict), exercised) {
            (0, 0, 0) => "not put to the test".to_owned(),
            (0, 0, _) => format!("kept, put to the test {}", times(exercised)),
            (0, departures, _) => format!("not followed in {}, which is allowed", scenarios(departures)),
            (violated, ..) => format!("VIOLATED in {}", scenarios(violated)),
        };
        let _ = writeln!(text, "  {requirement}  {found}");
    }
    let unsound = outcomes.iter().filter(|outcome| !outcome.sound).count();
    let played = scenarios(outcomes.len());
    let _ = match unsound {
        0 => writeln!(text, "\n{played}, all as they have to be"),
        _ => writeln!(text, "\n{played}, {unsound} not as they have to be; `STICKLER_EVIDENCE=1` shows all evidence"),
    };
    text
}

fn scenarios(count: usize) -> String {
    format!("{count} scenario{}", if count == 1 { "" } else { "s" })
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Returns the names of these scenarios, or of the first of them if there are too many.
fn names(outcomes: &[&Outcome]) -> String {
    let names: Vec<&str> = outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
    match names.get(..MOST_NAMES) {
        Some(first) if names.len() > MOST_NAMES => {
            format!("{}, and {} more", first.join(", "), scenarios(names.len() - MOST_NAMES))
        }
        _ => names.join(", "),
    }
}

fn indented(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "    {line}");
    }
}
