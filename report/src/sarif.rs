//! SARIF 2.1.0: findings with their places in files, as code-scanning services and editors read them
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

/// What was found in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// What findings refer to. Those that no finding refers to are left out.
    pub rules: Vec<Rule>,
    /// What was found, in order.
    pub findings: Vec<Finding>,
    /// What kept the tool from its work. Where there is any, the log says that the tool did not succeed.
    pub errors: Vec<Notice>,
    /// What else is to be said: for example, that too little was seen.
    pub warnings: Vec<Notice>,
}

/// What a finding is an example of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its id: that of a requirement, or a name of its own.
    pub id: String,
    /// What it demands, in a sentence.
    pub text: String,
    /// What its violation means and what cures it, in paragraphs.
    pub help: String,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The id of its rule.
    pub rule: String,
    /// How bad it is.
    pub level: Level,
    /// What was found, in lines.
    pub message: String,
    /// Where. The first place is the one that is shown, and the others explain it.
    pub places: Vec<Place>,
    /// What would cure it.
    pub fixes: Vec<Change>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A MUST is violated, or something is wrong.
    Error,
    /// Something may be wrong.
    Warning,
}

/// A change of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it does, in a sentence.
    pub title: String,
    /// The lines of files that are replaced.
    pub edits: Vec<Edit>,
}

/// Lines of a file that are replaced by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub file: String,
    /// The first line that is replaced, from 1.
    pub first: usize,
    /// The number of lines that are replaced; 0 where lines are only inserted, before the first.
    pub count: usize,
    /// What takes their place, with a line end after each line.
    pub text: String,
}

/// Something about the tool's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What is to be said.
    pub message: String,
    /// The place, where it is about one.
    pub place: Option<Place>,
}

impl Log {
    /// Returns the document, as a tool of this version writes it.
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
    // A place is related to something by its id.
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
    // From the beginning of the first line to that of the one after the last.
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

/// Returns a file by its URI, which is relative where its path is (RFC 3986).
fn artifact(path: &str) -> ArtifactLocation {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    // A first part with a colon would be taken for a scheme.
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
