//! Generates the schemas of the JSON output, and contains mirrors of the types of other crates that have no schemas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// Returns the JSON Schema (2020-12) of the output of a type, followed by a line end.
pub fn schema_of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// The id of a requirement, such as `HS-1`.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Requirement(#[schemars(regex(pattern = "^[A-Z]{2}-[1-9][0-9]*$"))] String);

/// The grade of a requirement.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it is a schema alone")]
pub(crate) enum Grade {
    /// A requirement that nothing put to the test.
    NotExercised,
    /// A requirement that does not concern this site or this balancer.
    NotApplicable,
    /// A requirement that was put to the test and kept.
    Ok,
    /// A SHOULD that was not followed.
    NonStrict,
    /// A MUST that was violated.
    Violated,
}

/// The conclusion about the identity of users.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) enum Conclusion {
    /// An identity leak was found: users were mixed up.
    Leaks,
    /// No identity leak was found, with enough requests to show a rare leak.
    Clean,
    /// No identity leak was found, but there were too few requests to show a rare leak.
    Inconclusive,
}

/// A message about a place in a text file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Diagnostic {
    /// The path of the file as the user gave it.
    file: String,
    /// The number of the line, counted from 1.
    line: usize,
    /// The column in characters, counted from 1.
    column: usize,
    /// The number of characters of the line to which the message refers.
    width: usize,
    /// The text of the line.
    line_text: String,
    /// The description of the problem.
    message: String,
    /// The value that was found at the place.
    actual: Option<String>,
}

/// The description of a failure, with the party at fault.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Evidence {
    /// The party at fault. Only a fault of the balancer is a violation.
    fault: Party,
    /// The kind of failure.
    failure: String,
    /// The requests that failed.
    about: Vec<Cited>,
    /// The description of the failure in one sentence.
    summary: String,
    /// The events that prove the failure, as indices into the events of the trace.
    events: Vec<usize>,
}

/// The party at fault.
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
        /// The name of the client.
        client: String,
        /// The id of the request.
        id: u64,
    },
    /// Raw bytes that a client sent.
    Raw {
        /// The name of the client.
        client: String,
        /// The index of the action among the steps of the plan, counted from 0.
        step: usize,
    },
}

/// The cost of a run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
pub(super) struct Effort {
    /// The cost of the whole run.
    total: Cost,
    /// The cost of each request, by its id.
    by_request: BTreeMap<String, Cost>,
}

/// The numbers of operations.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema alone")]
struct Cost {
    /// The number of HTTP requests that clients sent.
    http_requests: u32,
    /// The number of tickets that servers checked.
    ticket_checks: u32,
    /// The number of logons that the DC decided.
    logons: u32,
    /// The number of requests for tickets that the DC answered.
    dc_tickets: u32,
}
