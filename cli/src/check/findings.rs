//! The results of a check as findings in files, for SARIF.

use stickler_advisor::{Document, Remedy};
use stickler_catalogue::explanation::{Cure, Explanation};
use stickler_oracle::Requirement;
use stickler_report::sarif::{Change, Edit, Finding, Level, Log, Notice, Rule};
use stickler_report::test_case::Place;

use super::judge::Outcome;
use super::report::{Judgement, Report, SiteReport, Tried};

/// The id of the rule about lines that were not read although they may matter.
const UNREAD: &str = "unread-line";

/// The id of the rule about lines that are missing in the copy of the file that the product ran with, although the
/// verdict may depend on them.
const LEFT_OUT: &str = "line-left-out";

/// Returns the findings in the files of a check.
pub(super) fn of(report: &Report) -> Log {
    let mut log = Log { rules: rules(), ..Log::default() };
    for site in &report.sites {
        log.findings.extend(of_site(site));
        let judgement = site.judgement();
        if let Outcome::Inconclusive | Outcome::Nothing(_) = judgement.is {
            let message = match &judgement.is {
                Outcome::Nothing(why) => format!("{}: {why}", site.name),
                _ => format!("{}: {}", site.name, judgement.identity),
            };
            log.warnings.push(Notice { message, place: None });
        }
    }
    log
}

/// Returns the rules of a check: one for each requirement, and two for lines that a check cannot read or cannot run.
fn rules() -> Vec<Rule> {
    let of = |requirement: Requirement| {
        let help = stickler_catalogue::explanation(requirement.id()).map_or_else(String::new, help);
        Rule { id: requirement.to_string(), text: requirement.text().to_owned(), help }
    };
    let unread = Rule {
        id: UNREAD.to_owned(),
        text: "Every line that may matter for authentication is read".to_owned(),
        help: "Stickler does not know the effect of this line, which may decide as whom users are served. The simulation does not contain it."
            .to_owned(),
    };
    let left_out = Rule {
        id: LEFT_OUT.to_owned(),
        text: "The copy of the file that is run has every line on which the verdict may depend".to_owned(),
        help: "The product ran without this line, which cannot be part of a copy that is safe to run. The verdict applies to the rest of the file."
            .to_owned(),
    };
    Requirement::all().map(of).chain([unread, left_out]).collect()
}

/// Returns the help text of a rule: the meaning of a violation of its requirement, its symptoms in the logs of IIS, and
/// its cures.
fn help(Explanation { means, log, cures, .. }: &Explanation) -> String {
    let cures: Vec<String> = cures
        .iter()
        .map(|Cure { product, text, .. }| format!("- {}: {text}", product.as_deref().unwrap_or("whatever the product")))
        .collect();
    format!("{}\n\nIn the logs of IIS: {}\n\nWhat cures it:\n{}", means.text, log.text, cures.join("\n"))
}

/// Returns the findings about one site: each violated requirement with the lines that cause the violation, the lines
/// that were not read, and the relevant lines that are missing in the copy.
fn of_site(site: &SiteReport) -> Vec<Finding> {
    let reasons = site.mechanism.iter().filter_map(|reason| reason.at.clone());
    let is_known = |at: &Place| site.to_change.as_ref().is_some_and(|first| is_on_line(at, &first.file, first.line));
    let reasons = reasons.filter(|at| !is_known(at));
    let mut places: Vec<_> = site.to_change.iter().cloned().chain(reasons).collect();
    if places.is_empty() {
        // A value that no line of the file sets is the product's default. The first line that sets any value stands in
        // for it.
        places.extend(site.facts.first().map(|fact| fact.at.clone()));
    }
    let fixes: Vec<Change> =
        site.remedies.iter().filter(|tried| tried.cures && !tried.edits.is_empty()).map(change).collect();
    let violated = site.judgement().requirements.iter().filter(|requirement| requirement.violated > 0);
    let violated = violated.map(|requirement| Finding {
        rule: requirement.id.clone(),
        level: Level::Error,
        message: message(site, site.judgement(), &requirement.id),
        places: places.clone(),
        fixes: fixes.clone(),
    });
    let unread = site.unread.iter().map(|unread| Finding {
        rule: UNREAD.to_owned(),
        level: Level::Warning,
        message: format!("{}: {}: {}", site.name, unread.says, unread.why),
        places: vec![unread.at.clone()],
        fixes: Vec::new(),
    });
    let left_out = site.changes.iter().filter(|change| change.matters && site.real.is_some()).map(|change| Finding {
        rule: LEFT_OUT.to_owned(),
        level: Level::Warning,
        message: format!("{}: {}: {}", site.name, change.before, change.why),
        places: vec![change.at.clone()],
        fixes: Vec::new(),
    });
    violated.chain(unread).chain(left_out).collect()
}

/// Returns the message of a finding: the number of violations of a requirement, the evidence, and the lines that make
/// the site behave like this.
fn message(site: &SiteReport, judgement: &Judgement, id: &str) -> String {
    let Some(requirement) = judgement.requirements.iter().find(|requirement| requirement.id == id) else {
        return id.to_owned();
    };
    let who = if site.real.is_some() { "the real product" } else { "the simulation of what was read" };
    let (violated, tested) = (requirement.violated, requirement.tested);
    let mut lines =
        vec![format!("{}: {who} violates {id} in {violated} of {tested} runs: {}", site.name, requirement.text)];
    lines.extend(requirement.evidence.iter().cloned());
    lines.extend(site.mechanism.iter().map(|reason| match &reason.at {
        Some(at) => format!("{at}: {}", reason.says),
        None => reason.says.clone(),
    }));
    lines.join("\n")
}

fn change(tried: &Tried) -> Change {
    Change { title: tried.title.clone(), edits: tried.edits.clone() }
}

/// Returns whether a place begins on this line of a file.
fn is_on_line(at: &Place, file: &str, line: Option<usize>) -> bool {
    at.file == file && at.line == line
}

/// Returns the place of the first line that the best remedy of a site changes: the statement on it that was read, or
/// else the whole line without blanks around it. Returns `None` if there is no such remedy, or if it only adds lines.
pub(super) fn to_change(document: &dyn Document, site: usize, report: &SiteReport) -> Option<Place> {
    let files = document.remedies(site).into_iter().find_map(|remedy| match remedy {
        Remedy::Edit { files, .. } => Some(files),
        Remedy::Choice(_) => None,
    })?;
    let changed = |file| edits(file).into_iter().find(|edit| edit.count > 0).map(|edit| (file, edit.first));
    let (file, line) = files.iter().find_map(changed)?;
    let reasons = report.mechanism.iter().filter_map(|reason| reason.at.as_ref());
    let mut read = reasons.chain(report.facts.iter().map(|fact| &fact.at));
    let whole = || {
        let text = file.before.lines().nth(line - 1).unwrap_or_default();
        let column = 1 + text.chars().take_while(|c| c.is_whitespace()).count();
        let end = 1 + text.trim_end().chars().count();
        Place::of_range(file.path.clone(), (line, column), (line, end.max(column)))
    };
    Some(read.find(|at| is_on_line(at, &file.path, Some(line))).cloned().unwrap_or_else(whole))
}

/// Returns the edits that turn the file as it was into the changed one.
pub(super) fn edits(file: &stickler_advisor::Rewritten) -> Vec<Edit> {
    let replaced = stickler_advisor::replaced(&file.before, &file.after).into_iter();
    let edit = |one: stickler_advisor::Replaced| Edit {
        file: file.path.clone(),
        first: one.first,
        count: one.count,
        text: one.text,
    };
    replaced.map(edit).collect()
}
