//! Renders findings with their places in files as SARIF 2.1.0, for code-scanning services and editors
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_sarif::sarif::{
    ArtifactChange, ArtifactContent, ArtifactLocation, Fix, Invocation, Location, Message, MultiformatMessageString,
    Notification, PhysicalLocation, Region, Replacement, ReportingDescriptor, ResultLevel, Run, Sarif, Tool,
    ToolComponent,
};
use stickler_model::escape;

use crate::json;
use crate::test_case::Place;

/// The findings of a tool in files, as one SARIF log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The rules to which findings refer. A rule without a finding is left out.
    pub rules: Vec<Rule>,
    /// The findings, in order.
    pub findings: Vec<Finding>,
    /// The errors that prevented the tool from doing its work. If there is one, the log says that the tool did not
    /// succeed.
    pub errors: Vec<Notice>,
    /// Further remarks about the tool's work, such as a warning that too little was observed.
    pub warnings: Vec<Notice>,
}

/// A rule, of which a finding shows a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The id of the rule: the id of a requirement, or a name of its own.
    pub id: String,
    /// The demand of the rule, in one sentence.
    pub text: String,
    /// The consequences of a violation and its cures, in paragraphs.
    pub help: String,
}

/// A violation of a rule at some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The id of its rule.
    pub rule: String,
    /// The severity of the finding.
    pub level: Level,
    /// The description of the finding, which may have several lines.
    pub message: String,
    /// The places of the finding. The first place is the one that viewers show, and the others explain it.
    pub places: Vec<Place>,
    /// The changes that would cure the finding.
    pub fixes: Vec<Change>,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A violation of a MUST, or a definite mistake.
    Error,
    /// A possible mistake.
    Warning,
}

/// A change of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The effect of the change, in one sentence.
    pub title: String,
    /// The replacements of lines that make up the change.
    pub edits: Vec<Edit>,
}

/// A replacement of some lines of a file by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The path of the file.
    pub file: String,
    /// The number of the first line that is replaced, counted from 1.
    pub first: usize,
    /// The number of lines that are replaced; 0 if the new lines are only inserted before the first line.
    pub count: usize,
    /// The new lines, each with a line end.
    pub text: String,
}

/// A remark about the tool's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The text of the remark.
    pub message: String,
    /// The place that the remark is about, if it is about a place.
    pub place: Option<Place>,
}

impl Log {
    /// Returns the document. `version` is the version of the tool that the document names.
    pub fn document(&self, version: &str) -> String {
        let used: BTreeSet<&str> = self.findings.iter().map(|finding| &*finding.rule).collect();
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| used.contains(&*rule.id)).collect();
        let driver = ToolComponent::builder()
            .name("Stickler")
            .version(version)
            .rules(rules.iter().map(|rule| of_rule(rule)).collect::<Vec<_>>())
            .build();
        let results: Vec<_> = self.findings.iter().map(|finding| of_finding(finding, &rules)).collect();
        let mut notices: Vec<Notification> = self.errors.iter().map(|notice| of_notice(notice, "error")).collect();
        notices.extend(self.warnings.iter().map(|notice| of_notice(notice, "warning")));
        let invocation = Invocation::builder()
            .execution_successful(self.errors.is_empty())
            .tool_execution_notifications(notices)
            .build();
        let run = Run::builder()
            .tool(Tool::builder().driver(driver).build())
            .invocations(vec![invocation])
            .results(results)
            // The unit of all columns of a [`Place`].
            .column_kind("unicodeCodePoints")
            .build();
        let log = Sarif::builder()
            .schema("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json")
            .version("2.1.0")
            .runs(vec![run])
            .build();
        json::to_text(&log) + "\n"
    }
}

fn of_rule(Rule { id, text, help }: &Rule) -> ReportingDescriptor {
    let string = |text: &str| MultiformatMessageString::builder().text(escape::lines(text)).build();
    ReportingDescriptor::builder()
        .id(id)
        .short_description(string(text))
        .full_description(string(text))
        .help(string(help))
        .build()
}

fn of_finding(finding: &Finding, rules: &[&Rule]) -> serde_sarif::sarif::Result {
    let index = rules.iter().position(|rule| rule.id == finding.rule);
    let mut places = finding.places.iter().map(location);
    let level = match finding.level {
        Level::Error => ResultLevel::Error,
        Level::Warning => ResultLevel::Warning,
    };
    let mut result = serde_sarif::sarif::Result::builder()
        .rule_id(&finding.rule)
        .message(message(&finding.message))
        .level(level)
        .locations(places.next().into_iter().collect::<Vec<_>>())
        .build();
    let (related, fixes): (Vec<Location>, Vec<Fix>) = (places.collect(), finding.fixes.iter().map(fix).collect());
    // Other parts of the log refer to a related place by its id.
    let number = |(id, place)| Location { id: i64::try_from(id).ok(), ..place };
    result.rule_index = index.and_then(|index| i64::try_from(index).ok());
    result.related_locations =
        Some(related.into_iter().enumerate().map(number).collect()).filter(|all: &Vec<_>| !all.is_empty());
    result.fixes = Some(fixes).filter(|all| !all.is_empty());
    result
}

fn of_notice(notice: &Notice, level: &str) -> Notification {
    let locations: Vec<Location> = notice.place.iter().map(location).collect();
    let built = Notification::builder().message(message(&notice.message)).level(level);
    if locations.is_empty() { built.build() } else { built.locations(locations).build() }
}

fn message(text: &str) -> Message {
    Message::builder().text(escape::lines(text)).build()
}

fn location(place: &Place) -> Location {
    let mut physical = PhysicalLocation::builder().artifact_location(artifact(&place.file)).build();
    physical.region = place.line.map(|line| {
        let mut region = Region::builder().start_line(number(line)).build();
        region.start_column = place.column.map(number);
        region.end_line = place.end_line.map(number);
        region.end_column = place.end_column.map(number);
        region
    });
    Location::builder().physical_location(physical).build()
}

fn fix(Change { title, edits }: &Change) -> Fix {
    let mut files: Vec<&str> = edits.iter().map(|edit| &*edit.file).collect();
    files.dedup();
    let of_file = |file: &str| {
        let edits = edits.iter().filter(|edit| edit.file == file);
        let replacements: Vec<Replacement> = edits.map(replacement).collect();
        ArtifactChange::builder().artifact_location(artifact(file)).replacements(replacements).build()
    };
    let changes: Vec<ArtifactChange> = files.into_iter().map(of_file).collect();
    Fix::builder().description(message(title)).artifact_changes(changes).build()
}

fn replacement(Edit { first, count, text, .. }: &Edit) -> Replacement {
    // The region extends from the beginning of the first line to the beginning of the line after the last one.
    let deleted = Region::builder()
        .start_line(number(*first))
        .start_column(1_i64)
        .end_line(number(first + count))
        .end_column(1_i64)
        .build();
    let inserted = ArtifactContent::builder().text(text).build();
    Replacement::builder().deleted_region(deleted).inserted_content(inserted).build()
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the location of a file as a URI, which is relative if the path is relative (RFC 3986).
fn artifact(path: &str) -> ArtifactLocation {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    // A first path segment with a colon would be read as a scheme.
    if path.split('/').next().is_some_and(|first| first.contains(':')) {
        uri.push_str("./");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    ArtifactLocation::builder().uri(uri).build()
}
