//! The schemas of what is written as JSON, and mirrors of types of other crates, which know no schemas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// Returns the JSON Schema (2020-12) of what is written of a type, with a line end.
pub fn schema_of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// `HS-1` and so on.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Requirement(#[schemars(regex(pattern = "^[A-Z]{2}-[1-9][0-9]*$"))] String);

/// What became of a requirement.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it is a schema alone")]
pub(crate) enum Grade {
    /// Nothing put it to the test.
    NotExercised,
    /// It does not concern this site or this balancer.
    NotApplicable,
    /// It was put to the test and kept.
    Ok,
    /// A SHOULD was not followed.
    NonStrict,
    /// A MUST was broken.
    Violated,
}

/// What may be said of the identity of users.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) enum Conclusion {
    /// Users were mixed up.
    Leaks,
    /// They were not, in so many requests that a rare leak would have shown.
    Clean,
    /// They were not, in few requests.
    Inconclusive,
}

/// Something to say about a place in a text file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Diagnostic {
    /// The file's path as it was given.
    file: String,
    /// The line, from 1.
    line: usize,
    /// The column in characters, from 1.
    column: usize,
    /// How many characters of the line are meant.
    width: usize,
    /// The line itself.
    line_text: String,
    /// What is wrong.
    message: String,
    /// The value that was found there.
    actual: Option<String>,
}

/// Something that went wrong, and who is at fault.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Evidence {
    /// Who is at fault. Only what is the balancer's fault is a violation.
    fault: Party,
    /// The kind of failure.
    failure: String,
    /// The requests that failed.
    about: Vec<Cited>,
    /// The violation in one sentence.
    summary: String,
    /// The events that prove it, as indices into the events of the trace.
    events: Vec<usize>,
}

/// Who is at fault.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it is a schema alone")]
enum Party {
    Balancer,
    Server,
    SiteSetUp,
    Client,
    Script,
    InjectedFault,
    Undetermined,
}

/// A request that a piece of evidence is about.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
enum Cited {
    /// A request that a client started.
    Request {
        /// The client.
        client: String,
        /// The id of its request.
        id: u64,
    },
    /// Bytes that a client sent as they are.
    Raw {
        /// The client.
        client: String,
        /// The place of the action among the steps of the plan, from 0.
        step: usize,
    },
}

/// What a run cost.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Effort {
    /// The cost of everything.
    total: Cost,
    /// The cost of each request, by its id.
    by_request: BTreeMap<String, Cost>,
}

/// Counts of operations.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a schema alone")]
struct Cost {
    /// HTTP requests that clients sent.
    http_requests: u32,
    /// Tickets that servers checked.
    ticket_checks: u32,
    /// Logons that the DC decided.
    logons: u32,
    /// Requests for tickets that the DC answered.
    dc_tickets: u32,
}
